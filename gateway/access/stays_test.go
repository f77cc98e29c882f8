package access_test

import (
	"errors"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/access"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/trust/trusttest"
)

// held is one thing that the engineer had when the gate fell: use tries it.
type held struct {
	name string
	use  func(w *world) error
}

// holdings makes one of each kind that this room gives out or takes.
func (w *world) holdings() []held {
	w.t.Helper()
	later := func(i *access.AskInput) {
		i.Length, i.From, i.To = 0, w.Now().Add(12*time.Hour), w.Now().Add(13*time.Hour)
	}
	waits := w.ask(later)
	g := w.granted(func(i *access.AskInput) { i.Length = 6 * time.Hour })
	agreed := w.approval(trusttest.Approver, waits.ID, nil)
	touched, again := w.touch(g.ID, statement.BindSSH, "abcdef"), w.touch(g.ID, statement.BindLogin, "login-2")
	_, err := w.svc.CommitTicket(w.t.Context(), w.touch(g.ID, statement.BindLogin, "login-1"))
	w.ok(err)
	return []held{
		{"grant", func(w *world) error { _, err := w.entitle(g.ID); return err }},
		{"touch of a connection", func(w *world) error { _, err := w.svc.Entitle(w.t.Context(), g.ID, touched); return err }},
		{"ticket", func(w *world) error {
			touch, taken, err := w.svc.TakeTicket(w.t.Context(), w.p(trusttest.Engineer), g.ID, "login-1")
			if err == nil && !taken {
				return errors.New("there is no ticket")
			}
			if err == nil {
				_, err = w.svc.Entitle(w.t.Context(), g.ID, touch)
			}
			return err
		}},
		{"touch of a ticket", func(w *world) error { _, err := w.svc.CommitTicket(w.t.Context(), again); return err }},
		{"signed approval", func(w *world) error { _, _, err := w.svc.CommitApprove(w.t.Context(), agreed); return err }},
		{"request", func(w *world) error {
			_, err := w.svc.DraftApprove(w.t.Context(), w.p(trusttest.Approver), waits.ID, nil)
			return err
		}},
	}
}

// worthless wants nothing of all that to be of use, though the rows that the
// suspension closed are open again, and neither now nor with the clock set
// back to when it was made.
func (w *world) worthless(t *testing.T, when string, made time.Time, all []held) {
	t.Helper()
	w.edit(`UPDATE grants SET state = 'open', why = '', closed = 0, closed_by = '' WHERE why = 'suspended'`)
	w.edit(`UPDATE requests SET state = 'waiting' WHERE state = 'cancelled'`)
	now := w.Now()
	for _, at := range []time.Time{now, made} {
		w.Advance(at.Sub(w.Now()))
		for _, h := range all {
			if err := h.use(w); err == nil {
				t.Errorf("%s, at %s: the old %s is taken", when, at.Format(time.TimeOnly), h.name)
			}
		}
	}
	w.Advance(now.Sub(made))
	w.edit(`UPDATE grants SET state = 'closed', why = 'suspended' WHERE state = 'open'`)
	w.edit(`UPDATE requests SET state = 'cancelled' WHERE state = 'waiting'`)
}

// A clock that is set back an hour makes every touch and signature fresh
// again, and the suspension later than now. Nothing opens by it, on a node that
// goes on and on one that starts with that clock.
func TestASuspensionOutlivesAClockSetBack(t *testing.T) {
	w := newWorld(t)
	all, made := w.holdings(), w.Now()
	good := w.stop()
	for _, h := range all {
		if err := h.use(w.fork(t, good)); err != nil {
			t.Fatalf("before the suspension the %s is worth nothing: %v", h.name, err)
		}
	}
	w = w.fork(t, good)
	w.Advance(time.Hour)
	w.suspend(gateway.Scope{Kind: gateway.ScopeVendor, Name: trusttest.Vendor})
	w.Advance(made.Sub(w.Now()))
	for _, node := range []string{"the same node", "a node started anew"} {
		w.worthless(t, node, made, all)
		if _, err := w.svc.Ask(t.Context(), w.p(trusttest.Engineer), in(nil)); err == nil {
			t.Errorf("%s takes a request", node)
		}
		if _, err := w.chain.Vendor(t.Context(), trusttest.Vendor); err != nil {
			t.Errorf("%s: the vendor's row: %v", node, err)
		}
		w = w.fork(t, w.stop())
	}
}

// What was held when the gate fell is worth nothing in a stage that opens
// sessions, nor after another restoration, whichever scope was closed; what is
// asked for anew is good.
func TestNothingOldOpensAgain(t *testing.T) {
	for _, scope := range []gateway.Scope{
		{Kind: gateway.ScopeVendor, Name: trusttest.Vendor}, {Kind: gateway.ScopePerson, Name: trusttest.Engineer}, {Kind: gateway.ScopeTarget, Name: trusttest.Target},
		{Kind: gateway.ScopeZone, Name: "yard"}, {Kind: gateway.ScopeProtocol, Name: "ssh"}, {Kind: gateway.ScopeAll, Name: gateway.AllVendors},
	} {
		t.Run(string(scope.Kind), func(t *testing.T) {
			w := newWorld(t)
			all, made := w.holdings(), w.Now()
			w.comeBack(scope)
			w.next(scope)
			w.worthless(t, "supervised", made, all)
			w.comeBack(scope)
			w.next(scope)
			w.next(scope)
			w.worthless(t, "normal after another suspension", made, all)
			g := w.granted(nil)
			if _, err := w.entitle(g.ID); err != nil {
				t.Errorf("what was asked for anew: %v", err)
			}
		})
	}
}
