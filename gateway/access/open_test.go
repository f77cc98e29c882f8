package access_test

import (
	"errors"
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

// P5: whoever has the database in his hands opens nothing and widens nothing.
func TestP5EditedRowsOpenNothing(t *testing.T) {
	base := newWorld(t)
	r := base.ask(func(i *access.AskInput) { i.Target = core })
	base.approve(trusttest.Approver, r.ID, nil)
	_, high := base.approve(trusttest.Second, r.ID, nil)
	grants := map[string]gateway.Grant{trusttest.Target: base.granted(nil), core: *high}
	database := base.stop()
	for name, c := range map[string]struct {
		target string
		edit   func(w *world, g gateway.Grant)
	}{
		"longer window":                      {trusttest.Target, sqlEdit("UPDATE grants SET ends = ends + 3600000000")},
		"earlier window":                     {trusttest.Target, sqlEdit("UPDATE grants SET starts = starts - 1")},
		"more abilities":                     {trusttest.Target, sqlEdit("UPDATE grants SET abilities = '{\"shell\":true,\"exec\":true,\"upload\":true}'")},
		"another account":                    {core, sqlEdit("UPDATE grants SET account = 'root'")},
		"another target":                     {trusttest.Target, sqlEdit("UPDATE grants SET target = 'core'")},
		"another vendor":                     {trusttest.Target, sqlEdit("UPDATE grants SET vendor = 'bolt'")},
		"another epoch":                      {trusttest.Target, sqlEdit("UPDATE grants SET vendor_epoch = 2")},
		"request's reason":                   {trusttest.Target, sqlEdit("UPDATE requests SET reason = 'replace the door'")},
		"request's account":                  {core, sqlEdit("UPDATE requests SET account = 'root'")},
		"request's length":                   {trusttest.Target, sqlEdit("UPDATE requests SET length = length * 2")},
		"request's document":                 {trusttest.Target, sqlEdit("UPDATE requests SET document = replace(CAST(document AS TEXT), '7200', '7300')")},
		"request's digest":                   {trusttest.Target, sqlEdit("UPDATE requests SET digest = '" + strings.Repeat("ab", 32) + "'")},
		"request's lapse":                    {trusttest.Target, sqlEdit("UPDATE requests SET lapse = lapse + 1000000")},
		"request's state":                    {trusttest.Target, sqlEdit("UPDATE requests SET state = 'waiting'")},
		"approval's terms":                   {trusttest.Target, sqlEdit("UPDATE approvals SET length = length * 2")},
		"approval's person":                  {trusttest.Target, sqlEdit("UPDATE approvals SET person = 'rosa' WHERE person = 'ben'")},
		"approvals dropped":                  {core, sqlEdit("DELETE FROM approvals WHERE person = 'ben'")},
		"approval doubled":                   {core, sqlEdit("UPDATE approvals SET statement = (SELECT statement FROM approvals WHERE person = 'ben')")},
		"statement's bytes":                  {trusttest.Target, sqlEdit("UPDATE statements SET bytes = replace(CAST(bytes AS TEXT), '7200', '9200') WHERE kind = 'request.approve'")},
		"statement dropped":                  {trusttest.Target, sqlEdit("DELETE FROM statements WHERE kind = 'request.approve'")},
		"proofs dropped":                     {trusttest.Target, sqlEdit("UPDATE statements SET proofs = '[]' WHERE kind = 'request.approve'")},
		"target's address":                   {trusttest.Target, sqlEdit("UPDATE targets SET address = '10.6.6.6:22' WHERE name = 'plc-1'")},
		"approver made admin":                {trusttest.Target, sqlEdit("UPDATE people SET roles = '[\"admin\",\"approver\"]' WHERE name = 'ben'")},
		"engineer's vendor":                  {trusttest.Target, sqlEdit("UPDATE people SET vendor = '' WHERE name = 'eve'")},
		"document, digest and rows made one": {core, func(w *world, g gateway.Grant) { w.redirect(g, true) }},
		"document and rows under the digest": {core, func(w *world, g gateway.Grant) { w.redirect(g, false) }},
	} {
		t.Run(name, func(t *testing.T) {
			w := base.fork(t, database)
			g := grants[c.target]
			touch := w.touch(g.ID, statement.BindSSH, "abc")
			if _, err := w.svc.Entitle(t.Context(), g.ID, touch); err != nil {
				t.Fatalf("before the edit: %v", err)
			}
			c.edit(w, g)
			_, err := w.svc.Entitle(t.Context(), g.ID, touch)
			refused(t, "entitle", err, trust.Rule)
			if e := w.events("chain.broken"); len(e) == 0 || e[0].Grant != g.ID || e[0].Reason == "" {
				t.Fatalf("events %+v", e)
			}
			if _, err := w.svc.DraftOpen(t.Context(), w.p(trusttest.Engineer), g.ID, statement.BindSSH, "abc", "", ""); err == nil {
				t.Fatal("a touch was drawn up on it")
			}
		})
	}
}

// redirect makes rows and document say something else: another account, or,
// under the digest that was signed, what an approval does not repeat.
func (w *world) redirect(g gateway.Grant, digest bool) {
	r, err := w.db.Access().Request(w.t.Context(), g.Request)
	w.ok(err)
	a, err := statement.ParseAsk(r.Document)
	w.ok(err)
	if digest {
		a.Account = "root"
	} else {
		a.Ticket = "CHG-9"
	}
	raw, err := statement.Canonical(a)
	w.ok(err)
	w.edit("UPDATE requests SET account = $1, ticket = $2, document = $3 WHERE id = $4", a.Account, a.Ticket, raw, r.ID)
	w.edit("UPDATE grants SET account = $1 WHERE id = $2", a.Account, g.ID)
	if digest {
		w.edit("UPDATE requests SET digest = $1 WHERE id = $2", gateway.DigestOf(raw).String(), r.ID)
	}
}

func sqlEdit(query string) func(*world, gateway.Grant) {
	return func(w *world, _ gateway.Grant) { w.edit(query) }
}

// A grant of one's own making, with everything in the rows that a real one has.
func TestP5ForgedGrantOpensNothing(t *testing.T) {
	w := newWorld(t)
	g := w.granted(nil)
	_, err := w.svc.Revoke(t.Context(), w.p(trusttest.Responder), g.ID, "enough")
	w.ok(err)
	w.edit("UPDATE grants SET state = 'open', closed = 0, closed_by = '', why = ''")
	_, err = w.entitle(g.ID)
	refused(t, "a revoked grant set open", err, trust.Rule)

	other := "grt_" + strings.Repeat("0", 25) + "g"
	w.edit("UPDATE grants SET id = $1", other)
	_, err = w.entitle(other)
	refused(t, "the same under another name", err, trust.Rule)

	waiting := w.ask(func(i *access.AskInput) { i.Target = core })
	w.edit("UPDATE requests SET state = 'granted' WHERE id = $1", waiting.ID)
	w.edit("UPDATE grants SET id = $1, request = $2, target = 'core'", "grt_"+strings.TrimPrefix(waiting.ID, "req_"), waiting.ID)
	_, err = w.entitle("grt_" + strings.TrimPrefix(waiting.ID, "req_"))
	refused(t, "a grant that nobody agreed to", err, trust.Rule)
}

func TestWhatChangedSinceIsSeen(t *testing.T) {
	for name, c := range map[string]struct {
		change func(w *world)
		rule   string
	}{
		"target redefined":    {func(w *world) { w.define(trusttest.Target, gateway.Medium, trusttest.Vendor) }, "target-changed"},
		"target taken away":   {func(w *world) { w.define(trusttest.Target, gateway.Medium) }, "target-gone"},
		"vendor suspended":    {func(w *world) { w.suspend(gateway.Scope{Kind: gateway.ScopeVendor, Name: trusttest.Vendor}) }, "suspended"},
		"person suspended":    {func(w *world) { w.suspend(gateway.Scope{Kind: gateway.ScopePerson, Name: trusttest.Engineer}) }, "suspended"},
		"approver suspended":  {func(w *world) { w.suspend(gateway.Scope{Kind: gateway.ScopePerson, Name: trusttest.Approver}) }, trust.Rule},
		"approver is auditor": {func(w *world) { w.Admit(trusttest.Approver, "", gateway.Auditor); w.mirror() }, "approval"},
		"engineer is nominator": {func(w *world) {
			w.Admit(trusttest.Engineer, trusttest.Vendor, gateway.Nominator)
			w.mirror()
		}, policy.RuleDefault},
		"vendor suspended and restored": {func(w *world) {
			scope := gateway.Scope{Kind: gateway.ScopeVendor, Name: trusttest.Vendor}
			id := w.suspend(scope)
			w.Restore(scope, id, trusttest.Admin, trusttest.Responder)
			w.mirror()
			w.Enrol(trusttest.Engineer)
			w.mirror()
		}, "epoch"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			g := w.granted(nil)
			c.change(w)
			// A suspension closes the grant's row too; the row is not what counts.
			w.edit("UPDATE grants SET state = 'open', why = '', closed = 0, closed_by = ''")
			_, err := w.entitle(g.ID)
			refused(t, "entitle", err, c.rule)
			if _, _, err := w.svc.Usable(t.Context(), w.p(trusttest.Engineer), trusttest.Target, ""); err == nil {
				t.Fatal("it is called usable")
			}
		})
	}
}

