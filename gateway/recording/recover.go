package recording

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// Recovered is one recording that was found without its seal.
type Recovered struct {
	Meta   Meta
	Sealed Sealed
	Torn   int64     // bytes after the last whole frame, kept aside
	End    time.Time // of the last frame that is there
	Fault  string    // what else is wrong with it, in words
	// Empty says that Start had not returned yet: nothing was ever shown, and
	// the folder was removed. Meta holds the session's identifier alone.
	Empty bool
}

// Recover seals what a crash left unsealed: frames are kept up to the last
// whole one, the rest is kept aside and counted, and the seal says that the
// recording was interrupted. Recordings that are being written, by this
// process or another, are left alone. It may be cut short and called again at
// any moment.
//
// The error joins what could not be recovered; what could is answered beside it.
func (v *Vault) Recover(ctx context.Context) ([]Recovered, error) {
	var all []Recovered
	var errs []error
	for day, err := range v.days() {
		if err != nil {
			return all, err
		}
		names, err := sessions(day)
		if err != nil {
			return all, err
		}
		for _, name := range names {
			if ctx.Err() != nil {
				return all, errors.Join(append(errs, context.Cause(ctx))...)
			}
			r, err := v.recover(filepath.Join(day, name))
			switch {
			case err != nil:
				errs = append(errs, fmt.Errorf("recover recording %q: %w", name, err))
			case r != nil:
				all = append(all, *r)
				v.log.Warn("recording recovered", slog.String("session", name), slog.Int64("torn", r.Torn), slog.Bool("empty", r.Empty))
			}
		}
	}
	return all, errors.Join(errs...)
}

// sessions lists a day's folders, newest first.
func sessions(day string) ([]string, error) {
	entries, err := os.ReadDir(day)
	if err != nil {
		return nil, gateway.Unavailable("recorder", err)
	}
	var names []string
	for _, e := range slices.Backward(entries) {
		if e.IsDir() && gateway.CheckName("session", e.Name()) == nil {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// recover seals one folder; nil means that there was nothing to do.
func (v *Vault) recover(dir string) (*Recovered, error) {
	if exists(filepath.Join(dir, sealName)) {
		return nil, nil
	}
	lock, err := lockDir(dir)
	if errors.Is(err, errBusy) || errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	if exists(filepath.Join(dir, sealName)) { // sealed while we asked for the lock
		return nil, nil
	}
	raw, err := os.ReadFile(filepath.Join(dir, manifestName))
	if errors.Is(err, fs.ErrNotExist) {
		if empty, err := v.removeEmpty(dir); empty || err != nil {
			return &Recovered{Meta: Meta{Session: filepath.Base(dir)}, Empty: true}, err
		}
	} else if err != nil {
		return nil, err
	}
	return v.sealInterrupted(dir, raw)
}

// removeEmpty removes a folder whose Start did not return: it has no manifest
// and not a single frame.
func (v *Vault) removeEmpty(dir string) (bool, error) {
	for _, s := range []stream{output, input} {
		t := newTape(dir, s)
		_, err := t.next()
		t.close()
		if size, statErr := os.Stat(filepath.Join(dir, segmentName(s, 1))); err == nil || statErr == nil && size.Size() > headerSize {
			return false, nil
		}
	}
	return true, errors.Join(os.RemoveAll(dir), v.disk.syncDir(filepath.Dir(dir)))
}

func (v *Vault) sealInterrupted(dir string, raw []byte) (*Recovered, error) {
	m, err := v.readManifest(raw)
	s := seal{
		Version: formatVersion, Session: filepath.Base(dir), Manifest: gateway.DigestOf(raw), SealedAt: gateway.Instant(v.now()),
		Reason: gateway.EndCrashed, Interrupted: true,
	}
	if err == nil && m.Meta.Session != s.Session {
		err = fmt.Errorf("it is of session %q", m.Meta.Session)
	}
	if err != nil {
		m = manifest{Meta: Meta{Session: s.Session}}
		s.Fault = "manifest.json: " + err.Error()
	}
	for _, st := range []stream{output, input} {
		segments, err := v.recoverStream(dir, st, m, s.Manifest)
		if err != nil {
			return nil, err
		}
		s.Segments = append(s.Segments, segments...)
	}
	sealed, err := v.writeSeal(dir, s)
	if err != nil {
		return nil, err
	}
	r := &Recovered{Meta: m.Meta, Sealed: sealed, End: m.Begun.Add(sealed.Duration), Fault: s.Fault}
	for _, seg := range s.Segments {
		r.Torn += seg.Torn
		if seg.Fault != "" {
			r.Fault = strings.TrimPrefix(r.Fault+"; "+seg.Name+": "+seg.Fault, "; ")
		}
	}
	return r, nil
}

// recoverStream mends the segments of a stream in their order. Only a power
// cut can have torn one that is not the last.
func (v *Vault) recoverStream(dir string, st stream, m manifest, previous gateway.Digest) ([]segmentSeal, error) {
	names, err := segmentNames(dir, st)
	if err != nil {
		return nil, err
	}
	var all []segmentSeal
	for i := range max(len(names), 1) { // Start made the first
		name := ""
		if i < len(names) {
			name = names[i]
		}
		if want := segmentName(st, uint32(i+1)); name != want {
			return nil, fmt.Errorf("segment %s is missing: the folder was changed by hand; put it back or move the folder away", want)
		}
		s, err := v.recoverSegment(dir, header{stream: st, seq: uint32(i + 1), begun: m.Begun.UnixMicro(), session: filepath.Base(dir), previous: previous})
		if err != nil {
			return nil, fmt.Errorf("segment %s: %w", name, err)
		}
		all = append(all, s)
		previous = s.Digest
	}
	return all, nil
}

// segmentNames lists the segment files of a stream in their order.
func segmentNames(dir string, st stream) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), st.String()+"-") && strings.HasSuffix(e.Name(), segmentExt) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// recoverSegment makes a segment whole: what follows the last whole frame is
// moved aside and a footer is put in its place. want is the header that the
// segment should have.
func (v *Vault) recoverSegment(dir string, want header) (segmentSeal, error) {
	name := segmentName(want.stream, want.seq)
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR, 0)
	if err != nil {
		return segmentSeal{}, err
	}
	defer f.Close()
	r := newReader(f, true)
	if err := drain(r); err != nil {
		return segmentSeal{}, err
	}
	s := segmentSeal{Name: name}
	if err := v.setAside(f, r.off, dir, &s); err != nil {
		return s, err
	}
	if !r.started { // not even a header: a power cut took it
		if err := v.restart(f, r, want); err != nil {
			return s, err
		}
	}
	s.Broken = r.header.previous != want.previous
	if got := r.header; got.stream != want.stream || got.seq != want.seq || got.session != want.session {
		s.Fault = fmt.Sprintf("it belongs to segment %s of session %q", segmentName(got.stream, got.seq), got.session)
	}
	if r.footer == nil {
		if err := v.closeInterrupted(f, r); err != nil {
			return s, err
		}
	} else if err := v.checkFooter(r); err != nil && s.Fault == "" {
		s.Fault = err.Error()
	}
	s.Interrupted = r.footer.interrupted // by us, or by a Recover that was itself cut short
	s.Digest, s.Size = r.digest(), r.off
	s.Frames, s.Bytes, s.LastMicros = int64(r.counts.frames), int64(r.counts.data), r.counts.last.Microseconds()
	return s, nil
}

