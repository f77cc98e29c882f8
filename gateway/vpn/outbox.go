package vpn

import (
	"context"
	"sync"
)

// outbox holds what waits to be encrypted, tunnel by tunnel, so that one that
// is flooded keeps back nobody else: each has its turn.
type outbox struct {
	mu     sync.Mutex
	some   sync.Cond
	turns  []*tunnel // those that have something, the next first
	closed bool
	slabs  slabs
}

// turn is how many packets of one tunnel go before the next one's.
const turn = 48

// queue is one tunnel's part of the outbox, guarded by its mutex.
type queue struct {
	slabs []*slab
	bytes int
	room  chan struct{} // closed once there is some; nil: nobody waits
}

func newOutbox() *outbox {
	o := &outbox{}
	o.some.L = &o.mu
	return o
}

// push takes over b. false: it was dropped.
func (o *outbox) push(b *slab) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	q := &b.t.queue
	if o.closed || q.bytes+len(b.data) > QueueBytes || !b.t.lets(b) {
		o.slabs.put(b)
		return false
	}
	q.slabs = append(q.slabs, b)
	q.bytes += len(b.data)
	if len(q.slabs) == 1 {
		o.turns = append(o.turns, b.t)
		o.some.Signal()
	}
	return true
}

// wait waits until a tunnel's queue is short. What is not given to the stack
// yet is not lost here, and needs not be sent again.
func (o *outbox) wait(ctx context.Context, t *tunnel) error {
	for {
		o.mu.Lock()
		q := &t.queue
		if o.closed || q.bytes < QueueShort {
			o.mu.Unlock()
			return nil
		}
		if q.room == nil {
			q.room = make(chan struct{})
		}
		room := q.room
		o.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// pull waits for packets and copies as many as there are room for, each behind
// offset. Zero: the outbox is closed.
func (o *outbox) pull(bufs [][]byte, sizes []int, offset int) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		n := 0
		for n < len(bufs) && len(o.turns) > 0 {
			if n > 0 && o.turns[0].queue.slabs[0].left() > len(bufs)-n {
				break // whole, in the next batch
			}
			n += o.turn(bufs[n:min(len(bufs), n+turn)], sizes[n:], offset)
		}
		if n > 0 || o.closed {
			return n
		}
		o.some.Wait()
	}
}

// turn takes packets of the tunnel whose turn it is.
func (o *outbox) turn(bufs [][]byte, sizes []int, offset int) int {
	t := o.turns[0]
	o.turns = o.turns[1:]
	q, n := &t.queue, 0
	for len(q.slabs) > 0 && n < len(bufs) {
		b := q.slabs[0]
		if n > 0 && b.left() > len(bufs)-n {
			break
		}
		for t.lets(b) && b.next < len(b.ends) && n < len(bufs) {
			p := b.packet(b.next)
			if len(p) <= len(bufs[n])-offset {
				sizes[n] = copy(bufs[n][offset:], p)
				n++
			}
			b.next++
		}
		if t.lets(b) && b.next < len(b.ends) {
			break
		}
		q.slabs[0] = nil
		q.slabs = q.slabs[1:]
		q.bytes -= len(b.data)
		o.slabs.put(b)
	}
	if q.room != nil && q.bytes < QueueShort {
		close(q.room)
		q.room = nil
	}
	if len(q.slabs) > 0 {
		o.turns = append(o.turns, t)
	} else {
		q.slabs = nil // an idle tunnel holds no memory here
	}
	return n
}

func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.some.Broadcast()
}
