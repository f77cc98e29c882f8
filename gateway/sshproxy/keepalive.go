package sshproxy

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// A connection whose other end has gone without a word is noticed within
// SilenceMax + BeatEvery of the last thing that came of it. A program that is
// only stopped (a shell's Ctrl-Z, a debugger) has a kernel that goes on to
// acknowledge: it has StoppedMax to come back.
const (
	BeatEvery  = 5 * time.Second  // how often each leg is looked at
	QuietTime  = 10 * time.Second // of silence, then it is asked for a sign of life
	SilenceMax = 20 * time.Second // of silence of its kernel too, then it is dead
	StoppedMax = 3 * time.Minute  // of silence of the program alone
	RekeyMax   = time.Minute      // of a key exchange that the other side began, or answers to, and does not finish

	keepAliveRequest = "keepalive@openssh.com"

	wentSilent  = "its connection went silent"
	stoodStill  = "its program answered nothing for %s, though its machine did"
	neverKeyed  = "it did not finish a key exchange within %s"
	probesAtAll = 9 // of TCP, unanswered; the pulse is sooner
)

// pulse notices that one leg has gone silent. It has no goroutine: a timer
// looks whether anything was read since, and only silence is asked.
//
// Whatever arrives is a sign of life, and so is what the other end's kernel
// takes while more waits behind it: on a slow link a question may stand behind
// minutes of output. A write that hangs is none. Acknowledgements alone are a
// sign of the machine, not of the program.
type pulse struct {
	conn  ssh.Conn
	wire  *wire
	dead  func(why string) // must not block
	every beat

	mu      sync.Mutex // guards what follows
	timer   *time.Timer
	stopped bool
	asking  bool
	put     uint64 // writes that had begun when the question was put
	writes  uint64
	wrote   time.Time // when something was last written
	reads   uint64
	acked   uint64
	since   time.Time // when something was last noticed
	asks    sync.WaitGroup
}

// beat holds the times of a pulse, which tests make shorter.
type beat struct{ look, quiet, max, stopped, rekey time.Duration }

// start begins to look. The caller stops it when the leg's socket is closed.
func (p *pulse) start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.since, p.wrote = time.Now(), time.Now()
	p.timer = time.AfterFunc(p.every.look, p.look)
}

func (p *pulse) look() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return
	}
	k := p.wire.kernel()
	unwritten := p.unwritten(k)
	if p.heard(k) {
		p.since = time.Now()
	}
	silent := time.Since(p.since)
	why := p.every.verdict(silent, k)
	if why == "" && p.asking && p.put == p.writes && unwritten >= p.every.rekey {
		why = fmt.Sprintf(neverKeyed, p.every.rekey)
	}
	if why != "" {
		p.stopped = true
		p.dead(why)
		return
	}
	if max(silent, unwritten) >= p.every.quiet && !p.asking {
		p.asking, p.put = true, p.writes
		p.asks.Go(p.ask)
	}
	p.timer.Reset(p.every.look)
}

// unwritten is how long nothing has been written, and nothing was taken of what
// was written before. A question that is put and not written waits for a key
// exchange: the library keeps everything else back until that is finished. A
// write that hangs has begun.
func (p *pulse) unwritten(k kernel) time.Duration {
	if n := p.wire.writes.Load(); n != p.writes || p.wire.writing.Load() || k.acked != p.acked {
		p.writes, p.wrote = n, time.Now()
	}
	return time.Since(p.wrote)
}

// verdict says why a leg is dead after so much silence, or nothing.
func (b beat) verdict(silent time.Duration, k kernel) string {
	switch {
	case silent < b.max:
		return ""
	case !k.known || k.silent >= b.max:
		return wentSilent
	case silent >= b.stopped:
		return fmt.Sprintf(stoodStill, b.stopped)
	}
	return ""
}

// heard is whether there was a sign of life since it was last called.
func (p *pulse) heard(k kernel) bool {
	reads := p.wire.reads.Load()
	some := reads != p.reads || k.more && k.acked != p.acked
	p.reads, p.acked = reads, k.acked
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

// probed has TCP ask a silent machine whether it is there, so that its silence
// is that of the machine, and give it up when it takes nothing for longer than
// a program may stand still. The pulse is sooner; this is for who has none.
func probed(nc net.Conn, every beat) {
	s, ok := nc.(*net.TCPConn)
	if !ok {
		return
	}
	_ = s.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: atLeast(every.quiet), Interval: atLeast(every.look), Count: probesAtAll})
	raw, err := s.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(every.stopped/time.Millisecond))
	})
}

// atLeast is d as TCP counts it, in whole seconds.
func atLeast(d time.Duration) time.Duration { return max(d.Round(time.Second), time.Second) }

// kernel is what TCP knows of the other end's machine.
type kernel struct {
	known  bool          // false where there is no TCP
	acked  uint64        // bytes that it has taken
	more   bool          // bytes wait in ours that were never sent
	silent time.Duration // since it last acknowledged anything
}

// kernel asks TCP. An inner connection rides on its outer one, whose machine
// is the same.
func (w *wire) kernel() (k kernel) {
	if s, ok := w.Conn.(*stream); ok {
		outer := s.outer.h.wire.kernel()
		return kernel{known: outer.known, silent: outer.silent}
	}
	if w.raw == nil {
		return k
	}
	_ = w.raw.Control(func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), syscall.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			k = kernel{
				known: true, acked: info.Bytes_acked, more: info.Notsent_bytes > 0,
				silent: time.Duration(info.Last_ack_recv) * time.Millisecond,
			}
		}
	})
	return k
}

// counted counts reads, and writes as they begin; it is the part of a wire that a pulse looks at.
type counted struct {
	reads, writes atomic.Uint64
	writing       atomic.Bool
}
