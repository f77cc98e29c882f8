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
	"github.com/portcullis/portcullis/policy"
)

// Bounds of requests.
const (
	LapseAfter = 24 * time.Hour // a request that nobody agreed to is over then, or at its window's end
	MaxWaiting = 20             // requests of one person that wait for approvals
)

// RuleOverlap refuses a window that the same person has on the same account
// already, agreed or asked for.
const RuleOverlap = "overlap"

// AskInput is a request before it is written. Either From and To are set, or
// Length is. An empty Account is the target's only one.
type AskInput struct {
	Service   string // the service account that it is for; empty: whoever asks
	Target    string
	Account   string
	Abilities []string
	From, To  time.Time
	Length    time.Duration
	Reason    string
	Ticket    string
}

// Preview is what would become of a request if it were sent now.
type Preview struct {
	Verdict  policy.Verdict  `json:"verdict"`
	Terms    gateway.Terms   `json:"terms"`
	Overlaps []gateway.Grant `json:"overlaps,omitempty"` // grants whose windows stand in the way
}

// draft is a request that was read and judged, and not yet written.
type draft struct {
	ask      statement.Ask
	terms    gateway.Terms
	verdict  policy.Verdict
	overlaps []gateway.Grant
	clash    *gateway.Error // nil: no window stands in the way
}

// Preview judges without writing. An error is about the input; what policy or
// another window says against it stands in the verdict.
func (s *Service) Preview(ctx context.Context, p gateway.Person, in AskInput) (Preview, error) {
	d, err := s.draft(ctx, p, in)
	if err != nil {
		return Preview{}, err
	}
	if d.clash != nil && d.verdict.Effect != policy.Refuse {
		d.verdict = policy.Verdict{Effect: policy.Refuse, Reasons: []policy.Reason{{Rule: d.clash.Rule, Text: d.clash.Text, Next: d.clash.Next}}}
	}
	return Preview{Verdict: d.verdict, Terms: d.terms, Overlaps: d.overlaps}, nil
}

// Ask writes a request that waits for approvals. Each refusal is an event.
func (s *Service) Ask(ctx context.Context, p gateway.Person, in AskInput) (gateway.Request, error) {
	r, err := s.ask(ctx, p, in)
	if err != nil {
		s.denied(ctx, p, in, err)
		return gateway.Request{}, err
	}
	s.tellRequest(r)
	return r, nil
}

func (s *Service) ask(ctx context.Context, p gateway.Person, in AskInput) (gateway.Request, error) {
	d, err := s.draft(ctx, p, in)
	if err != nil {
		return gateway.Request{}, err
	}
	if err := d.verdict.Err(); err != nil {
		return gateway.Request{}, err
	}
	if d.clash != nil {
		return gateway.Request{}, d.clash
	}
	r, err := d.request()
	if err != nil {
		return gateway.Request{}, err
	}
	err = s.store.Update(ctx, func(tx Tx) error {
		if err := current(tx, d.ask); err != nil {
			return err
		}
		// Another node may have written since the look before.
		switch _, clash, err := overlaps(tx, d.ask, d.ask.Asked); {
		case err != nil:
			return err
		case clash != nil:
			return clash
		}
		if err := tx.PutRequest(r); err != nil {
			return err
		}
		e := requestEvent(audit.RequestAsked, p.Name, r)
		e.Reason, e.Detail = r.Reason, map[string]string{"terms": termsText(r.Terms), "digest": r.Digest.String(), "ticket": r.Ticket, "approvals": fmt.Sprint(r.Needs)}
		return tx.Append(e)
	})
	return r, err
}

