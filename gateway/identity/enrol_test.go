package identity_test

import (
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/identity"
	"github.com/portcullis/portcullis/gateway/identity/softkey"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/trust/trusttest"
)

func TestInvitedPersonEnrolsAndIsSignedIn(t *testing.T) {
	w := newWorld(t)
	token := w.enrol(engineer, softkey.New(trusttest.URL))
	l, p := w.session(token)
	if p.Name != engineer || l.Method != "webauthn" {
		t.Fatalf("signed in as %s by %s", p.Name, l.Method)
	}
	keys, _, err := w.svc.Keys(t.Context(), engineer)
	if err != nil || len(keys) != 1 {
		t.Fatalf("keys = %v, %v", keys, err)
	}
	k := keys[0]
	if k.AAGUID != softkey.ModelName || k.Format != "packed" || k.Attestation != "self" || k.BackupEligible || k.Counter != 2 {
		t.Fatalf("key = %+v", k)
	}
	if w.facts.AAGUID != softkey.ModelName {
		t.Fatalf("policy was told %+v", w.facts)
	}
	if _, err := w.chain.Authenticator(t.Context(), k.ID); err != nil {
		t.Fatal(err)
	}
	w.Advance(time.Second)
	if _, _, err := w.login(engineer); err != nil {
		t.Fatal(err)
	}
}

func TestKeyWithoutAttestationIsKeptAsSuch(t *testing.T) {
	w := newWorld(t)
	k := softkey.New(trusttest.URL)
	k.Attest, k.BackupAble = false, true
	w.enrol(engineer, k)
	if w.facts.Attestation != "none" || w.facts.Format != "none" || !w.facts.BackupEligible {
		t.Fatalf("policy was told %+v", w.facts)
	}
	if _, _, err := w.login(engineer); err != nil {
		t.Fatal(err)
	}
	k.BackupAble = false
	_, _, err := w.login(engineer)
	w.refusedEvent(err, audit.LoginRefused, "contradicts")
}

func TestInvitationThatDoesNotLetIn(t *testing.T) {
	bolt := gateway.Scope{Kind: gateway.ScopeVendor, Name: vendor}
	for _, c := range []struct {
		name string
		do   func(w *world, token string) string
		says string
	}{
		{"used", func(w *world, token string) string {
			if _, _, err := w.tryEnrol(token, softkey.New(trusttest.URL)); err != nil {
				w.t.Fatal(err)
			}
			return token
		}, "was used on"},
		{"expired", func(w *world, token string) string { w.Advance(identity.InviteLife); return token }, "was good until"},
		{"unknown", func(*world, string) string { return strings.Repeat("A", 43) }, "not an invitation, or it was cancelled"},
		{"cut short", func(_ *world, token string) string { return token[:40] }, "copy the whole link"},
		{"vendor suspended", func(w *world, token string) string { w.suspend(bolt); return token }, "suspended"},
		{"vendor of a newer epoch", func(w *world, token string) string {
			w.suspendAndRestore(bolt)
			return token
		}, "before a suspension"},
		{"redirected in the database", func(w *world, token string) string {
			w.edit("UPDATE invitations SET person = $1, vendor_epoch = 0", admin)
			return token
		}, "changed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			token := c.do(w, w.invite(engineer))
			_, _, err := w.svc.InvitationByToken(t.Context(), token)
			w.refusedEvent(err, audit.LoginRefused, c.says)
			_, err = w.svc.BeginEnrol(t.Context(), identity.Enroller{Token: token}, "blue key")
			refused(t, err, c.says)
		})
	}
}

// Two browsers with one link: the second is told, and nothing of it stays.
func TestInvitationUsedTwiceAtOnce(t *testing.T) {
	w := newWorld(t)
	token := w.invite(engineer)
	var finish [2]func() error
	for i := range finish {
		k := softkey.New(trusttest.URL)
		begun, err := w.svc.BeginEnrol(t.Context(), identity.Enroller{Token: token}, "blue key")
		if err != nil {
			t.Fatal(err)
		}
		made, err := w.svc.EnrolCreated(t.Context(), begun.ID, w.must(k.Create(begun.Options)))
		if err != nil {
			t.Fatal(err)
		}
		finish[i] = func() error {
			_, _, err := w.svc.FinishEnrol(t.Context(), made.ID, browser, w.must(k.Get(made.Options)))
			return err
		}
	}
	if err := finish[1](); err != nil {
		t.Fatal(err)
	}
	w.refusedEvent(finish[0](), audit.TouchRefused, "used a moment ago")
	if keys, _, _ := w.svc.Keys(t.Context(), engineer); len(keys) != 1 {
		t.Fatalf("%d keys are enrolled", len(keys))
	}
}

