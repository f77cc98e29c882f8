package identity_test

import (
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/identity"
	"github.com/portcullis/portcullis/gateway/identity/softkey"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/trust/trusttest"
)

// shortStay keeps the stages of this file shorter than anything that ends by
// itself.
const shortStay = 20 * time.Second

// staged suspends a scope and restores it as far as watch-only.
func (w *world) staged(scope gateway.Scope) {
	w.t.Helper()
	r := w.Restoration(scope, w.suspend(scope))
	st, err := w.chain.Standing(w.t.Context(), scope)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Epoch = st.Epoch + 1
	r.WatchOnly, r.Supervised = int64(shortStay/time.Second), int64(shortStay/time.Second)
	w.do(admin, r)
	w.do(statement.Machine, r)
}

// next signs the next stage when its stay is over.
func (w *world) next(scope gateway.Scope) {
	w.t.Helper()
	st, err := w.chain.Standing(w.t.Context(), scope)
	if err != nil {
		w.t.Fatal(err)
	}
	x := st.Ladder
	w.Advance(x.Earliest.Sub(w.Now()))
	w.do(statement.Machine, &statement.Advance{Suspension: x.Suspension, Scope: scope, Epoch: x.Epoch, To: x.Next, Previous: x.Began, Reason: "nothing was seen"})
}

// held is one thing that says who its holder is: use tries it.
type held struct {
	name string
	use  func() error
}

// authenticators makes one of each kind, all of them the engineer's.
func (w *certWorld) authenticators() []held {
	w.t.Helper()
	ctx, old := w.t.Context(), w.keys[engineer]
	body := sshAdd(w.t, w.world, engineer)
	signed, err := w.touch(w.login, body)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.svc.CommitSSHKey(ctx, signed); err != nil {
		w.t.Fatal(err)
	}
	sshKey, err := statement.ParseSSHKey(body.Key)
	if err != nil {
		w.t.Fatal(err)
	}
	cert, _ := w.certificate()
	invitation := w.invite(engineer)
	l, p := w.session(w.login)
	cookie := w.login
	draft, err := w.svc.Draft(ctx, l, p, sshAdd(w.t, w.world, engineer))
	if err != nil {
		w.t.Fatal(err)
	}
	assertion := w.must(old.Get(draft.Options))
	return []held{
		{"touch of a draft", func() error { _, err := w.svc.Sign(ctx, l, draft.ID, assertion); return err }},
		{"FIDO2 key", func() error {
			begun, err := w.svc.BeginLogin(ctx)
			if err != nil {
				w.t.Fatal(err)
			}
			_, _, err = w.svc.FinishLogin(ctx, begun.ID, w.must(old.Get(begun.Options)), browser)
			return err
		}},
		{"SSH key", func() error { _, _, err := w.svc.Owner(ctx, sshKey); return err }},
		{"SSH certificate", func() error { _, _, err := w.svc.Owner(ctx, cert); return err }},
		{"login cookie", func() error { _, _, err := w.svc.ByToken(ctx, cookie, browser); return err }},
		{"invitation", func() error {
			_, err := w.svc.BeginEnrol(ctx, identity.Enroller{Token: invitation}, "old key")
			return err
		}},
	}
}

// Whatever said who somebody is before the gate fell says it never again: in no
// stage of the restoration, nor after another one. What is enrolled anew does.
// A vendor's people hold no API token: only the staff issue one, and it may
// suspend and nothing else (TestTokens of gateway/killswitch).
func TestNothingOldSaysWhoSomebodyIs(t *testing.T) {
	t.Run("before it", func(t *testing.T) {
		for _, h := range newCertWorld(t).authenticators() {
			if err := h.use(); err != nil {
				t.Errorf("the %s is worth nothing: %v", h.name, err)
			}
		}
	})
	for _, scope := range []gateway.Scope{{Kind: gateway.ScopeVendor, Name: vendor}, {Kind: gateway.ScopePerson, Name: engineer}} {
		t.Run(string(scope.Kind), func(t *testing.T) {
			w := newCertWorld(t)
			w.Enrol(admin)
			w.mirror()
			all := w.authenticators()
			worthless := func(when string) {
				t.Helper()
				for _, h := range all {
					if err := h.use(); err == nil {
						t.Errorf("%s: the old %s is taken", when, h.name)
					}
				}
			}
			for range 2 {
				w.staged(scope)
				worthless("watch-only")
				w.next(scope)
				worthless("supervised")
				w.next(scope)
				worthless("normal")
			}
			w.login = w.enrol(engineer, softkey.New(trusttest.URL))
			if _, _, err := w.svc.ByToken(t.Context(), w.login, browser); err != nil {
				t.Errorf("enrolled anew: %v", err)
			}
			if cert, _ := w.certificate(); cert == nil {
				t.Error("no certificate for who enrolled anew")
			} else if _, _, err := w.svc.Owner(t.Context(), cert); err != nil {
				t.Errorf("a new certificate: %v", err)
			}
		})
	}
}
