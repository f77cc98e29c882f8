package session

import (
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

const (
	// SweepTime is how long a sweep goes through its sessions' farewells. What
	// has not had its turn by then is closed by the sessions themselves.
	SweepTime = 100 * time.Millisecond
	// partStall is how long one farewell may hold up those behind it, before
	// somebody else takes them on.
	partStall = 5 * time.Millisecond
	// PutOffTime is the longest that a recording waits to be sealed for somebody's
	// answer.
	PutOffTime = time.Second
)

// Shutter is a target's socket that a sweep can shut.
type Shutter interface {
	// Shut ends both directions and waits for nothing: for no peer, and for no
	// lock that is held over a write. What wakes by it rests until over is
	// closed, so that it takes no time from the sockets still to come, and from
	// the answer.
	Shut(over <-chan struct{})
}

// Parter is an engineer's connection that a sweep can end.
type Parter interface {
	// Part says why, and that nothing more comes, if the client takes it at
	// once. Otherwise it does nothing, and farewell and Close come later.
	Part(why *gateway.Ended, over <-chan struct{})
}

// Closing is an engineer's connection that writes down what its end cut off,
// once the sockets are closed and before the recording is sealed. It may wait
// for a disk, as no farewell should.
type Closing interface {
	Closed(why *gateway.Ended)
}

// sweep is one EndAll. Hundreds of sessions that wake, say goodbye, record and
// seal would take the processor from each other's sockets, so those come first
// and everything else waits.
type sweep struct {
	over chan struct{}   // closed when the sockets had their turn
	told <-chan struct{} // closed when nobody waits for the answer any more
}

// sockets are what a session closes when it stops.
type sockets struct {
	targets, clients []io.Closer
	farewells        []func(*gateway.Ended)
}

// detach takes the sockets, once; nothing attaches after it.
func (l *Live) detach() sockets {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = true
	s := l.open
	l.open = sockets{}
	return s
}

// mark lets nothing pass any more in each session that matches, and returns
// them, and which of them this sweep is the first to take.
func (m *Manager) mark(s *sweep, match func(gateway.Session) bool, cause *gateway.Ended) (hit, own []*Live) {
	for _, l := range m.all() {
		if l.isClosed() || !match(l.row) {
			continue
		}
		hit = append(hit, l)
		if l.sweep.CompareAndSwap(nil, s) {
			own = append(own, l)
		}
		l.end(cause)
	}
	return hit, own
}

// run shuts the targets of all sessions, then parts from their engineers, one
// after the other. One that is held up keeps back nobody but itself.
func (s *sweep) run(m *Manager, own []*Live) {
	defer close(s.over)
	if len(own) == 0 {
		return
	}
	for _, l := range own {
		l.swept = l.detach()
		for _, c := range l.swept.targets {
			if t, ok := c.(Shutter); ok {
				t.Shut(s.told)
			}
		}
	}
	s.part(m, own)
}

func (s *sweep) part(m *Manager, own []*Live) {
	var next, done atomic.Int64
	finished := make(chan struct{})
	turns := func() {
		for i := next.Add(1) - 1; i < int64(len(own)); i = next.Add(1) - 1 {
			own[i].part(s)
			if done.Add(1) == int64(len(own)) {
				close(finished)
			}
		}
	}
	m.wg.Go(turns) // a stuck one is let go by its session, which closes the socket
	late := time.NewTimer(SweepTime)
	defer late.Stop()
	stall := time.NewTicker(partStall)
	defer stall.Stop()
	for {
		select {
		case <-finished:
			return
		case <-late.C:
			return
		case <-stall.C: // whoever is held up by now has somebody in his place
			m.wg.Go(turns)
		}
	}
}

func (l *Live) part(s *sweep) {
	for _, c := range l.swept.clients {
		p, ok := c.(Parter)
		select {
		case <-s.over: // the session does it
		default:
			if ok {
				p.Part(l.cause(), s.told)
			}
		}
	}
}

// PutOff keeps what has ended from being recorded, sealed and written until
// release is called, for at most PutOffTime: hundreds of seals would take disk
// and processor from the answer that somebody waits for.
func (m *Manager) PutOff() (release func()) {
	m.puts.Lock()
	defer m.puts.Unlock()
	if m.puttingOff++; m.puttingOff == 1 {
		m.released = make(chan struct{})
	}
	return sync.OnceFunc(func() {
		m.puts.Lock()
		defer m.puts.Unlock()
		if m.puttingOff--; m.puttingOff == 0 {
			close(m.released)
			m.released = nil
		}
	})
}

// release is closed when nobody calls for a PutOff any more; nil if nobody does.
func (m *Manager) release() <-chan struct{} {
	m.puts.Lock()
	defer m.puts.Unlock()
	return m.released
}

func (m *Manager) waitPutOff() {
	released := m.release()
	if released == nil {
		return
	}
	late := time.NewTimer(PutOffTime)
	defer late.Stop()
	select {
	case <-released:
	case <-late.C:
	}
}