func TestEnrolmentThatDoesNotHold(t *testing.T) {
	for _, c := range []struct {
		name string
		lie  func(w *world, k *softkey.Key) // before the key is created
		late func(w *world, k *softkey.Key) // before it touches the statement
		says string
	}{
		{"created on another site", func(_ *world, k *softkey.Key) { k.Origin = "https://evil.example" }, nil, "on another site"},
		{"created for another RP", func(_ *world, k *softkey.Key) { k.RPID = "evil.example" }, nil, "another site"},
		{"created without user verification", func(_ *world, k *softkey.Key) { k.Verified = false }, nil, "did not verify its user"},
		{"refused by policy", func(w *world, _ *softkey.Key) {
			w.no = gateway.Refused("synced-keys", "use a hardware key", "a synced key is not taken")
		}, nil, "a synced key is not taken"},
		{"touched on another site", nil, func(_ *world, k *softkey.Key) { k.Origin = "https://evil.example" }, "not this gateway"},
		{"touched without user verification", nil, func(_ *world, k *softkey.Key) { k.Verified = false }, "did not verify its user"},
		{"touched too late", nil, func(w *world, _ *softkey.Key) { w.Advance(statement.Fresh + time.Second) }, "longer than 1m0s"},
		{"counter gone back", nil, func(_ *world, k *softkey.Key) { k.Counter = 0 }, "counter"},
		{"suspended meanwhile", nil, func(w *world, _ *softkey.Key) {
			w.suspend(gateway.Scope{Kind: gateway.ScopePerson, Name: engineer})
		}, "suspended"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			k := softkey.New(trusttest.URL)
			begun, err := w.svc.BeginEnrol(t.Context(), identity.Enroller{Token: w.invite(engineer)}, "blue key")
			if err != nil {
				t.Fatal(err)
			}
			if c.lie != nil {
				c.lie(w, k)
			}
			made, err := w.svc.EnrolCreated(t.Context(), begun.ID, w.must(k.Create(begun.Options)))
			if c.lie != nil {
				w.refusedEvent(err, audit.TouchRefused, c.says)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			c.late(w, k)
			_, _, err = w.svc.FinishEnrol(t.Context(), made.ID, browser, w.must(k.Get(made.Options)))
			refused(t, err, c.says)
			if keys, _, _ := w.svc.Keys(t.Context(), engineer); len(keys) != 0 {
				t.Fatal("the key was enrolled")
			}
		})
	}
}

func TestSecondKeyIsLetInByTheFirst(t *testing.T) {
	w := newWorld(t)
	token := w.enrol(engineer, softkey.New(trusttest.URL))
	w.enrol(other, softkey.New(trusttest.URL))
	l, p := w.session(token)
	begin := func(k *softkey.Key) identity.Challenge {
		t.Helper()
		begun, err := w.svc.BeginEnrol(t.Context(), identity.Enroller{Login: l, Person: p}, "red key")
		if err != nil {
			t.Fatal(err)
		}
		made, err := w.svc.EnrolCreated(t.Context(), begun.ID, w.must(k.Create(begun.Options)))
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	red := softkey.New(trusttest.URL)
	made := begin(red)
	_, _, err := w.svc.FinishEnrol(t.Context(), made.ID, browser, w.must(red.Get(made.Options)))
	refused(t, err, "takes 2 touches")

	made = begin(red)
	own := w.must(red.Get(made.Options))
	_, _, err = w.svc.FinishEnrol(t.Context(), made.ID, browser, own, own)
	refused(t, err, "not enrolled")

	made = begin(red)
	theirs := w.must(w.keys[other].Get(edit(t, made.Also, func(m map[string]any) { delete(m, "allowCredentials") })))
	_, _, err = w.svc.FinishEnrol(t.Context(), made.ID, browser, w.must(red.Get(made.Options)), theirs)
	w.refusedEvent(err, audit.TouchRefused, "belongs to somebody else")

	made = begin(red)
	again, _, err := w.svc.FinishEnrol(t.Context(), made.ID, browser, w.must(red.Get(made.Options)), w.must(w.keys[engineer].Get(made.Also)))
	if err != nil || again != "" {
		t.Fatalf("token %q, %v", again, err)
	}
	w.keys[engineer] = red
	if _, _, err := w.login(engineer); err != nil {
		t.Fatal(err)
	}
}

func TestFirstKeyNeedsAnInvitation(t *testing.T) {
	w := newWorld(t)
	p := w.person(engineer)
	_, err := w.svc.BeginEnrol(t.Context(), identity.Enroller{Login: gateway.Login{ID: "log_x", Person: engineer}, Person: p}, "blue key")
	refused(t, err, "by an invitation only")
	_, err = w.svc.BeginEnrol(t.Context(), identity.Enroller{Login: gateway.Login{ID: "log_x", Person: admin}, Person: p}, "blue key")
	refused(t, err, "nobody is signed in")
	_, err = w.svc.BeginEnrol(t.Context(), identity.Enroller{Token: w.invite(engineer)}, "blue\u202ekey")
	refused(t, err, "U+202E")
}

func TestOnlyAnAdministratorInvites(t *testing.T) {
	w := newWorld(t)
	w.Admit("ben", "", gateway.Approver)
	w.Enrol("ben")
	w.mirror()
	_, _, err := w.svc.DraftInvite(t.Context(), w.person("ben"), engineer)
	refused(t, err, "only an administrator")
	body, _, err := w.svc.DraftInvite(t.Context(), machine, engineer)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.svc.CommitInvite(t.Context(), w.Sign("ben", body))
	refused(t, err, "admin")
	signed := w.Sign(statement.Machine, body)
	if _, err = w.svc.CommitInvite(t.Context(), signed); err != nil {
		t.Fatal(err)
	}
	_, err = w.svc.CommitInvite(t.Context(), signed)
	refused(t, err, "only once")
	body.Expires = body.Expires.Add(time.Hour)
	_, err = w.svc.CommitInvite(t.Context(), w.Sign(statement.Machine, body))
	refused(t, err, "at most 24h")
	_, err = w.svc.CommitInvite(t.Context(), w.Sign(statement.Machine, &statement.VendorAdmit{Name: "zed", Title: "Zed", Version: 1}))
	refused(t, err, "does not do this")
}
