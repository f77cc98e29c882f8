package cluster

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// Local is the bus of nodes that share one process: one node, as a rule.
type Local struct {
	lease time.Duration
	now   func() time.Time

	mu    sync.Mutex // guards nodes
	nodes map[string]*member
}

type member struct {
	h     Handler
	calls sync.WaitGroup
}

// NewLocal makes a bus. lease is how long a node serves after it was last
// heard of.
func NewLocal(lease time.Duration, now func() time.Time) *Local {
	if now == nil {
		now = time.Now
	}
	return &Local{lease: lease, now: now, nodes: map[string]*member{}}
}

// Join implements Bus.
func (b *Local) Join(node string, h Handler) (leave func(), err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, taken := b.nodes[node]; taken {
		return nil, ErrNodeName
	}
	m := &member{h: h}
	b.nodes[node] = m
	return sync.OnceFunc(func() {
		b.mu.Lock()
		delete(b.nodes, node)
		b.mu.Unlock()
		m.calls.Wait()
	}), nil
}

// Publish implements Bus.
func (b *Local) Publish(ctx context.Context, from string, o Order) ([]gateway.NodeReport, error) {
	asked := b.now()
	answers := make(chan gateway.NodeReport)
	waiting := map[string]bool{}
	b.mu.Lock()
	for name, m := range b.nodes {
		if name == from {
			continue
		}
		waiting[name] = true
		m.calls.Add(1) // under mu, so that leave cannot have passed its wait
		go func() {
			defer m.calls.Done()
			r := m.h(ctx, o)
			r.Node, r.Answered = name, true
			select {
			case answers <- r:
			case <-ctx.Done():
			}
		}()
	}
	b.mu.Unlock()

	var reports []gateway.NodeReport
	for len(waiting) > 0 && ctx.Err() == nil {
		select {
		case r := <-answers:
			delete(waiting, r.Node)
			reports = append(reports, r)
		case <-ctx.Done():
		}
	}
	for name := range waiting {
		reports = append(reports, gateway.NodeReport{Node: name, LeaseEnds: gateway.Instant(asked.Add(b.lease))})
	}
	slices.SortFunc(reports, func(a, b gateway.NodeReport) int { return strings.Compare(a.Node, b.Node) })
	return reports, nil
}
