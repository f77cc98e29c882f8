package access_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/access"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/trust/trusttest"
	"github.com/portcullis/portcullis/policy"
)

func TestAskApproveEntitle(t *testing.T) {
	w := newWorld(t)
	g := w.granted(nil)
	if g.State != gateway.GrantOpen || g.To.Sub(g.From) != 2*time.Hour {
		t.Fatalf("grant %+v", g)
	}
	found, r, err := w.svc.Usable(t.Context(), w.p(trusttest.Engineer), trusttest.Target, "")
	w.ok(err)
	if found.ID != g.ID || r.ID != g.Request {
		t.Fatalf("usable %+v", found)
	}
	e, err := w.entitle(g.ID)
	w.ok(err)
	if e.Account.Login != "ops" || e.Person.Name != trusttest.Engineer || e.Target.Name != trusttest.Target || e.Recording != "full" || !e.Abilities.Shell || !e.To.Equal(g.To) {
		t.Fatalf("entitlement %+v", e)
	}
	c, err := w.svc.Credential(t.Context(), e, "ses_1")
	w.ok(err)
	if c.Certificate.KeyId != "ses_1" || c.Certificate.ValidPrincipals[0] != "ops" || int64(c.Certificate.ValidBefore) > g.To.Unix()+1 {
		t.Fatalf("certificate %+v", c.Certificate)
	}
	if got := names(w.events("")); got != "request.asked request.approved grant.made grant.opened" {
		t.Fatalf("events %s", got)
	}
}

func TestAskRefusals(t *testing.T) {
	now := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC) // the world begins a few seconds later
	window := func(from, to time.Duration) func(*access.AskInput) {
		return func(i *access.AskInput) { i.Length, i.From, i.To = 0, now.Add(from), now.Add(to) }
	}
	w := newWorld(t)
	w.do(statement.Machine, &statement.VendorAdmit{Name: "bolt", Title: "Bolt", Version: 1})
	w.define("other", gateway.Low, "bolt")
	for _, c := range []struct {
		name, rule string
		change     func(*access.AskInput)
	}{
		{"no reason", "reason", func(i *access.AskInput) { i.Reason = "  \n" }},
		{"a reason with bidi marks", "reason", func(i *access.AskInput) { i.Reason = "fan\u202ereplace" }},
		{"10 kB of reason", "reason", func(i *access.AskInput) { i.Reason = strings.Repeat("x", 10_000) }},
		{"a ticket with a line break", "ticket", func(i *access.AskInput) { i.Ticket = "a\nb" }},
		{"a target with a path trick", "target", func(i *access.AskInput) { i.Target = "../etc" }},
		{"a target that is not there", "target", func(i *access.AskInput) { i.Target = "nowhere" }},
		{"a target of another vendor", "target", func(i *access.AskInput) { i.Target = "other" }},
		{"an account that is not there", "account", func(i *access.AskInput) { i.Account = "nobody" }},
		{"an account left out of several", "account", func(i *access.AskInput) { i.Target, i.Account = core, "" }},
		{"no ability", "abilities", func(i *access.AskInput) { i.Abilities = nil }},
		{"an ability that is not carried", "abilities", func(i *access.AskInput) { i.Abilities = []string{"GET"} }},
		{"neither window nor length", "window", func(i *access.AskInput) { i.Length = 0 }},
		{"window and length", "window", func(i *access.AskInput) { i.From, i.To = now, now.Add(time.Hour) }},
		{"half a window", "window", func(i *access.AskInput) { i.Length, i.To = 0, now.Add(time.Hour) }},
		{"a negative length", "window", func(i *access.AskInput) { i.Length = -time.Hour }},
		{"half a second", "length", func(i *access.AskInput) { i.Length += time.Second / 2 }},
		{"ten seconds", "window", func(i *access.AskInput) { i.Length = 10 * time.Second }},
		{"a window that is past", "to", window(-2*time.Hour, -time.Hour)},
		{"a window that began long ago", "from", window(-time.Hour, time.Hour)},
		{"a window that ends before it begins", "to", window(2*time.Hour, time.Hour)},
		{"a window next year", "from", window(365*24*time.Hour, 365*24*time.Hour+time.Hour)},
		{"longer than policy", "ask-low-medium", func(i *access.AskInput) { i.Length = 9 * time.Hour }},
		{"longer than policy for high impact", "ask-high", func(i *access.AskInput) { i.Target, i.Length = core, 5*time.Hour }},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := len(w.events("request.denied"))
			_, err := w.svc.Ask(t.Context(), w.p(trusttest.Engineer), in(c.change))
			refused(t, c.name, err, c.rule)
			denied := w.events("request.denied")
			if len(denied) != before+1 || denied[before].Rule != c.rule || denied[before].Reason == "" {
				t.Fatalf("events %+v", denied[before:])
			}
		})
	}
	_, err := w.svc.Ask(t.Context(), w.p(trusttest.Approver), in(nil))
	refused(t, "staff asks", err, "asker")
	a := gateway.AsError(mustFail(w.svc.Ask(t.Context(), w.p(trusttest.Engineer), in(func(i *access.AskInput) { i.Target = "nowhere" }))))
	b := gateway.AsError(mustFail(w.svc.Ask(t.Context(), w.p(trusttest.Engineer), in(func(i *access.AskInput) { i.Target = "other" }))))
	if strings.ReplaceAll(a.Sentence(), "nowhere", "X") != strings.ReplaceAll(b.Sentence(), "other", "X") {
		t.Fatalf("the refusal tells that a target is there: %q and %q", a.Sentence(), b.Sentence())
	}
	if list, err := w.svc.Requests(t.Context(), access.Filter{}); err != nil || len(list) != 0 {
		t.Fatalf("refused requests were written: %v %v", list, err)
	}
}

