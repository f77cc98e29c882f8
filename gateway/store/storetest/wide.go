package storetest

import (
	"errors"
	"testing"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/access"
	"github.com/portcullis/portcullis/gateway/killswitch"
	"github.com/portcullis/portcullis/gateway/store"
)

// yard is a second target, in another zone and by another protocol than
// relay-7.
func yard(t *testing.T, db *store.DB) {
	t.Helper()
	hmi := target("hmi-1")
	hmi.Zone, hmi.Kind = "control", gateway.KindHTTPS
	ok(t, db.Directory().Update(t.Context(), func(tx directoryTx) error { return tx.PutTarget(hmi) }))
}

// wideScopes are all that cover ana of acme on relay-7.
var wideScopes = []gateway.Scope{
	{Kind: gateway.ScopeTarget, Name: "relay-7"}, {Kind: gateway.ScopeZone, Name: "substation"},
	{Kind: gateway.ScopeProtocol, Name: "ssh"}, {Kind: gateway.ScopeAll, Name: gateway.AllVendors},
}

// wideStandings closes, closes again and restores each wide scope.
func wideStandings(t *testing.T, db *store.DB) {
	ctx := t.Context()
	settle(t, db)
	yard(t, db)
	update := func(f func(killswitchTx) error) error { return db.KillSwitch().Update(ctx, f) }
	for _, scope := range wideScopes {
		for _, step := range []struct {
			from uint64
			to   killswitch.Standing
			err  error
		}{
			{1, killswitch.Standing{State: gateway.Suspended, Epoch: 2}, nil},
			{1, killswitch.Standing{State: gateway.Suspended, Epoch: 2}, gateway.ErrStale},
			{2, killswitch.Standing{State: gateway.Suspended, Epoch: 3}, nil},
			{2, killswitch.Standing{State: gateway.Active, Epoch: 3}, gateway.ErrStale},
			{3, killswitch.Standing{State: gateway.Restoring, Epoch: 3}, nil},
			{3, killswitch.Standing{State: gateway.Active, Epoch: 4}, nil},
		} {
			err := update(func(tx killswitchTx) error { return tx.SetStanding(scope, step.from, step.to, began) })
			if !errors.Is(err, step.err) || step.err == nil && err != nil {
				t.Errorf("%s from epoch %d to %+v: %v, want %v", scope, step.from, step.to, err, step.err)
			}
			if step.err != nil {
				continue
			}
			ok(t, update(func(tx killswitchTx) error {
				st, err := tx.Standing(scope)
				same(t, "standing of "+scope.String(), st, step.to)
				return err
			}))
			all, err := db.KillSwitch().Standings(ctx)
			ok(t, err)
			same(t, "each second's standing of "+scope.String(), all[scope], step.to)
		}
	}
	unknownScopes(t, db)
}

// unknownScopes holds what was never closed to be open, and what is not there
// not to be there.
func unknownScopes(t *testing.T, db *store.DB) {
	t.Helper()
	for scope, wanted := range map[gateway.Scope]error{
		{Kind: gateway.ScopeTarget, Name: "hmi-1"}:         nil,
		{Kind: gateway.ScopeTarget, Name: "none"}:          gateway.ErrNotFound,
		{Kind: gateway.ScopeTarget, Name: "relay-7' OR 1"}: gateway.ErrNotFound,
		{Kind: gateway.ScopeZone, Name: "control"}:         nil,
		{Kind: gateway.ScopeZone, Name: "none"}:            gateway.ErrNotFound,
		{Kind: gateway.ScopeProtocol, Name: "network"}:     nil,
	} {
		ok(t, db.KillSwitch().Update(t.Context(), func(tx killswitchTx) error {
			st, err := tx.Standing(scope)
			if !errors.Is(err, wanted) || wanted == nil && err != nil {
				t.Errorf("%s: %v, want %v", scope, err, wanted)
			}
			if wanted == nil {
				same(t, scope.String(), st, killswitch.Standing{State: gateway.Active, Epoch: 1})
			}
			return nil
		}))
	}
}

// wideReach reads, as an opening does, what wide scopes say of a reach.
func wideReach(t *testing.T, db *store.DB) {
	settle(t, db)
	yard(t, db)
	read := func(r gateway.Reach) (epochs gateway.WideEpochs, open bool) {
		t.Helper()
		ok(t, db.Session().Update(t.Context(), func(tx sessionTx) (err error) { epochs, open, err = tx.Wide(r); return err }))
		return epochs, open
	}
	relay := gateway.Reach{Vendor: "acme", Person: "ana", Target: "relay-7", Zone: "substation", Protocol: gateway.KindSSH}
	hmi := gateway.Reach{Vendor: "acme", Person: "ana", Target: "hmi-1", Zone: "control", Protocol: gateway.KindHTTPS}
	own := relay
	own.Vendor, own.Person = "", "olga"
	if epochs, open := read(relay); len(epochs) != 0 || !open {
		t.Errorf("before any order: %v %t", epochs, open)
	}
	want := gateway.WideEpochs{}
	for i, scope := range wideScopes {
		move := func(from uint64, to killswitch.Standing) {
			ok(t, db.KillSwitch().Update(t.Context(), func(tx killswitchTx) error { return tx.SetStanding(scope, from, to, began) }))
		}
		move(1, killswitch.Standing{State: gateway.Suspended, Epoch: 2})
		want[scope.String()] = 2
		epochs, open := read(relay)
		same(t, "epochs under "+scope.String(), epochs, want)
		if open {
			t.Errorf("%s is suspended, and ana's reach reads as open", scope)
		}
		if _, open := read(hmi); open == (scope.Kind == gateway.ScopeAll) {
			t.Errorf("another target under %s: open %t", scope, open)
		}
		if epochs, open := read(own); len(epochs) != 0 || !open {
			t.Errorf("the operator's own reach under %s: %v %t", scope, epochs, open)
		}
		move(2, killswitch.Standing{State: gateway.Active, Epoch: 3})
		want[scope.String()] = 3
		if epochs, open := read(relay); !open || len(epochs) != i+1 {
			t.Errorf("after the restoration of %s: %v %t", scope, epochs, open)
		}
	}
}

