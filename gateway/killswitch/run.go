package killswitch

import (
	"context"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/cluster"
)

// Run keeps this node to the epochs until ctx is done. Each second it reads
// the state of every vendor and person and ends the sessions that it forbids,
// whatever the bus has said; when the store has not answered for the length of
// the lease it ends all of them. It answers orders that come by the bus.
func (s *Service) Run(ctx context.Context) error {
	leave, err := s.bus.Join(s.node, s.hear)
	if err != nil {
		return err
	}
	defer leave()
	tick := time.NewTicker(PollEvery)
	defer tick.Stop()
	w := watch{s: s, heard: time.Now()}
	for {
		w.poll(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-s.wake:
		}
	}
}

// hear carries out an order that another node has made durable.
func (s *Service) hear(_ context.Context, o cluster.Order) gateway.NodeReport {
	if err := s.floor.Raise(epochSubject(o.Scope), o.Epoch); err != nil {
		s.log.Error("floor not raised", "scope", o.Scope.String(), "error", err)
	}
	return s.endHere(o.Scope, o.Suspension)
}

// watch is Run's memory of the store: the monotonic time of the last reading
// that was answered, taken before it was asked for.
type watch struct {
	s     *Service
	heard time.Time
	lost  bool
}

func (w *watch) poll(ctx context.Context) {
	asked := time.Now()
	// A store that hangs must not outlast the lease.
	ask, cancel := context.WithTimeout(ctx, min(PollWait, max(w.s.lease-time.Since(w.heard), PollEvery)))
	vendors, people, err := w.s.store.Epochs(ask)
	cancel()
	if err != nil {
		w.silence(ctx, err)
		return
	}
	back := w.lost
	away := time.Since(w.heard)
	w.heard, w.lost = asked, false
	w.s.endForbidden(vendors, people)
	if back {
		w.s.storeBack(ctx, away)
	}
}

func (w *watch) silence(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	w.s.log.Error("store does not answer", "for", time.Since(w.heard), "lease", w.s.lease, "error", err)
	if time.Since(w.heard) < w.s.lease {
		return
	}
	w.lost = true
	w.s.sessions.EndAll(func(gateway.Session) bool { return true }, &gateway.Ended{Reason: gateway.EndStore})
}

// endForbidden ends what is not active any more, or is of an older epoch.
func (s *Service) endForbidden(vendors, people map[string]Standing) {
	forbidden := func(l gateway.Session) bool {
		p, ok := people[l.Person]
		if !ok || p.State != gateway.Active || p.Epoch > l.Epochs.Person {
			return true
		}
		v, ok := vendors[l.Vendor]
		return l.Vendor != "" && (!ok || v.State != gateway.Active || v.Epoch > l.Epochs.Vendor)
	}
	for _, l := range s.sessions.Live() {
		if forbidden(l) {
			s.sessions.EndAll(forbidden, &gateway.Ended{Reason: gateway.EndSuspended})
			return
		}
	}
}

func (s *Service) storeBack(ctx context.Context, away time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, CommitWait)
	defer cancel()
	err := s.store.Update(ctx, func(tx Tx) error {
		return tx.Append(audit.Event{
			Name: audit.StoreLost, At: gateway.Instant(s.now()), Actor: "gateway", Outcome: audit.Failed, Reason: string(gateway.EndStore),
			Detail: map[string]string{"node": s.node, "away": away.Round(time.Millisecond).String(), "lease": s.lease.String()},
		})
	})
	if err != nil {
		s.log.Error("event not written", "event", string(audit.StoreLost), "error", err)
	}
}

// Recover finishes the reports of orders that a crash cut short, and returns
// how many. Call it after the sessions' own Recover and before anything opens.
func (s *Service) Recover(ctx context.Context) (int, error) {
	all, err := s.store.Suspensions(ctx)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, sus := range all {
		if sus.Report != nil {
			continue
		}
		r := &gateway.Report{Ordered: sus.Ordered, Durable: sus.Ordered}
		sus.Report = s.carryOut(ctx, sus, r)
		sus.Report.Note = "the gateway stopped while this order was carried out; what was live ended with it, and what the order cancelled was cancelled with it"
		s.fileReport(ctx, sus)
		n++
	}
	return n, nil
}