func mustFail[T any](_ T, err error) error { return err }

func TestOverlappingWindows(t *testing.T) {
	w := newWorld(t)
	w.ask(nil)
	_, err := w.svc.Ask(t.Context(), w.p(trusttest.Engineer), in(nil))
	refused(t, "the same again", err, access.RuleOverlap)

	at := func(from, to time.Duration) func(*access.AskInput) {
		begin := time.Date(2026, 3, 5, 8, 0, 0, 0, time.UTC)
		return func(i *access.AskInput) { i.Length, i.From, i.To = 0, begin.Add(from), begin.Add(to) }
	}
	g := w.granted(at(0, 2*time.Hour))
	if g.State != gateway.GrantPlanned {
		t.Fatalf("grant %+v", g)
	}
	pre, err := w.svc.Preview(t.Context(), w.p(trusttest.Engineer), in(at(time.Hour, 3*time.Hour)))
	w.ok(err)
	if pre.Verdict.Effect != policy.Refuse || len(pre.Overlaps) != 1 || pre.Overlaps[0].ID != g.ID || pre.Verdict.Reasons[0].Rule != access.RuleOverlap {
		t.Fatalf("preview %+v", pre)
	}
	_, err = w.svc.Ask(t.Context(), w.p(trusttest.Engineer), in(at(time.Hour, 3*time.Hour)))
	refused(t, "an hour in common", err, access.RuleOverlap)
	w.ask(at(2*time.Hour, 3*time.Hour)) // ends meet: nothing in common
	w.ask(func(i *access.AskInput) { i.Target = core })

}

// Askers who all look before any of them has written leave one request.
func TestAskersAtOnceLeaveOneRequest(t *testing.T) {
	const askers = 3
	w := newWorld(t, func(c *access.Config) { c.Store = &meeting{Store: c.Store, all: make(chan struct{}), wait: askers} })
	together(askers, func(int) {
		_, err := w.svc.Ask(t.Context(), w.p(trusttest.Engineer), in(nil))
		if err != nil && gateway.AsError(err).Rule != access.RuleOverlap {
			t.Error(err)
		}
	})
	list, err := w.svc.Requests(t.Context(), access.Filter{Limit: 1 + askers})
	if err != nil || len(list) != 1 {
		t.Fatalf("%d requests (%v), want 1", len(list), err)
	}
}

// meeting holds those who look for overlaps until all are there. Where they
// are kept apart, nobody else comes, and each goes on after a moment.
type meeting struct {
	access.Store
	all  chan struct{}
	mu   sync.Mutex
	wait int
}

func (m *meeting) Requests(ctx context.Context, f access.Filter) ([]gateway.Request, error) {
	list, err := m.Store.Requests(ctx, f)
	m.mu.Lock()
	if m.wait--; m.wait == 0 {
		close(m.all)
	}
	m.mu.Unlock()
	select {
	case <-m.all:
	case <-time.After(100 * time.Millisecond):
	}
	return list, err
}

