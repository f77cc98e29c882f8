package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/cluster"
)

var (
	errUnknown = errors.New("redis: answers an order that is not under way here")
	errSilent  = errors.New("redis: the bus said nothing in time")
)

// Publish implements cluster.Bus. The subscription to the answers stands
// before the order is sent; an order that not all have answered is sent again
// each RepeatEvery. An error says that the order was not carried, or that it
// is not known who must answer; the reports hold what is known all the same.
func (b *Bus) Publish(ctx context.Context, from string, o cluster.Order) ([]gateway.NodeReport, error) {
	asked := b.now()
	nonce := newNonce()
	msg, err := seal(b.signer, orderDomain, orderBody{Cluster: b.prefix, Nonce: nonce, From: from, Reply: b.boot, Sent: gateway.Instant(asked), Order: o})
	if err != nil {
		return nil, fmt.Errorf("redis: write the order: %w", err)
	}
	answers, err := b.ask(nonce)
	if err != nil {
		return nil, err
	}
	defer b.askNoMore(nonce)

	c := &call{asked: asked, from: from, answered: map[string]gateway.NodeReport{}, must: map[string]time.Time{}, sentErr: errSilent, rollErr: errSilent}
	repeat, stop := context.WithCancelCause(ctx)
	defer stop(context.Canceled)
	sent, rolls := make(chan error, 1), make(chan roll, 1)
	if !b.start(func() { b.keepSending(repeat, msg, sent) }) || !b.start(func() { b.keepCalling(repeat, from, asked, rolls) }) {
		return nil, errClosed
	}
	for !c.done() && ctx.Err() == nil {
		select {
		case r := <-answers:
			c.take(r)
		case err := <-sent:
			c.noteSent(err)
		case r := <-rolls:
			c.rollErr = r.err
			c.must = r.must
		case <-b.ctx.Done():
			return c.reports(), errClosed
		case <-ctx.Done():
		}
	}
	return c.reports(), c.err()
}

// ask makes the place that answers to nonce are put into.
func (b *Bus) ask(nonce string) (<-chan gateway.NodeReport, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.asking) >= maxAsking {
		return nil, fmt.Errorf("redis: %d orders are under way; more are not taken", maxAsking)
	}
	answers := make(chan gateway.NodeReport, MaxNodes)
	b.asking[nonce] = answers
	return answers, nil
}

func (b *Bus) askNoMore(nonce string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.asking, nonce)
}

func (b *Bus) hearAnswer(raw string) {
	a, err := b.openAnswer(raw)
	if err != nil {
		b.drop("answer", &b.drops.Answers, err)
		return
	}
	r := a.Report
	r.Node, r.Answered, r.LeaseEnds = a.Node, true, time.Time{}
	b.mu.Lock()
	answers, under := b.asking[a.Nonce]
	b.mu.Unlock()
	if !under {
		b.drop("answer", &b.drops.Answers, errUnknown)
		return
	}
	select {
	case answers <- r:
	default: // each node's first answer found room; this one is a repetition
	}
}

// keepSending publishes msg until ctx is done and tells how each try went.
func (b *Bus) keepSending(ctx context.Context, msg []byte, sent chan<- error) {
	b.repeat(ctx, func() bool {
		err := b.client.Publish(ctx, b.ordersChannel(), msg).Err()
		select {
		case sent <- err:
		case <-ctx.Done():
		}
		return true
	})
}

// roll is who must answer, with the end of each one's lease.
type roll struct {
	must map[string]time.Time
	err  error
}

// keepCalling finds out who must answer; it tries until everybody was asked
// who knows.
func (b *Bus) keepCalling(ctx context.Context, from string, asked time.Time, rolls chan<- roll) {
	b.repeat(ctx, func() bool {
		must, err := b.mustAnswer(ctx, from, asked)
		select {
		case rolls <- roll{must, err}:
		case <-ctx.Done():
		}
		return err != nil
	})
}

// repeat calls f now and each RepeatEvery while f says so.
func (b *Bus) repeat(ctx context.Context, f func() bool) {
	tick := time.NewTicker(RepeatEvery)
	defer tick.Stop()
	for f() {
		select {
		case <-b.ctx.Done():
			return
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// call is one order under way.
type call struct {
	asked    time.Time
	from     string
	must     map[string]time.Time
	answered map[string]gateway.NodeReport
	sentErr  error
	rollErr  error
}

func (c *call) take(r gateway.NodeReport) {
	if _, again := c.answered[r.Node]; !again && r.Node != c.from && len(c.answered) < MaxNodes {
		c.answered[r.Node] = r
	}
}

// noteSent keeps the first error until a try has gone well; from then on the
// order was carried.
func (c *call) noteSent(err error) {
	if err == nil || errors.Is(c.sentErr, errSilent) { // and never back from nil
		c.sentErr = err
	}
}

func (c *call) done() bool {
	if c.sentErr != nil || c.rollErr != nil {
		return false
	}
	for name := range c.must {
		if _, ok := c.answered[name]; !ok {
			return false
		}
	}
	return true
}

// reports are in the order of the nodes' names.
func (c *call) reports() []gateway.NodeReport {
	var out []gateway.NodeReport
	for _, r := range c.answered {
		out = append(out, r)
	}
	for name, ends := range c.must {
		if _, ok := c.answered[name]; !ok {
			out = append(out, gateway.NodeReport{Node: name, LeaseEnds: gateway.Instant(ends)})
		}
	}
	slices.SortFunc(out, func(a, b gateway.NodeReport) int { return strings.Compare(a.Node, b.Node) })
	return out
}

func (c *call) err() error {
	switch {
	case c.sentErr != nil:
		return fmt.Errorf("redis: the order was not sent: %w", c.sentErr)
	case c.rollErr != nil:
		return fmt.Errorf("redis: it is not known which nodes must answer: %w", c.rollErr)
	}
	return nil
}
