package identity_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/identity"
	"github.com/portcullis/portcullis/gateway/identity/softkey"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/trust/trusttest"
)

func TestLoginThatDoesNotHold(t *testing.T) {
	for _, c := range []struct {
		name string
		lie  func(w *world, k *softkey.Key)
		says string
	}{
		{"on another site", func(_ *world, k *softkey.Key) { k.Origin = "https://evil.example" }, "touched on another site"},
		{"for another RP", func(_ *world, k *softkey.Key) { k.RPID = "evil.example" }, "another site"},
		{"without user verification", func(_ *world, k *softkey.Key) { k.Verified = false }, "did not verify its user"},
		{"without touch", func(_ *world, k *softkey.Key) { k.Present = false }, "not touched"},
		{"counter gone back", func(_ *world, k *softkey.Key) { k.Counter = 0 }, "counter"},
		{"counter standing still", func(_ *world, k *softkey.Key) { k.CounterFixed = true }, "counter"},
		{"suspended", func(w *world, _ *softkey.Key) {
			w.suspend(gateway.Scope{Kind: gateway.ScopeVendor, Name: vendor})
		}, "suspended"},
		{"key before a suspension", func(w *world, _ *softkey.Key) {
			s := gateway.Scope{Kind: gateway.ScopeVendor, Name: vendor}
			w.suspendAndRestore(s)
		}, "before a suspension"},
		{"key changed in the database", func(w *world, k *softkey.Key) {
			w.edit("UPDATE authenticators SET person = $1, vendor_epoch = 0 WHERE id = $2", admin, k.Last().Text())
		}, "changed"},
		{"from a network that is not the vendor's", func(w *world, _ *softkey.Key) { w.networks("198.51.100.0/24") }, "may not connect from"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.enrol(engineer, softkey.New(trusttest.URL))
			c.lie(w, w.keys[engineer])
			token, _, err := w.login(engineer)
			w.refusedEvent(err, audit.LoginRefused, c.says)
			if token != "" || w.logins(engineer) != 1 {
				t.Fatal("a login was made")
			}
		})
	}
}

// networks changes where the vendor's people may come from.
func (w *world) networks(list ...string) {
	w.t.Helper()
	row := w.World.Store.Vendors[vendor]
	b := &statement.VendorAdmit{Name: vendor, Title: row.Title, Version: row.Version + 1, Previous: row.Statement}
	for _, n := range list {
		b.Networks = append(b.Networks, netip.MustParsePrefix(n))
	}
	w.do(statement.Machine, b)
}

func TestLoginAnswerIsTakenOnce(t *testing.T) {
	w := newWorld(t)
	k := softkey.New(trusttest.URL)
	k.CounterFixed = true // of always zero, as synced keys have
	w.enrol(engineer, k)
	begun, err := w.svc.BeginLogin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	answer := w.must(k.Get(begun.Options))
	if _, _, err := w.svc.FinishLogin(t.Context(), begun.ID, answer, browser); err != nil {
		t.Fatal(err)
	}
	_, _, err = w.svc.FinishLogin(t.Context(), begun.ID, answer, browser)
	w.refusedEvent(err, audit.LoginRefused, "finished before")

	next, err := w.svc.BeginLogin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = w.svc.FinishLogin(t.Context(), next.ID, answer, browser)
	w.refusedEvent(err, audit.LoginRefused, "another question")

	late := w.must(k.Get(next.Options))
	w.Advance(5 * time.Minute)
	_, _, err = w.svc.FinishLogin(t.Context(), next.ID, late, browser)
	w.refusedEvent(err, audit.LoginRefused, "too long ago")
	_, _, err = w.svc.FinishLogin(t.Context(), "AAAA", late, browser)
	w.refusedEvent(err, audit.LoginRefused, "too long ago")
	_, _, err = w.svc.FinishLogin(t.Context(), begunNow(t, w), []byte("{}"), browser)
	w.refusedEvent(err, audit.LoginRefused, "cannot be read")
}

func begunNow(t *testing.T, w *world) string {
	t.Helper()
	c, err := w.svc.BeginLogin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c.ID
}

func TestUnknownKeyIsToldSo(t *testing.T) {
	w := newWorld(t)
	k := softkey.New(trusttest.URL)
	if _, err := k.NewCredential("localhost", []byte("eve")); err != nil {
		t.Fatal(err)
	}
	w.keys[engineer] = k
	_, _, err := w.login(engineer)
	w.refusedEvent(err, audit.LoginRefused, "not enrolled")
}

// Strangers cannot fill the log faster than a bound, and what was left out is
// counted.
func TestStrangersAreWrittenWithinBounds(t *testing.T) {
	w := newWorld(t)
	for range 200 {
		_, _, err := w.svc.FinishLogin(t.Context(), "AAAA", nil, browser)
		refused(t, err, "too long ago")
	}
	n := len(w.events())
	if n == 0 || n > 60 {
		t.Fatalf("%d events for 200 strangers at one moment", n)
	}
	w.Advance(time.Minute)
	_, _, err := w.svc.FinishLogin(t.Context(), "AAAA", nil, browser)
	refused(t, err, "too long ago")
	if got := w.last().Detail["unwritten"]; got != "150" {
		t.Fatalf("unwritten = %q", got)
	}
}

