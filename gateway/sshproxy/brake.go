package sshproxy

import (
	"io"
	"sync/atomic"
	"time"
)

// The library gives each channel a window of 2 MiB and takes no other word: a
// target that writes faster than its client reads has that much lie here, and
// hundreds of them a gigabyte. So a leg's socket is not read while more than
// owedMax of what came over it has not been carried on.
//
// The socket brings more than output (windows, requests, answers), which a
// channel that stands still must not hold up. So the brake is for the slow and
// not for the stopped: it holds a read for brakeTime at most, and not again
// while nothing moves; and it holds legs with one channel only.
const (
	owedMax   = 256 << 10 // bytes; one read more may be taken in
	owedEase  = owedMax / 2
	brakeTime = time.Second
)

// brake counts what a leg's socket has brought and its channel has not yet
// carried on. It is a rough count, with what the packets add and what is not
// output in it; at every moment at which the channel has caught up it begins
// anew. The zero brake never holds.
type brake struct {
	owed  atomic.Int64
	moved atomic.Uint64 // how often some of it was carried on
	on    atomic.Pointer[braking]
	still bool // of the reader: it was held for brakeTime and nothing moved
}

// braking is what a brake that may hold needs to know.
type braking struct {
	alone func() bool     // whether the leg has one channel and no more
	stop  <-chan struct{} // closed when the session ends
	eased chan struct{}   // rung when little is owed again
}

// engage lets the brake hold from now on.
func (b *brake) engage(alone func() bool, stop <-chan struct{}) {
	b.on.Store(&braking{alone: alone, stop: stop, eased: make(chan struct{}, 1)})
}

// hold waits before the socket is read, if too much is owed.
func (b *brake) hold() {
	h := b.on.Load()
	if h == nil {
		return
	}
	select {
	case <-h.eased: // of earlier
	default:
	}
	if b.owed.Load() < owedMax {
		b.still = false
		return
	}
	if b.still || !h.alone() {
		return
	}
	before := b.moved.Load()
	wait := time.NewTimer(brakeTime)
	defer wait.Stop()
	select {
	case <-h.eased:
	case <-h.stop:
	case <-wait.C:
		b.still = b.moved.Load() == before
	}
}

// came counts what a read of the socket brought.
func (b *brake) came(n int) {
	if b.on.Load() != nil {
		b.owed.Add(int64(n))
	}
}

// carried counts what was carried on, and whether nothing is left.
func (b *brake) carried(n int, all bool) {
	h := b.on.Load()
	if h == nil {
		return
	}
	b.moved.Add(1)
	owed := int64(0)
	if all {
		b.owed.Store(0)
	} else {
		owed = b.owed.Add(-int64(n))
	}
	if owed < owedEase {
		select {
		case h.eased <- struct{}{}:
		default:
		}
	}
}

// braked is a stream of the target. That it is read again says that what was
// read before has been carried on; a read that does not fill its buffer has
// caught up with what came.
type braked struct {
	io.Reader
	b    *brake
	last int
	all  bool
}

// Read implements io.Reader.
func (r *braked) Read(p []byte) (int, error) {
	if r.last > 0 {
		r.b.carried(r.last, r.all)
	}
	n, err := r.Reader.Read(p)
	r.last, r.all = n, n < len(p)
	return n, err
}

// brake holds the target's leg while its one channel is behind.
func (c *conn) brake(l *leg) {
	l.pulse.wire.engage(func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.channels) == 1 && len(c.flows) == 0
	}, c.live.Context().Done())
}

// fromLeg is a stream of the target as its pump reads it.
func (c *conn) fromLeg(stream io.Reader) io.Reader {
	return &braked{Reader: stream, b: &c.target.pulse.wire.brake}
}
