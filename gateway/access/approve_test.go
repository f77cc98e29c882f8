package access_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/access"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/trust"
	"github.com/portcullis/portcullis/gateway/trust/trusttest"
	"github.com/portcullis/portcullis/policy"
)

func TestTwoAgreeToHighImpact(t *testing.T) {
	w := newWorld(t)
	r := w.ask(func(i *access.AskInput) { i.Target = core })
	first, g := w.approve(trusttest.Approver, r.ID, nil)
	if g != nil || first.State != gateway.RequestWaiting {
		t.Fatalf("one approval of two made %+v", g)
	}
	_, err := w.svc.DraftApprove(t.Context(), w.p(trusttest.Approver), r.ID, nil)
	refused(t, "the same person twice", err, "approved-twice")
	w.Advance(time.Hour)
	_, g = w.approve(trusttest.Second, r.ID, nil)
	if g == nil || g.From.Before(w.Now().Add(-time.Minute)) {
		t.Fatalf("the length is not counted from the last approval: %+v", g)
	}
	if _, err := w.entitle(g.ID); err != nil {
		t.Fatal(err)
	}
}

// The same signature handed in twice, or two of the same person signed before
// either was handed in, count once.
func TestSamePersonTwiceCountsOnce(t *testing.T) {
	w := newWorld(t)
	r := w.ask(func(i *access.AskInput) { i.Target = core })
	a, b := w.approval(trusttest.Approver, r.ID, nil), w.approval(trusttest.Approver, r.ID, nil)
	_, _, err := w.svc.CommitApprove(t.Context(), a)
	w.ok(err)
	_, _, err = w.svc.CommitApprove(t.Context(), b)
	refused(t, "a second signature", err, "approved-twice")
	_, _, err = w.svc.CommitApprove(t.Context(), a)
	refused(t, "the same signature", err, "approved-twice")
}

func TestApprovalsRaceAndTheLoserIsTold(t *testing.T) {
	w := newWorld(t)
	r := w.ask(nil)
	signed := []statement.Signed{w.approval(trusttest.Approver, r.ID, nil), w.approval(trusttest.Second, r.ID, nil)}
	errs := make([]error, 2)
	grants := make([]*gateway.Grant, 2)
	together(2, func(i int) { _, grants[i], errs[i] = w.svc.CommitApprove(t.Context(), signed[i]) })
	winner := 0
	if errs[0] != nil {
		winner = 1
	}
	if errs[winner] != nil || grants[winner] == nil {
		t.Fatalf("nobody won: %v", errs)
	}
	refused(t, "the loser", errs[1-winner], "granted")
	who := []string{trusttest.Approver, trusttest.Second}[winner]
	if !strings.Contains(errs[1-winner].Error(), who) {
		t.Fatalf("the loser is not told who was first: %v", errs[1-winner])
	}
	if _, err := w.entitle(grants[winner].ID); err != nil {
		t.Fatal(err)
	}
}

func TestTwoApproversAtOnceMakeOneGrant(t *testing.T) {
	w := newWorld(t)
	r := w.ask(func(i *access.AskInput) { i.Target = core })
	signed := []statement.Signed{w.approval(trusttest.Approver, r.ID, nil), w.approval(trusttest.Second, r.ID, nil)}
	var made atomic.Int32
	together(2, func(i int) {
		_, g, err := w.svc.CommitApprove(t.Context(), signed[i])
		if err != nil {
			t.Error(err)
		}
		if g != nil {
			made.Add(1)
		}
	})
	if made.Load() != 1 {
		t.Fatalf("%d grants", made.Load())
	}
}

func TestWithdrawAgainstApprove(t *testing.T) {
	w := newWorld(t)
	for range 5 {
		r := w.ask(nil)
		signed := w.approval(trusttest.Approver, r.ID, nil)
		errs := make([]error, 2)
		var g *gateway.Grant
		together(2, func(i int) {
			if i == 0 {
				_, g, errs[0] = w.svc.CommitApprove(t.Context(), signed)
			} else {
				_, errs[1] = w.svc.Withdraw(t.Context(), w.p(trusttest.Engineer), r.ID)
			}
		})
		card, err := w.svc.Request(t.Context(), r.ID)
		w.ok(err)
		switch {
		case errs[0] == nil && errs[1] != nil:
			refused(t, "withdraw", errs[1], "granted")
			if card.Request.State != gateway.RequestGranted || card.Grant == nil {
				t.Fatalf("card %+v", card)
			}
			_, err := w.svc.Revoke(t.Context(), w.p(trusttest.Engineer), g.ID, "not needed")
			w.ok(err)
		case errs[0] != nil && errs[1] == nil:
			if card.Request.State != gateway.RequestWithdrawn || card.Grant != nil || len(card.Approvals) != 0 {
				t.Fatalf("card %+v", card)
			}
		default:
			t.Fatalf("both or neither: %v", errs)
		}
	}
}

