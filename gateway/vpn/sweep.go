package vpn

import (
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"

	"github.com/portcullis/portcullis/gateway"
)

const shutdownWrite = tcpip.ShutdownWrite

// targetSide is a tunnel as what reaches the target.
type targetSide tunnel

// clientSide is a tunnel as the engineer's connection.
type clientSide tunnel

// mark lets nothing pass any more in either direction, and no flow begin.
func (t *tunnel) mark() {
	t.cut.Store(true)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ending = true
}

// resetAll resets the flows at both ends. A target's socket is closed by who
// comes to it first; none waits for the other end.
func (t *tunnel) resetAll() {
	for _, f := range t.list() {
		f.cutBy(gateway.FlowByGate)
	}
}

// Shut marks the tunnel; from its return on no inner packet passes. The flows'
// sockets are reset by a goroutine of the tunnel, so that the sweep comes to
// the next tunnel at once. What wakes by it rests until over is closed.
func (s *targetSide) Shut(over <-chan struct{}) {
	t := (*tunnel)(s)
	t.over.Store(&over)
	t.mark()
	t.running.Add(1)
	go func() {
		defer t.running.Done()
		t.guard(t.resetAll)
	}()
}

// Close resets the flows.
func (s *targetSide) Close() error {
	t := (*tunnel)(s)
	t.mark()
	t.resetAll()
	return nil
}

// Part has nothing to say inside a tunnel: resets are all that its protocols
// know, and Shut sends them.
func (c *clientSide) Part(*gateway.Ended, <-chan struct{}) {}

// Close lets the peer go, once its resets have left.
func (c *clientSide) Close() error {
	t := (*tunnel)(c)
	t.mark()
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-t.shut:
	default:
		close(t.shut)
	}
	return nil
}

// Closed tells the exact account of what the end cut off.
func (c *clientSide) Closed(*gateway.Ended) {
	t := (*tunnel)(c)
	t.mu.Lock()
	select {
	case <-t.woke:
	default:
		close(t.woke)
	}
	t.mu.Unlock()
	t.running.Wait()
	for _, f := range t.list() {
		f.end()
	}
	t.tellRest()
	t.ch.Exit(nil, "")
}

// rest keeps what a sweep has woken from taking its time.
func (t *tunnel) rest() {
	over := t.over.Load()
	if over == nil {
		return
	}
	late := time.NewTimer(RestTime)
	defer late.Stop()
	select {
	case <-*over:
	case <-t.woke:
	case <-late.C:
	}
}

func (t *tunnel) nextN() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count++
	return t.count
}
