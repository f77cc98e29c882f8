package recording

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/gateway"
)

// damage says which file of a recording is not as it was sealed, and where.
// An offset below zero means the file as a whole.
type damage struct {
	file   string
	offset int64
	why    string
}

func (d *damage) Error() string {
	if d.offset < 0 {
		return d.file + ": " + d.why
	}
	return fmt.Sprintf("%s, offset %d: %s", d.file, d.offset, d.why)
}

func whole(file string, err error) error { return &damage{file: file, offset: -1, why: err.Error()} }

// Verify reads a sealed recording from the first byte to the last and answers
// nil if every bit is as it was sealed. Otherwise the error names the file and
// the offset of the first frame that does not hold. That the seal itself is the
// one of that session is for the caller to compare: its digest, which Find
// answers, stands in the audit log.
func (v *Vault) Verify(session string) error {
	dir, err := v.find(session)
	if err != nil {
		return err
	}
	if !exists(filepath.Join(dir, sealName)) {
		return gateway.Conflict("recording", "recording %s is not sealed: the session is live, or the gateway stopped without warning and has not been started since", session)
	}
	err = v.verify(dir)
	var d *damage
	if errors.As(err, &d) {
		return &gateway.Error{
			Code: gateway.CodeConflict, Rule: "recording", Text: fmt.Sprintf("recording %s does not verify: %s", session, d),
			Next: "leave its folder as it is, for it is evidence, and compare it with a backup",
		}
	}
	if err != nil {
		return gateway.Unavailable("recorder", err)
	}
	return nil
}

func (v *Vault) verify(dir string) error {
	raw, err := os.ReadFile(filepath.Join(dir, sealName))
	if err != nil {
		return err
	}
	s, err := v.readSeal(raw)
	if err != nil {
		return whole(sealName, err)
	}
	if s.Session != filepath.Base(dir) {
		return whole(sealName, fmt.Errorf("it is the seal of session %q", s.Session))
	}
	m, err := v.verifyManifest(dir, s)
	if err != nil {
		return err
	}
	if err := verifyNames(dir, s); err != nil {
		return err
	}
	return v.verifyStreams(dir, s, m)
}

func (v *Vault) verifyManifest(dir string, s seal) (manifest, error) {
	raw, err := os.ReadFile(filepath.Join(dir, manifestName))
	if err != nil {
		return manifest{}, whole(manifestName, err)
	}
	if gateway.DigestOf(raw) != s.Manifest {
		return manifest{}, whole(manifestName, errors.New("it is not the one that was sealed"))
	}
	m, err := v.readManifest(raw)
	if err != nil {
		return m, whole(manifestName, err)
	}
	if m.Meta.Session != s.Session {
		return m, whole(manifestName, fmt.Errorf("it is the manifest of session %q", m.Meta.Session))
	}
	return m, nil
}

// verifyNames finds a segment that was put in after the seal.
func verifyNames(dir string, s seal) error {
	for _, st := range []stream{output, input} {
		names, err := segmentNames(dir, st)
		if err != nil {
			return err
		}
		for _, name := range names {
			if !slices.ContainsFunc(s.Segments, func(g segmentSeal) bool { return g.Name == name }) {
				return whole(name, errors.New("the seal does not name it"))
			}
		}
	}
	return nil
}

func (v *Vault) verifyStreams(dir string, s seal, m manifest) error {
	want := map[stream]header{}
	for _, st := range []stream{output, input} {
		want[st] = header{stream: st, begun: m.Begun.UnixMicro(), session: s.Session, previous: s.Manifest}
	}
	for _, g := range s.Segments {
		st := nameStream(g.Name)
		h := want[st]
		h.seq++
		if g.Name != segmentName(st, h.seq) {
			return whole(segmentName(st, h.seq), errors.New("the seal does not name it"))
		}
		if err := v.verifySegment(dir, g, h); err != nil {
			return err
		}
		if err := verifyTorn(dir, g); err != nil {
			return err
		}
		h.previous = g.Digest
		want[st] = h
	}
	return nil
}

func (v *Vault) verifySegment(dir string, g segmentSeal, want header) error {
	f, err := os.Open(filepath.Join(dir, g.Name))
	if errors.Is(err, fs.ErrNotExist) {
		return whole(g.Name, errors.New("it is missing"))
	}
	if err != nil {
		return err
	}
	defer f.Close()
	r := newReader(f, true)
	fail := func(format string, args ...any) error {
		return &damage{file: "segment " + g.Name, offset: r.off, why: fmt.Sprintf(format, args...)}
	}
	for {
		_, err := r.next()
		if errors.Is(err, errTorn) {
			return fail("%s", err)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	h := r.header
	if g.Broken {
		h.previous = want.previous
	}
	switch {
	case r.footer == nil:
		return fail("it ends before its footer")
	case info.Size() != r.off:
		return fail("%d bytes follow its footer", info.Size()-r.off)
	case h != want:
		return &damage{file: "segment " + g.Name, why: "its header is of another place or another predecessor"}
	case r.footer.interrupted != g.Interrupted || int64(r.counts.frames) != g.Frames || int64(r.counts.data) != g.Bytes:
		return fail("it holds other counts than the seal says")
	}
	if err := v.checkFooter(r); err != nil {
		return fail("%s", err)
	}
	if r.digest() != g.Digest {
		return fail("its digest is not the sealed one, though its frames are whole")
	}
	return nil
}

// checkFooter compares a closed segment with its own footer.
func (v *Vault) checkFooter(r *reader) error {
	f := r.footer
	if f.body != r.body || f.frames != r.counts.frames || f.data != r.counts.data {
		return errors.New("the footer is of other content")
	}
	b, err := encodeFooter(*f, fixed(f.signature))
	if err != nil {
		return err
	}
	for _, key := range v.keys {
		if err = v.keys.verify(key, footerMessage(b), f.signature); err == nil {
			return nil
		}
	}
	return errors.New("the footer's signature does not hold")
}

// fixed is a Signer that signs nothing: it gives back a signature as read.
type fixed []byte

func (s fixed) Sign([]byte) []byte { return s }
func (s fixed) Public() string     { return "" }

func verifyTorn(dir string, g segmentSeal) error {
	name := strings.TrimSuffix(g.Name, segmentExt) + tornExt
	raw, err := os.ReadFile(filepath.Join(dir, name))
	switch {
	case errors.Is(err, fs.ErrNotExist) && g.Torn == 0:
		return nil
	case err != nil:
		return whole(name, err)
	case gateway.DigestOf(raw) != g.TornDigest:
		return whole(name, errors.New("it is not the one that was sealed"))
	}
	return nil
}

// readManifest and readSeal read the two signed files.
func (v *Vault) readManifest(raw []byte) (m manifest, err error) {
	_, err = v.keys.open(raw, domainManifest, &m)
	return m, err
}

func (v *Vault) readSeal(raw []byte) (s seal, err error) {
	_, err = v.keys.open(raw, domainSeal, &s)
	return s, err
}
