package sshproxy

import (
	"io"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// ResizeEvery is the least time between two sizes in a recording when the
// target shows nothing between them. A window that is dragged makes hundreds a
// second, and a client can send as many as it likes.
const ResizeEvery = 100 * time.Millisecond

func parseResize(payload []byte) (cols, rows uint32, ok bool) {
	var m struct{ Cols, Rows, Width, Height uint32 }
	if ssh.Unmarshal(payload, &m) != nil {
		return 0, 0, false
	}
	return m.Cols, m.Rows, true
}

// resize passes every size on, in order and after a freeze. The recording has
// those at which something was shown, and the last.
func (ch *channel) resize(r *ssh.Request) bool {
	cols, rows, ok := parseResize(r.Payload)
	if !ok || ch.pty == nil {
		return false
	}
	if ch.begun() {
		if ch.rec.Hold() != nil {
			return false
		}
		ch.rec.Resize(cols, rows)
	}
	return ch.pass(r)
}

// sized is the Channel of a terminal. Of the sizes that come within ResizeEvery
// it records the last: before the next output, so that a player draws it as the
// engineer saw it, or when the time is over, or before the exit.
type sized struct {
	Channel
	waits atomic.Bool // a size that is not recorded

	mu         sync.Mutex // guards what follows
	cols, rows uint32
	recorded   time.Time
	late       *time.Timer // nil until the first that waits
}

// Resize implements Channel.
func (s *sized) Resize(cols, rows uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cols, s.rows = cols, rows
	wait := ResizeEvery - time.Since(s.recorded)
	switch {
	case wait <= 0:
		s.record()
	case s.waits.Swap(true):
	case s.late == nil:
		s.late = time.AfterFunc(wait, s.settle)
	default:
		s.late.Reset(wait)
	}
}

// Show implements Channel.
func (s *sized) Show(stderr bool, p []byte, w io.Writer) error {
	if s.waits.Load() {
		s.settle()
	}
	return s.Channel.Show(stderr, p, w)
}

// Exit implements Channel.
func (s *sized) Exit(status *uint32, signal string) {
	s.settle()
	s.Channel.Exit(status, signal)
}

// settle records the size that waits, if there is one.
func (s *sized) settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waits.Load() {
		s.record()
	}
}

func (s *sized) record() {
	s.waits.Store(false)
	if s.late != nil {
		s.late.Stop()
	}
	s.recorded = time.Now()
	s.Channel.Resize(s.cols, s.rows)
}
