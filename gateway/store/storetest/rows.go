package storetest

import (
	"crypto/ed25519"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/access"
	"github.com/portcullis/portcullis/gateway/directory"
	"github.com/portcullis/portcullis/gateway/identity"
	"github.com/portcullis/portcullis/gateway/killswitch"
	rooms "github.com/portcullis/portcullis/gateway/session"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/store"
)

type (
	directoryTx  = directory.Tx
	identityTx   = identity.Tx
	accessTx     = access.Tx
	sessionTx    = rooms.Tx
	killswitchTx = killswitch.Tx
)

func rowsReadBack(t *testing.T, db *store.DB) {
	ctx := t.Context()
	settle(t, db)
	bare := gateway.Vendor{Name: "bare", Title: "-", State: gateway.Active, Epoch: 1, Version: 1}
	key := gateway.SSHKey{Fingerprint: "SHA256:x", Person: "ana", Label: "laptop", Key: "ssh-ed25519 AAAA", Epochs: gateway.Epochs{Vendor: 1, Person: 1}, Statement: mark("k"), Added: began}
	approval := gateway.Approval{Request: id("req", 1), Person: "olga", Terms: gateway.Terms{Length: time.Hour, Abilities: gateway.Abilities{Shell: true, Forward: []string{"a:1"}}}, Statement: mark("a"), At: began}
	req, gr, ses, lg, inv, auth := request(1, "ana", "acme"), grant(1, "ana", "acme"), session(1, "ana", "acme"), login(1, "ana"), invitation(1, "ana"), authenticator("cred", "ana")
	sus := gateway.Suspension{ID: id("sus", 1), Scope: gateway.Scope{Kind: gateway.ScopeVendor, Name: "acme"}, Epoch: 2, Reason: "breach", By: "olga", Statement: mark("s"), Ordered: began,
		Report: &gateway.Report{Verdict: gateway.Pass, Ordered: began, Nodes: []gateway.NodeReport{{Node: "node-1", Answered: true}}}}
	s := signed(t, suspend(2, sus.Scope))
	req.Asker = "olga"
	svc := person("nightly", "acme")
	svc.Email, svc.Roles = "", []gateway.Role{gateway.ServiceAccount}
	svc.Service = &gateway.Service{Owner: "ana", Key: "sha256:00", Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/25")}, Epochs: gateway.Epochs{Vendor: 1, Person: 1}}

	ok(t, db.Directory().Update(ctx, func(tx directoryTx) error {
		return errors.Join(tx.PutVendor(bare), tx.PutPerson(svc), tx.PutStatement(s))
	}))
	ok(t, db.Identity().Update(ctx, func(tx identityTx) error {
		return errors.Join(tx.PutAuthenticator(auth), tx.PutSSHKey(key), tx.PutInvitation(inv), tx.PutLogin(lg), tx.BindSubject("idp", "sub", "ana"))
	}))
	ok(t, db.Access().Update(ctx, func(tx accessTx) error {
		return errors.Join(tx.PutRequest(req), tx.PutApproval(approval), tx.PutGrant(gr))
	}))
	ok(t, db.Session().Update(ctx, func(tx sessionTx) error { return tx.PutSession(ses) }))
	ok(t, db.KillSwitch().Update(ctx, func(tx killswitchTx) error { return tx.PutSuspension(sus) }))

	check(t, "vendor", bare)(db.Directory().Vendor(ctx, "bare"))
	check(t, "service account", svc)(db.Trust().Person(ctx, "nightly"))
	check(t, "service accounts", []gateway.Person{svc})(db.Directory().Services(ctx))
	check(t, "vendor", vendor("acme"))(db.Trust().Vendor(ctx, "acme"))
	check(t, "person", person("ana", "acme"))(db.Directory().Person(ctx, "ana"))
	check(t, "target", target("relay-7"))(db.Directory().Target(ctx, "relay-7"))
	check(t, "authenticator", auth)(db.Identity().Authenticator(ctx, "cred"))
	check(t, "ssh key", key)(db.Trust().SSHKey(ctx, "SHA256:x"))
	check(t, "invitation", inv)(db.Identity().InvitationByKey(ctx, inv.PublicKey))
	check(t, "login", lg)(db.Identity().Login(ctx, lg.Hash))
	check(t, "subject", "ana")(db.Identity().Subject(ctx, "idp", "sub"))
	check(t, "mail", person("ana", "acme"))(db.Identity().PersonByEmail(ctx, "acme", "Ana@Example.com"))
	check(t, "request", req)(db.Access().Request(ctx, req.ID))
	check(t, "approvals", []gateway.Approval{approval})(db.Access().Approvals(ctx, req.ID))
	check(t, "grant", gr)(db.Access().GrantOf(ctx, req.ID))
	check(t, "session", ses)(db.Session().Session(ctx, ses.ID))
	check(t, "suspension", sus)(db.KillSwitch().Suspension(ctx, sus.ID))
	kept, err := db.Access().Statement(ctx, s.Digest)
	pub, _ := Machine().Private.Public().(ed25519.PublicKey)
	if rerr := kept.Receipt.Verify(s.Digest, pub); rerr != nil || time.Since(kept.Receipt.At).Abs() > time.Minute {
		t.Errorf("the receipt of %s: %v", kept.Receipt.At, rerr)
	}
	kept.Receipt = statement.Receipt{}
	check(t, "statement", s)(kept, err)

	for what, err := range map[string]error{
		"vendor":     second(db.Directory().Vendor(ctx, "none")),
		"request":    second(db.Access().Request(ctx, "none")),
		"subject":    second(db.Identity().Subject(ctx, "idp", "none")),
		"mail":       second(db.Identity().PersonByEmail(ctx, "nova", "ana@example.com")),
		"statement":  second(db.Trust().Statement(ctx, mark("none"))),
		"session":    second(db.Session().Session(ctx, "none")),
		"suspension": second(db.KillSwitch().Suspension(ctx, "none")),
	} {
		want(t, what, err, gateway.ErrNotFound)
	}
}

func check[T any](t *testing.T, what string, want T) func(T, error) {
	return func(got T, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
			return
		}
		same(t, what, got, want)
	}
}