// drain reads to the end of what is whole.
func drain(r *reader) error {
	for {
		_, err := r.next()
		switch {
		case err == nil:
		case errors.Is(err, io.EOF), errors.Is(err, errTorn):
			return nil
		default:
			return err
		}
	}
}

// setAside copies what follows the last whole frame into a .torn file and cuts
// it off. Cut short between the two steps, it comes to the same when it is
// done again.
func (v *Vault) setAside(f *os.File, good int64, dir string, s *segmentSeal) error {
	aside := strings.TrimSuffix(s.Name, segmentExt) + tornExt
	kept, err := os.ReadFile(filepath.Join(dir, aside))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	tail, err := io.ReadAll(io.NewSectionReader(f, good, math.MaxInt64-good)) // one segment at most
	if err != nil {
		return err
	}
	if len(tail) > 0 && !bytes.HasSuffix(kept, tail) {
		kept = append(kept, tail...)
		if err := v.disk.writeFile(dir, aside, kept); err != nil {
			return err
		}
	}
	if len(kept) > 0 {
		s.Torn, s.TornDigest = int64(len(kept)), gateway.DigestOf(kept)
	}
	return f.Truncate(good)
}

// restart gives an empty segment its header.
func (v *Vault) restart(f *os.File, r *reader, want header) error {
	if _, err := f.WriteAt(want.encode(), 0); err != nil {
		return err
	}
	return drain(r)
}

// closeInterrupted appends a footer that says so.
func (v *Vault) closeInterrupted(f *os.File, r *reader) error {
	payload, err := encodeFooter(footer{interrupted: true, frames: r.counts.frames, data: r.counts.data, body: r.digest()}, v.signer)
	if err != nil {
		return err
	}
	b := encodeFrame(r.seed, frame{kind: kindFooter, at: r.counts.last, payload: payload})
	if _, err := f.WriteAt(b, r.off); err != nil {
		return err
	}
	if err := v.disk.sync(f); err != nil {
		return err
	}
	if err := drain(r); err != nil || r.footer != nil {
		return err
	}
	return errors.New("the footer was written but is not there")
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
