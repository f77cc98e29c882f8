package sshproxy

import (
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// A connection whose other end has gone without a word is noticed within
// SilenceMax + BeatEvery of the last byte that came of it.
const (
	BeatEvery  = 5 * time.Second  // how often each leg is looked at
	QuietTime  = 10 * time.Second // of silence, then it is asked for a sign of life
	SilenceMax = 20 * time.Second // of silence, then it is dead

	keepAliveRequest = "keepalive@openssh.com"
)

// pulse notices that one leg has gone silent. It has no goroutine: a timer
// looks whether anything was read since, and only silence is asked.
//
// Whatever arrives is a sign of life, and so is what the other end's kernel
// takes while more waits behind it: on a slow link a question may stand behind
// minutes of output. A write that hangs is none.
type pulse struct {
	conn  ssh.Conn
	wire  *wire
	dead  func() // must not block
	every beat

	mu      sync.Mutex // guards what follows
	timer   *time.Timer
	stopped bool
	asking  bool
	reads   uint64
	acked   uint64
	since   time.Time // when something was last noticed
	asks    sync.WaitGroup
}

// beat holds the times of a pulse, which tests make shorter.
type beat struct{ look, quiet, max time.Duration }

// start begins to look. The caller stops it when the leg's socket is closed.
func (p *pulse) start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.since = time.Now()
	p.timer = time.AfterFunc(p.every.look, p.look)
}

func (p *pulse) look() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return
	}
	if p.heard() {
		p.since = time.Now()
	}
	silent := time.Since(p.since)
	if silent >= p.every.max {
		p.stopped = true
		p.dead()
		return
	}
	if silent >= p.every.quiet && !p.asking {
		p.asking = true
		p.asks.Go(p.ask)
	}
	p.timer.Reset(p.every.look)
}

// heard is whether there was a sign of life since it was last called.
func (p *pulse) heard() bool {
	reads := p.wire.reads.Load()
	acked, more := p.wire.sent()
	some := reads != p.reads || more && acked != p.acked
	p.reads, p.acked = reads, acked
	return some
}

// ask sends the question and waits for any answer to it, or for the end of the
// connection. That something came is what counts, not what.
func (p *pulse) ask() {
	_, _, _ = p.conn.SendRequest(keepAliveRequest, true, nil)
	p.mu.Lock()
	p.asking = false
	p.mu.Unlock()
}

// lives is false while a question waits for its answer for longer than one
// look.
func (p *pulse) lives() bool {
	if p == nil {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.wire.reads.Load() != p.reads || time.Since(p.since) < p.every.quiet+p.every.look
}

// stop ends the looking and waits for a question that is under way, which the
// closed socket ends.
func (p *pulse) stop() {
	p.mu.Lock()
	p.stopped = true
	p.timer.Stop()
	p.mu.Unlock()
	p.asks.Wait()
}

// userTimeout has the kernel give a connection up whose other end takes
// nothing, so that no write hangs longer than the silence that is allowed.
func userTimeout(nc net.Conn) {
	s, ok := nc.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(SilenceMax/time.Millisecond))
	})
}

// sent is how many bytes the other end's kernel has taken, and whether more
// wait in ours. Zero where there is no TCP.
func (w *wire) sent() (acked uint64, more bool) {
	if w.raw == nil {
		return 0, false
	}
	_ = w.raw.Control(func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), syscall.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			acked, more = info.Bytes_acked, info.Notsent_bytes > 0
		}
	})
	return acked, more
}

// counted counts reads; it is the part of a wire that a pulse looks at.
type counted struct{ reads atomic.Uint64 }
