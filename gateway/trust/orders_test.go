package trust_test

import (
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/trust"
	"github.com/portcullis/portcullis/gateway/trust/trusttest"
)

// relay is what the world's engineer reaches.
var relay = gateway.Reach{Vendor: trusttest.Vendor, Person: trusttest.Engineer, Target: trusttest.Target, Zone: "yard", Protocol: gateway.KindSSH}

// wide are the scopes over relay, each with the words in which it is told.
var wide = []struct {
	scope gateway.Scope
	says  string
}{
	{gateway.Scope{Kind: gateway.ScopeTarget, Name: trusttest.Target}, "target plc-1 is suspended"},
	{gateway.Scope{Kind: gateway.ScopeZone, Name: "yard"}, "the zone of target plc-1 is suspended"},
	{gateway.Scope{Kind: gateway.ScopeProtocol, Name: "ssh"}, "every vendor's access by ssh is suspended"},
	{gateway.Scope{Kind: gateway.ScopeAll, Name: gateway.AllVendors}, "the access of every vendor is suspended"},
}

// A wide order closes what vendors reach and nothing of the operator's own;
// what was asked for before it stays closed when it is restored; its zone is
// not named to those who are kept out.
func TestWideOrdersClose(t *testing.T) {
	for _, c := range wide {
		t.Run(string(c.scope.Kind), func(t *testing.T) {
			w := trusttest.New(t)
			before := w.Now()
			open := func(r gateway.Reach, since time.Time) error { return w.Chain.Open(t.Context(), r, since) }
			if err := open(relay, before); err != nil {
				t.Fatal(err)
			}
			b, _ := w.Suspend(trusttest.Responder, c.scope)
			err := open(relay, w.Now())
			if !gateway.IsCode(err, gateway.CodeRefused) || gateway.AsError(err).Rule != trust.Shut || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "yard") {
				t.Errorf("closed: %v", err)
			}
			own, other := relay, relay
			own.Vendor, own.Person = "", trusttest.Admin
			other.Target, other.Zone, other.Protocol = "hmi", "control", gateway.KindHTTPS
			if err := open(own, w.Now()); err != nil {
				t.Errorf("the operator's own work: %v", err)
			}
			if err := open(other, w.Now()); (err != nil) != (c.scope.Kind == gateway.ScopeAll) {
				t.Errorf("another target: %v", err)
			}
			restore := w.Restoration(c.scope, b.ID)
			w.Do(trusttest.Admin, restore)
			if err := open(relay, w.Now()); err == nil || !strings.Contains(err.Error(), "being restored and still closed") {
				t.Errorf("half restored: %v", err)
			}
			w.Do(trusttest.Responder, restore)
			if err := open(relay, before); !gateway.IsCode(err, gateway.CodeRefused) || gateway.AsError(err).Rule != trust.Rule {
				t.Errorf("what was asked for before, after the restoration: %v", err)
			}
			w.Advance(2 * statement.Fresh)
			if err := open(relay, w.Now()); err != nil {
				t.Errorf("what is asked for anew: %v", err)
			}
			if w.Floor.At(string(c.scope.Kind)+"-epoch:"+c.scope.Name) != 3 {
				t.Error("the floor has not seen the epoch")
			}
		})
	}
}