func second[T any](_ T, err error) error { return err }

func versions(t *testing.T, db *store.DB) {
	ctx := t.Context()
	settle(t, db)
	put := func(version uint64) error {
		v := vendor("acme")
		v.Version, v.Title = version, "Acme Ltd"
		return db.Directory().Update(ctx, func(tx directoryTx) error { return tx.PutVendor(v) })
	}
	want(t, "a taken name", put(1), gateway.ErrStale)
	want(t, "a version too far", put(3), gateway.ErrStale)
	ok(t, put(2))
	want(t, "the same version again", put(2), gateway.ErrStale)

	g := grant(1, "ana", "acme")
	ok(t, db.Access().Update(ctx, func(tx accessTx) error { return tx.PutGrant(g) }))
	other := grant(1, "ana", "acme")
	other.ID, other.Request = id("grt", 2), g.Request
	want(t, "a second grant of a request", db.Access().Update(ctx, func(tx accessTx) error { return tx.PutGrant(other) }), gateway.ErrUsed)
	want(t, "a taken identifier", db.Access().Update(ctx, func(tx accessTx) error { return tx.PutGrant(g) }), gateway.ErrStale)

	won := make(chan int, 50)
	together(50, func(i int) {
		next := g
		next.Version, next.ClosedBy = 2, "olga"
		if err := db.Access().Update(ctx, func(tx accessTx) error { return tx.PutGrant(next) }); err == nil {
			won <- i
		} else {
			want(t, "a loser", err, gateway.ErrStale)
		}
	})
	if len(won) != 1 {
		t.Errorf("%d of 50 closed the grant, want 1", len(won))
	}
}

