package sshproxy

import (
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// stream makes an inner connection of a channel.
type stream struct {
	ssh.Channel
	outer *conn
	ended chan struct{} // closed when the client has closed the channel
	shut  sync.Once

	mu        sync.Mutex
	limit     *time.Timer
	readUntil time.Time

	// Of the one reader.
	reading chan read // what a read that was given up still brings
	rest    read
}

type read struct {
	p   []byte
	err error
}

func newStream(outer *conn, ch ssh.Channel, reqs <-chan *ssh.Request) *stream {
	s := &stream{Channel: ch, outer: outer, ended: make(chan struct{})}
	outer.wg.Go(func() { ssh.DiscardRequests(reqs); close(s.ended) })
	return s
}

// Close closes the channel, and the whole outer connection if its client does
// not close the channel too: what ended must be seen to have ended.
func (s *stream) Close() error {
	s.shut.Do(func() {
		_ = s.SetDeadline(time.Time{})
		late := time.AfterFunc(LeaveTime, func() { _ = s.outer.nc.Close() })
		defer late.Stop()
		_ = s.Channel.Close()
		select {
		case <-s.ended:
		case <-s.outer.gone:
		}
	})
	return nil
}

// Read implements io.Reader. A read that its deadline cut short goes on, and
// the next one has what it brings.
func (s *stream) Read(p []byte) (int, error) {
	s.mu.Lock()
	until := s.readUntil
	s.mu.Unlock()
	if len(s.rest.p) == 0 && s.rest.err == nil {
		if s.reading == nil && until.IsZero() {
			return s.Channel.Read(p)
		}
		if err := s.readBy(until); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.rest.p)
	if s.rest.p = s.rest.p[n:]; len(s.rest.p) > 0 {
		return n, nil
	}
	err := s.rest.err
	s.rest = read{}
	return n, err
}

func (s *stream) readBy(until time.Time) error {
	if s.reading == nil {
		came := make(chan read, 1)
		s.reading = came
		s.outer.wg.Go(func() { // ends with the channel
			buf := make([]byte, quiet)
			n, err := s.Channel.Read(buf)
			came <- read{buf[:n], err}
		})
	}
	var late <-chan time.Time
	if !until.IsZero() {
		t := time.NewTimer(time.Until(until))
		defer t.Stop()
		late = t.C
	}
	select {
	case s.rest = <-s.reading:
		s.reading = nil
		return nil
	case <-late:
		return os.ErrDeadlineExceeded
	}
}

// LocalAddr implements net.Conn.
func (s *stream) LocalAddr() net.Addr { return s.outer.nc.LocalAddr() }

// RemoteAddr implements net.Conn: where the person connects from.
func (s *stream) RemoteAddr() net.Addr { return s.outer.nc.RemoteAddr() }

// SetDeadline closes the stream at t: such deadlines end connections and are
// never waited out.
func (s *stream) SetDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readUntil = time.Time{}
	if s.limit != nil {
		s.limit.Stop()
		s.limit = nil
	}
	if !t.IsZero() {
		s.limit = time.AfterFunc(time.Until(t), func() { _ = s.Close() })
	}
	return nil
}

// SetReadDeadline implements net.Conn for reads that begin after it.
func (s *stream) SetReadDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readUntil = t
	return nil
}

// SetWriteDeadline implements net.Conn.
func (s *stream) SetWriteDeadline(t time.Time) error { return s.SetDeadline(t) }

var _ net.Conn = (*stream)(nil)
