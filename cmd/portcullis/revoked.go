package main

import (
	"context"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
)

// grantsEvery is how often a node looks whether another has closed a grant
// that sessions live under here; a word by the store makes it sooner.
const grantsEvery = time.Second

// keepGrants ends this node's sessions under grants that another node closed.
// A suspension does not wait for it: it ends sessions by itself.
func (r *rooms) keepGrants(ctx context.Context) error {
	if !r.cfg.shared() {
		return nil // access tells itself
	}
	tick := time.NewTicker(grantsEvery)
	defer tick.Stop()
	heard := r.audit.Follow(ctx)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case e, ok := <-heard:
			if !ok { // the store was away; the ticks go on
				heard = nil
				continue
			}
			if ev, err := e.Event(); err != nil || ev.Name != audit.GrantClosed {
				continue
			}
		}
		r.endClosed(ctx)
	}
}

func (r *rooms) endClosed(ctx context.Context) {
	asked := map[string]bool{}
	for _, x := range r.sessions.Live() {
		if asked[x.Grant] {
			continue
		}
		asked[x.Grant] = true
		ask, cancel := context.WithTimeout(ctx, grantsEvery)
		g, err := r.access.Grant(ask, x.Grant)
		cancel()
		if err != nil {
			if ctx.Err() == nil {
				r.log.Error("grant of a live session not read", "grant", x.Grant, "error", err)
			}
			return // the lease ends what the store says nothing about
		}
		if g.State == gateway.GrantClosed {
			r.sessions.EndGrant(g.ID, g.Why, g.ClosedBy)
		}
	}
}