// What a thief with the database does to make an order milder or be forgotten.
func TestP5AnOrderIsReadFromItsStatement(t *testing.T) {
	scope := wide[1].scope
	for name, c := range map[string]struct {
		edit func(w *trusttest.World)
		says string
	}{
		"row set back to active": {func(w *trusttest.World) {
			w.Store.Wide[scope] = trusttest.Standing{State: gateway.Active, Epoch: 9}
		}, "the zone of target"},
		"row deleted": {func(w *trusttest.World) { delete(w.Store.Wide, scope) }, "the zone of target"},
		"statement forgotten": {func(w *trusttest.World) {
			w.Store.Scopes[scope] = nil
		}, "an order is missing"},
		"statement exchanged for one that no responder signed": {func(w *trusttest.World) {
			b := &statement.Suspend{ID: gateway.NewID("sus", w.Now()), Scope: scope, Epoch: 2, Mode: gateway.ModeNoNew, Reason: "breach"}
			w.Store.Scopes[scope] = nil
			w.Do(trusttest.Engineer, b)
		}, "is suspended"},
		"restoration by one and the same": {func(w *trusttest.World) {
			_, body, err := w.Log[len(w.Log)-1].Parse()
			if err != nil {
				w.T.Fatal(err)
			}
			b := w.Restoration(scope, body.(*statement.Suspend).ID)
			w.Do(trusttest.Admin, b)
			w.Do(trusttest.Admin, b)
		}, "twice"},
	} {
		t.Run(name, func(t *testing.T) {
			w := trusttest.New(t)
			w.Suspend(trusttest.Responder, scope)
			if err := w.Chain.Open(t.Context(), relay, w.Now()); err == nil {
				t.Fatal("not closed")
			}
			if _, err := w.Chain.Standing(t.Context(), scope); err != nil {
				t.Fatal(err)
			}
			if err := w.Floor.Raise(string(scope.Kind)+"-epoch:"+scope.Name, 2); err != nil {
				t.Fatal(err)
			}
			c.edit(w)
			if err := w.Chain.Open(t.Context(), relay, w.Now()); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("open: %v, want %q", err, c.says)
			}
			if st, err := w.Chain.Standing(t.Context(), scope); err == nil && (st.State == gateway.Active || len(st.Orders) != 1 || st.Orders[0].Mode != gateway.ModeCut) {
				t.Errorf("standing %+v", st)
			}
		})
	}
}

// Standing tells every order of a scope as it was signed, oldest first.
func TestStandingTellsTheOrders(t *testing.T) {
	w := trusttest.New(t)
	scope := gateway.Scope{Kind: gateway.ScopeVendor, Name: trusttest.Vendor}
	if st, err := w.Chain.Standing(t.Context(), scope); err != nil || st.State != gateway.Active || st.Epoch != 1 || len(st.Orders) != 0 {
		t.Errorf("before: %+v, %v", st, err)
	}
	e := gateway.Exception{Session: gateway.NewID("ses", w.Now()), Owner: trusttest.Admin, Reason: "firmware", Until: w.Now().Add(time.Hour)}
	until := w.Now().Add(time.Minute)
	w.SuspendBy(trusttest.Responder, scope, gateway.Closing{Mode: gateway.ModeDrain, Until: until, Except: []gateway.Exception{e}})
	w.SuspendBy(statement.Machine, scope, gateway.Closing{})
	st, err := w.Chain.Standing(t.Context(), scope)
	if err != nil || st.State != gateway.Suspended || st.Epoch != 3 || len(st.Orders) != 2 {
		t.Fatalf("%+v, %v", st, err)
	}
	first, second := st.Orders[0], st.Orders[1]
	if first.Mode != gateway.ModeDrain || !first.Until.Equal(until) || len(first.Except) != 1 || first.Except[0] != e || first.Epoch != 2 {
		t.Errorf("the first order reads %+v", first)
	}
	if second.Mode != gateway.ModeCut || second.Epoch != 3 || !second.At.After(first.At) {
		t.Errorf("the second order reads %+v", second)
	}
}

// A drain that is longer than any may be is no order at all: nothing under its
// scope opens.
func TestAnOrderWithImpossibleTimesOpensNothing(t *testing.T) {
	w := trusttest.New(t)
	w.SuspendBy(trusttest.Responder, wide[0].scope, gateway.Closing{Mode: gateway.ModeDrain, Until: w.Now().Add(gateway.MaxDrain + time.Hour)})
	if _, err := w.Chain.Standing(t.Context(), wide[0].scope); !gateway.IsCode(err, gateway.CodeRefused) || !strings.Contains(err.Error(), "drain") {
		t.Errorf("standing: %v", err)
	}
	if err := w.Chain.Open(t.Context(), relay, w.Now()); err == nil {
		t.Error("open")
	}
}
