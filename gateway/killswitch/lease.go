package killswitch

import (
	"context"
	"errors"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/cluster"
)

var errStale = errors.New("killswitch: the reading was asked for before the lease that it would begin was over")

// moment is one instant on both clocks: the monotonic one, which cannot be set
// but stands still while a virtual machine is paused, and the wall clock.
type moment struct {
	mono time.Time
	wall time.Time
}

// Without the monotonic reading of time.Now, or the difference of two wall
// clocks would not show that one was set.
func (s *Service) moment() moment { return moment{time.Now(), s.now().Round(0)} }

// since is how long ago it was, by whichever clock says the longer.
func (s *Service) since(m moment) time.Duration {
	return max(time.Since(m.mono), s.now().Sub(m.wall))
}

// serves is how long a reading of the store lets this node serve: the lease,
// less the time that it takes to close everything, so that all is closed when
// the lease that others count with is over.
func (s *Service) serves() time.Duration { return s.lease - min(CloseAhead, s.lease/4) }

// pollEvery is the pace of the readings; several fit into a short lease.
func (s *Service) pollEvery() time.Duration { return min(PollEvery, s.lease/4) }

// renew lets this node serve from the moment at which a reading was asked for
// that has been answered and acted upon. false: it was so long on its way that
// it lets nothing.
func (w *watch) renew(asked moment) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.s.since(asked) >= w.s.serves() {
		return false
	}
	w.heard = asked
	w.s.sessions.ServeUntil(asked.mono.Add(w.s.serves()), asked.wall.Add(w.s.serves()))
	select {
	case w.renewed <- struct{}{}:
	default: // the last one was not seen yet
	}
	return true
}

// left is how long this node still serves.
func (w *watch) left() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.s.serves() - w.s.since(w.heard)
}

// expire ends what is of vendors when the lease is over. It has a timer and a
// goroutine of its own: a reading that hangs does not make it late.
func (w *watch) expire(ctx context.Context) {
	timer := time.NewTimer(w.left())
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.renewed:
		case <-timer.C:
			w.lapse()
		}
		if left := w.left(); left > 0 {
			timer.Reset(left)
		}
	}
}

// lapse ends what is of vendors if the lease is over. The operator's own work
// goes on.
func (w *watch) lapse() {
	if w.left() > 0 {
		return
	}
	w.mu.Lock()
	was := w.lost
	w.lost = true
	w.mu.Unlock()
	if !was {
		w.s.log.Error("the lease is over; vendors' sessions end", "lease", w.s.lease)
	}
	w.s.sessions.EndAll(func(l gateway.Session) bool { return l.Vendor != "" }, &gateway.Ended{Reason: gateway.EndStore})
}

// back takes note that the store answers again, and says whether the lease was
// over meanwhile.
func (w *watch) back() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	was := w.lost
	w.lost = false
	return was
}

// Roll is the list of the nodes that share the store. Beat writes that this
// node is there, with its lease, or that it has ended everything and leaves.
type Roll interface {
	cluster.Members
	Beat(ctx context.Context, lease time.Duration, gone bool) error
}

// read asks the store what stands. This node's beat goes before the reading:
// a lease that no beat in the store tells of would not be waited for.
func (w *watch) read(ctx context.Context) (Standings, error) {
	ask, cancel := context.WithTimeout(ctx, min(PollWait, max(w.s.lease/2, w.s.pollEvery())))
	defer cancel()
	if w.s.roll != nil {
		if err := w.s.roll.Beat(ask, w.s.lease, false); err != nil {
			return nil, err
		}
	}
	all, err := w.s.store.Standings(ask)
	if err == nil {
		err = w.compare(ask)
	}
	return all, err
}

// compare tells the registry how far this node's clock is from the store's. Of
// that, what the way there and back may have made is not counted; one that took
// too long tells nothing, and the last comparison stands.
func (w *watch) compare(ctx context.Context) error {
	if w.s.clock == nil {
		return nil
	}
	sent := w.s.moment()
	at, err := w.s.clock(ctx)
	if err != nil {
		return err
	}
	half := time.Since(sent.mono) / 2
	if half > ClockMargin {
		return nil
	}
	off := sent.wall.Add(half).Sub(at)
	off -= min(max(off, -half), half)
	w.s.sessions.ClockOff(off)
	if is := off.Abs() > ClockMargin; is != w.off {
		w.off = is
		w.s.clockOff(ctx, off, is)
	}
	return nil
}

// clockOff tells that this node's clock has parted from the store's, or is
// with it again.
func (s *Service) clockOff(ctx context.Context, by time.Duration, off bool) {
	e := audit.Event{Name: audit.ClockOff, At: gateway.Instant(s.now()), Actor: "gateway", Reason: "the clock of this node agrees with the store's again",
		Detail: map[string]string{"node": s.node, "ahead": by.Round(time.Millisecond).String()}}
	if off {
		e.Outcome, e.Reason = audit.Failed, "the clock of this node is too far from the store's: nothing is agreed to or opened here"
	}
	s.log.Error(e.Reason, "ahead", by)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), CommitWait)
	defer cancel()
	if err := s.store.Update(ctx, func(tx Tx) error { return tx.Append(e) }); err != nil {
		s.log.Error("event not written", "event", string(e.Name), "error", err)
	}
}

// goodbye ends what is of vendors, and only then says that this node is gone.
func (s *Service) goodbye() {
	if s.roll == nil {
		return
	}
	s.sessions.ServeUntil(time.Now(), s.now())
	for _, c := range s.sessions.EndAll(func(l gateway.Session) bool { return l.Vendor != "" }, &gateway.Ended{Reason: gateway.EndStopping}) {
		if !c.Closed {
			return // its lease says when it is
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), PollWait)
	defer cancel()
	if err := s.roll.Beat(ctx, s.lease, true); err != nil {
		s.log.Error("goodbye not written; the others wait for this node's lease", "error", err)
	}
}