func TestPolicyOfNowDecides(t *testing.T) {
	strict, err := policy.Load(fstest.MapFS{"a.cedar": {Data: []byte(`
@id("two") @reason("two agree") @approvals("2") permit (principal, action == Action::"ask", resource);
@id("rest") @reason("rest") permit (principal, action in [Action::"open", Action::"approve"], resource);`)}})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	g := w.granted(nil)
	svc, err := access.New(access.Config{Store: w.db.Access(), Chain: w.chain, Policy: strict, Certs: noCerts{}, Floor: w.Floor, Now: w.Now})
	w.ok(err)
	_, err = svc.Entitle(t.Context(), g.ID, w.touch(g.ID, statement.BindSSH, "abc"))
	refused(t, "a policy that asks for two now", err, trust.Rule)
	if !strings.Contains(err.Error(), "1 of the 2 approvals") {
		t.Fatal(err)
	}
}

func TestTouchIsHeldToTheGrant(t *testing.T) {
	w := newWorld(t)
	g := w.granted(nil)
	w.Admit("olga", trusttest.Vendor, gateway.Engineer)
	w.Enrol("olga")
	w.mirror()
	body, err := w.svc.DraftOpen(t.Context(), w.p(trusttest.Engineer), g.ID, statement.BindSSH, "abc", "192.0.2.7:1", "K7")
	w.ok(err)
	if !strings.Contains(body.Sentence(), "shows the code K7") {
		t.Fatal(body.Sentence())
	}
	for name, c := range map[string]struct {
		who, rule string
		change    func(*statement.Open)
	}{
		"by a colleague for him":   {"olga", trust.Rule, func(*statement.Open) {}},
		"by a colleague":           {"olga", "touch", func(b *statement.Open) { b.Person = "olga" }},
		"for another request":      {trusttest.Engineer, trust.Rule, func(b *statement.Open) { b.Request = gateway.DigestOf(nil) }},
		"for more abilities":       {trusttest.Engineer, trust.Rule, func(b *statement.Open) { b.Abilities.Upload = true }},
		"for longer":               {trusttest.Engineer, trust.Rule, func(b *statement.Open) { b.To = b.To.Add(time.Hour) }},
		"for another account":      {trusttest.Engineer, trust.Rule, func(b *statement.Open) { b.Account = "root" }},
		"for another grant":        {trusttest.Engineer, "touch", func(b *statement.Open) { b.Grant = gateway.NewID("grt", w.Now()) }},
		"by the responder for him": {trusttest.Responder, trust.Rule, func(*statement.Open) {}},
	} {
		other := *body
		c.change(&other)
		_, err := w.svc.Entitle(t.Context(), g.ID, w.Sign(c.who, &other))
		refused(t, name, err, c.rule)
	}
	_, err = w.svc.Entitle(t.Context(), g.ID, w.approvalLike(g))
	if err == nil {
		t.Fatal("an approval opened a session")
	}
	_, err = w.svc.DraftOpen(t.Context(), w.p("olga"), g.ID, statement.BindSSH, "abc", "", "")
	refused(t, "a colleague's grant", err, "grant")

	signed := w.Sign(trusttest.Engineer, body)
	w.Advance(statement.Fresh)
	_, err = w.svc.Entitle(t.Context(), g.ID, signed)
	w.ok(err)
	w.Advance(time.Second)
	_, err = w.svc.Entitle(t.Context(), g.ID, signed)
	refused(t, "a touch of more than a minute ago", err, "touch-age")
}