func TestNarrowNeverWiden(t *testing.T) {
	w := newWorld(t)
	r := w.ask(func(i *access.AskInput) { i.Target = core })
	hour := &gateway.Terms{Length: time.Hour, Abilities: gateway.Abilities{Shell: true}}
	for name, wider := range map[string]gateway.Terms{
		"longer":           {Length: 3 * time.Hour, Abilities: gateway.Abilities{Shell: true}},
		"more abilities":   {Length: time.Hour, Abilities: gateway.Abilities{Shell: true, Upload: true}},
		"no abilities":     {Length: time.Hour},
		"no time":          {Abilities: gateway.Abilities{Shell: true}},
		"negative":         {Length: -time.Hour, Abilities: gateway.Abilities{Shell: true}},
		"another form":     {From: w.Now(), To: w.Now().Add(time.Hour), Abilities: gateway.Abilities{Shell: true}},
		"both forms":       {From: w.Now(), To: w.Now().Add(time.Hour), Length: time.Hour, Abilities: gateway.Abilities{Shell: true}},
		"parts of seconds": {Length: time.Hour + 1, Abilities: gateway.Abilities{Shell: true}},
	} {
		_, err := w.svc.DraftApprove(t.Context(), w.p(trusttest.Approver), r.ID, &wider)
		refused(t, name, err, "narrow")
	}
	// Signed without a draft of ours.
	body, err := w.svc.DraftApprove(t.Context(), w.p(trusttest.Approver), r.ID, hour)
	w.ok(err)
	if !body.Narrowed {
		t.Fatal("the draft does not say that it is narrower")
	}
	wide := *body
	wide.Seconds = 3 * 3600
	_, _, err = w.svc.CommitApprove(t.Context(), w.Sign(trusttest.Approver, &wide))
	refused(t, "signed wider", err, "narrow")
	_, _, err = w.svc.CommitApprove(t.Context(), w.Sign(trusttest.Approver, body))
	w.ok(err)
	second, err := w.svc.DraftApprove(t.Context(), w.p(trusttest.Second), r.ID, nil)
	w.ok(err)
	if second.Seconds != 3600 || second.Abilities.Exec {
		t.Fatalf("the second is shown %+v, not what the first left", second)
	}
	_, g, err := w.svc.CommitApprove(t.Context(), w.Sign(trusttest.Second, second))
	w.ok(err)
	if g.To.Sub(g.From) != time.Hour || g.Abilities.Exec {
		t.Fatalf("grant %+v", g)
	}
	e, err := w.entitle(g.ID)
	w.ok(err)
	if e.Abilities.Exec || e.To.Sub(e.From) != time.Hour {
		t.Fatalf("entitlement %+v", e)
	}
}

func TestNarrowedToNothingInCommon(t *testing.T) {
	w := newWorld(t)
	from := w.Now().Add(time.Hour).Truncate(time.Second)
	r := w.ask(func(i *access.AskInput) { i.Target, i.Length, i.From, i.To = core, 0, from, from.Add(4*time.Hour) })
	both := gateway.Abilities{Shell: true, Exec: true}
	a := w.approval(trusttest.Approver, r.ID, &gateway.Terms{From: from, To: from.Add(time.Hour), Abilities: both})
	b := w.approval(trusttest.Second, r.ID, &gateway.Terms{From: from.Add(2 * time.Hour), To: from.Add(3 * time.Hour), Abilities: both})
	_, _, err := w.svc.CommitApprove(t.Context(), a)
	w.ok(err)
	_, _, err = w.svc.CommitApprove(t.Context(), b)
	refused(t, "nothing in common", err, "narrow")
}

// neither who asked, nor a colleague, nor who has no such role.
func TestWhoMayNotApprove(t *testing.T) {
	w := newWorld(t)
	w.Admit("carl", trusttest.Vendor, gateway.Engineer)
	w.Enrol("carl")
	w.mirror()
	r := w.ask(nil)
	for name, c := range map[string]struct{ who, rule string }{
		"the asker":         {trusttest.Engineer, policy.RuleSeparate},
		"a colleague":       {"carl", policy.RuleSeparate},
		"an administrator":  {trusttest.Admin, policy.RuleRoles},
		"a responder":       {trusttest.Responder, policy.RuleRoles},
		"somebody not here": {"nobody", "person"},
	} {
		p := gateway.Person{Name: c.who, Roles: []gateway.Role{gateway.Approver}, State: gateway.Active} // what the caller claims counts for nothing
		_, err := w.svc.DraftApprove(t.Context(), p, r.ID, nil)
		refused(t, name, err, c.rule)
	}
	body, err := w.svc.DraftApprove(t.Context(), w.p(trusttest.Approver), r.ID, nil)
	w.ok(err)
	for _, who := range []string{trusttest.Engineer, "carl", trusttest.Admin, statement.Machine} {
		if _, _, err := w.svc.CommitApprove(t.Context(), w.Sign(who, body)); err == nil {
			t.Errorf("%s agreed", who)
		}
	}
}