func standingStays(t *testing.T, db *store.DB) {
	ctx := t.Context()
	settle(t, db)
	scope := gateway.Scope{Kind: gateway.ScopeVendor, Name: "acme"}
	ok(t, db.KillSwitch().Update(ctx, func(tx killswitchTx) error {
		return tx.SetStanding(scope, 1, killswitch.Standing{State: gateway.Suspended, Epoch: 2}, began)
	}))
	v := vendor("acme")
	v.Version, v.Title = 2, "renamed"
	ok(t, db.Directory().Update(ctx, func(tx directoryTx) error { return tx.PutVendor(v) }))
	got, err := db.Directory().Vendor(ctx, "acme")
	ok(t, err)
	if got.State != gateway.Suspended || got.Epoch != 2 || got.Title != "renamed" {
		t.Errorf("a change of the title made it %s at epoch %d, titled %q", got.State, got.Epoch, got.Title)
	}
	v.Version, v.State = 3, gateway.Removed
	ok(t, db.Directory().Update(ctx, func(tx directoryTx) error { return tx.PutVendor(v) }))
	v.Version, v.State = 4, gateway.Active
	ok(t, db.Directory().Update(ctx, func(tx directoryTx) error { return tx.PutVendor(v) }))
	if got, err = db.Directory().Vendor(ctx, "acme"); err != nil || got.State != gateway.Removed || got.Epoch != 2 {
		t.Errorf("after its removal it is %s at epoch %d: %v", got.State, got.Epoch, err)
	}
	err = db.KillSwitch().Update(ctx, func(tx killswitchTx) error {
		return tx.SetStanding(scope, 1, killswitch.Standing{State: gateway.Active, Epoch: 2}, began)
	})
	want(t, "a standing from an old epoch", err, gateway.ErrStale)
	err = db.KillSwitch().Update(ctx, func(tx killswitchTx) error {
		return tx.SetStanding(gateway.Scope{Kind: gateway.ScopePerson, Name: "none"}, 1, killswitch.Standing{}, began)
	})
	want(t, "the standing of nobody", err, gateway.ErrNotFound)
}

