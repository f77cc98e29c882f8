package identity_test

import (
	"encoding/base64"
	"encoding/json"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/identity"
	"github.com/portcullis/portcullis/gateway/identity/softkey"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/trust/trusttest"
)

func sshAdd(t *testing.T, w *world, person string) *statement.SSHKeyAdd {
	t.Helper()
	b, err := w.svc.DraftSSHKey(t.Context(), w.person(person), trusttest.SSHKeyLine(t)+" eve@laptop", "laptop")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What is on the screen is what is signed, and the chain takes it.
func TestTouchSignsWhatIsShown(t *testing.T) {
	w := newWorld(t)
	l, p := w.session(w.enrol(engineer, softkey.New(trusttest.URL)))
	body := sshAdd(t, w, engineer)
	c, err := w.svc.Draft(t.Context(), l, p, body)
	if err != nil {
		t.Fatal(err)
	}
	var o struct {
		Challenge        string `json:"challenge"`
		UserVerification string `json:"userVerification"`
		RPID             string `json:"rpId"`
		Allow            []any  `json:"allowCredentials"`
	}
	if err := json.Unmarshal(c.Options, &o); err != nil {
		t.Fatal(err)
	}
	digest := gateway.DigestOf(c.Statement)
	if o.Challenge != base64.RawURLEncoding.EncodeToString(digest[:]) || o.UserVerification != "required" || o.RPID != "localhost" || len(o.Allow) != 1 {
		t.Fatalf("options = %+v", o)
	}
	if c.Sentence != body.Sentence() || !c.Expires.Equal(w.Now().Add(statement.Fresh)) {
		t.Fatalf("challenge = %+v", c)
	}
	answer := w.must(w.keys[engineer].Get(c.Options))
	signed, err := w.svc.Sign(t.Context(), l, c.ID, answer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.chain.CheckFresh(t.Context(), signed); err != nil {
		t.Fatal(err)
	}
	_, err = w.svc.Sign(t.Context(), l, c.ID, answer)
	w.refusedEvent(err, audit.TouchRefused, "signed before")
}

func TestTouchThatDoesNotHold(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(w *world, l *gateway.Login, c *identity.Challenge) []byte
		says string
	}{
		{"other origin", func(w *world, _ *gateway.Login, c *identity.Challenge) []byte {
			w.keys[engineer].Origin = "https://evil.example"
			return w.must(w.keys[engineer].Get(c.Options))
		}, "not this gateway"},
		{"other RP", func(w *world, _ *gateway.Login, c *identity.Challenge) []byte {
			w.keys[engineer].RPID = "evil.example"
			return w.must(w.keys[engineer].Get(c.Options))
		}, "another site"},
		{"no user verification", func(w *world, _ *gateway.Login, c *identity.Challenge) []byte {
			w.keys[engineer].Verified = false
			return w.must(w.keys[engineer].Get(c.Options))
		}, "did not verify its user"},
		{"no touch", func(w *world, _ *gateway.Login, c *identity.Challenge) []byte {
			w.keys[engineer].Present = false
			return w.must(w.keys[engineer].Get(c.Options))
		}, "not touched"},
		{"counter gone back", func(w *world, _ *gateway.Login, c *identity.Challenge) []byte {
			w.keys[engineer].Counter = 0
			return w.must(w.keys[engineer].Get(c.Options))
		}, "counter"},
		{"other statement", func(w *world, l *gateway.Login, c *identity.Challenge) []byte {
			second, err := w.svc.Draft(w.t.Context(), *l, w.person(engineer), sshAdd(w.t, w, engineer))
			if err != nil {
				w.t.Fatal(err)
			}
			return w.must(w.keys[engineer].Get(second.Options))
		}, "another statement"},
		{"other person's key", func(w *world, _ *gateway.Login, c *identity.Challenge) []byte {
			free := edit(w.t, c.Options, func(m map[string]any) { delete(m, "allowCredentials") })
			return w.must(w.keys[other].Get(free))
		}, "belongs to somebody else"},
		{"other person's signature under the own key's name", func(w *world, _ *gateway.Login, c *identity.Challenge) []byte {
			free := edit(w.t, c.Options, func(m map[string]any) { delete(m, "allowCredentials") })
			id := w.keys[engineer].Last().Text()
			return edit(w.t, w.must(w.keys[other].Get(free)), func(m map[string]any) { m["id"], m["rawId"] = id, id })
		}, "not by the enrolled key"},
		{"a key that is not enrolled", func(w *world, _ *gateway.Login, c *identity.Challenge) []byte {
			k := softkey.New(trusttest.URL)
			if _, err := k.NewCredential("localhost", nil); err != nil {
				w.t.Fatal(err)
			}
			return w.must(k.Get(edit(w.t, c.Options, func(m map[string]any) { delete(m, "allowCredentials") })))
		}, "not enrolled"},
		{"another login", func(w *world, l *gateway.Login, c *identity.Challenge) []byte {
			l.ID = "log_other"
			return w.must(w.keys[engineer].Get(c.Options))
		}, "another login"},
		{"too late", func(w *world, _ *gateway.Login, c *identity.Challenge) []byte {
			w.Advance(statement.Fresh)
			return w.must(w.keys[engineer].Get(c.Options))
		}, "older than 1m0s"},
		{"suspended meanwhile", func(w *world, _ *gateway.Login, c *identity.Challenge) []byte {
			w.suspend(gateway.Scope{Kind: gateway.ScopeVendor, Name: vendor})
			return w.must(w.keys[engineer].Get(c.Options))
		}, "suspended"},
		{"garbage", func(*world, *gateway.Login, *identity.Challenge) []byte { return []byte(`{"id":"x"`) }, "cannot be read"},
		{"10 MB of it", func(*world, *gateway.Login, *identity.Challenge) []byte { return make([]byte, 10<<20) }, "at most 65536"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			token := w.enrol(engineer, softkey.New(trusttest.URL))
			w.enrol(other, softkey.New(trusttest.URL))
			l, p := w.session(token)
			made, err := w.svc.Draft(t.Context(), l, p, sshAdd(t, w, engineer))
			if err != nil {
				t.Fatal(err)
			}
			answer := c.do(w, &l, &made)
			_, err = w.svc.Sign(t.Context(), l, made.ID, answer)
			w.refusedEvent(err, audit.TouchRefused, c.says)
		})
	}
}