// draft reads and judges. The person is read anew: what the caller holds may
// be older than a suspension.
func (s *Service) draft(ctx context.Context, p gateway.Person, in AskInput) (draft, error) {
	now := s.clock.now()
	terms, err := readTerms(in, now)
	if err != nil {
		return draft{}, err
	}
	if err := checkWords(in); err != nil {
		return draft{}, err
	}
	who, vendor, err := s.inWhoseName(ctx, p, in.Service)
	if err != nil {
		return draft{}, err
	}
	target, account, err := s.wanted(ctx, who, in)
	if err != nil {
		return draft{}, err
	}
	if err := terms.Abilities.FitsTarget(target); err != nil {
		return draft{}, err
	}
	if err := s.chain.Open(ctx, reach(who.Vendor, who.Name, target), now); err != nil {
		return draft{}, err
	}
	ladder, err := s.chain.Stage(ctx, reach(who.Vendor, who.Name, target))
	if err != nil {
		return draft{}, err
	}
	d := draft{terms: terms, ask: statement.Ask{
		ID: gateway.NewID("req", now), Person: who.Name, Vendor: who.Vendor, Target: target.Name, TargetStatement: target.Statement, Account: account.Name,
		From: terms.From, To: terms.To, Seconds: int64(terms.Length / time.Second), Abilities: terms.Abilities, Reason: in.Reason, Ticket: in.Ticket,
		Epochs: gateway.Epochs{Vendor: vendor.Epoch, Person: who.Epoch}, Asked: now, Lapse: lapse(terms, now),
	}}
	if who.Service != nil {
		d.ask.Asker, d.ask.Key = p.Name, who.Service.Pin()
	}
	if err := bounded(d.ask, target.Kind); err != nil {
		return draft{}, err
	}
	d.verdict = s.policy.Decide(policy.Facts{
		Action: policy.Ask, Person: who, Vendor: vendor, Target: target, Account: account.Name, Terms: terms, Now: now, Stage: ladder.Stage,
	})
	if d.verdict.Err() == nil {
		d.verdict.Reasons = append(d.verdict.Reasons, stageReasons(ladder, reach(who.Vendor, who.Name, target))...)
	}
	d.overlaps, d.clash, err = overlaps(rowsOf{ctx, s.store}, d.ask, now)
	return d, err
}

func checkWords(in AskInput) error {
	if err := gateway.CheckName("target", in.Target); err != nil {
		return err
	}
	if in.Account != "" {
		if err := gateway.CheckName("account", in.Account); err != nil {
			return err
		}
	}
	if err := gateway.CheckNeeded("reason", in.Reason, gateway.MaxReason, true); err != nil {
		return err
	}
	return gateway.CheckText("ticket", in.Ticket, gateway.MaxTitle, false)
}

func (s *Service) asker(ctx context.Context, name string) (gateway.Person, gateway.Vendor, error) {
	who, err := s.chain.Person(ctx, name)
	if err != nil {
		return who, gateway.Vendor{}, err
	}
	if who.Staff() {
		return who, gateway.Vendor{}, gateway.Refused("asker", "have an engineer of the vendor ask", "people of the operator's staff do not ask for access; engineers of a vendor do")
	}
	if who.Service != nil {
		return who, gateway.Vendor{}, gateway.Refused(RuleOwner, "have its owner ask", "a service account asks for nothing; %s answers for it", who.Service.Owner)
	}
	vendor, err := s.chain.Vendor(ctx, who.Vendor)
	return who, vendor, err
}

// wanted finds the target and the account. A target that does not list the
// vendor is answered like one that is not there.
func (s *Service) wanted(ctx context.Context, who gateway.Person, in AskInput) (gateway.Target, gateway.Account, error) {
	target, err := s.chain.Target(ctx, in.Target)
	switch {
	case gateway.IsCode(err, gateway.CodeNotFound), err == nil && (target.Removed || !slices.Contains(target.Vendors, who.Vendor)):
		return target, gateway.Account{}, gateway.NotFound("target", in.Target)
	case err != nil:
		return target, gateway.Account{}, err
	case in.Account == "" && len(target.Accounts) == 1:
		return target, target.Accounts[0], nil
	}
	account, ok := target.Account(in.Account)
	if !ok {
		var names []string
		for _, a := range target.Accounts {
			names = append(names, a.Name)
		}
		return target, account, gateway.Invalid("account", "target %s has the accounts %s; name one of them", target.Name, strings.Join(names, ", "))
	}
	return target, account, nil
}

func lapse(t gateway.Terms, now time.Time) time.Time {
	l := now.Add(LapseAfter)
	if !t.To.IsZero() && t.To.Before(l) {
		l = t.To
	}
	return l
}

// windows are one person's, as the store has them: of grants that are not
// closed at one target, and of requests that wait, at most MaxWaiting.
type windows interface {
	Usable(person, target string) ([]gateway.Grant, error)
	Waiting(person string) ([]gateway.Request, error)
}

// rowsOf reads windows outside a transaction.
type rowsOf struct {
	ctx   context.Context
	store Store
}

func (r rowsOf) Usable(person, target string) ([]gateway.Grant, error) {
	return r.store.Usable(r.ctx, person, target)
}

func (r rowsOf) Waiting(person string) ([]gateway.Request, error) {
	return r.store.Requests(r.ctx, Filter{Person: person, States: []string{string(gateway.RequestWaiting)}, Limit: MaxWaiting})
}

