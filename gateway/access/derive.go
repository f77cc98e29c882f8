package access

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/trust"
	"github.com/portcullis/portcullis/policy"
)

// skew is how far the clocks of two nodes may be apart.
const skew = 2 * time.Second

// ruleChanged is the rule of a request whose target was described anew since.
const ruleChanged = "target-changed"

// basis is a request with all that stands behind it, as of now.
type basis struct {
	row       gateway.Request
	ask       statement.Ask
	person    gateway.Person
	vendor    gateway.Vendor
	target    gateway.Target
	account   gateway.Account
	ladder    gateway.Ladder // of the strictest scope over it
	verdict   policy.Verdict
	approvals []approval // verified, oldest first
}

// approval is one person's verified yes.
type approval struct {
	person string
	terms  gateway.Terms
	at     time.Time
}

// entitled is a grant derived from signed bytes.
type entitled struct {
	basis
	grant     gateway.Grant
	abilities gateway.Abilities
	from, to  time.Time
}

// basis verifies a request and its approvals.
func (s *Service) basis(ctx context.Context, r gateway.Request) (basis, error) {
	b := basis{row: r}
	var err error
	if b.ask, err = document(r); err != nil {
		return b, err
	}
	if s.floor.At("request-closed:"+r.ID) > 0 {
		return b, broken("request %s was closed, and its row says %s", r.ID, r.State)
	}
	if err := s.standing(ctx, &b); err != nil {
		return b, err
	}
	if err := s.serves(ctx, &b); err != nil {
		return b, err
	}
	if err := s.place(ctx, &b); err != nil {
		return b, err
	}
	if err := bounded(b.ask, b.target.Kind); err != nil {
		return b, broken("request %s: %s", r.ID, gateway.AsError(err).Text)
	}
	b.verdict = s.policy.Decide(policy.Facts{
		Action: policy.Ask, Person: b.person, Vendor: b.vendor, Target: b.target, Account: b.ask.Account, Terms: asked(b.ask), Now: b.ask.Asked, Stage: b.ladder.Stage,
	})
	if no := b.verdict.Err(); no != nil {
		return b, no
	}
	rows, err := s.store.Approvals(ctx, r.ID)
	if err != nil {
		return b, err
	}
	for _, row := range rows {
		a, err := s.approval(ctx, b, row)
		if err != nil {
			return b, err
		}
		if slices.ContainsFunc(b.approvals, func(o approval) bool { return o.person == a.person }) {
			return b, broken("two approvals of request %s are by %s", r.ID, a.person)
		}
		b.approvals = append(b.approvals, a)
	}
	return b, nil
}

// document reads what the approvers signed the digest of, and holds the row to
// it.
func document(r gateway.Request) (statement.Ask, error) {
	if !gateway.DigestOf(r.Document).Equal(r.Digest) {
		return statement.Ask{}, broken("request %s does not have the digest that it is filed under", r.ID)
	}
	a, err := statement.ParseAsk(r.Document)
	if err != nil {
		return a, broken("request %s: %v", r.ID, err)
	}
	for _, d := range []struct {
		field string
		same  bool
	}{
		{"id", r.ID == a.ID},
		{"person", r.Person == a.Person},
		{"vendor", r.Vendor == a.Vendor},
		{"target", r.Target == a.Target},
		{"target's definition", r.TargetStatement.Equal(a.TargetStatement)},
		{"account", r.Account == a.Account},
		{"terms", sameTerms(r.Terms, asked(a))},
		{"reason", r.Reason == a.Reason},
		{"ticket", r.Ticket == a.Ticket},
		{"epochs", r.Epochs == a.Epochs},
		{"asker", r.Asker == a.Asker},
		{"time of asking", r.Asked.Equal(a.Asked)},
		{"lapse", r.Lapse.Equal(a.Lapse)},
	} {
		if !d.same {
			return a, broken("request %s: the row's %s is not the document's", r.ID, d.field)
		}
	}
	return a, nil
}

// standing reads who asks, as of now.
func (s *Service) standing(ctx context.Context, b *basis) error {
	var err error
	if b.person, err = s.chain.Person(ctx, b.ask.Person); err != nil {
		return missing(err, "person", b.ask.Person)
	}
	if b.vendor, err = s.chain.Vendor(ctx, b.ask.Vendor); err != nil {
		return missing(err, "vendor", b.ask.Vendor)
	}
	switch {
	case b.person.Vendor != b.ask.Vendor:
		return broken("%s is not of vendor %s", b.ask.Person, b.ask.Vendor)
	case b.person.State != gateway.Active || b.vendor.State != gateway.Active:
		return errSuspended()
	case b.ask.Epochs != gateway.Epochs{Vendor: b.vendor.Epoch, Person: b.person.Epoch}:
		return errEpoch()
	}
	return nil
}

