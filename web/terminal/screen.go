package terminal

import (
	"errors"
	"sync"
)

// errOver ends a shell's output pump when nobody can see it any more.
var errOver = errors.New("the terminal is over")

// screen is what a terminal has shown: the last Kept bytes of it, each with
// its number, and how far the page has come. Writers wait while more than
// Ahead bytes are not acknowledged.
type screen struct {
	mu    sync.Mutex
	kept  []byte
	begin int64         // number of kept[0]
	acked int64         // the page has all before this
	more  chan struct{} // closed and replaced when any of this changes
	free  bool          // writers wait for nobody: the session is ending
	over  bool          // nothing is written any more
}

func newScreen() *screen { return &screen{more: make(chan struct{})} }

func (s *screen) end() int64 { return s.begin + int64(len(s.kept)) }

func (s *screen) changed() {
	close(s.more)
	s.more = make(chan struct{})
}

// Write implements io.Writer, for more than one goroutine.
func (s *screen) Write(p []byte) (int, error) {
	n := 0
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(p) > 0 {
		room := Ahead - int(s.end()-s.acked)
		switch {
		case s.over:
			return n, errOver
		case s.free:
			room = len(p)
		case room <= 0:
			more := s.more
			s.mu.Unlock()
			<-more
			s.mu.Lock()
			continue
		}
		take := min(room, len(p))
		s.kept = append(s.kept, p[:take]...)
		n, p = n+take, p[take:]
		if old := len(s.kept) - Kept; old > 0 {
			s.kept = append(s.kept[:0], s.kept[old:]...)
			s.begin += int64(old)
		}
		s.changed()
	}
	return n, nil
}

// from returns a copy of at most limit bytes beginning at number at, and the
// number that they really begin at: a reader who is too far behind, or has a
// number that was never shown, begins with the oldest. more is closed at the
// next change.
func (s *screen) from(at int64, limit int) (p []byte, begin int64, more <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at < s.begin || at > s.end() {
		at = s.begin
	}
	rest := s.kept[at-s.begin:]
	return append([]byte(nil), rest[:min(limit, len(rest))]...), at, s.more
}

// ack lets the shell go on. A number that was never shown is none.
func (s *screen) ack(at int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at > s.acked && at <= s.end() {
		s.acked = at
		s.changed()
	}
}

// release lets writers go on without a page: what no longer fits is dropped
// from the oldest on, and stands in the recording.
func (s *screen) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free = true
	s.changed()
}

// finish lets nothing more in.
func (s *screen) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	s.changed()
}
