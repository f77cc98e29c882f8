package access

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/statement"
)

// attempts is how often a change is tried that others overtake. Each approver
// can overtake once, so it is more than there are approvals.
const attempts = 8

// DraftApprove draws up what the approver would sign: the request as all who
// agreed so far left it, or narrower. The body is refused here already if this
// person may not agree.
func (s *Service) DraftApprove(ctx context.Context, by gateway.Person, id string, narrowed *gateway.Terms) (*statement.Approve, error) {
	if err := s.grants(); err != nil {
		return nil, err
	}
	r, err := s.store.Request(ctx, id)
	if err != nil {
		return nil, notFound(err, "request", id)
	}
	if err := s.waits(r); err != nil {
		return nil, err
	}
	b, err := s.basis(ctx, r)
	if err != nil {
		return nil, s.tampered(ctx, requestEvent("", by.Name, r), err)
	}
	who, err := s.chain.Person(ctx, by.Name)
	if err != nil {
		return nil, err
	}
	terms := b.common()
	if narrowed != nil {
		n := *narrowed
		n.From, n.To = gateway.Instant(n.From), gateway.Instant(n.To)
		if narrowed.From.IsZero() {
			n.From, n.To = time.Time{}, time.Time{}
		}
		if !within(n, terms) || n.Length%time.Second != 0 || n.Window() < MinWindow {
			return nil, gateway.Refused("narrow", "agree to what was asked, or to less", "an approval may narrow what was asked (%s), never widen it", termsText(terms))
		}
		if err := n.Abilities.FitsTarget(b.target); err != nil {
			return nil, err
		}
		terms = n
	}
	a := b.ask
	body := &statement.Approve{
		Request: a.ID, Digest: r.Digest, Person: a.Person, Vendor: a.Vendor, Target: a.Target, Account: a.Account,
		From: terms.From, To: terms.To, Seconds: int64(terms.Length / time.Second), Lapse: a.Lapse, Abilities: terms.Abilities, Reason: a.Reason,
		Narrowed: !sameTerms(terms, asked(a)), Asker: a.Asker, Key: a.Key,
	}
	if no := s.mayAgree(b, who, body, s.clock.now()); no != nil {
		return nil, no
	}
	for _, o := range b.approvals {
		if o.person == who.Name {
			return nil, errTwice(o)
		}
	}
	return body, nil
}

// CommitApprove takes a signed approval. With the last one that policy asks
// for, the request is granted and the grant returned.
func (s *Service) CommitApprove(ctx context.Context, signed statement.Signed) (gateway.Request, *gateway.Grant, error) {
	checked, err := s.chain.CheckFresh(ctx, signed)
	if err != nil {
		return gateway.Request{}, nil, err
	}
	body, ok := checked.Body.(*statement.Approve)
	if !ok {
		return gateway.Request{}, nil, gateway.Invalid("statement", "the statement agrees to no request")
	}
	for range attempts {
		r, g, err := s.agree(ctx, signed, checked.Signer, body, checked.Statement.At)
		if errors.Is(err, errAgain) || errors.Is(err, gateway.ErrStale) {
			continue
		}
		if err != nil {
			return gateway.Request{}, nil, err
		}
		s.tellRequest(r)
		if g != nil {
			s.tellGrant(*g)
		}
		return r, g, nil
	}
	return gateway.Request{}, nil, gateway.Conflict("race", "others are agreeing to this request at this moment; look at it again")
}

// agree verifies outside the transaction, since the chain reads much, and
// holds the outcome to the request's version inside it: every approval raises
// that.
func (s *Service) agree(ctx context.Context, signed statement.Signed, signer gateway.Person, body *statement.Approve, at time.Time) (gateway.Request, *gateway.Grant, error) {
	if err := s.grants(); err != nil {
		return gateway.Request{}, nil, err
	}
	r, err := s.store.Request(ctx, body.Request)
	if err != nil {
		return r, nil, notFound(err, "request", body.Request)
	}
	if err := s.waits(r); err != nil {
		return r, nil, err
	}
	b, err := s.basis(ctx, r)
	if err != nil {
		return r, nil, s.tampered(ctx, requestEvent("", signer.Name, r), err)
	}
	if no := s.mayAgree(b, signer, body, at); no != nil {
		return r, nil, s.tampered(ctx, requestEvent("", signer.Name, r), no)
	}
	for _, o := range b.approvals {
		if o.person == signer.Name {
			return r, nil, errTwice(o)
		}
	}
	b.approvals = append(b.approvals, approval{person: signer.Name, terms: agreed(body), at: at})
	grant, err := b.derived()
	if err != nil {
		return r, nil, err
	}
	next := r
	next.Version++
	if b.enough() {
		next.State, next.Closed, next.ClosedBy = gateway.RequestGranted, s.clock.now(), signer.Name
	}
	a := gateway.Approval{Request: r.ID, Person: signer.Name, Terms: agreed(body), Statement: signed.Digest, At: at}
	var made *gateway.Grant
	if b.enough() {
		if !s.clock.late().Before(grant.To) {
			return r, nil, errEnded(grant.To)
		}
		grant.State, grant.Version = s.firstState(grant), 1
		made = &grant
	}
	err = s.store.Update(ctx, func(tx Tx) error { return s.putApproval(tx, r, next, a, signed, made, b) })
	return next, made, err
}