// place reads the target, which must be the one that was asked for.
func (s *Service) place(ctx context.Context, b *basis) error {
	var err error
	if b.target, err = s.chain.Target(ctx, b.ask.Target); err != nil {
		return missing(err, "target", b.ask.Target)
	}
	changed := !b.target.Statement.Equal(b.ask.TargetStatement)
	listed := slices.Contains(b.target.Vendors, b.ask.Vendor)
	switch {
	case b.target.Removed, changed && !listed:
		return gateway.Refused("target-gone", "ask the operator", "target %s was taken away after the request was written", b.ask.Target)
	case changed:
		return gateway.Refused(ruleChanged, "ask anew, so that what is agreed to is what is there", "target %s was changed after the request was written", b.ask.Target)
	case !listed:
		return broken("target %s does not list vendor %s", b.ask.Target, b.ask.Vendor)
	}
	var ok bool
	if b.account, ok = b.target.Account(b.ask.Account); !ok {
		return broken("target %s has no account %s", b.ask.Target, b.ask.Account)
	}
	over := reach(b.ask.Vendor, b.ask.Person, b.target)
	if err := s.chain.Open(ctx, over, b.ask.Asked); err != nil {
		return err
	}
	b.ladder, err = s.chain.Stage(ctx, over)
	return err
}

func reach(vendor, person string, t gateway.Target) gateway.Reach {
	return gateway.Reach{Vendor: vendor, Person: person, Target: t.Name, Zone: t.Zone, Protocol: t.Kind}
}

// approval verifies one stored approval: the signature, the signer's roles of
// now, and that it is about this request and nothing wider.
func (s *Service) approval(ctx context.Context, b basis, row gateway.Approval) (approval, error) {
	signed, err := s.store.Statement(ctx, row.Statement)
	if err != nil {
		return approval{}, missing(err, "approval statement", row.Statement.Short())
	}
	checked, err := s.chain.Check(ctx, signed)
	if err != nil {
		return approval{}, err
	}
	body, ok := checked.Body.(*statement.Approve)
	if !ok || row.Request != b.ask.ID {
		return approval{}, broken("an approval of request %s is a statement about something else", b.ask.ID)
	}
	if row.Person != checked.Signer.Name || !sameTerms(row.Terms, agreed(body)) {
		return approval{}, broken("the row of an approval of request %s is not what was signed", b.ask.ID)
	}
	if no := s.mayAgree(b, checked.Signer, body, checked.Statement.At); no != nil {
		if no.Rule != trust.Rule {
			no = gateway.Refused("approval", "ask anew", "the approval of %s does not hold any more: %s", checked.Signer.Name, no.Text)
		}
		return approval{}, no
	}
	return approval{person: checked.Signer.Name, terms: agreed(body), at: checked.Statement.At}, nil
}

// mayAgree holds an approval to the request and its signer to policy.
func (s *Service) mayAgree(b basis, signer gateway.Person, body *statement.Approve, at time.Time) *gateway.Error {
	a := b.ask
	about := body.Request == a.ID && body.Digest.Equal(b.row.Digest) && body.Person == a.Person && body.Vendor == a.Vendor && body.Target == a.Target &&
		body.Account == a.Account && body.Reason == a.Reason && body.Lapse.Equal(a.Lapse) &&
		body.Asker == a.Asker && body.Key == a.Key
	switch {
	case !about:
		return broken("the approval of %s is not about request %s as it was asked", signer.Name, a.ID)
	case a.Asker != "" && (signer.Name == a.Asker || signer.Name == b.person.Service.Owner):
		return gateway.Refused(policy.RuleSeparate, "ask another approver", "nobody agrees to a request of their own, nor for a service account that they answer for")
	case body.Abilities.FitsTarget(b.target) != nil || !within(agreed(body), asked(a)):
		return gateway.Refused("narrow", "agree to what was asked, or to less", "an approval never widens what was asked")
	case body.Narrowed == sameTerms(agreed(body), asked(a)):
		return broken("the approval of %s does not say whether it is narrower", signer.Name)
	case at.Before(a.Asked.Add(-skew)) || !at.Before(a.Lapse):
		return broken("the approval of %s is not from the time in which the request waited", signer.Name)
	}
	return s.policy.MayApprove(policy.Approval{
		Approver: signer, Asker: b.person, Vendor: b.vendor, Target: b.target, Account: a.Account, Terms: asked(a), Now: at, Roles: b.verdict.Roles, Stage: b.ladder.Stage,
	})
}

// common is what all agree to so far, beginning with what was asked.
func (b basis) common() gateway.Terms {
	t := asked(b.ask)
	for _, a := range b.approvals {
		t = both(t, a.terms)
	}
	return t
}

// enough reports whether as many as policy wants have agreed.
func (b basis) enough() bool {
	return len(b.approvals) >= b.verdict.Approvals && b.verdict.Approvals > 0
}

