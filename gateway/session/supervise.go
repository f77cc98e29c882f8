package session

import (
	"context"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
)

// unwatchedWord is what the engineer of a supervised session reads while
// nobody watches it.
const unwatchedWord = "this session is supervised, and nobody of the operator's staff watches it now: what you type is held until somebody does"

// regate shuts the gate for what comes from the engineer while anything asks
// for it, and opens it otherwise. The caller holds mu.
func (l *Live) regate() {
	if !l.frozen.IsZero() || !l.unwatched.IsZero() {
		l.input.bar()
	} else {
		l.input.open()
	}
}

// supervise begins a supervised session: nobody watches it yet, so its gate is
// shut before anything attaches.
func (l *Live) supervise() {
	if l.ent.Supervised && l.row.Vendor != "" {
		l.row.Supervised = true
		l.unwatched = l.row.Started
		l.regate()
	}
}

// Waits is the sentence for an engineer whose input is held because nobody
// watches; empty if it is not.
func (l *Live) Waits() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.unwatched.IsZero() {
		return ""
	}
	return unwatchedWord
}

// attend lets what is typed pass because somebody watches now. The event is
// durable before it does (P9).
func (l *Live) attend(ctx context.Context, by string) error {
	if !l.row.Supervised {
		return nil
	}
	if l.Waits() != "" {
		if err := l.m.store.Update(ctx, func(tx Tx) error { return tx.Append(l.supervised(audit.SessionReleased, by)) }); err != nil {
			return err
		}
	}
	l.mu.Lock()
	l.attending++
	began := !l.unwatched.IsZero()
	l.unwatched = time.Time{}
	l.regate()
	l.mu.Unlock()
	if began {
		l.tell("somebody of the operator's staff watches this session now: what you type passes")
		l.m.publish(l.Session())
	}
	return nil
}

// unattend is the leaving of one who attended. When the last one leaves, the
// gate is shut before anything else is done.
func (l *Live) unattend(by string) {
	if !l.row.Supervised {
		return
	}
	l.mu.Lock()
	l.attending--
	last := l.attending == 0
	if last {
		l.unwatched = gateway.Instant(l.m.now())
		l.regate()
	}
	l.mu.Unlock()
	if !last || l.alive() != nil {
		return
	}
	l.input.settle(FreezeWait)
	l.mark("held: " + by + " has left, and nobody watches")
	l.tell(unwatchedWord)
	l.m.publish(l.Session())
	ctx, cancel := context.WithTimeout(context.Background(), StoreWait)
	defer cancel()
	if err := l.m.store.Update(ctx, func(tx Tx) error { return tx.Append(l.supervised(audit.SessionHeld, by)) }); err != nil {
		l.m.log.Error("event not written", "event", string(audit.SessionHeld), "session", l.row.ID, "error", err)
	}
}

func (l *Live) supervised(name audit.Name, by string) audit.Event {
	e := l.event(name)
	e.Actor = by
	return e
}