func TestApprovalOfAnotherText(t *testing.T) {
	w := newWorld(t)
	r := w.ask(nil)
	body, err := w.svc.DraftApprove(t.Context(), w.p(trusttest.Approver), r.ID, nil)
	w.ok(err)
	for name, change := range map[string]func(*statement.Approve){
		"reason":  func(b *statement.Approve) { b.Reason = "replace the door" },
		"digest":  func(b *statement.Approve) { b.Digest = gateway.DigestOf([]byte("x")) },
		"account": func(b *statement.Approve) { b.Account = "root" },
		"target":  func(b *statement.Approve) { b.Target = core },
		"person":  func(b *statement.Approve) { b.Person = "olga" },
		"lapse":   func(b *statement.Approve) { b.Lapse = b.Lapse.Add(time.Hour) },
		"narrow":  func(b *statement.Approve) { b.Narrowed = true },
	} {
		other := *body
		change(&other)
		_, _, err := w.svc.CommitApprove(t.Context(), w.Sign(trusttest.Approver, &other))
		refused(t, name, err, trust.Rule)
	}
	signed := w.Sign(trusttest.Approver, body)
	w.Advance(statement.Fresh + time.Second)
	_, _, err = w.svc.CommitApprove(t.Context(), signed)
	refused(t, "a minute later", err, trust.Rule)
	if len(w.events("chain.broken")) == 0 {
		t.Error("no chain.broken event")
	}
}

func TestOverIsOver(t *testing.T) {
	w := newWorld(t)
	r := w.ask(nil)
	_, err := w.svc.Withdraw(t.Context(), w.p(trusttest.Approver), r.ID)
	refused(t, "withdraw another's", err, "request")
	_, err = w.svc.Refuse(t.Context(), w.p(trusttest.Engineer), r.ID, "no")
	refused(t, "refuse as a vendor", err, "refuse")
	_, err = w.svc.Refuse(t.Context(), w.p(trusttest.Approver), r.ID, " ")
	refused(t, "refuse without a word", err, "word")
	signed := w.approval(trusttest.Second, r.ID, nil)
	_, err = w.svc.Refuse(t.Context(), w.p(trusttest.Approver), r.ID, "not on a Monday")
	w.ok(err)
	_, _, err = w.svc.CommitApprove(t.Context(), signed)
	refused(t, "approve what was refused", err, "refused")
	if !strings.Contains(err.Error(), "not on a Monday") || !strings.Contains(err.Error(), trusttest.Approver) {
		t.Fatalf("the loser is told %q", err)
	}
	_, err = w.svc.Withdraw(t.Context(), w.p(trusttest.Engineer), r.ID)
	refused(t, "withdraw what was refused", err, "refused")

	// An edited row does not bring it back.
	w.edit("UPDATE requests SET state = 'waiting'")
	_, err = w.svc.DraftApprove(t.Context(), w.p(trusttest.Second), r.ID, nil)
	refused(t, "a refused request set waiting", err, trust.Rule)
}

func TestLapse(t *testing.T) {
	w := newWorld(t)
	r := w.ask(nil)
	from := w.Now().Add(time.Hour).Truncate(time.Second)
	short := w.ask(func(i *access.AskInput) { i.Target, i.Length, i.From, i.To = core, 0, from, from.Add(time.Hour) })
	if r.Lapse.Sub(r.Asked) != access.LapseAfter || !short.Lapse.Equal(from.Add(time.Hour)) {
		t.Fatalf("lapses %s and %s", r.Lapse, short.Lapse)
	}
	w.Advance(23 * time.Hour)
	w.svc.Turn(t.Context())
	signed := w.approval(trusttest.Approver, r.ID, nil)
	_, err := w.svc.DraftApprove(t.Context(), w.p(trusttest.Approver), short.ID, nil)
	refused(t, "approve after its window", err, "lapsed")
	w.Advance(59*time.Minute + 59*time.Second)
	_, _, err = w.svc.CommitApprove(t.Context(), signed)
	refused(t, "a touch of an hour ago", err, trust.Rule)
	w.Advance(time.Minute)
	_, err = w.svc.DraftApprove(t.Context(), w.p(trusttest.Approver), r.ID, nil)
	refused(t, "approve after a day, the keeper asleep", err, "lapsed")
	w.svc.Turn(t.Context())
	if got := names(w.events("request.lapsed")); got != "request.lapsed request.lapsed" {
		t.Fatalf("events %s", got)
	}
}

