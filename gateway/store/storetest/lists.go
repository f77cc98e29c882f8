package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/access"
	"github.com/portcullis/portcullis/gateway/killswitch"
	rooms "github.com/portcullis/portcullis/gateway/session"
	"github.com/portcullis/portcullis/gateway/store"
)

func lists(t *testing.T, db *store.DB) {
	ctx := t.Context()
	ok(t, db.Access().Update(ctx, func(tx accessTx) error {
		var errs []error
		for i := range 10 {
			r, g := request(i, "ana", "acme"), grant(i, "ana", "acme")
			if i%2 == 1 {
				r.Person, r.Vendor, r.State = "eve", "nova", gateway.RequestGranted
				g.Person, g.Vendor, g.State, g.From = "eve", "nova", gateway.GrantClosed, began.Add(-time.Duration(i)*time.Hour)
			}
			r.Terms.From, r.Terms.Length = time.Time{}, time.Hour
			errs = append(errs, tx.PutRequest(r), tx.PutGrant(g))
		}
		return errors.Join(errs...)
	}))
	ok(t, db.Session().Update(ctx, func(tx sessionTx) error {
		gone := session(2, "ana", "acme")
		gone.State = gateway.SessionEnded
		return errors.Join(tx.PutSession(session(1, "ana", "acme")), tx.PutSession(session(2, "ana", "acme")), tx.PutSession(gone), tx.PutSession(session(3, "eve", "nova")))
	}))
	all, err := db.Access().Requests(ctx, access.Filter{})
	ok(t, err)
	if len(all) != 10 || all[0].ID < all[9].ID || all[0].Terms.Length != time.Hour {
		t.Fatalf("%d requests, the first %s, the last %s", len(all), all[0].ID, all[9].ID)
	}
	page, err := db.Access().Requests(ctx, access.Filter{Vendor: "acme", Person: "ana", Target: "relay-7", States: []string{"lapsed", "waiting"}, Before: all[3].ID, Limit: 2})
	ok(t, err)
	if len(page) != 2 || page[0].ID != all[5].ID || page[1].ID != all[7].ID {
		t.Errorf("the page holds %d requests", len(page))
	}
	if none, err := db.Access().Requests(ctx, access.Filter{Person: "ana' OR '1'='1"}); err != nil || len(none) != 0 {
		t.Errorf("a quote in a name found %d requests: %v", len(none), err)
	}
	grants, err := db.Access().Grants(ctx, access.Filter{States: []string{"closed"}, Limit: access.MaxPage + 1})
	if err != nil || len(grants) != 5 {
		t.Errorf("%d closed grants: %v", len(grants), err)
	}
	usable, err := db.Access().Usable(ctx, "ana", "relay-7")
	if err != nil || len(usable) != 5 {
		t.Errorf("%d usable grants: %v", len(usable), err)
	}
	for name, f := range map[string]struct {
		filter rooms.Filter
		want   int
	}{"all": {rooms.Filter{}, 3}, "live": {rooms.Filter{Live: true}, 2}, "of ana, live": {rooms.Filter{Person: "ana", Live: true}, 1}, "of a grant": {rooms.Filter{Grant: "grt_1", Limit: 2}, 2}} {
		if list, err := db.Session().Sessions(ctx, f.filter); err != nil || len(list) != f.want {
			t.Errorf("%s: %d sessions, want %d: %v", name, len(list), f.want, err)
		}
	}
	ended := session(9, "ana", "acme")
	ended.Grant, ended.State = "grt_9", gateway.SessionEnded
	going := session(10, "ana", "acme")
	going.Grant = "grt_9"
	more := ended
	more.ID = id("ses", 11)
	ok(t, db.Session().Update(ctx, func(tx sessionTx) error {
		return errors.Join(tx.PutSession(ended), tx.PutSession(going), tx.PutSession(more))
	}))
	if in, out, err := db.Session().Passed(ctx, "grt_9"); err != nil || in != 2*ended.BytesIn || out != 2*ended.BytesOut {
		t.Errorf("passed under a grant: %d in, %d out, %v", in, out, err)
	}
	if in, out, err := db.Session().Passed(ctx, "grt_none"); err != nil || in+out != 0 {
		t.Errorf("passed under none: %d in, %d out, %v", in, out, err)
	}
}

