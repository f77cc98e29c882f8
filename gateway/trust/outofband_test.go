package trust_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/trust/trusttest"
)

// orderIn is an order that is good from then, for some time.
func orderIn(w *trusttest.World, from, valid time.Duration) *statement.Order {
	return &statement.Order{
		ID: gateway.NewID("ord", w.Now()), Scope: gateway.Scope{Kind: gateway.ScopeVendor, Name: trusttest.Vendor}, Reason: "breach news",
		From: w.Now().Add(from), To: w.Now().Add(from + valid),
	}
}

const day = 24 * time.Hour

// An order lies in a drawer and is taken when it is needed, if its signer still
// is who he was; every way in which it does not hold refuses it.
func TestOrderInADrawer(t *testing.T) {
	plain := func(w *trusttest.World) statement.Signed {
		return w.Sign(trusttest.Responder, orderIn(w, 0, 30*day))
	}
	for name, c := range map[string]struct {
		make func(w *trusttest.World) statement.Signed
		then func(w *trusttest.World) // while it lies there
		says string                   // empty: it is taken
	}{
		"now":                    {plain, nil, ""},
		"three weeks later":      {plain, func(w *trusttest.World) { w.Advance(21 * day) }, ""},
		"filed when it was made": {func(w *trusttest.World) statement.Signed { s := plain(w); w.Commit(s); return s }, func(w *trusttest.World) { w.Advance(21 * day) }, ""},
		"by an administrator":    {func(w *trusttest.World) statement.Signed { return w.Sign(trusttest.Admin, orderIn(w, 0, day)) }, nil, ""},
		"by the machine":         {func(w *trusttest.World) statement.Signed { return w.Sign(statement.Machine, orderIn(w, 0, day)) }, nil, ""},
		"expired":                {plain, func(w *trusttest.World) { w.Advance(31 * day) }, "was good until"},
		"not yet":                {func(w *trusttest.World) statement.Signed { return w.Sign(trusttest.Responder, orderIn(w, day, day)) }, nil, "is good from"},
		"too long ahead": {func(w *trusttest.World) statement.Signed {
			return w.Sign(trusttest.Responder, orderIn(w, 80*day, 80*day))
		}, func(w *trusttest.World) { w.Advance(85 * day) }, "at most 90 days"},
		"dated back":     {func(w *trusttest.World) statement.Signed { return w.Sign(trusttest.Responder, orderIn(w, -day, 2*day)) }, nil, "good from when it is drawn up"},
		"by an approver": {func(w *trusttest.World) statement.Signed { return w.Sign(trusttest.Approver, orderIn(w, 0, day)) }, nil, "only responder or admin"},
		"by an engineer": {func(w *trusttest.World) statement.Signed { return w.Sign(trusttest.Engineer, orderIn(w, 0, day)) }, nil, "only responder or admin"},
		"its signer is suspended": {plain, func(w *trusttest.World) {
			w.Suspend(trusttest.Admin, gateway.Scope{Kind: gateway.ScopePerson, Name: trusttest.Responder})
		}, "suspended"},
		"its key is removed":     {plain, func(w *trusttest.World) { removeKey(w, trusttest.Responder) }, "removed"},
		"its signer has left":    {plain, func(w *trusttest.World) { w.Advance(time.Hour); roleless(w, trusttest.Responder) }, "role no longer"},
		"another gateway's":      {func(w *trusttest.World) statement.Signed { return elsewhere(w) }, nil, "made for the gateway"},
		"its proof is another's": {func(w *trusttest.World) statement.Signed { s := plain(w); s.Proofs = plain(w).Proofs; return s }, nil, "another statement"},
		"without a proof":        {func(w *trusttest.World) statement.Signed { s := plain(w); s.Proofs = nil; return s }, nil, "0 proofs"},
		"an opening instead": {func(w *trusttest.World) statement.Signed {
			return w.Sign(trusttest.Engineer, bodies(w)[statement.KindOpen])
		}, nil, "is no order"},
		"with a receipt of its own": {func(w *trusttest.World) statement.Signed {
			s := plain(w)
			s.Receipt = w.Machine.Receive(s.Digest, w.Now())
			return s
		}, func(w *trusttest.World) { w.Advance(31 * day) }, "was good until"},
	} {
		t.Run(name, func(t *testing.T) {
			w := trusttest.New(t)
			s := c.make(w)
			if c.then != nil {
				c.then(w)
			}
			got, _, err := w.Chain.CheckOrder(t.Context(), s)
			if c.says == "" {
				if err != nil || got.Body.Kind() != statement.KindOrder {
					t.Errorf("%+v, %v", got, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %q in it", err, c.says)
			}
		})
	}
}

func removeKey(w *trusttest.World, person string) {
	for id, k := range w.Store.Authenticators {
		if k.Person == person {
			w.Do(person, &statement.KeyRemove{Credential: id, Person: person, Label: k.Label})
			break
		}
	}
	w.Advance(2 * time.Minute)
}

func roleless(w *trusttest.World, person string) {
	b := w.Person(person, "", gateway.Reviewer)
	w.Do(trusttest.Admin, b)
}

func elsewhere(w *trusttest.World) statement.Signed {
	st, err := statement.Draft("https://other.example", trusttest.Responder, w.Now(), []gateway.Digest{w.Store.People[trusttest.Responder].Statement, w.Key(trusttest.Responder).Enrolment}, orderIn(w, 0, day))
	must(err)
	s, err := statement.Seal(st)
	must(err)
	return w.Touch(w.Key(trusttest.Responder), s)
}

// An SSH security key signs an order in a namespace of its own.
func TestOrderBySSHKey(t *testing.T) {
	w := trusttest.New(t)
	k, added := skOf(w, trusttest.Responder)
	draft := w.Draft(trusttest.Responder, orderIn(w, 0, 30*day), added)
	good, err := k.TouchSSH(draft, statement.OrderNamespace("localhost"))
	must(err)
	w.Advance(20 * day)
	if c, _, err := w.Chain.CheckOrder(t.Context(), good); err != nil || c.SSHKey.Fingerprint != fingerprint(k) {
		t.Fatalf("%+v, %v", c, err)
	}
	if _, _, err := w.Chain.CheckOrder(t.Context(), signedBy(w, k, draft)); err == nil || !strings.Contains(err.Error(), "namespace") {
		t.Errorf("signed as the opening of a session: %v", err)
	}
}

// The machine's own order is verified with the store away, and nobody else's.
func TestOrderWithoutAStore(t *testing.T) {
	w := trusttest.New(t)
	own, hers := w.Sign(statement.Machine, orderIn(w, 0, day)), w.Sign(trusttest.Responder, orderIn(w, 0, day))
	w.Store.Down = errors.New("gone")
	if _, _, err := w.Chain.CheckOrder(t.Context(), own); err != nil {
		t.Errorf("the machine's: %v", err)
	}
	if _, _, err := w.Chain.CheckOrder(t.Context(), hers); !gateway.IsCode(err, gateway.CodeUnavailable) {
		t.Errorf("a person's: %v", err)
	}
}

// An edited store mints no token and widens none.
func TestTokenRow(t *testing.T) {
	w := trusttest.New(t)
	scope := gateway.Scope{Kind: gateway.ScopeVendor, Name: trusttest.Vendor}
	b := &statement.TokenIssue{ID: gateway.NewID("tok", w.Now()), Name: "soar", Hash: gateway.DigestOf([]byte("secret")), Scope: scope, Expires: w.Now().Add(day)}
	s := w.Do(statement.Machine, b)
	row := gateway.Token{ID: b.ID, Name: b.Name, Hash: b.Hash, Scope: scope, Statement: s.Digest, Expires: b.Expires}
	if _, err := w.Chain.Token(t.Context(), row); err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]func(*gateway.Token){
		"hash":      func(r *gateway.Token) { r.Hash = gateway.DigestOf([]byte("mine")) },
		"scope":     func(r *gateway.Token) { r.Scope = gateway.Scope{} },
		"end":       func(r *gateway.Token) { r.Expires = r.Expires.Add(day) },
		"statement": func(r *gateway.Token) { r.Statement = w.Store.People[trusttest.Admin].Statement },
		"nothing":   func(r *gateway.Token) { r.Statement = gateway.DigestOf([]byte("none")) },
	} {
		bad := row
		edit(&bad)
		if _, err := w.Chain.Token(t.Context(), bad); !gateway.IsCode(err, gateway.CodeRefused) {
			t.Errorf("%s edited: %v", name, err)
		}
	}
	must(w.Floor.RaiseRemoved("token-removed:"+b.ID, w.Now()))
	if _, err := w.Chain.Token(t.Context(), row); !gateway.IsCode(err, gateway.CodeRefused) {
		t.Errorf("removed, and forgotten by the store: %v", err)
	}
}
