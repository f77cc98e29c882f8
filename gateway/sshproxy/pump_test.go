package sshproxy

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"
)

// script gives a piece a read, as far as the buffer goes, and notes how large
// the buffer was.
type script struct {
	pieces [][]byte
	sizes  []int
}

func (s *script) Read(p []byte) (int, error) {
	s.sizes = append(s.sizes, len(p))
	if len(s.pieces) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.pieces[0])
	if s.pieces[0] = s.pieces[0][n:]; len(s.pieces[0]) == 0 {
		s.pieces = s.pieces[1:]
	}
	return n, nil
}

// A stream holds a chunk while it is busy, and little before and after.
func TestPumpHoldsLittleWhileItWaits(t *testing.T) {
	burst := bytes.Repeat([]byte("b"), quiet+chunk)
	s := &script{pieces: [][]byte{[]byte("a"), burst, []byte("c"), []byte("d")}}
	var got []byte
	pump(s, func(p []byte) error { got = append(got, p...); return nil })
	if want := slices.Concat([]byte("a"), burst, []byte("cd")); !bytes.Equal(got, want) {
		t.Errorf("%d of %d bytes, or others", len(got), len(want))
	}
	if want := []int{quiet, quiet, chunk, chunk, quiet, quiet}; !slices.Equal(s.sizes, want) {
		t.Errorf("read into buffers of %v, not %v", s.sizes, want)
	}
}

func TestPumpStopsWhenNothingIsTaken(t *testing.T) {
	s := &script{pieces: [][]byte{[]byte("a"), []byte("b")}}
	pump(s, func([]byte) error { return errors.New("gone") })
	if len(s.sizes) != 1 {
		t.Errorf("%d reads after all", len(s.sizes))
	}
}

// S-08: a read of nothing, as an empty packet makes it, is no end.
func TestPumpGoesOnAfterNothing(t *testing.T) {
	s := &script{pieces: [][]byte{[]byte("a"), {}, {}, []byte("b"), {}}}
	var got []byte
	pump(s, func(p []byte) error {
		if len(p) == 0 {
			t.Error("nothing was passed on")
		}
		got = append(got, p...)
		return nil
	})
	if string(got) != "ab" {
		t.Errorf("got %q", got)
	}
}