// wideCancels closes each wide scope and counts what it closed, and what of
// another target and of the operator's own it left.
func wideCancels(t *testing.T, db *store.DB) {
	ctx := t.Context()
	settle(t, db)
	yard(t, db)
	n := 0
	// again puts one of everything for ana on each target, and for olga.
	again := func() {
		for _, x := range []struct{ who, of, target, zone string }{{"ana", "acme", "relay-7", "substation"}, {"ana", "acme", "hmi-1", "control"}, {"olga", "", "relay-7", "substation"}} {
			n++
			r, g, l := request(n, x.who, x.of), grant(n, x.who, x.of), session(n, x.who, x.of)
			r.Target, g.Target, l.Target, l.Zone, l.Frozen, l.FrozenBy = x.target, x.target, x.target, x.zone, began.AddDate(0, 0, -1), ""
			if x.target == "hmi-1" {
				l.Protocol = gateway.KindHTTPS
			}
			ok(t, db.Access().Update(ctx, func(tx accessTx) error {
				return errors.Join(tx.PutRequest(r), tx.PutGrant(g), tx.PutTicket(access.Ticket{Touch: mark(r.ID), Person: x.who, Grant: g.ID, Expires: began.Add(1)}))
			}))
			ok(t, db.Identity().Update(ctx, func(tx identityTx) error {
				return errors.Join(tx.PutLogin(login(n, x.who)), tx.PutInvitation(invitation(n, x.who)))
			}))
			ok(t, db.Session().Update(ctx, func(tx sessionTx) error { return tx.PutSession(l) }))
		}
	}
	for _, scope := range wideScopes {
		again()
		var c gateway.Cancelled
		var live []gateway.Session
		ok(t, db.KillSwitch().Update(ctx, func(tx killswitchTx) (err error) {
			if live, err = tx.LiveSessions(scope); err == nil {
				c, err = tx.Cancel(scope, "olga", began)
			}
			return err
		}))
		wanted := gateway.Cancelled{Requests: 1, Grants: 1, Tickets: 1}
		rounds := n / 3
		count := rounds // of relay-7
		if scope.Kind == gateway.ScopeAll {
			// hmi-1 was left by the three before, and so were ana's logins.
			wanted = gateway.Cancelled{Requests: 1 + rounds, Grants: 1 + rounds, Tickets: 1 + rounds, Logins: 2 * rounds, Invitations: 2 * rounds}
			count = 2 * rounds
		}
		same(t, "cancelled by "+scope.String(), c, wanted)
		for _, l := range live {
			if l.Person != "ana" || !scope.Covers(l.Reach()) {
				t.Errorf("%s covers session %s of %q on %s", scope, l.ID, l.Person, l.Target)
			}
		}
		if len(live) != count {
			t.Errorf("%s covers %d live sessions, want %d", scope, len(live), count)
		}
	}
	own, err := db.Access().Usable(ctx, "olga", "relay-7")
	if err != nil || len(own) != n/3 {
		t.Errorf("the operator's own has %d grants left, want %d: %v", len(own), n/3, err)
	}
	if logins, err := db.Identity().Logins(ctx, "olga"); err != nil || len(logins) != n/3 {
		t.Errorf("the operator's own has %d logins left, want %d: %v", len(logins), n/3, err)
	}
}

// wideRows reads back what an order and a session say of wide scopes.
func wideRows(t *testing.T, db *store.DB) {
	ctx := t.Context()
	settle(t, db)
	ses := session(1, "ana", "acme")
	ses.Zone, ses.Wide = "substation", gateway.WideEpochs{"zone substation": 3, "all vendors": 7}
	sus := gateway.Suspension{
		ID: id("sus", 1), Scope: wideScopes[1], Epoch: 4, Reason: "breach", By: "olga", Statement: mark("s"), Ordered: began,
		Closing: gateway.Closing{Mode: gateway.ModeDrain, Until: began.Add(gateway.MaxDrain), Except: []gateway.Exception{{Session: ses.ID, Owner: "olga", Reason: "“firmware”\nis written", Until: began.Add(gateway.MaxException)}}},
	}
	old := gateway.Suspension{ID: id("sus", 2), Scope: wideScopes[3], Epoch: 2, Closing: gateway.Closing{Mode: gateway.ModeCut}, Reason: "breach", By: "olga", Statement: mark("o"), Ordered: began}
	ok(t, db.Session().Update(ctx, func(tx sessionTx) error { return tx.PutSession(ses) }))
	ok(t, db.KillSwitch().Update(ctx, func(tx killswitchTx) error { return errors.Join(tx.PutSuspension(sus), tx.PutSuspension(old)) }))
	check(t, "session", ses)(db.Session().Session(ctx, ses.ID))
	check(t, "suspension", sus)(db.KillSwitch().Suspension(ctx, sus.ID))
	check(t, "suspension", old)(db.KillSwitch().Suspension(ctx, old.ID))
}
