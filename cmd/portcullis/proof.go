package main

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/evidence"
)

// Bounds of one proof.
const (
	maxProofSessions = 2000
	maxAttempts      = 1000 // refusals of one kind that are counted
)

// proofs writes proofs of suspensions out of the rooms.
type proofs struct{ *rooms }

// Sealed is a proof as a DSSE envelope, signed by this machine's key.
func (p proofs) Sealed(ctx context.Context, id string) ([]byte, error) {
	s, err := p.Proof(ctx, id)
	if err != nil {
		return nil, err
	}
	return evidence.SealSuspension(p.keys.MachineKey(), s)
}

// Proof gathers what is on file about one suspension, as of now.
func (p proofs) Proof(ctx context.Context, id string) (evidence.Suspension, error) {
	x, err := p.killswitch.Suspension(ctx, id)
	if err != nil {
		return evidence.Suspension{}, err
	}
	s := evidence.Suspension{Gateway: p.cfg.URL, Node: p.cfg.Node, Written: gateway.Instant(time.Now()), Suspension: x, Verdict: gateway.Pending, Sessions: []evidence.Session{}}
	s.T0 = x.Ordered
	if x.Report != nil {
		s.Verdict, s.T0 = x.Report.Verdict, x.Report.Durable
		s.FirstClose, s.LastClose = x.Report.Closes()
	}
	if s.Order, err = p.store.Trust().Statement(ctx, x.Statement); err != nil {
		return s, gateway.Unavailable("order's statement", err)
	}
	if s.Authority, err = evidence.AuthorityOf(s.Order); err != nil {
		return s, gateway.Internal(err)
	}
	if s.Sessions, err = p.sessionsOf(ctx, x); err != nil {
		return s, err
	}
	if s.Previous, err = p.before(ctx, x); err != nil {
		return s, err
	}
	s.Attempts, err = p.attempts(ctx, x, s.T0)
	return s, err
}

// sessionsOf reads what the store knows of the sessions that the report names.
func (p proofs) sessionsOf(ctx context.Context, x gateway.Suspension) ([]evidence.Session, error) {
	list := []evidence.Session{}
	if x.Report == nil {
		return list, nil
	}
	for _, n := range x.Report.Nodes {
		for _, c := range n.Sessions {
			row, err := p.store.Session().Session(ctx, c.Session)
			if errors.Is(err, gateway.ErrNotFound) || len(list) == maxProofSessions {
				continue
			}
			if err != nil {
				return nil, err
			}
			list = append(list, evidence.Session{ID: row.ID, Vendor: row.Vendor, Account: row.Account, Node: row.Node, Started: row.Started, Ended: row.Ended, Reason: row.Reason, Seal: row.Seal})
		}
	}
	return list, nil
}

// before is the suspension before x.
func (p proofs) before(ctx context.Context, x gateway.Suspension) (*evidence.Previous, error) {
	all, err := p.killswitch.Suspensions(ctx) // newest first
	if err != nil {
		return nil, err
	}
	for _, o := range all {
		if o.ID < x.ID {
			return &evidence.Previous{ID: o.ID, Statement: o.Statement}, nil
		}
	}
	return nil, nil
}

// attempted are the events of somebody being turned away.
var attempted = []audit.Name{audit.SessionRefused, audit.LoginRefused, audit.TouchRefused, audit.RequestDenied}

// attempts counts who was turned away under the scope since then, and until
// the suspension was lifted.
func (p proofs) attempts(ctx context.Context, x gateway.Suspension, since time.Time) (evidence.Attempts, error) {
	out := evidence.Attempts{Until: gateway.Instant(time.Now()), Last: []evidence.Attempt{}}
	if !x.Lifted.IsZero() {
		out.Until = x.Lifted
	}
	covers, err := p.covers(ctx, x.Scope)
	if err != nil {
		return out, err
	}
	for _, name := range attempted {
		q := audit.Query{Name: name, From: since, To: out.Until.Add(time.Microsecond), Limit: maxAttempts}
		switch x.Scope.Kind {
		case gateway.ScopePerson:
			q.Person = x.Scope.Name
		case gateway.ScopeTarget:
			q.Target = x.Scope.Name
		}
		entries, err := p.audit.Search(ctx, q)
		if err != nil {
			return out, err
		}
		out.More = out.More || len(entries) == maxAttempts
		for _, e := range entries {
			ev, err := e.Event()
			if err != nil || !covers(ev) {
				continue // one that does not decode is for the log's own verification
			}
			out.Count++
			out.Last = append(out.Last, evidence.Attempt{Seq: e.Seq, At: gateway.Instant(ev.At), Event: string(ev.Name), Person: ev.Person, Vendor: ev.Vendor, Target: ev.Target, Source: ev.Source, Rule: ev.Rule, Reason: ev.Reason})
		}
	}
	slices.SortFunc(out.Last, func(a, b evidence.Attempt) int { return int(b.Seq - a.Seq) })
	out.Last = out.Last[:min(len(out.Last), evidence.MaxAttempts)]
	return out, nil
}

// covers says whether an event is of somebody under the scope. The vendor is
// the person's, since one who was turned away at the door has none in the log.
func (p proofs) covers(ctx context.Context, scope gateway.Scope) (func(audit.Event) bool, error) {
	targets, err := p.directory.Targets(ctx)
	if err != nil {
		return nil, err
	}
	people, err := p.directory.People(ctx)
	if err != nil {
		return nil, err
	}
	vendors := map[string]string{}
	for _, x := range people {
		vendors[x.Name] = x.Vendor
	}
	known := map[string]gateway.Target{}
	for _, t := range targets {
		known[t.Name] = t
	}
	return func(e audit.Event) bool {
		t := known[e.Target]
		who := e.Person
		if who == "" {
			who = e.Actor
		}
		return scope.Covers(gateway.Reach{Vendor: cmp.Or(e.Vendor, vendors[who]), Person: who, Target: e.Target, Zone: t.Zone, Protocol: t.Kind})
	}, nil
}
