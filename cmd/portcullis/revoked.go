package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
)

const (
	// grantsEvery is how often a node looks whether another has closed a grant
	// that sessions live under here; a word by the store makes it sooner.
	grantsEvery = time.Second
	// openingTime is the longest between the look at what stands behind a grant
	// and the registering of the session that opens by it.
	openingTime = 30 * time.Second
)

// grants is the part of package access that a keeper asks.
type grants interface {
	Grant(ctx context.Context, id string) (gateway.Grant, error)
	Review(ctx context.Context, id string) (gateway.Grant, error)
}

// lives is the part of package session that a keeper asks.
type lives interface {
	Live() []gateway.Session
	EndGrant(id string, why gateway.EndReason, by string)
}

// keeper ends this node's sessions under grants that were closed on another
// node, and has the grants looked at once more after a change to what may
// stand behind them: a person, a vendor, a target. A suspension does not wait
// for it, and what one leaves alone it leaves alone too.
type keeper struct {
	grants   grants
	sessions lives
	shared   bool // other nodes close grants too
	log      *slog.Logger

	changed  time.Time       // when a change was heard of last
	reviewed map[string]bool // sessions whose grant was looked at since
}

// keepGrants runs this node's keeper until ctx is done.
func (r *rooms) keepGrants(ctx context.Context) error {
	k := keeper{grants: r.access, sessions: r.sessions, shared: r.cfg.shared(), log: r.log}
	k.run(ctx, r.audit.Follow)
	return nil
}

func (k *keeper) run(ctx context.Context, follow func(context.Context) <-chan audit.Entry) {
	tick := time.NewTicker(grantsEvery)
	defer tick.Stop()
	var heard <-chan audit.Entry
	for {
		if heard == nil {
			heard = follow(ctx)
			k.change() // nobody knows what was missed
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case e, ok := <-heard:
			if ok && !k.concerns(e) {
				continue
			}
			if !ok { // the store was away
				heard = nil
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
			}
		}
		k.look(ctx)
	}
}

func (k *keeper) change() { k.changed, k.reviewed = time.Now(), map[string]bool{} }

// concerns tells whether an entry may end what is live here.
func (k *keeper) concerns(e audit.Entry) bool {
	ev, err := e.Event()
	if err != nil || ev.Outcome != audit.OK {
		return false
	}
	switch ev.Name {
	case audit.PersonAdmitted, audit.VendorAdmitted, audit.TargetDefined, audit.Suspended:
		k.change()
		return true
	case audit.GrantClosed:
		return k.shared // else access has told the sessions itself
	}
	return false
}

// look goes through the grants that somebody is live under.
func (k *keeper) look(ctx context.Context) {
	due := map[string][]string{} // sessions to review by their grant; one that is only to be read has none
	for _, x := range k.sessions.Live() {
		switch {
		case x.Started.Before(k.changed.Add(openingTime)) && !k.reviewed[x.ID]:
			due[x.Grant] = append(due[x.Grant], x.ID)
		case k.shared || time.Since(x.Started) < openingTime: // it may have opened while its grant was closed
			if _, there := due[x.Grant]; !there {
				due[x.Grant] = nil
			}
		}
	}
	for grant, under := range due {
		g, err := k.ask(ctx, grant, len(under) > 0)
		switch {
		case gateway.IsCode(err, gateway.CodeConflict):
			continue // another node was faster; the next look sees it
		case gateway.IsCode(err, gateway.CodeNotFound):
			k.sessions.EndGrant(grant, gateway.EndNotGranted, "gateway")
			continue
		case err != nil:
			if ctx.Err() == nil {
				k.log.Error("grant of a live session not read", "grant", grant, "error", err)
			}
			return // the lease ends what the store says nothing about
		}
		if g.State == gateway.GrantClosed && g.Why != gateway.EndSuspended {
			k.sessions.EndGrant(g.ID, g.Why, g.ClosedBy)
		}
		for _, id := range under {
			k.reviewed[id] = true
		}
	}
}

func (k *keeper) ask(ctx context.Context, grant string, anew bool) (gateway.Grant, error) {
	ctx, cancel := context.WithTimeout(ctx, grantsEvery)
	defer cancel()
	if anew {
		return k.grants.Review(ctx, grant)
	}
	return k.grants.Grant(ctx, grant)
}
