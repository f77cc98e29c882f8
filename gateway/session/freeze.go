package session

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
)

// gate holds what comes from the engineer while a session is frozen. It keeps
// nothing itself: who waits at it holds what he has, and reads no more.
type gate struct {
	mu   sync.Mutex
	shut chan struct{} // closed by the thaw; nil: open
	past int           // writes under way
	idle chan struct{} // closed when past is 0 again; nil: nobody waits for it
}

// enter waits until the gate is open, or answers why the session ended. Who
// got in must leave.
func (g *gate) enter(ctx context.Context) error {
	for {
		g.mu.Lock()
		shut := g.shut
		if shut == nil {
			g.past++
			g.mu.Unlock()
			return nil
		}
		g.mu.Unlock()
		select {
		case <-shut:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.past--; g.past == 0 && g.idle != nil {
		close(g.idle)
		g.idle = nil
	}
}

// bar lets nobody in any more. A gate that is barred stays as it is.
func (g *gate) bar() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut == nil {
		g.shut = make(chan struct{})
	}
}

// isShut reports whether enter would wait.
func (g *gate) isShut() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.shut != nil
}

// close lets nobody in any more and waits, for at most wait, for those inside.
func (g *gate) close(wait time.Duration) {
	g.bar()
	g.settle(wait)
}

// settle waits, for at most wait, for those inside.
func (g *gate) settle(wait time.Duration) {
	g.mu.Lock()
	if g.past == 0 {
		g.mu.Unlock()
		return
	}
	if g.idle == nil {
		g.idle = make(chan struct{})
	}
	idle := g.idle
	g.mu.Unlock()
	late := time.NewTimer(wait)
	defer late.Stop()
	select {
	case <-idle:
	case <-late.C:
	}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut != nil {
		close(g.shut)
		g.shut = nil
	}
}

// Freeze holds what the engineer types, and every new channel, until Thaw. The
// link stays up and output goes on. The event is durable before anything is
// held; when Freeze returns, nothing more reaches the target, except the rest
// of one write (at most a channel's buffer) that a target which does not read
// has kept waiting for FreezeWait.
func (m *Manager) Freeze(ctx context.Context, id, by, word string) error {
	l, done, err := m.turnOf(ctx, id)
	if err != nil {
		return err
	}
	defer done()
	now := l.Session()
	switch {
	case now.State == gateway.SessionStarting:
		return gateway.Conflict("frozen", "session %s has not reached its target yet; end it, or wait a moment", id)
	case !now.Frozen.IsZero():
		return gateway.Conflict("frozen", "session %s was frozen by %s at %s", id, now.FrozenBy, stamp(now.Frozen))
	}
	now.Frozen, now.FrozenBy = gateway.Instant(m.now()), by
	if err := l.announce(ctx, now, audit.SessionFrozen, by, word); err != nil {
		return err
	}
	l.mu.Lock()
	l.frozen, l.frozenBy = now.Frozen, by
	l.mu.Unlock()
	l.input.close(FreezeWait)
	l.mark(said("frozen by "+by, word))
	l.tell(said("the operator has frozen this session: what you type is held until it is thawed", word))
	m.publish(l.Session())
	return nil
}

// Thaw lets what is held pass, in its order.
func (m *Manager) Thaw(ctx context.Context, id, by string) error {
	l, done, err := m.turnOf(ctx, id)
	if err != nil {
		return err
	}
	defer done()
	now := l.Session()
	switch {
	case now.Frozen.IsZero():
		return gateway.Conflict("frozen", "session %s is not frozen", id)
	case l.isOrdered():
		return heldByOrder(id)
	}
	now.Frozen, now.FrozenBy = time.Time{}, ""
	if err := l.announce(ctx, now, audit.SessionThawed, by, ""); err != nil {
		return err
	}
	l.mark("thawed by " + by)
	l.touched()
	if !l.unbar() {
		l.mark("not thawed: an order of suspension holds it")
		// The row says otherwise now: it is put right, as far as the store lets.
		return errors.Join(heldByOrder(id), l.announce(ctx, l.Session(), audit.SessionFrozen, "gateway", "an order of suspension came with the thaw"))
	}
	if word := l.Waits(); word != "" {
		l.tell(word)
	} else {
		l.tell("the operator has thawed this session: what you typed passes now")
	}
	m.publish(l.Session())
	return nil
}

// unbar opens the gate, unless an order holds it by now. An end that came
// meanwhile has set its flag before its sockets close, and Send looks at the
// flag after the gate.
func (l *Live) unbar() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ordered {
		return false
	}
	l.frozen, l.frozenBy = time.Time{}, ""
	l.regate()
	return true
}

func heldByOrder(id string) error {
	return gateway.Refused("suspended", "end it, or restore what was suspended", "session %s is held by an order of suspension, which no thaw lifts", id)
}

// turnOf finds a live session and waits for who freezes or thaws it now. The
// turn is held over the store's transaction, which no end waits for.
func (m *Manager) turnOf(ctx context.Context, id string) (l *Live, done func(), err error) {
	l, ok := m.Get(id)
	if !ok {
		return nil, nil, gateway.NotFound("session", id)
	}
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, context.Cause(ctx)
	}
	if err := l.alive(); err != nil {
		<-l.turn
		return nil, nil, l.over(err)
	}
	return l, func() { <-l.turn }, nil
}

// over words that the session ended before something could be done to it.
func (l *Live) over(err error) error {
	var ended *gateway.Ended
	if errors.As(err, &ended) {
		return gateway.Conflict("session", "session %s is over: %s", l.row.ID, ended.Error())
	}
	return err
}

// announce writes row and event in one transaction. The look at the session
// stands inside it: an end that is written before must not be written over.
func (l *Live) announce(ctx context.Context, row gateway.Session, name audit.Name, by, word string) error {
	return l.over(l.m.store.Update(ctx, func(tx Tx) error {
		if err := l.alive(); err != nil {
			return err
		}
		row.Running, row.Unwatched = nil, time.Time{} // a row would go on saying it
		if err := tx.PutSession(row); err != nil {
			return err
		}
		e := l.event(name)
		e.Actor, e.Reason = by, word
		return tx.Append(e)
	}))
}

// notFrozen refuses a channel of a frozen session.
func (l *Live) notFrozen(ctx context.Context, kind string) error {
	if !l.isFrozen() {
		return nil
	}
	err := gateway.Refused("frozen", "wait until it is thawed, or call the operator", "the operator has frozen this session, and nothing new begins in it")
	l.Refuse(ctx, kind, err.Sentence())
	return err
}

// mark puts a sentence about the session into its recording.
func (l *Live) mark(text string) {
	if err := l.rec.Note(text); err != nil {
		_ = l.recorderFailed(err)
	}
}

func said(what, word string) string {
	if word == "" {
		return what
	}
	return what + ": " + word
}
