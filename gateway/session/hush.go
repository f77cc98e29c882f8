package session

import (
	"sync"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// HushTime is the longest that Hush holds anything.
const HushTime = time.Second

// Hush holds what consoles would show or send in the sessions that match, until
// release is called, for at most HushTime. An order over them is about to be
// made durable: thousands of streams would take the processor from its commit
// and from the sockets. It is no freeze: nothing is written, nobody is told,
// and where the order comes to nothing all goes on as if a packet had been late.
func (m *Manager) Hush(match func(gateway.Session) bool) (release func()) {
	over := make(chan struct{})
	var hushed []*Live
	for _, l := range m.all() {
		if match(l.row) {
			l.hushed.Store(&over)
			hushed = append(hushed, l)
		}
	}
	end := sync.OnceFunc(func() {
		close(over)
		for _, l := range hushed {
			l.hushed.CompareAndSwap(&over, nil) // unless another has come
		}
	})
	late := time.AfterFunc(HushTime, end)
	return func() {
		late.Stop()
		end()
	}
}

// hush waits while the session is hushed. Nobody calls it with a lock that the
// end of the session needs.
func (l *Live) hush() {
	if over := l.hushed.Load(); over != nil {
		<-*over
	}
}
