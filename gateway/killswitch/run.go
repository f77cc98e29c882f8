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
func (s *Service) hear(ctx context.Context, o cluster.Order) gateway.NodeReport {
	if err := s.floor.Raise(epochSubject(o.Scope), o.Epoch); err != nil {
		s.log.Error("floor not raised", "scope", o.Scope.String(), "error", err)
	}
	return s.closeHere(ctx, gateway.Suspension{ID: o.Suspension, Scope: o.Scope, Closing: o.Closing})
}

// watch is Run's memory of the store: the monotonic time of the last reading
// that was answered, taken before it was asked for, and the orders that it has
// read.
type watch struct {
	s     *Service
	heard time.Time
	lost  bool
	known map[gateway.Scope]replayed
}

func (w *watch) poll(ctx context.Context) {
	asked := time.Now()
	// A store that hangs must not outlast the lease.
	ask, cancel := context.WithTimeout(ctx, min(PollWait, max(w.s.lease-time.Since(w.heard), PollEvery)))
	all, err := w.s.store.Standings(ask)
	cancel()
	if err != nil {
		w.silence(ctx, err)
		return
	}
	back := w.lost
	away := time.Since(w.heard)
	w.heard, w.lost = asked, false
	w.enforce(ctx, all)
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

// enforce does to every live session what the orders over it say. It is done
// anew each second and changes nothing that stands already.
func (w *watch) enforce(ctx context.Context, all Standings) {
	cut, held := map[string]bool{}, map[string]bool{}
	for _, l := range w.s.sessions.Live() {
		f := w.judge(ctx, l, all)
		switch {
		case f.cut:
			cut[l.ID] = true
			continue
		case f.held && l.Frozen.IsZero():
			held[l.ID] = true
		}
		if !f.until.IsZero() {
			w.s.sessions.Shorten(l.ID, f.until, suspended(f.order))
		}
	}
	if len(cut) > 0 {
		w.s.sessions.EndAll(func(l gateway.Session) bool { return cut[l.ID] }, &gateway.Ended{Reason: gateway.EndSuspended})
	}
	if len(held) > 0 {
		w.s.sessions.HoldAll(ctx, func(l gateway.Session) bool { return held[l.ID] }, "gateway", "")
	}
}

func suspended(order string) *gateway.Ended {
	return &gateway.Ended{Reason: gateway.EndSuspended, Detail: "order " + order}
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
