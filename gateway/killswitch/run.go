package killswitch

import (
	"context"
	"sync"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/cluster"
)

// Run keeps this node to the epochs until ctx is done. Each second it reads
// the state of every vendor and person and ends the sessions that it forbids,
// whatever the bus has said; when the store has not answered for the length of
// the lease it ends all that are of vendors. It answers orders that come by
// the bus.
func (s *Service) Run(ctx context.Context) error {
	leave, err := s.bus.Join(s.node, s.hear)
	if err != nil {
		return err
	}
	defer leave()
	tick := time.NewTicker(s.pollEvery())
	defer tick.Stop()
	w := watch{s: s, heard: s.moment(), renewed: make(chan struct{}, 1)}
	defer s.goodbye()
	var timer sync.WaitGroup
	defer timer.Wait()
	timer.Go(func() { w.expire(ctx) })
	timer.Go(func() { s.finish(ctx) })
	for {
		w.poll(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-s.wake:
		case <-s.debt.named:
		}
	}
}

// hear carries out an order that another node has made durable. It closes on
// the bus's word alone; the floor, which is never lowered, is raised to what
// the store says of the scope.
func (s *Service) hear(ctx context.Context, o cluster.Order) gateway.NodeReport {
	s.debt.owe(o.Scope)
	return s.closeHere(ctx, gateway.Suspension{ID: o.Suspension, Scope: o.Scope, Closing: o.Closing})
}

// watch is Run's memory of the store: when the last reading was asked for that
// was answered, and the orders that it has read.
type watch struct {
	s       *Service
	known   map[gateway.Scope]replayed // of poll alone
	off     bool                       // of poll alone: this node's clock is not the store's
	renewed chan struct{}              // cap 1: heard has moved

	mu    sync.Mutex // guards what follows
	heard moment
	lost  bool // the lease is over, and no reading has begun another
}

// poll reads what stands and acts on it. Only what has been acted on renews
// the lease, and it counts from the asking.
func (w *watch) poll(ctx context.Context) {
	w.lapse() // a machine that was paused wakes here before its timers say so
	asked, owed := w.s.moment(), w.s.debt.take()
	all, err := w.read(ctx)
	w.mu.Lock()
	away := w.s.since(w.heard)
	w.mu.Unlock()
	if err == nil {
		w.enforce(ctx, all)
		w.s.payFloor(owed, all)
		if !w.renew(asked) {
			err = errStale
		}
	} else {
		w.s.debt.again(owed)
	}
	switch {
	case err == nil && w.back():
		w.s.storeBack(ctx, away)
	case err != nil && ctx.Err() == nil:
		w.s.log.Error("store does not answer", "for", away, "lease", w.s.lease, "error", err)
	}
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
		case f.held: // one that a person froze before, too: no thaw may open it
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

// Recover finishes the reports of this node's orders that a crash cut short, and returns
// how many. Call it after the sessions' own Recover and before anything opens:
// it begins the first lease.
func (s *Service) Recover(ctx context.Context) (int, error) {
	asked := s.moment()
	all, err := s.store.Suspensions(ctx)
	if err != nil {
		return 0, err
	}
	s.sessions.ServeUntil(asked.mono.Add(s.serves()), asked.wall.Add(s.serves()))
	n := 0
	for _, sus := range all {
		if sus.Report != nil || !s.ownOrder(sus) {
			continue
		}
		switch over, err := s.overtaken(ctx, sus); {
		case err != nil:
			return n, err
		case over: // carrying it out would close what was let in since; Run files what can be said
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