// usedOnce lets fifty goroutines take one ticket, one invitation, one touch,
// one peer's key and one statement.
func usedOnce(t *testing.T, db *store.DB) {
	ctx := t.Context()
	settle(t, db)
	s := signed(t, suspend(2, gateway.Scope{Kind: gateway.ScopePerson, Name: "ana"}))
	touch := signed(t, suspend(3, gateway.Scope{Kind: gateway.ScopePerson, Name: "ana"}))
	inv, ticket := invitation(1, "ana"), access.Ticket{Touch: touch.Digest, Person: "ana", Grant: "grt_1", Expires: began.Add(time.Minute)}
	ok(t, db.Identity().Update(ctx, func(tx identityTx) error { return errors.Join(tx.PutInvitation(inv), tx.PutStatement(touch)) }))
	ok(t, db.Access().Update(ctx, func(tx accessTx) error { return tx.PutTicket(ticket) }))
	want(t, "a touch nobody gave", db.Session().Update(ctx, func(tx sessionTx) error { return tx.UseTouch(mark("none")) }), gateway.ErrNotFound)
	want(t, "a key of a touch nobody gave", db.Session().Update(ctx, func(tx sessionTx) error { return tx.UsePeer("k", mark("none")) }), gateway.ErrNotFound)
	want(t, "an invitation nobody wrote", db.Identity().Update(ctx, func(tx identityTx) error { return tx.UseInvitation("inv_none", began) }), gateway.ErrNotFound)

	for what, take := range map[string]struct {
		err error
		f   func() error
	}{
		"statement": {gateway.ErrUsed, func() error {
			return db.Directory().Update(ctx, func(tx directoryTx) error { return tx.PutStatement(s) })
		}},
		"touch": {gateway.ErrUsed, func() error {
			return db.Session().Update(ctx, func(tx sessionTx) error { return tx.UseTouch(touch.Digest) })
		}},
		"peer key": {gateway.ErrUsed, func() error {
			return db.Session().Update(ctx, func(tx sessionTx) error { return tx.UsePeer("key", touch.Digest) })
		}},
		"invitation": {gateway.ErrUsed, func() error {
			return db.Identity().Update(ctx, func(tx identityTx) error { return tx.UseInvitation(inv.ID, began) })
		}},
		"service account's token": {gateway.ErrUsed, func() error {
			return db.Identity().Update(ctx, func(tx identityTx) error { return tx.UseServiceToken(mark("jti"), began.Add(time.Minute), began) })
		}},
		"ticket": {gateway.ErrNotFound, func() error {
			return db.Access().Update(ctx, func(tx accessTx) error { _, err := tx.TakeTicket("ana", "grt_1", "", began); return err })
		}},
	} {
		won := make(chan int, 50)
		together(50, func(i int) {
			if err := take.f(); err == nil {
				won <- i
			} else {
				want(t, what, err, take.err)
			}
		})
		if len(won) != 1 {
			t.Errorf("%s was used by %d of 50, want 1", what, len(won))
		}
	}
	again := func(now time.Time) error {
		return db.Identity().Update(ctx, func(tx identityTx) error { return tx.UseServiceToken(mark("jti"), now.Add(time.Minute), now) })
	}
	want(t, "a token at its last moment", again(began.Add(time.Minute)), gateway.ErrUsed)
	ok(t, again(began.Add(time.Minute+time.Microsecond))) // it has expired, and is judged by that
	ticket.Via = "lgn_1"
	ok(t, db.Access().Update(ctx, func(tx accessTx) error { return tx.PutTicket(ticket) }))
	other := db.Access().Update(ctx, func(tx accessTx) error { _, err := tx.TakeTicket("ana", "grt_1", "lgn_2", began); return err })
	want(t, "a ticket of another login", other, gateway.ErrNotFound)
	late := db.Access().Update(ctx, func(tx accessTx) error { _, err := tx.TakeTicket("ana", "grt_1", "", ticket.Expires); return err })
	want(t, "a ticket at the moment it expires", late, gateway.ErrNotFound)
}

func counters(t *testing.T, db *store.DB) {
	set := func(cred string, from, to uint32) error {
		return db.Identity().Update(t.Context(), func(tx identityTx) error { return tx.SetCounter(cred, from, to) })
	}
	ok(t, db.Identity().Update(t.Context(), func(tx identityTx) error { return tx.PutAuthenticator(authenticator("cred", "ana")) }))
	ok(t, set("cred", 1<<32-2, 1<<32-1))
	want(t, "a counter gone on since", set("cred", 1<<32-2, 1<<32-1), gateway.ErrStale)
	want(t, "the counter of no key", set("none", 0, 1), gateway.ErrNotFound)

	setSSH := func(fingerprint string, from, to uint32) error {
		return db.Identity().Update(t.Context(), func(tx identityTx) error { return tx.SetSSHCounter(fingerprint, from, to) })
	}
	ok(t, db.Identity().Update(t.Context(), func(tx identityTx) error {
		return tx.PutSSHKey(gateway.SSHKey{Fingerprint: "SHA256:x", Person: "ana", Added: began})
	}))
	won := make(chan uint32, 50)
	together(50, func(i int) {
		to := 1<<32 - 1 - uint32(i)
		if err := setSSH("SHA256:x", 0, to); err == nil {
			won <- to
		} else {
			want(t, "an ssh key's counter gone on since", err, gateway.ErrStale)
		}
	})
	if len(won) != 1 {
		t.Fatalf("the counter of an ssh key was moved from one place by %d of 50, want 1", len(won))
	}
	k, err := db.Identity().SSHKey(t.Context(), "SHA256:x")
	if to := <-won; err != nil || k.Counter != to {
		t.Errorf("the counter reads back as %d, want %d: %v", k.Counter, to, err)
	}
	want(t, "the counter of no ssh key", setSSH("SHA256:none", 0, 1), gateway.ErrNotFound)
}

