package session

import (
	"context"
	"sync"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
)

// Shorten ends the session at the given time, if it does not end before. What
// was shortened is never made longer again; the engineer is told when it is.
func (m *Manager) Shorten(id string, until time.Time, cause *gateway.Ended) {
	l, ok := m.Get(id)
	if !ok {
		return
	}
	if l.shorten(until, cause) && until.Before(l.row.Until) && until.After(m.now()) {
		l.tell("access was suspended by the operator: finish what must not be broken off, this session ends at " + stamp(until))
	}
}

// shorten reports whether it was the first to say so early an end.
func (l *Live) shorten(until time.Time, cause *gateway.Ended) bool {
	l.mu.Lock()
	first := l.cutAt.IsZero() || until.Before(l.cutAt)
	if first {
		l.cutAt, l.cutCause = until, cause
	}
	l.mu.Unlock()
	if first {
		l.vigil.shorten()
	}
	return first
}

// ends is when the session ends by itself, and why.
func (l *Live) ends() (time.Time, *gateway.Ended) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.cutAt.IsZero() && l.cutAt.Before(l.row.Until) {
		return l.cutAt, l.cutCause
	}
	return l.row.Until, &gateway.Ended{Reason: gateway.EndWindow}
}

// HoldAll freezes the sessions that match under an order of suspension, whose
// own event is durable already. All gates are shut before anything is written
// or waited for; the rows and marks follow. No thaw opens such a session: it
// ends with the restoration, or by another order. It returns those that match,
// each with its fate.
func (m *Manager) HoldAll(ctx context.Context, match func(gateway.Session) bool, by, word string) []gateway.ClosedSession {
	begun := time.Now()
	var hit, fresh []*Live
	for _, l := range m.all() {
		if l.isClosed() || !match(l.Session()) {
			continue
		}
		hit = append(hit, l)
		if l.hold(by, gateway.Instant(m.now())) {
			fresh = append(fresh, l)
		}
	}
	var settled sync.WaitGroup
	for _, l := range fresh {
		settled.Go(func() { l.input.settle(FreezeWait) })
	}
	settled.Wait()
	out := make([]gateway.ClosedSession, 0, len(hit))
	for _, l := range hit {
		c := l.measure(begun)
		if !c.Closed {
			c.Fate, c.After = gateway.FateFrozen, time.Since(begun)
		}
		out = append(out, c)
	}
	for _, l := range fresh {
		if err := l.announce(ctx, l.Session(), audit.SessionFrozen, by, word); err != nil {
			m.log.Error("freeze by an order not written", "session", l.row.ID, "error", err)
		}
		l.mark(said("frozen by "+by, word))
		l.tell(said("access was suspended by the operator: what you type is held", word))
		m.publish(l.Session())
	}
	return out
}

// hold shuts the gate for an order, and says whether it was open.
func (l *Live) hold(by string, at time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ordered = true
	if !l.frozen.IsZero() {
		return false
	}
	l.frozen, l.frozenBy = at, by
	l.input.bar()
	return true
}

func (l *Live) isOrdered() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ordered
}