// approvalLike is another kind of statement by the same person.
func (w *world) approvalLike(g gateway.Grant) statement.Signed {
	body, _ := w.NewKey(trusttest.Engineer)
	body.Label = "for " + g.ID
	return w.Sign(trusttest.Engineer, body)
}

func TestTicketIsTakenOnceUnder50(t *testing.T) {
	w := newWorld(t)
	g := w.granted(nil)
	signed := w.touch(g.ID, statement.BindLogin, "login-1")
	ticket, err := w.svc.CommitTicket(t.Context(), signed)
	w.ok(err)
	if ticket.Grant != g.ID || ticket.Expires.Sub(w.Now()) != access.TicketLife {
		t.Fatalf("ticket %+v", ticket)
	}
	_, err = w.svc.CommitTicket(t.Context(), signed)
	refused(t, "a second ticket of one touch", err, "touch-once")
	if _, ok, err := w.svc.TakeTicket(t.Context(), w.p(trusttest.Approver), g.ID, ""); ok || err != nil {
		t.Fatalf("another person took it: %v", err)
	}
	var taken atomic.Int32
	together(50, func(int) {
		s, ok, err := w.svc.TakeTicket(t.Context(), w.p(trusttest.Engineer), g.ID, "")
		if err != nil {
			t.Error(err)
		}
		if ok {
			taken.Add(1)
			if !s.Digest.Equal(signed.Digest) {
				t.Error("another touch came out")
			}
		}
	})
	if taken.Load() != 1 {
		t.Fatalf("taken %d times", taken.Load())
	}
	w.Advance(time.Minute + 30*time.Second)
	if _, err := w.svc.Entitle(t.Context(), g.ID, signed); err != nil {
		t.Fatalf("a ticket taken in time: %v", err)
	}
	w.Advance(time.Minute)
	_, err = w.svc.Entitle(t.Context(), g.ID, signed)
	refused(t, "long after", err, "touch-age")
}