func TestSuspendedBetweenAskAndApprove(t *testing.T) {
	w := newWorld(t)
	r := w.ask(nil)
	signed := w.approval(trusttest.Approver, r.ID, nil)
	id := w.suspend(gateway.Scope{Kind: gateway.ScopeVendor, Name: trusttest.Vendor})
	_, _, err := w.svc.CommitApprove(t.Context(), signed)
	refused(t, "approve", err, "cancelled")
	w.edit("UPDATE requests SET state = 'waiting'")
	_, _, err = w.svc.CommitApprove(t.Context(), signed)
	refused(t, "approve a row that was set back", err, "suspended")
	w.Restore(gateway.Scope{Kind: gateway.ScopeVendor, Name: trusttest.Vendor}, id, trusttest.Admin, trusttest.Responder)
	w.mirror()
	_, _, err = w.svc.CommitApprove(t.Context(), signed)
	refused(t, "approve after the restoration", err, "epoch")
}

func TestPolicyThatErrsRefuses(t *testing.T) {
	bad, err := policy.Load(fstest.MapFS{"a.cedar": {Data: []byte(`
@id("all") @reason("everything") permit (principal, action, resource);
@id("no-nights") @reason("not at night") forbid (principal is Person, action == Action::"ask", resource is Target)
when { context.now.offset(duration("9223372036854775807ms")) < context.to };`)}})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(c *access.Config) { c.Policy = bad })
	_, err = w.svc.Ask(t.Context(), w.p(trusttest.Engineer), in(nil))
	refused(t, "ask", err, policy.RuleError)
}

// What was asked for or granted before a target, its zone, its protocol or
// every vendor was suspended opens nothing during it and nothing after it, even
// where somebody puts the rows back; another target of the vendor goes on, and
// a new ask is answered as before.
func TestP5WideSuspension(t *testing.T) {
	for _, scope := range []gateway.Scope{
		{Kind: gateway.ScopeTarget, Name: trusttest.Target}, {Kind: gateway.ScopeZone, Name: "yard"},
		{Kind: gateway.ScopeProtocol, Name: "ssh"}, {Kind: gateway.ScopeAll, Name: gateway.AllVendors},
	} {
		t.Run(string(scope.Kind), func(t *testing.T) {
			w := newWorld(t)
			g := w.granted(nil)
			wait := w.ask(func(i *access.AskInput) { i.Account, i.Target = "root", core })
			other := w.approval(trusttest.Approver, wait.ID, nil)
			touch := w.touch(g.ID, statement.BindSSH, "abc")
			putBack := func() {
				w.edit("UPDATE requests SET state = 'granted', closed = 0, closed_by = '', word = '' WHERE id = $1", g.Request)
				w.edit("UPDATE grants SET state = 'open', closed = 0, closed_by = '', why = ''")
			}
			id := w.suspend(scope)
			_, _, err := w.svc.Usable(t.Context(), w.p(trusttest.Engineer), trusttest.Target, "")
			refused(t, "connecting", err, trust.Shut)
			if !strings.Contains(err.Error(), "is suspended") || strings.Contains(err.Error(), "yard") {
				t.Errorf("the engineer reads %q", err)
			}
			_, err = w.svc.Ask(t.Context(), w.p(trusttest.Engineer), in(nil))
			refused(t, "asking", err, trust.Shut)
			_, _, err = w.svc.CommitApprove(t.Context(), other)
			if (err != nil) != (scope.Kind != gateway.ScopeTarget) {
				t.Errorf("approving what waits for another target: %v", err)
			}
			putBack()
			_, err = w.svc.Entitle(t.Context(), g.ID, touch)
			refused(t, "a grant put back while it is suspended", err, trust.Shut)
			w.edit("UPDATE closures SET state = 'active'")
			_, err = w.svc.Entitle(t.Context(), g.ID, touch)
			refused(t, "with the row set back to active", err, trust.Shut)
			w.edit("UPDATE closures SET state = 'suspended'")
			w.Restore(scope, id, trusttest.Admin, trusttest.Responder)
			w.mirror()
			putBack()
			_, err = w.entitle(g.ID)
			refused(t, "a grant put back after the restoration", err, trust.Rule)
			if e := w.events("chain.broken"); len(e) == 0 {
				t.Error("rows that were put back are nobody's concern")
			}
			w.edit("UPDATE grants SET state = 'closed', why = 'suspended' WHERE id = $1", g.ID)
			w.Advance(2 * statement.Fresh)
			again := w.granted(nil)
			if _, err := w.entitle(again.ID); err != nil {
				t.Errorf("what is asked for anew: %v", err)
			}
		})
	}
}