func TestDraftIsForTheOneWhoIsSignedIn(t *testing.T) {
	w := newWorld(t)
	token := w.enrol(engineer, softkey.New(trusttest.URL))
	l, p := w.session(token)
	_, err := w.svc.Draft(t.Context(), l, w.person(other), sshAdd(t, w, other))
	refused(t, err, "not olga's")

	// A key removed in the meantime entitles to nothing.
	w.do(statement.Machine, &statement.KeyRemove{Credential: w.keys[engineer].Last().Text(), Person: engineer, Label: "blue key"})
	_, err = w.svc.Draft(t.Context(), l, p, sshAdd(t, w, engineer))
	refused(t, err, "no enrolled key")
}

// A person's drafts push out his own oldest and nobody else's.
func TestDraftsAreBounded(t *testing.T) {
	w := newWorld(t)
	a, pa := w.session(w.enrol(engineer, softkey.New(trusttest.URL)))
	b, pb := w.session(w.enrol(other, softkey.New(trusttest.URL)))
	body, bodyB := sshAdd(t, w, engineer), sshAdd(t, w, other)
	keep, err := w.svc.Draft(t.Context(), b, pb, bodyB)
	if err != nil {
		t.Fatal(err)
	}
	var made []identity.Challenge
	for range 17 {
		c, err := w.svc.Draft(t.Context(), a, pa, body)
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, c)
	}
	sign := func(l gateway.Login, c identity.Challenge) error {
		_, err := w.svc.Sign(t.Context(), l, c.ID, w.must(w.keys[l.Person].Get(c.Options)))
		return err
	}
	refused(t, sign(a, made[0]), "begin again")
	if err := sign(a, made[1]); err != nil {
		t.Fatal(err)
	}
	if err := sign(b, keep); err != nil {
		t.Fatal(err)
	}
	w.Advance(time.Second)
	if err := sign(a, made[16]); err != nil {
		t.Fatal(err)
	}
}