func TestTicketRefusals(t *testing.T) {
	w := newWorld(t)
	g := w.granted(nil)
	_, err := w.svc.CommitTicket(t.Context(), w.touch(g.ID, statement.BindSSH, "abc"))
	refused(t, "a touch for a connection", err, "statement")
	signed := w.touch(g.ID, statement.BindLogin, "login-1")
	_, err = w.svc.CommitTicket(t.Context(), signed)
	w.ok(err)
	w.Advance(access.TicketLife)
	if _, ok, err := w.svc.TakeTicket(t.Context(), w.p(trusttest.Engineer), g.ID, ""); ok || err != nil {
		t.Fatalf("an expired ticket was taken (%v)", err)
	}
	again := w.touch(g.ID, statement.BindLogin, "login-1")
	w.suspend(gateway.Scope{Kind: gateway.ScopeVendor, Name: trusttest.Vendor})
	if _, err = w.svc.CommitTicket(t.Context(), again); err == nil {
		t.Fatal("a ticket was made after the suspension")
	}
}

// S-28: to who has no grant, a target that is there and one that is not sound
// alike; who has one is told what is wrong with it.
func TestUsableExplains(t *testing.T) {
	w := newWorld(t)
	eve := w.p(trusttest.Engineer)
	say := func(target, account string) string {
		t.Helper()
		_, _, err := w.svc.Usable(t.Context(), eve, target, account)
		var no *gateway.Error
		if !errors.As(err, &no) {
			t.Fatalf("%s: %v", target, err)
		}
		return no.Sentence()
	}
	if a, b := say(trusttest.Target, ""), say("nowhere", ""); strings.ReplaceAll(a, trusttest.Target, "X") != strings.ReplaceAll(b, "nowhere", "X") || !strings.Contains(a, "/requests/new") {
		t.Fatalf("%q and %q", a, b)
	}
	r := w.ask(nil)
	if s := say(trusttest.Target, ""); !strings.Contains(s, r.ID) || !strings.Contains(s, "waits for approval") {
		t.Fatal(s)
	}
	if s := say(trusttest.Target, "root"); !strings.Contains(s, "no grant") {
		t.Fatal(s)
	}
	_, g := w.approve(trusttest.Approver, r.ID, nil)
	w.Advance(2 * time.Hour)
	if s := say(trusttest.Target, "ops"); !strings.Contains(s, "ended at "+g.To.Format("2006-01-02 15:04:05")) {
		t.Fatal(s)
	}
	w.svc.Turn(t.Context())
	if s := say(trusttest.Target, ""); !strings.Contains(s, "ended at") {
		t.Fatal(s)
	}
	from := w.Now().Add(time.Hour).Truncate(time.Second)
	plan := w.granted(func(i *access.AskInput) { i.Length, i.From, i.To = 0, from, from.Add(time.Hour) })
	if s := say(trusttest.Target, ""); !strings.Contains(s, "opens at "+from.Format("2006-01-02 15:04:05")) {
		t.Fatal(s)
	}
	_, err := w.svc.Revoke(t.Context(), w.p(trusttest.Responder), plan.ID, "breach")
	w.ok(err)
	if s := say(trusttest.Target, ""); !strings.Contains(s, "taken back") {
		t.Fatal(s)
	}

	for _, account := range []string{"ops", "root"} {
		r := w.ask(func(i *access.AskInput) { i.Target, i.Account = core, account })
		w.approve(trusttest.Approver, r.ID, nil)
		w.approve(trusttest.Second, r.ID, nil)
	}
	if s := say(core, ""); !strings.Contains(s, "ACCOUNT+core") {
		t.Fatal(s)
	}
	found, _, err := w.svc.Usable(t.Context(), eve, core, "root")
	if err != nil || found.Account != "root" {
		t.Fatalf("%+v %v", found, err)
	}
}