func TestPreviewWritesNothing(t *testing.T) {
	w := newWorld(t)
	pre, err := w.svc.Preview(t.Context(), w.p(trusttest.Engineer), in(func(i *access.AskInput) { i.Target = core }))
	w.ok(err)
	if pre.Verdict.Effect != policy.NeedsApproval || pre.Verdict.Approvals != 2 || pre.Terms.Length != 2*time.Hour {
		t.Fatalf("preview %+v", pre)
	}
	if got := names(w.events("")); got != "" {
		t.Fatalf("events %s", got)
	}
}

func TestAtMostSoManyWait(t *testing.T) {
	w := newWorld(t)
	for i := range access.MaxWaiting {
		w.ask(func(in *access.AskInput) {
			in.Length, in.From, in.To = 0, w.Now().Add(time.Duration(i)*time.Hour), w.Now().Add(time.Duration(i)*time.Hour+30*time.Minute)
		})
	}
	_, err := w.svc.Ask(t.Context(), w.p(trusttest.Engineer), in(func(i *access.AskInput) { i.Target = core }))
	refused(t, "one more", err, "waiting")
}

func TestSuspendedVendorAsksNothing(t *testing.T) {
	w := newWorld(t)
	w.suspend(gateway.Scope{Kind: gateway.ScopeVendor, Name: trusttest.Vendor})
	_, err := w.svc.Ask(t.Context(), w.p(trusttest.Engineer), in(nil))
	refused(t, "ask", err, "vendor-not-active")
}

// nothing is asked, entitled or taken without a store.
func TestStoreDownIsANo(t *testing.T) {
	w := newWorld(t)
	g := w.granted(nil)
	touch := w.touch(g.ID, statement.BindSSH, "abc")
	w.ok(w.db.Close())
	if _, err := w.svc.Ask(t.Context(), w.p(trusttest.Engineer), in(nil)); err == nil {
		t.Error("a request was written without a store")
	}
	if _, err := w.svc.Entitle(t.Context(), g.ID, touch); err == nil {
		t.Error("a session is entitled without a store")
	}
	if _, ok, err := w.svc.TakeTicket(t.Context(), w.p(trusttest.Engineer), g.ID, ""); ok || err == nil {
		t.Error("a ticket was taken without a store")
	}
}

// An extension is a request of its own, whose window begins where the first
// ends. Its approvers are shown what it goes on from; nobody opens it early.
func TestExtension(t *testing.T) {
	w := newWorld(t)
	first := w.granted(nil)
	extend := func(from time.Time, length time.Duration) func(*access.AskInput) {
		return func(i *access.AskInput) { i.Length, i.From, i.To = 0, from, from.Add(length) }
	}
	_, err := w.svc.Ask(t.Context(), w.p(trusttest.Engineer), in(extend(first.To.Add(-time.Microsecond), time.Hour)))
	refused(t, "a microsecond in common", err, access.RuleOverlap)
	r := w.ask(extend(first.To, time.Hour))
	card, err := w.svc.Request(t.Context(), r.ID)
	w.ok(err)
	if card.Extends == nil || card.Extends.ID != first.ID {
		t.Fatalf("the card says it extends %+v", card.Extends)
	}
	_, second := w.approve(trusttest.Approver, r.ID, nil)
	if second == nil || second.State != gateway.GrantPlanned {
		t.Fatalf("grant %+v", second)
	}
	used := func() string {
		g, _, err := w.svc.Usable(t.Context(), w.p(trusttest.Engineer), trusttest.Target, "")
		w.ok(err)
		return g.ID
	}
	if got := used(); got != first.ID {
		t.Fatalf("%s is used before the first window has ended", got)
	}
	w.Advance(first.To.Sub(w.Now()))
	if got := used(); got != second.ID {
		t.Fatalf("%s is used after the first window has ended", got)
	}
	later := w.ask(extend(second.To.Add(time.Minute), time.Hour))
	if card, err = w.svc.Request(t.Context(), later.ID); err != nil || card.Extends != nil {
		t.Fatalf("a window a minute later extends %+v (%v)", card.Extends, err)
	}
}

// A grant that was taken back is extended by nothing, whatever its end was.
func TestNothingExtendsWhatWasTakenBack(t *testing.T) {
	w := newWorld(t)
	first := w.granted(nil)
	r := w.ask(func(i *access.AskInput) { i.Length, i.From, i.To = 0, first.To, first.To.Add(time.Hour) })
	_, err := w.svc.Revoke(t.Context(), w.p(trusttest.Approver), first.ID, "wrong pump")
	w.ok(err)
	card, err := w.svc.Request(t.Context(), r.ID)
	w.ok(err)
	if card.Extends != nil {
		t.Fatalf("the card says it extends %+v", card.Extends)
	}
}