func takenForEver(t *testing.T, db *store.DB) {
	update := func(f func(identityTx) error) error { return db.Identity().Update(t.Context(), f) }
	key := gateway.SSHKey{Fingerprint: "SHA256:x", Person: "ana"}
	ok(t, update(func(tx identityTx) error {
		return errors.Join(tx.PutAuthenticator(authenticator("cred", "ana")), tx.PutSSHKey(key), tx.BindSubject("idp", "sub", "ana"),
			tx.RemoveAuthenticator("cred", began), tx.RemoveSSHKey("SHA256:x", began))
	}))
	key.Person = "ben"
	for what, f := range map[string]func(identityTx) error{
		"a removed key enrolled by another":  func(tx identityTx) error { return tx.PutAuthenticator(authenticator("cred", "ben")) },
		"a removed ssh key added by another": func(tx identityTx) error { return tx.PutSSHKey(key) },
		"a bound subject":                    func(tx identityTx) error { return tx.BindSubject("idp", "sub", "ben") },
		"a bound person":                     func(tx identityTx) error { return tx.BindSubject("idp", "sub2", "ana") },
		"a removal repeated":                 func(tx identityTx) error { return tx.RemoveAuthenticator("cred", began.Add(time.Hour)) },
	} {
		want(t, what, update(f), gateway.ErrUsed)
	}
	ok(t, update(func(tx identityTx) error { return tx.BindSubject("other-idp", "sub", "ben") }))
	a, err := db.Identity().Authenticator(t.Context(), "cred")
	if err != nil || !a.Removed.Equal(began) {
		t.Errorf("removed at %v: %v", a.Removed, err)
	}
}

func scopeStatements(t *testing.T, db *store.DB) {
	acme, nova := gateway.Scope{Kind: gateway.ScopeVendor, Name: "acme"}, gateway.Scope{Kind: gateway.ScopeVendor, Name: "nova"}
	restore := &statement.Restore{Suspension: id("sus", 1), Scope: acme, Epoch: 3, Report: mark("report"), Reason: "clean"}
	next := &statement.Advance{Suspension: id("sus", 1), Scope: acme, Epoch: 3, To: gateway.StageSupervised, Previous: mark("restored"), Reason: "quiet"}
	admit := &statement.VendorAdmit{Name: "acme", Title: "Acme", Version: 1}
	var order []gateway.Digest
	for _, body := range []statement.Body{admit, suspend(2, acme), suspend(2, nova), restore, next, suspend(4, acme)} {
		s := signed(t, body)
		ok(t, db.KillSwitch().Update(t.Context(), func(tx killswitchTx) error { return tx.PutStatement(s) }))
		if body.Subject() == "vendor:acme" && body.Kind() != statement.KindVendor {
			order = append(order, s.Digest)
			ok(t, db.KillSwitch().Update(t.Context(), func(tx killswitchTx) error {
				head, err := tx.ScopeHead(acme)
				same(t, "head", head, s.Digest)
				return err
			}))
		}
	}
	want(t, "head of nobody", db.KillSwitch().Update(t.Context(), func(tx killswitchTx) error {
		_, err := tx.ScopeHead(gateway.Scope{Kind: gateway.ScopePerson, Name: "none"})
		return err
	}), gateway.ErrNotFound)
	check(t, "of acme", order)(db.Trust().ScopeStatements(t.Context(), acme))
	bad := statement.Signed{Bytes: []byte(strings.Repeat("x", 10))}
	if err := db.KillSwitch().Update(t.Context(), func(tx killswitchTx) error { return tx.PutStatement(bad) }); err == nil {
		t.Error("a statement that does not parse was kept")
	}
}
