package killswitch

import (
	"context"
	"slices"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/trust"
)

// fate is what all orders over one live session add up to: the strictest of
// each. The zero value leaves it alone.
type fate struct {
	cut   bool
	held  bool
	until time.Time // zero, or when it ends
	order string    // the last order that did something
}

// under adds one order.
func (f *fate) under(o trust.Order, session string, now time.Time) {
	f.order = o.ID
	if e, ok := o.Excepted(session, now); ok {
		f.sooner(e.Until)
		return
	}
	if slices.ContainsFunc(o.Except, func(e gateway.Exception) bool { return e.Session == session }) {
		f.cut = true // its exception is over
		return
	}
	switch o.Mode {
	case gateway.ModeFreeze:
		f.held = true
	case gateway.ModeDrain:
		f.sooner(o.Until)
	case gateway.ModeNoNew:
	default:
		f.cut = true
	}
}

func (f *fate) sooner(t time.Time) {
	if f.until.IsZero() || t.Before(f.until) {
		f.until = t
	}
}

// pinned is the epoch of a scope when the session was opened; a wide scope
// begins at 1.
func pinned(l gateway.Session, scope gateway.Scope) uint64 {
	switch scope.Kind {
	case gateway.ScopeVendor:
		return l.Epochs.Vendor
	case gateway.ScopePerson:
		return l.Epochs.Person
	}
	return max(1, l.Wide[scope.String()])
}

// behind lists the scopes under which a session is of before: closed now, or
// closed and restored since it was opened. gone means that its person or
// vendor is not there.
func behind(l gateway.Session, all Standings) (closed []gateway.Scope, gone bool) {
	scopes := []gateway.Scope{{Kind: gateway.ScopePerson, Name: l.Person}}
	if l.Vendor != "" {
		scopes = append(scopes, gateway.Scope{Kind: gateway.ScopeVendor, Name: l.Vendor})
	}
	for _, scope := range append(scopes, l.Reach().Wide()...) {
		st, ok := all[scope]
		switch {
		case !ok && scope.Wide():
		case !ok:
			return nil, true
		case st.State != gateway.Active || st.Epoch > pinned(l, scope):
			closed = append(closed, scope)
		}
	}
	return closed, false
}

// judge says what the orders make of a live session. Where the signed orders
// cannot be read, or a restoration has come since, it is cut: the store's rows
// alone leave nothing open.
func (w *watch) judge(ctx context.Context, l gateway.Session, all Standings) fate {
	closed, gone := behind(l, all)
	f := fate{cut: gone}
	for _, scope := range closed {
		st, err := w.standing(ctx, scope, all[scope])
		if err != nil {
			w.s.log.Error("orders not read; what they may leave open is ended", "scope", scope.String(), "error", err)
			return fate{cut: true}
		}
		if st.State == gateway.Active {
			return fate{cut: true}
		}
		n := 0
		for _, o := range st.Orders {
			if o.Epoch > pinned(l, scope) {
				f.under(o, l.ID, w.s.now())
				n++
			}
		}
		f.cut = f.cut || n == 0
	}
	return f
}

// standing reads a scope's orders once for each of its standings.
func (w *watch) standing(ctx context.Context, scope gateway.Scope, row Standing) (trust.Standing, error) {
	if k, ok := w.known[scope]; ok && k.row == row {
		return k.st, nil
	}
	ask, cancel := context.WithTimeout(ctx, PollWait)
	defer cancel()
	st, err := w.s.chain.Standing(ask, scope)
	if err != nil {
		return st, err
	}
	if w.known == nil {
		w.known = map[gateway.Scope]replayed{}
	}
	w.known[scope] = replayed{row, st}
	return st, nil
}

type replayed struct {
	row Standing
	st  trust.Standing
}