// overlaps lists the grants in the way, and words the first thing that is.
func overlaps(rows windows, a statement.Ask, now time.Time) ([]gateway.Grant, *gateway.Error, error) {
	from, to := span(asked(a), now)
	held, err := rows.Usable(a.Person, a.Target)
	if err != nil {
		return nil, nil, err
	}
	held = slices.DeleteFunc(held, func(g gateway.Grant) bool { return g.Account != a.Account || !overlap(from, to, g.From, g.To) })
	if len(held) > 0 {
		g := held[0]
		no := gateway.Conflict(RuleOverlap, "you hold %s on %s already from %s to %s", g.Account, g.Target, stamp(g.From), stamp(g.To))
		no.Next = "use that grant, or ask for a window outside it"
		return held, no, nil
	}
	waiting, err := rows.Waiting(a.Person)
	if err != nil {
		return nil, nil, err
	}
	for _, r := range waiting {
		otherFrom, otherTo := span(r.Terms, now)
		if r.Target == a.Target && r.Account == a.Account && overlap(from, to, otherFrom, otherTo) {
			no := gateway.Conflict(RuleOverlap, "your request %s for %s on %s waits for approval already, and its window overlaps this one", r.ID, r.Account, r.Target)
			no.Next = "wait for it, or withdraw it first"
			return nil, no, nil
		}
	}
	if len(waiting) == MaxWaiting {
		return nil, &gateway.Error{Code: gateway.CodeTooMany, Rule: "waiting", Text: fmt.Sprintf("%d of your requests wait for approval already", MaxWaiting), Next: "withdraw one first"}, nil
	}
	return nil, nil, nil
}

// request makes the row: the document and its index.
func (d draft) request() (gateway.Request, error) {
	raw, err := statement.Canonical(d.ask)
	if err != nil {
		return gateway.Request{}, gateway.Internal(err)
	}
	a := d.ask
	return gateway.Request{
		ID: a.ID, Person: a.Person, Vendor: a.Vendor, Target: a.Target, TargetStatement: a.TargetStatement, Account: a.Account, Terms: d.terms,
		Reason: a.Reason, Ticket: a.Ticket, Epochs: a.Epochs, Asked: a.Asked, Lapse: a.Lapse, Digest: gateway.DigestOf(raw), Document: raw,
		State: gateway.RequestWaiting, Needs: d.verdict.Approvals, Roles: d.verdict.Roles, Asker: a.Asker, Version: 1,
	}, nil
}

// current refuses inside a transaction what a suspension has overtaken.
func current(tx Tx, a statement.Ask) error {
	now, vendorActive, personActive, err := tx.Epochs(a.Vendor, a.Person)
	switch {
	case err != nil:
		return err
	case !vendorActive || !personActive:
		return errSuspended()
	case now != a.Epochs:
		return errEpoch()
	}
	return nil
}

func errSuspended() *gateway.Error {
	return gateway.Refused("suspended", "call the operator's control room", "access of this vendor or person is suspended")
}

func errEpoch() *gateway.Error {
	return gateway.Refused("epoch", "ask anew", "this is from before a suspension, and nothing from before it is opened again")
}

// denied writes what was refused. Names that break the grammar stay out: they
// are in the reason, quoted and cut.
func (s *Service) denied(ctx context.Context, p gateway.Person, in AskInput, err error) {
	no := gateway.AsError(err)
	if no.Code == gateway.CodeUnavailable || no.Code == gateway.CodeInternal || errors.Is(err, context.Canceled) {
		s.log.Error("ask", "person", p.Name, "error", err)
	}
	e := audit.Event{Name: audit.RequestDenied, Actor: p.Name, Vendor: p.Vendor, Outcome: audit.Refused, Reason: no.Sentence(), Rule: no.Rule}
	if gateway.CheckName("target", in.Target) == nil {
		e.Target = in.Target
	}
	if gateway.CheckName("account", in.Account) == nil {
		e.Account = in.Account
	}
	s.record(ctx, e)
}

func requestEvent(name audit.Name, actor string, r gateway.Request) audit.Event {
	return audit.Event{Name: name, Actor: actor, Vendor: r.Vendor, Person: r.Person, Target: r.Target, Account: r.Account, Request: r.ID}
}

func termsText(t gateway.Terms) string {
	what := strings.Join(t.Abilities.List(), ", ")
	if t.From.IsZero() {
		return what + " for " + policy.Span(t.Length)
	}
	return what + " from " + stamp(t.From) + " to " + stamp(t.To)
}