func TestRevoke(t *testing.T) {
	w := newWorld(t)
	g := w.granted(nil)
	w.Admit("olga", trusttest.Vendor, gateway.Engineer)
	w.mirror()
	_, err := w.svc.Revoke(t.Context(), w.p("olga"), g.ID, "")
	refused(t, "a colleague", err, "grant")
	_, err = w.svc.Revoke(t.Context(), w.p(trusttest.Engineer), "grt_none", "")
	refused(t, "no such grant", err, "grant")
	closed, err := w.svc.Revoke(t.Context(), trust.MachinePerson, g.ID, "breach")
	w.ok(err)
	if closed.State != gateway.GrantClosed || closed.Why != gateway.EndRevoked || w.Floor.At("grant-closed:"+g.ID) != 1 {
		t.Fatalf("grant %+v", closed)
	}
	if len(w.ended) != 1 || w.ended[0] != g.ID+" revoked machine" {
		t.Fatalf("told %v", w.ended)
	}
	_, err = w.svc.Revoke(t.Context(), w.p(trusttest.Approver), g.ID, "me too")
	refused(t, "twice", err, "closed")
	if !strings.Contains(err.Error(), "machine") {
		t.Fatal(err)
	}
}

// noCerts gives no credential.
type noCerts struct{ access.Certs }