// derived is the grant that request and approvals make. A length is counted
// from the last approval's statement.
func (b basis) derived() (gateway.Grant, error) {
	t := b.common()
	if t.From.IsZero() {
		for _, a := range b.approvals {
			if a.at.After(t.From) {
				t.From = a.at
			}
		}
		t.To = t.From.Add(t.Length)
	}
	if !t.To.After(t.From) || t.Abilities.None() || t.Abilities.FitsTarget(b.target) != nil {
		return gateway.Grant{}, gateway.Conflict("narrow", "what the approvers of request %s agreed to has nothing in common", b.ask.ID)
	}
	a := b.ask
	return gateway.Grant{
		ID: grantID(a.ID), Request: a.ID, Person: a.Person, Vendor: a.Vendor, Target: a.Target, Account: a.Account,
		Abilities: t.Abilities, From: t.From, To: t.To, Epochs: a.Epochs,
	}, nil
}

// grantID is the request's identifier under another prefix: a second grant of
// one request would have the same name, so it cannot hide from the floor.
func grantID(request string) string { return "grt_" + strings.TrimPrefix(request, "req_") }

// derive verifies everything that stands behind a grant's row (P5). It does
// not look at the clock.
func (s *Service) derive(ctx context.Context, g gateway.Grant) (entitled, error) {
	e, err := s.rederive(ctx, g)
	if err != nil {
		return entitled{}, s.tampered(ctx, grantEvent("", "gateway", g), err)
	}
	return e, nil
}

func (s *Service) rederive(ctx context.Context, g gateway.Grant) (entitled, error) {
	if s.floor.At("grant-closed:"+g.ID) > 0 && g.State != gateway.GrantClosed {
		return entitled{}, broken("grant %s was taken back, and its row says %s", g.ID, g.State)
	}
	r, err := s.store.Request(ctx, g.Request)
	if err != nil {
		return entitled{}, missing(err, "request", g.Request)
	}
	b, err := s.basis(ctx, r)
	if err != nil {
		return entitled{}, err
	}
	switch {
	case r.State != gateway.RequestGranted:
		return entitled{}, broken("request %s is %s, and a grant stands on it", r.ID, r.State)
	case !b.enough():
		return entitled{}, broken("request %s has %d of the %d approvals that policy asks for", r.ID, len(b.approvals), b.verdict.Approvals)
	}
	d, err := b.derived()
	if err != nil {
		return entitled{}, broken("%s", gateway.AsError(err).Text)
	}
	if field := differ(g, d); field != "" {
		return entitled{}, broken("grant %s: the row's %s is not what was agreed to", g.ID, field)
	}
	return entitled{basis: b, grant: g, abilities: d.Abilities, from: d.From, to: d.To}, nil
}

// differ names the first field in which a grant's row is not what was derived.
func differ(row, d gateway.Grant) string {
	for _, f := range []struct {
		name string
		same bool
	}{
		{"id", row.ID == d.ID},
		{"person", row.Person == d.Person},
		{"vendor", row.Vendor == d.Vendor},
		{"target", row.Target == d.Target},
		{"account", row.Account == d.Account},
		{"abilities", sameAbilities(row.Abilities, d.Abilities)},
		{"beginning", row.From.Equal(d.From)},
		{"end", row.To.Equal(d.To)},
		{"epochs", row.Epochs == d.Epochs},
	} {
		if !f.same {
			return f.name
		}
	}
	return ""
}

// usableNow refuses a grant outside its window or closed.
func (s *Service) usableNow(e entitled) error {
	g := e.grant
	switch now := s.clock.now(); {
	case g.State == gateway.GrantClosed:
		return errClosed(g)
	case now.Before(e.from):
		return errPlanned(e.from)
	case !s.clock.late().Before(e.to):
		return errEnded(e.to)
	case g.State != gateway.GrantOpen:
		return gateway.Unavailable("time keeper", fmt.Errorf("grant %q is %q inside its window", g.ID, g.State))
	}
	return nil
}

func errPlanned(from time.Time) *gateway.Error {
	return gateway.Refused("window", "come back then", "your window opens at %s", stamp(from))
}

func errEnded(to time.Time) *gateway.Error {
	return gateway.Refused("window", "ask for another if the work is not done", "your window ended at %s", stamp(to))
}

func errClosed(g gateway.Grant) *gateway.Error {
	if g.Why == gateway.EndWindow || g.Why == "" {
		return errEnded(g.To)
	}
	return gateway.Refused(string(g.Why), "", "your grant was closed at %s: %s", stamp(g.Closed), g.Why.Sentence())
}

func grantEvent(name audit.Name, actor string, g gateway.Grant) audit.Event {
	return audit.Event{Name: name, Actor: actor, Vendor: g.Vendor, Person: g.Person, Target: g.Target, Account: g.Account, Request: g.Request, Grant: g.ID}
}

// errAgain marks a compare-and-swap that another change has overtaken.
var errAgain = errors.New("read again")
