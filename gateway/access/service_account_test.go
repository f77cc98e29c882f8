package access_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/access"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/trust/trusttest"
)

const nightly = "nightly"

var limited = []string{"GET", "path /", "rate 5", "volume-in 1000", "volume-out 100000"}

// serviceWorld has a console and a service account that the engineer owns.
func serviceWorld(t *testing.T) *world {
	w := newWorld(t)
	w.console(gateway.Low)
	w.Serve(nightly)
	w.mirror()
	return w
}

func forService(change func(*access.AskInput)) func(*access.AskInput) {
	return func(i *access.AskInput) {
		of(limited...)(i)
		i.Service, i.Length = nightly, 30*24*time.Hour
		if change != nil {
			change(i)
		}
	}
}

func (w *world) grantedService() gateway.Grant {
	w.t.Helper()
	r := w.ask(forService(nil))
	if _, g := w.approve(trusttest.Approver, r.ID, nil); g != nil {
		w.t.Fatal("one approval is enough for a service account")
	}
	_, g := w.approve(trusttest.Second, r.ID, nil)
	if g == nil {
		w.t.Fatal("two approvals are not enough")
	}
	return *g
}

// opening is what the machine states of the key, changed.
func (w *world) opening(change func(*statement.ServiceOpen)) statement.Signed {
	w.t.Helper()
	b, err := w.svc.ServiceOpening(w.t.Context(), nightly, hmi, statement.ByToken, "192.0.2.7:4711")
	w.ok(err)
	if change != nil {
		change(b)
	}
	return w.Sign(statement.Machine, b)
}

// TestAServiceAccountHoldsAGrant: asked for by its owner, agreed to by two
// whose touches name it and its key, entitled by what the machine states.
func TestAServiceAccountHoldsAGrant(t *testing.T) {
	w := serviceWorld(t)
	r := w.ask(forService(nil))
	if r.Person != nightly || r.Asker != trusttest.Engineer || r.Needs != 2 {
		t.Errorf("the request: %+v", r)
	}
	body, err := w.svc.DraftApprove(t.Context(), w.p(trusttest.Approver), r.ID, nil)
	w.ok(err)
	pin := w.World.Store.People[nightly].Service.Pin()
	if s := body.Sentence(); !strings.Contains(s, "Let service account nightly, without a person behind it, for whom eve asked and which proves its key "+pin) || !strings.Contains(s, "rate 5") {
		t.Errorf("an approver reads: %s", s)
	}
	w.approve(trusttest.Approver, r.ID, nil)
	_, g := w.approve(trusttest.Second, r.ID, terms(t, 24*time.Hour, "GET", "path /", "rate 2", "volume-in 1000", "volume-out 100"))
	e, err := w.svc.Entitle(t.Context(), g.ID, w.opening(nil))
	w.ok(err)
	if a := e.Abilities; a.Rate != 2 || a.VolumeOut != 100 || e.Person.Name != nightly || !e.To.Equal(e.From.Add(24*time.Hour)) {
		t.Errorf("entitled to %+v until %s", a, e.To)
	}
}