func TestLoginEnds(t *testing.T) {
	person := gateway.Scope{Kind: gateway.ScopePerson, Name: engineer}
	for _, c := range []struct {
		name   string
		do     func(w *world, c *identity.Client)
		says   string
		signIn bool
	}{
		{"idle", func(w *world, _ *identity.Client) { w.Advance(identity.LoginIdle) }, "idle", true},
		{"idle before a page that looks by itself", func(w *world, _ *identity.Client) {
			for until := w.Now().Add(identity.LoginIdle); w.Now().Before(until); w.Advance(time.Minute) {
				if _, _, err := w.svc.Peek(w.t.Context(), w.token, browser); err != nil {
					w.t.Fatalf("peek: %v", err)
				}
			}
		}, "idle", true},
		{"old", func(w *world, _ *identity.Client) {
			for until := w.Now().Add(identity.LoginLife); w.Now().Before(until); w.Advance(10 * time.Minute) {
				w.session(w.token)
			}
		}, "at most 12h", true},
		{"other browser", func(_ *world, c *identity.Client) { c.UserAgent = "curl" }, "another browser", true},
		{"other network", func(w *world, _ *identity.Client) { w.networks("198.51.100.0/24") }, "may not connect from", false},
		{"no source", func(w *world, c *identity.Client) { w.networks("0.0.0.0/0"); c.Source = "" }, "may not connect from", false},
		{"person suspended", func(w *world, _ *identity.Client) { w.suspend(person) }, "suspended", false},
		{"epoch moved on", func(w *world, _ *identity.Client) {
			w.suspendAndRestore(person)
		}, "suspended since", true},
		{"person removed", func(w *world, _ *identity.Client) {
			b := w.Person(engineer, vendor, gateway.Engineer)
			b.Removed = true
			w.do(statement.Machine, b)
		}, "removed", false},
		{"person made admin in the database", func(w *world, _ *identity.Client) {
			w.edit("UPDATE people SET roles = '[\"admin\"]' WHERE name = $1", engineer)
		}, "changed", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			token := w.enrol(engineer, softkey.New(trusttest.URL))
			w.token = token
			b := browser
			c.do(w, &b)
			_, _, err := w.svc.ByToken(t.Context(), token, b)
			refused(t, err, c.says)
			if gateway.IsCode(err, gateway.CodeSignIn) != c.signIn {
				t.Fatalf("code = %s", gateway.AsError(err).Code)
			}
			if w.logins(engineer) != 0 {
				t.Fatal("the login is still there")
			}
			_, _, err = w.svc.ByToken(t.Context(), token, browser)
			refused(t, err, "this login has ended")
		})
	}
}

func TestLoginLivesWhileItIsUsed(t *testing.T) {
	w := newWorld(t)
	w.networks("192.0.2.0/24", "2001:db8::/32")
	token := w.enrol(engineer, softkey.New(trusttest.URL))
	for range 10 {
		w.Advance(identity.LoginIdle - time.Second)
		w.session(token)
	}
	for _, from := range []string{"192.0.2.9", "[2001:db8::1]:99", "::ffff:192.0.2.1", "[::ffff:192.0.2.1]:5"} {
		if _, _, err := w.svc.ByToken(t.Context(), token, identity.Client{UserAgent: browser.UserAgent, Source: from}); err != nil {
			t.Errorf("from %s: %v", from, err)
		}
	}
	for range 2 {
		if err := w.svc.Logout(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err := w.svc.ByToken(t.Context(), token, browser)
	refused(t, err, "this login has ended")
	if w.last().Name != audit.LoginEnded {
		t.Fatalf("last event is %s", w.last().Name)
	}
	_, _, err = w.svc.ByToken(t.Context(), "", browser)
	refused(t, err, "nobody is signed in")
}

// nobody is signed in by what was read before.
func TestStoreDownSignsNobodyInOrOut(t *testing.T) {
	w := newWorld(t)
	token := w.enrol(engineer, softkey.New(trusttest.URL))
	if err := w.db.Close(); err != nil {
		t.Fatal(err)
	}
	_, _, err := w.svc.ByToken(t.Context(), token, browser)
	refused(t, err, "does not answer")
	_, _, err = w.login(engineer)
	refused(t, err, "does not answer")
	refused(t, w.svc.Logout(t.Context(), token), "does not answer")
}

func TestOldestLoginGivesWay(t *testing.T) {
	w := newWorld(t)
	first := w.enrol(engineer, softkey.New(trusttest.URL))
	for range 10 {
		w.Advance(time.Second)
		if _, _, err := w.login(engineer); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err := w.svc.ByToken(t.Context(), first, browser)
	refused(t, err, "this login has ended")
	if w.logins(engineer) != 10 {
		t.Fatalf("%d logins", w.logins(engineer))
	}
}
