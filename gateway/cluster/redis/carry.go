package redis

import (
	"context"
	"time"
)

// task is one order for one node of this process.
type task struct{ nonce, node string }

// carried is an order that was carried out, or is about to be. An order that
// comes again is answered again and not carried out again: its first answer
// may be lost, and holds what the second would not find any more.
type carried struct {
	heard  time.Time // monotonic
	done   bool      // the handler has answered
	answer []byte
}

func (b *Bus) hearOrder(raw string) {
	o, err := b.openOrder(raw)
	if err != nil {
		b.drop("order", &b.drops.Orders, err)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	for name, n := range b.nodes {
		if name == o.From || n.h == nil {
			continue
		}
		c, again := b.remembered[task{o.Nonce, name}]
		switch {
		case again && c.answer != nil:
			msg := c.answer
			n.calls.Add(1) // under mu, so that leave cannot have passed its wait
			b.wg.Go(func() { defer n.calls.Done(); b.answer(o, msg) })
		case again:
		case b.carrying >= maxCarrying || !b.makeRoom():
			b.drops.Orders++ // it is sent again, and stands in the store
		default:
			c = &carried{heard: time.Now()}
			b.remembered[task{o.Nonce, name}] = c
			b.carrying++
			n.calls.Add(1)
			b.wg.Go(func() { defer n.calls.Done(); b.carry(o, name, n, c) })
		}
	}
}

// makeRoom forgets orders that would not be taken any more if they came
// again, and reports whether another can be remembered.
func (b *Bus) makeRoom() bool {
	if len(b.remembered) < maxRemembered {
		return true
	}
	for t, c := range b.remembered {
		if c.done && time.Since(c.heard) > 2*MaxOrderAge {
			delete(b.remembered, t)
		}
	}
	return len(b.remembered) < maxRemembered
}

func (b *Bus) carry(o orderBody, name string, n *node, c *carried) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(b.ctx), HandleWait) // an order begun is carried to its end
	defer cancel()
	r := n.h(ctx, o.Order)
	r.Node, r.Answered, r.LeaseEnds = name, true, time.Time{}
	msg, err := seal(b.signer, answerDomain, answerBody{Cluster: b.prefix, Nonce: o.Nonce, Suspension: o.Order.Suspension, Node: name, Report: r})
	if err == nil && len(msg) > MaxAnswer {
		err = errTooLong
	}
	b.mu.Lock()
	b.carrying--
	if c.done = true; err == nil {
		c.answer = msg
	}
	b.mu.Unlock()
	if err != nil {
		b.log.Error("the answer to an order cannot be sent", "suspension", o.Order.Suspension, "error", err)
		return
	}
	b.answer(o, msg)
}

// answer sends once. If it is lost, the order comes again and so does the
// answer.
func (b *Bus) answer(o orderBody, msg []byte) {
	ctx, cancel := context.WithTimeout(b.ctx, DialTimeout+WriteTimeout)
	defer cancel()
	if err := b.client.Publish(ctx, b.answersChannel(o.Reply), msg).Err(); err != nil {
		b.complain("answer", "the bus does not take the answer to an order", err)
	}
}