func TestAskingForAServiceAccountIsRefused(t *testing.T) {
	w := serviceWorld(t)
	w.Admit("otto", trusttest.Vendor, gateway.Engineer)
	w.Do(statement.Machine, &statement.VendorAdmit{Name: "beta", Title: "Beta", Version: 1})
	w.Admit("dora", "beta", gateway.Engineer)
	w.mirror()
	for _, c := range []struct {
		name, who, rule string
		change          func(*access.AskInput)
	}{
		{"a colleague of its owner", "otto", access.RuleOwner, nil},
		{"the staff", trusttest.Approver, access.RuleOwner, nil},
		{"another vendor", "dora", "", nil},
		{"no such account", trusttest.Engineer, "", func(i *access.AskInput) { i.Service = "none" }},
		{"a person", trusttest.Engineer, "", func(i *access.AskInput) { i.Service = "otto" }},
		{"no rate", trusttest.Engineer, "abilities", func(i *access.AskInput) { i.Abilities = slices.Delete(slices.Clone(limited), 2, 3) }},
		{"no volume out", trusttest.Engineer, "abilities", func(i *access.AskInput) { i.Abilities = limited[:4] }},
		{"SSH", trusttest.Engineer, "service", func(i *access.AskInput) { i.Target, i.Abilities = trusttest.Target, []string{"shell"} }},
		{"31 days", trusttest.Engineer, "ask-service", func(i *access.AskInput) { i.Length = 31 * 24 * time.Hour }},
	} {
		_, err := w.svc.Ask(t.Context(), w.p(c.who), in(forService(c.change)))
		if c.rule == "" {
			if !gateway.IsCode(err, gateway.CodeNotFound) {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if err == nil || gateway.AsError(err).Rule != c.rule {
			t.Errorf("%s: %v, want rule %s", c.name, err, c.rule)
		}
	}
	_, err := w.svc.Ask(t.Context(), w.World.Store.People[nightly], in(of(limited...)))
	refused(t, "a service account itself", err, access.RuleOwner)
}

// TestItsOwnerDoesNotAgree: the touch of whoever answers for it is not one of
// the two.
func TestItsOwnerDoesNotAgree(t *testing.T) {
	w := serviceWorld(t)
	b := w.Person(nightly, trusttest.Vendor, gateway.ServiceAccount)
	s := *w.World.Store.People[nightly].Service
	s.Owner = trusttest.Approver
	b.Email, b.Service = "", &s
	w.do(statement.Machine, b)
	r, err := w.svc.Ask(t.Context(), w.p(trusttest.Approver), in(forService(nil)))
	w.ok(err)
	w.Advance(time.Second)
	_, err = w.svc.DraftApprove(t.Context(), w.p(trusttest.Approver), r.ID, nil)
	refused(t, "its owner", err, "separation-of-duties")
	if _, err := w.svc.Withdraw(t.Context(), w.p(trusttest.Approver), r.ID); err != nil {
		t.Errorf("its owner withdraws: %v", err)
	}
}

// TestP5NothingElseOpensAServiceAccount: no other statement, no other key, no
// edited row, nothing of before a suspension; and the machine opens nothing for
// a person.
func TestP5NothingElseOpensAServiceAccount(t *testing.T) {
	w := serviceWorld(t)
	g := w.grantedService()
	for name, change := range map[string]func(*statement.ServiceOpen){
		"another key":     func(b *statement.ServiceOpen) { b.Key = "sha256:" + strings.Repeat("0", 64) },
		"another account": func(b *statement.ServiceOpen) { b.Account = "root" },
		"a wider rate":    func(b *statement.ServiceOpen) { b.Abilities.Rate = 0 },
		"another person":  func(b *statement.ServiceOpen) { b.Person = trusttest.Engineer },
		"a longer window": func(b *statement.ServiceOpen) { b.To = b.To.Add(time.Hour) },
	} {
		_, err := w.svc.Entitle(t.Context(), g.ID, w.opening(change))
		refused(t, name, err, "chain")
	}
	late := w.opening(nil)
	w.Advance(2 * time.Minute)
	_, err := w.svc.Entitle(t.Context(), g.ID, late)
	refused(t, "a statement of two minutes ago", err, "chain")

	of := w.granted(of("GET", "path /"))
	b := &statement.ServiceOpen{Grant: of.ID, Person: of.Person, Vendor: of.Vendor, Target: of.Target, Account: of.Account, Abilities: of.Abilities, From: of.From, To: of.To,
		Proof: statement.ByToken, Key: "sha256:" + strings.Repeat("0", 64), Source: "192.0.2.7:4711"}
	_, err = w.svc.Entitle(t.Context(), of.ID, w.Sign(statement.Machine, b))
	refused(t, "a person's grant by the machine", err, "chain")

	w.edit(`UPDATE people SET service = replace(service, '"owner":"eve"', '"owner":"mal"') WHERE name = 'nightly'`)
	_, err = w.svc.ServiceOpening(t.Context(), nightly, hmi, statement.ByToken, "192.0.2.7:4711")
	refused(t, "an edited row", err, "chain")
	w.edit(`UPDATE people SET service = replace(service, '"owner":"mal"', '"owner":"eve"') WHERE name = 'nightly'`)
	w.edit(`UPDATE requests SET asker = 'mal' WHERE person = 'nightly'`)
	_, err = w.svc.ServiceOpening(t.Context(), nightly, hmi, statement.ByToken, "192.0.2.7:4711")
	refused(t, "an edited asker", err, "chain")
	w.edit(`UPDATE requests SET asker = 'eve' WHERE person = 'nightly'`)
	if _, err := w.svc.Entitle(t.Context(), g.ID, w.opening(nil)); err != nil {
		t.Fatalf("with all edits undone: %v", err)
	}
	w.Serve(nightly) // another key
	w.mirror()
	_, err = w.svc.ServiceOpening(t.Context(), nightly, hmi, statement.ByToken, "192.0.2.7:4711")
	refused(t, "agreed to for another key", err, "key-changed")
	w.suspend(gateway.Scope{Kind: gateway.ScopePerson, Name: nightly})
	_, err = w.svc.ServiceOpening(t.Context(), nightly, hmi, statement.ByToken, "192.0.2.7:4711")
	refused(t, "suspended", err, "suspended")
}
