package recording

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// HTTPEvent is one part of an exchange as it is read back. Body holds until
// tell returns.
type HTTPEvent struct {
	At     time.Duration // since the recording began
	Record gateway.HTTPRecord
	Body   []byte
}

// Exchanges tells what a console's recording holds by now, in the order of
// time. With typed, it tells the bytes that the engineer's browser sent too: it
// is for the few whom the caller lets. A damaged recording is told up to the
// damage, and the error names it.
func (v *Vault) Exchanges(ctx context.Context, session string, typed bool, tell func(HTTPEvent) error) error {
	dir, err := v.find(session)
	if err != nil {
		return err
	}
	sides := []*httpSide{{tape: newTape(dir, input), client: true}, {tape: newTape(dir, output), typed: typed}}
	for _, s := range sides {
		defer s.tape.close()
	}
	if !typed {
		sides = sides[1:]
	}
	for _, s := range sides {
		if err := s.advance(ctx); err != nil {
			return err
		}
	}
	for {
		first := earliest(sides)
		if first == nil {
			break
		}
		if err := tell(first.head); err != nil {
			return err
		}
		if err := first.advance(ctx); err != nil {
			return err
		}
	}
	for _, s := range sides {
		if err := v.damaged(dir, s.end); err != nil {
			return err
		}
	}
	return nil
}

// earliest is the side whose part is next; nil: there is none. What was sent
// stands before its answer, at the same instant too.
func earliest(sides []*httpSide) *httpSide {
	var first *httpSide
	for _, s := range sides {
		if s.end == nil && (first == nil || s.head.At < first.head.At) {
			first = s
		}
	}
	return first
}

// httpSide is one track of a console's recording, with the part that is next.
type httpSide struct {
	tape   *tape
	client bool // the track of what the browser sent
	typed  bool // the other track is told too, and has the browser's messages whole
	ahead  *frame
	head   HTTPEvent
	last   error // io.EOF or errTorn, met while looking for a body
	end    error // the same: there is no next
}

func (s *httpSide) advance(ctx context.Context) error {
	for {
		f, err := s.frame(ctx)
		if isEnd(err) {
			s.end = err
			return nil
		}
		if err != nil {
			return err
		}
		e := HTTPEvent{At: f.at}
		if f.kind != kindHTTP || json.Unmarshal(f.payload, &e.Record) != nil { // Verify is there to complain
			continue
		}
		if s.typed && !s.client && typed(&e.Record) {
			continue
		}
		s.head = e
		return s.body(ctx)
	}
}

// body takes the frame after a record, if it is the record's body.
func (s *httpSide) body(ctx context.Context) error {
	f, err := s.frame(ctx)
	if isEnd(err) { // the record itself is still to be told
		s.last = err
		return nil
	}
	if err != nil {
		return err
	}
	f.payload = bytes.Clone(f.payload) // the reader uses its buffer again
	if f.kind == kindBody {
		s.head.Body = f.payload
	} else {
		s.ahead = &f
	}
	return nil
}

// frame is the next frame of the track.
func (s *httpSide) frame(ctx context.Context) (frame, error) {
	switch {
	case s.ahead != nil:
		f := *s.ahead
		s.ahead = nil
		return f, nil
	case s.last != nil:
		return frame{}, s.last
	case ctx.Err() != nil:
		return frame{}, context.Cause(ctx)
	}
	return s.tape.next()
}
