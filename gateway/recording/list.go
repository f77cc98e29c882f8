package recording

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// State is how far a recording has come.
type State string

// The closed list of states.
const (
	Live        State = "live"        // being written
	Complete    State = "complete"    // sealed at the session's end
	Interrupted State = "interrupted" // sealed after a crash or a fault; what is cut short says so
	Unsealed    State = "unsealed"    // cut short and not recovered yet
	Damaged     State = "damaged"     // its seal or its manifest cannot be read; Verify says more
)

// Info is what a list shows of a recording.
type Info struct {
	Meta
	State    State             `json:"state"`
	Begun    time.Time         `json:"begun"`
	SealedAt time.Time         `json:"sealed_at,omitzero"`
	Reason   gateway.EndReason `json:"reason,omitempty"`
	Fault    string            `json:"fault,omitempty"`
	Duration time.Duration     `json:"duration_ns"`
	BytesOut int64             `json:"bytes_out"`
	BytesIn  int64             `json:"bytes_in"`
	Input    int64             `json:"input"` // bytes of the input track's files, if anything stands in them
	Segments int               `json:"segments"`
	Torn     int64             `json:"torn"` // bytes after the last whole frame
	Digest   gateway.Digest    `json:"digest,omitzero"`
}

// MaxPage bounds one page of a list.
const MaxPage = 200

// Query narrows a list; empty fields do not. Newest first.
type Query struct {
	Vendor, Person, Target, Grant string
	Before                        string // page on below this session
	Limit                         int    // 1 to MaxPage; 0 means MaxPage
}

func (q Query) takes(m Meta) bool {
	fits := func(want, got string) bool { return want == "" || want == got }
	return fits(q.Vendor, m.Vendor) && fits(q.Person, m.Person) && fits(q.Target, m.Target) && fits(q.Grant, m.Grant) &&
		(q.Before == "" || m.Session < q.Before)
}

// List answers recordings by day and identifier, newest first. A recording
// that cannot be read is listed as Damaged, never left out, unless the query
// asks for what only its manifest could tell.
func (v *Vault) List(ctx context.Context, q Query) ([]Info, error) {
	limit := q.Limit
	if limit <= 0 || limit > MaxPage {
		limit = MaxPage
	}
	var all []Info
	for day, err := range v.days() {
		if err != nil {
			return nil, err
		}
		names, err := sessions(day)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			if q.Before != "" && name >= q.Before {
				continue
			}
			info, err := v.info(filepath.Join(day, name))
			if errors.Is(err, fs.ErrNotExist) || err == nil && !q.takes(info.Meta) {
				continue
			}
			if err != nil {
				return nil, err
			}
			if all = append(all, info); len(all) == limit {
				return all, nil
			}
		}
	}
	return all, nil
}

// Find answers one recording.
func (v *Vault) Find(session string) (Info, error) {
	dir, err := v.find(session)
	if err != nil {
		return Info{}, err
	}
	info, err := v.info(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return Info{}, gateway.NotFound("recording", session)
	}
	return info, err
}

// info reads manifest and seal. fs.ErrNotExist means that Start has not
// returned yet, or never did.
func (v *Vault) info(dir string) (Info, error) {
	info := Info{Meta: Meta{Session: filepath.Base(dir)}}
	raw, err := os.ReadFile(filepath.Join(dir, manifestName))
	if errors.Is(err, fs.ErrNotExist) && !exists(filepath.Join(dir, sealName)) {
		return info, fs.ErrNotExist
	}
	var m manifest
	if !v.believed(raw, domainManifest, &m) || m.Meta.Session != info.Session {
		info.State = Damaged
		return info, nil
	}
	info.Meta, info.Begun = m.Meta, m.Begun
	raw, err = os.ReadFile(filepath.Join(dir, sealName))
	if errors.Is(err, fs.ErrNotExist) {
		v.unsealed(dir, &info)
		return info, nil
	}
	if err != nil {
		return info, gateway.Unavailable("recorder", err)
	}
	var s seal
	if !v.believed(raw, domainSeal, &s) || s.Session != info.Session {
		info.State = Damaged
		return info, nil
	}
	info.State = Complete
	if s.Interrupted {
		info.State = Interrupted
	}
	info.SealedAt, info.Reason, info.Fault, info.Torn = s.SealedAt, s.Reason, s.Fault, s.Torn
	info.Duration, info.BytesOut, info.BytesIn = micros(s.LastMicros), s.BytesOut, s.BytesIn
	info.Segments, info.Digest = len(s.Segments), gateway.DigestOf(raw)
	for _, seg := range s.Segments {
		if nameStream(seg.Name) == input && seg.Frames > 0 {
			info.Input += seg.Size
		}
	}
	return info, nil
}

// believed reports whether a signed file holds; why not is for Verify to say.
func (v *Vault) believed(raw []byte, domain string, into any) bool {
	_, err := v.keys.open(raw, domain, into)
	return err == nil
}

// unsealed fills in what is known of a recording without its seal.
func (v *Vault) unsealed(dir string, info *Info) {
	if r := v.recorderOf(info.Session); r != nil {
		info.State = Live
		info.BytesOut, info.BytesIn = r.Bytes()
		info.Duration = v.now().Sub(info.Begun)
		info.Input = r.in.written()
		return
	}
	info.State = Unsealed
	lock, err := lockDir(dir)
	if errors.Is(err, errBusy) {
		info.State = Live // another process writes it
	}
	if err == nil {
		_ = lock.Close()
	}
}
