package killswitch

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// Times of what is finished later.
const (
	ClockMargin = 2 * time.Second  // how far two nodes' clocks may be apart
	FinishEvery = 30 * time.Second // how often the list is looked through for reports that are not final
	FinishGrace = 30 * time.Second // before a node finishes the report of another one's order
)

// closedBy is when everything that an order closes is closed for certain: no
// node serves a vendor for longer than its lease on a reading from before the
// order. Zero: it is known to be closed.
func (s *Service) closedBy(ctx context.Context, sus gateway.Suspension) time.Time {
	r := sus.Report
	if r != nil && r.Verdict == gateway.Pass {
		return time.Time{}
	}
	durable := sus.Ordered.Add(CommitWait)
	if r != nil && !r.Durable.IsZero() {
		durable = r.Durable
	}
	until := durable.Add(s.longestLease(ctx))
	if r != nil {
		for _, n := range r.Nodes {
			if !n.Answered && n.LeaseEnds.After(until) {
				until = n.LeaseEnds
			}
		}
	}
	return until.Add(ClockMargin)
}

// longestLease is that of this node or of any that the store knows.
func (s *Service) longestLease(ctx context.Context) time.Duration {
	longest := s.lease
	if s.roll == nil {
		return longest
	}
	ask, cancel := context.WithTimeout(ctx, PollWait)
	defer cancel()
	nodes, err := s.roll.Members(ask)
	if err != nil {
		s.log.Error("nodes not read; their leases are taken to be as long as this one's", "error", err)
	}
	for _, n := range nodes {
		longest = max(longest, n.Lease)
	}
	return longest
}

// stillClosing refuses to restore what may still be open on a node that has
// not answered: it would be carried into the new epoch.
func (s *Service) stillClosing(ctx context.Context, sus gateway.Suspension) error {
	until := s.closedBy(ctx, sus)
	if !s.now().Before(until) {
		return nil
	}
	return gateway.Refused("still-closing", "restore it then, or when the report says PASS",
		"not every node has answered the suspension of %s; the last lease that could hold a session of it ends by %s", sus.Scope, until.UTC().Format("2006-01-02 15:04:05 UTC"))
}

// finish makes reports final, until ctx is done: those of this node as soon as
// the leases that they name are over, those of a node that has not come back
// a while later.
func (s *Service) finish(ctx context.Context) {
	timer := time.NewTimer(FinishEvery)
	defer timer.Stop()
	for {
		timer.Reset(s.finishDue(ctx))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-s.unfinished:
		}
	}
}

// finishDue finishes what is due and returns how long until it is to be asked
// again.
func (s *Service) finishDue(ctx context.Context) time.Duration {
	wait := FinishEvery
	ask, cancel := context.WithTimeout(ctx, PollWait)
	all, err := s.store.Suspensions(ask)
	cancel()
	if err != nil {
		return wait // the readings of the epochs have said so already
	}
	for _, sus := range all {
		if sus.Report != nil && sus.Report.Verdict != gateway.Pending {
			continue
		}
		due := s.closedBy(ctx, sus)
		if !s.ownOrder(sus) || sus.Report == nil { // this node may be at it
			due = due.Add(FinishGrace)
		}
		if left := due.Sub(s.now()); left > 0 {
			wait = min(wait, left)
			continue
		}
		s.finishOne(ctx, sus)
	}
	return wait
}

// finishOne files what the ends of the leases prove.
func (s *Service) finishOne(ctx context.Context, sus gateway.Suspension) {
	if sus.Report == nil {
		sus.Report = &gateway.Report{Ordered: sus.Ordered, Durable: sus.Ordered}
	}
	r := *sus.Report // the list's reader may hold the other
	r.Verdict, r.Finished = gateway.Pass, gateway.Instant(s.now())
	var silent []string
	for _, n := range r.Nodes {
		if !n.Answered {
			silent = append(silent, n.Node)
		}
	}
	why := "no node that was not heard of holds a lease from before the order any more: it closed everything by itself"
	if len(silent) > 0 {
		why = fmt.Sprintf("%s did not answer; the lease has ended, and with it everything was closed there", strings.Join(silent, ", "))
	}
	if r.Note != "" {
		why = r.Note + "; " + why
	}
	r.Note = why
	r.Probes = s.probes(ctx, sus)
	r.Verdict = r.Verdict.Judged(r.Probes)
	sus.Report = &r
	s.fileReport(ctx, sus)
}

// ownOrder reports whether this node was the one to carry the order out.
func (s *Service) ownOrder(sus gateway.Suspension) bool { return sus.Node == "" || sus.Node == s.node }

// overtaken reports whether the scope was restored or closed anew since, so
// that carrying the order out would close what it does not speak of.
func (s *Service) overtaken(ctx context.Context, sus gateway.Suspension) (bool, error) {
	st, err := s.standing(ctx, sus.Scope)
	return err == nil && (!sus.Lifted.IsZero() || st.State == gateway.Active || st.Epoch != sus.Epoch), err
}