func due(t *testing.T, db *store.DB) {
	ctx := t.Context()
	open, planned, late := grant(1, "ana", "acme"), grant(2, "ana", "acme"), request(3, "ana", "acme")
	open.State, open.To = gateway.GrantOpen, began.Add(30*time.Minute)
	planned.From, late.Lapse = began.Add(10*time.Minute), began.Add(20*time.Minute)
	ok(t, db.Access().Update(ctx, func(tx accessTx) error {
		return errors.Join(tx.PutGrant(open), tx.PutGrant(planned), tx.PutRequest(late))
	}))
	for _, step := range []struct {
		at               time.Duration
		requests, grants int
		next             time.Duration
	}{
		{0, 0, 0, 10 * time.Minute},
		{10*time.Minute - time.Microsecond, 0, 0, 10 * time.Minute},
		{10 * time.Minute, 0, 1, 20 * time.Minute},
		{20 * time.Minute, 1, 1, 30 * time.Minute},
		{30 * time.Minute, 1, 2, 0},
	} {
		r, g, next, err := db.Access().Due(ctx, began.Add(step.at))
		ok(t, err)
		wantNext := began.Add(step.next)
		if step.next == 0 {
			wantNext = time.Time{}
		}
		if len(r) != step.requests || len(g) != step.grants || !next.Equal(wantNext) {
			t.Errorf("after %v: %d requests, %d grants, next %v; want %d, %d, %v", step.at, len(r), len(g), next, step.requests, step.grants, wantNext)
		}
	}
}

// cancels suspends acme and looks at what is left of it and of nova.
func cancels(t *testing.T, db *store.DB) {
	ctx := t.Context()
	settle(t, db)
	for i, who := range []struct{ name, of string }{{"ana", "acme"}, {"ben", "acme"}, {"eve", "nova"}} {
		open := grant(i, who.name, who.of)
		open.State = gateway.GrantOpen
		closed := grant(i+10, who.name, who.of)
		closed.State = gateway.GrantClosed
		used := invitation(i+10, who.name)
		used.Used = began
		ok(t, db.Access().Update(ctx, func(tx accessTx) error {
			return errors.Join(tx.PutRequest(request(i, who.name, who.of)), tx.PutGrant(open), tx.PutGrant(closed),
				tx.PutTicket(access.Ticket{Touch: mark(who.name), Person: who.name, Grant: open.ID, Expires: began.Add(time.Hour)}))
		}))
		ok(t, db.Identity().Update(ctx, func(tx identityTx) error {
			return errors.Join(tx.PutLogin(login(i, who.name)), tx.PutInvitation(invitation(i, who.name)), tx.PutInvitation(used))
		}))
		ok(t, db.Session().Update(ctx, func(tx sessionTx) error { return tx.PutSession(session(i, who.name, who.of)) }))
	}
	cancel := func(scope gateway.Scope) (c gateway.Cancelled, live []gateway.Session) {
		ok(t, db.KillSwitch().Update(ctx, func(tx killswitchTx) (err error) {
			if c, err = tx.Cancel(scope, "olga", began); err == nil {
				live, err = tx.LiveSessions(scope)
			}
			return err
		}))
		return c, live
	}
	c, live := cancel(gateway.Scope{Kind: gateway.ScopePerson, Name: "ana"})
	same(t, "cancelled of ana", c, gateway.Cancelled{Requests: 1, Grants: 1, Logins: 1, Tickets: 1, Invitations: 1})
	if len(live) != 1 || live[0].Person != "ana" {
		t.Errorf("live sessions of ana: %v", live)
	}
	c, live = cancel(gateway.Scope{Kind: gateway.ScopeVendor, Name: "acme"})
	same(t, "cancelled of acme", c, gateway.Cancelled{Requests: 1, Grants: 1, Logins: 1, Tickets: 1, Invitations: 1})
	if len(live) != 2 {
		t.Errorf("live sessions of acme: %v", live)
	}
	g, err := db.Access().Grant(ctx, grantOf(t, db, "ana"))
	ok(t, err)
	if g.State != gateway.GrantClosed || g.Why != gateway.EndSuspended || g.ClosedBy != "olga" || g.Version != 2 {
		t.Errorf("ana's grant: %+v", g)
	}
	left, err := db.Access().Usable(ctx, "eve", "relay-7")
	if err != nil || len(left) != 1 {
		t.Errorf("eve of another vendor has %d grants left: %v", len(left), err)
	}
	if _, err := db.Identity().Login(ctx, login(2, "eve").Hash); err != nil {
		t.Errorf("eve's login: %v", err)
	}
	err = db.KillSwitch().Update(ctx, func(tx killswitchTx) error {
		_, err := tx.Cancel(gateway.Scope{Kind: "colour", Name: "x"}, "olga", began)
		return err
	})
	if err == nil {
		t.Error("a scope that cannot be ordered was cancelled")
	}
}