func (s *Service) putApproval(tx Tx, r, next gateway.Request, a gateway.Approval, signed statement.Signed, made *gateway.Grant, b basis) error {
	now, err := tx.Request(r.ID)
	switch {
	case err != nil:
		return err
	case now.Version != r.Version:
		return errAgain
	case !s.clock.late().Before(r.Lapse):
		return errLapsed(r)
	}
	if err := current(tx, b.ask); err != nil {
		return err
	}
	if err := tx.PutStatement(signed); err != nil {
		return usedUp(err)
	}
	if err := tx.PutApproval(a); err != nil {
		return usedUp(err)
	}
	if err := tx.PutRequest(next); err != nil {
		return err
	}
	e := requestEvent(audit.RequestApproved, a.Person, r)
	e.Statement, e.Detail = a.Statement, map[string]string{"terms": termsText(a.Terms), "approvals": fmt.Sprintf("%d of %d", len(b.approvals), b.verdict.Approvals)}
	if err := tx.Append(e); err != nil || made == nil {
		return err
	}
	return putNewGrant(tx, *made)
}

func putNewGrant(tx Tx, g gateway.Grant) error {
	if err := tx.PutGrant(g); err != nil {
		if errors.Is(err, gateway.ErrUsed) {
			return broken("request %s has a grant already", g.Request)
		}
		return err
	}
	e := grantEvent(audit.GrantMade, "gateway", g)
	e.Detail = map[string]string{"from": stamp(g.From), "to": stamp(g.To), "abilities": termsText(gateway.Terms{From: g.From, To: g.To, Abilities: g.Abilities})}
	if err := tx.Append(e); err != nil || g.State != gateway.GrantOpen {
		return err
	}
	return tx.Append(grantEvent(audit.GrantOpened, "gateway", g))
}

func (s *Service) firstState(g gateway.Grant) gateway.GrantState {
	if s.clock.now().Before(g.From) {
		return gateway.GrantPlanned
	}
	return gateway.GrantOpen
}

// waits refuses a request that is over, and tells who was first.
func (s *Service) waits(r gateway.Request) error {
	if r.State == gateway.RequestWaiting {
		if !s.clock.late().Before(r.Lapse) {
			return errLapsed(r)
		}
		return nil
	}
	return over(r)
}

// over words how a request came to its end.
func over(r gateway.Request) *gateway.Error {
	switch r.State {
	case gateway.RequestGranted:
		return gateway.Conflict("granted", "request %s is granted: %s gave the last approval at %s", r.ID, r.ClosedBy, stamp(r.Closed))
	case gateway.RequestRefused:
		return gateway.Conflict("refused", "%s refused request %s at %s: %s", r.ClosedBy, r.ID, stamp(r.Closed), r.Word)
	case gateway.RequestWithdrawn:
		return gateway.Conflict("withdrawn", "%s withdrew request %s at %s", r.ClosedBy, r.ID, stamp(r.Closed))
	case gateway.RequestLapsed:
		return errLapsed(r)
	}
	return gateway.Conflict("cancelled", "request %s was cancelled at %s by a suspension", r.ID, stamp(r.Closed))
}

func errLapsed(r gateway.Request) *gateway.Error {
	return gateway.Conflict("lapsed", "request %s lapsed at %s, since not enough people had agreed by then", r.ID, stamp(r.Lapse))
}

func errTwice(o approval) *gateway.Error {
	no := gateway.Conflict("approved-twice", "you agreed to this request already, at %s", stamp(o.at))
	no.Next = "another approver must agree"
	return no
}

// usedUp words a single-use thing that was used.
func usedUp(err error) error {
	if errors.Is(err, gateway.ErrUsed) {
		return gateway.Conflict("touch-once", "this touch has been used already, and a touch is good for once")
	}
	return err
}
