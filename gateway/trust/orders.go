package trust

import (
	"context"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// Shut is the rule of what a wide scope closes: nothing in the store is wrong.
const Shut = string(gateway.EndSuspended)

// Order is one suspension of a scope, as it was signed.
type Order struct {
	ID    string
	Epoch uint64
	At    time.Time // drawn up
	gateway.Closing
}

// Standing is what the statements of a scope add up to: its state and epoch
// now, and every order that ever closed it, oldest first.
type Standing struct {
	State  gateway.State
	Epoch  uint64
	Orders []Order
	Ladder gateway.Ladder // how far it has come back
}

// Standing replays a scope's statements. It believes no row: a store that
// shows a milder order than the one that was signed makes nothing milder.
func (c *Chain) Standing(ctx context.Context, scope gateway.Scope) (Standing, error) {
	w := c.walk(ctx)
	l, err := w.live(scope)
	if err != nil {
		return Standing{}, err
	}
	if err := w.settle(); err != nil {
		return Standing{}, err
	}
	s := Standing{State: l.now().state, Epoch: l.now().epoch, Ladder: l.ladder(scope)}
	for _, span := range l {
		if span.order == nil {
			continue
		}
		b, _ := span.order.body.(*statement.Suspend)
		s.Orders = append(s.Orders, Order{ID: b.ID, Epoch: b.Epoch, At: span.order.st.At, Closing: b.Closing()})
	}
	return s, nil
}

// Open refuses what a wide scope closes: now, or at any time since the given
// one. What was asked for before its target, zone, protocol or every vendor was
// closed stays closed after the restoration, whatever a row says.
func (c *Chain) Open(ctx context.Context, r gateway.Reach, since time.Time) error {
	w := c.walk(ctx)
	for _, scope := range r.Wide() {
		l, err := w.live(scope)
		if err != nil {
			return err
		}
		if s := l.now(); s.state != gateway.Active {
			return shut(scope, r, s.state)
		}
		for _, s := range l {
			if s.order != nil && !since.After(s.order.st.At.Add(slack)) {
				return gateway.Refused(Rule, "ask anew", "%s was suspended after this was asked for, and nothing from before is opened again", scope)
			}
		}
		w.seen(epochOf(scope), l.now().epoch)
	}
	return w.settle()
}

// told is how whoever reaches that way may hear of a scope over it.
func told(scope gateway.Scope, r gateway.Reach) string {
	switch scope.Kind {
	case gateway.ScopeAll:
		return "the access of every vendor"
	case gateway.ScopeZone:
		return "the zone of target " + r.Target
	case gateway.ScopeProtocol:
		return "every vendor's access by " + scope.Name
	}
	return scope.String()
}

// shut says to whoever is kept out what it is that is closed. The zone stays
// unnamed: how the plant is divided is the operator's own.
func shut(scope gateway.Scope, r gateway.Reach, s gateway.State) error {
	what := told(scope, r)
	if s == gateway.Restoring {
		return gateway.Refused(Shut, "a second person of the staff must sign the restoration first", "%s is being restored and still closed", what)
	}
	return gateway.Refused(Shut, "call the operator's control room", "%s is suspended", what)
}