func grantOf(t *testing.T, db *store.DB, who string) string {
	t.Helper()
	list, err := db.Access().Grants(t.Context(), access.Filter{Person: who})
	ok(t, err)
	return list[len(list)-1].ID
}

// epochs reads a suspension in the transaction that makes it, and after.
func epochs(t *testing.T, db *store.DB) {
	ctx := t.Context()
	settle(t, db)
	read := func() (e gateway.Epochs, v, p bool) {
		ok(t, db.Session().Update(ctx, func(tx sessionTx) (err error) { e, v, p, err = tx.Epochs("acme", "ana"); return err }))
		return e, v, p
	}
	if e, v, p := read(); e != (gateway.Epochs{Vendor: 1, Person: 1}) || !v || !p {
		t.Errorf("before: %v %t %t", e, v, p)
	}
	scope := gateway.Scope{Kind: gateway.ScopeVendor, Name: "acme"}
	ok(t, db.KillSwitch().Update(ctx, func(tx killswitchTx) error {
		if err := tx.SetStanding(scope, 1, killswitch.Standing{State: gateway.Suspended, Epoch: 2}, began); err != nil {
			return err
		}
		st, err := tx.Standing(scope)
		same(t, "standing inside", st, killswitch.Standing{State: gateway.Suspended, Epoch: 2})
		return err
	}))
	if e, v, p := read(); e != (gateway.Epochs{Vendor: 2, Person: 1}) || v || !p {
		t.Errorf("after: %v %t %t", e, v, p)
	}
	all, err := db.KillSwitch().Standings(ctx)
	ok(t, err)
	same(t, "standing of acme", all[scope], killswitch.Standing{State: gateway.Suspended, Epoch: 2})
	same(t, "standing of nova", all[gateway.Scope{Kind: gateway.ScopeVendor, Name: "nova"}], killswitch.Standing{State: gateway.Active, Epoch: 1})
	if len(all) != 6 {
		t.Errorf("%d standings of two vendors and four people", len(all))
	}
	ok(t, db.Session().Update(ctx, func(tx sessionTx) error {
		e, v, p, err := tx.Epochs("", "olga")
		if e != (gateway.Epochs{Person: 1}) || !v || !p {
			t.Errorf("of the staff: %v %t %t", e, v, p)
		}
		return err
	}))
	want(t, "epochs of nobody", db.Session().Update(ctx, func(tx sessionTx) error { _, _, _, err := tx.Epochs("acme", "none"); return err }), gateway.ErrNotFound)
}

func restorations(t *testing.T, db *store.DB) {
	ok(t, db.KillSwitch().Update(t.Context(), func(tx killswitchTx) error {
		for i, step := range []struct {
			signer string
			epoch  uint64
			want   int
		}{{"olga", 3, 1}, {"olga", 3, 1}, {"otto", 5, 1}, {"otto", 3, 2}} {
			list, err := tx.PutRestoration("sus_1", step.epoch, step.signer, mark(step.signer+string(rune('0'+i))))
			if err != nil || len(list) != step.want || list[0].Statement != mark(list[0].Signer+string(rune('0'+map[bool]int{true: 2}[step.epoch == 5]))) {
				t.Errorf("step %d: %v %v", i, list, err)
			}
		}
		return nil
	}))
}

func lastSeen(t *testing.T, db *store.DB) {
	ctx := t.Context()
	ok(t, db.Identity().Update(ctx, func(tx identityTx) error { return tx.PutLogin(login(1, "ana")) }))
	hash, later := login(1, "ana").Hash, began.Add(time.Minute)
	ok(t, db.Identity().SeenLogin(ctx, hash, later))
	ok(t, db.Identity().SeenLogin(ctx, hash, began.Add(-time.Hour)))
	for _, moment := range []string{"at once", "after a commit"} {
		l, err := db.Identity().Login(ctx, hash)
		ok(t, err)
		list, err := db.Identity().Logins(ctx, "ana")
		ok(t, err)
		if !l.Seen.Equal(later) || len(list) != 1 || !list[0].Seen.Equal(later) {
			t.Errorf("%s: seen %v, want %v", moment, l.Seen, later)
		}
		ok(t, db.Healthy(ctx))
	}
	ok(t, db.Identity().Update(ctx, func(tx identityTx) error { return tx.DeleteLogin(hash) }))
	ok(t, db.Identity().SeenLogin(ctx, hash, later.Add(time.Hour)))
	ok(t, db.Healthy(ctx))
	_, err := db.Identity().Login(ctx, hash)
	want(t, "a login that was ended", err, gateway.ErrNotFound)
}
