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
