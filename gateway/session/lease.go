package session

import (
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// tenure is the moment at which vendors' sessions stop, on both clocks. The
// monotonic one cannot be set, but stands still while a virtual machine is
// paused; the wall clock goes on then, but can be set.
type tenure struct {
	until time.Time // with a monotonic reading
	wall  int64     // Unix ns
}

// ServeUntil moves the end of the lease: what is of a vendor passes bytes and
// opens until the first of both moments. until is monotonic, as time.Now makes
// it, and wall is by the clock that pages show. A moment that is past ends
// them with their next byte; the caller ends those that are silent.
func (m *Manager) ServeUntil(until, wall time.Time) {
	m.tenure.Store(&tenure{until, wall.UnixNano()})
}

// lapsed reports whether the lease is over: nobody may say any more what the
// store forbids. It is asked before each write, so it only reads two clocks.
func (m *Manager) lapsed() bool {
	t := m.tenure.Load()
	if t == nil {
		return m.leased
	}
	return !time.Now().Before(t.until) || m.now().UnixNano() >= t.wall
}

// skew is by how much the wall clock was ahead of the store's, and when that
// was, on both clocks.
type skew struct {
	by         time.Duration
	wall, mono time.Time
}

// ClockOff takes note of how far this node's wall clock is ahead of the
// store's, as of now.
func (m *Manager) ClockOff(by time.Duration) { m.skew.Store(&skew{by, m.wall(), time.Now()}) }

// Clock refuses while this node's clock is further than ClockSlack from the
// store's: by it nobody can say which window is open. A step since the last
// comparison counts at once. Its error is a *gateway.Error.
func (m *Manager) Clock() error {
	s := m.skew.Load()
	if s == nil {
		return nil
	}
	off := s.by + m.wall().Sub(s.wall) - time.Since(s.mono)
	if off.Abs() <= ClockSlack {
		return nil
	}
	side := "ahead of"
	if off < 0 {
		side = "behind"
	}
	return &gateway.Error{
		Code: gateway.CodeUnavailable, Rule: "clock", Text: "this gateway's clock is " + off.Abs().Round(time.Millisecond).String() + " " + side + " its store's, so nothing is agreed to or opened here",
		Next: "tell the operator, who sets it by NTP, then try again",
	}
}

// wall is the wall clock alone. With the monotonic reading that time.Now gives,
// the difference of two would not show a step.
func (m *Manager) wall() time.Time { return m.now().Round(0) }

// halted is the look before each byte: no timer is certain to run first in a
// process that was stopped. The operator's own people work without a lease.
func (l *Live) halted() bool {
	if l.stopping.Load() {
		return true
	}
	if l.row.Vendor == "" || !l.m.lapsed() {
		return false
	}
	l.end(storeLost())
	return true
}

func storeLost() *gateway.Ended { return &gateway.Ended{Reason: gateway.EndStore} }
