package access

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/portcullis/portcullis/certs"
	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/trust"
	"github.com/portcullis/portcullis/policy"
)

// TicketLife is how long a ticket waits for its connection (DESIGN 5).
const TicketLife = 60 * time.Second

// Entitlement is what the verified chain behind a grant lets one session do.
// All of it comes from signed bytes or from the chain.
type Entitlement struct {
	Grant     gateway.Grant
	Request   gateway.Request
	Target    gateway.Target
	Account   gateway.Account
	Person    gateway.Person
	Vendor    gateway.Vendor
	Abilities gateway.Abilities
	From, To  time.Time
	Recording string        // the recording rule that policy set
	Idle      time.Duration // after which an idle session ends; zero: the session's default
	// Supervised: what is typed passes only while somebody of the staff watches.
	Supervised bool
}

// Usable finds the grant that the person would use on the target now; an
// empty account is the one there is. The refusal says why there is none, and
// says of a target that is not there what it says of one that is.
func (s *Service) Usable(ctx context.Context, p gateway.Person, target, account string) (gateway.Grant, gateway.Request, error) {
	list, err := s.store.Usable(ctx, p.Name, target)
	if err != nil {
		return gateway.Grant{}, gateway.Request{}, err
	}
	if account != "" {
		list = slices.DeleteFunc(list, func(g gateway.Grant) bool { return g.Account != account })
	}
	g, err := s.choose(list)
	if err != nil {
		return gateway.Grant{}, gateway.Request{}, err
	}
	if g.ID == "" {
		return gateway.Grant{}, gateway.Request{}, s.whyNone(ctx, p, target, account)
	}
	e, err := s.entitled(ctx, g.ID)
	if err != nil {
		return gateway.Grant{}, gateway.Request{}, err
	}
	return e.grant, e.row, nil
}

// choose takes the grant whose window is open, the longest if there are more;
// the zero grant means that there is none at all.
func (s *Service) choose(list []gateway.Grant) (gateway.Grant, error) {
	now, late := s.clock.now(), s.clock.late()
	var open []gateway.Grant
	var soonest, ended time.Time
	for _, g := range list {
		switch {
		case !late.Before(g.To):
			ended = g.To
		case !now.Before(g.From):
			open = append(open, g)
		case soonest.IsZero() || g.From.Before(soonest):
			soonest = g.From
		}
	}
	if len(open) > 0 {
		var names []string
		best := open[0]
		for _, g := range open {
			if !slices.Contains(names, g.Account) {
				names = append(names, g.Account)
			}
			if g.To.After(best.To) {
				best = g
			}
		}
		if len(names) > 1 {
			return gateway.Grant{}, gateway.Refused("account", "name one as ACCOUNT+"+best.Target, "you hold grants for the accounts %s", strings.Join(names, ", "))
		}
		return best, nil
	}
	if !soonest.IsZero() {
		return gateway.Grant{}, errPlanned(soonest)
	}
	if !ended.IsZero() {
		return gateway.Grant{}, errEnded(ended)
	}
	return gateway.Grant{}, nil
}

// whyNone words why a person has no grant, from what is his own.
func (s *Service) whyNone(ctx context.Context, p gateway.Person, target, account string) error {
	mine := Filter{Person: p.Name, Target: target, Limit: MaxWaiting}
	requests, err := s.store.Requests(ctx, mine)
	if err != nil {
		return err
	}
	for _, r := range requests {
		if r.State == gateway.RequestWaiting && (account == "" || r.Account == account) {
			return gateway.Refused("no-grant", "wait for it, or call the approver", "your request %s for %s still waits for approval", r.ID, target)
		}
	}
	grants, err := s.store.Grants(ctx, mine)
	if err != nil {
		return err
	}
	for _, g := range grants {
		if account == "" || g.Account == account {
			if err := s.shut(ctx, g); err != nil {
				return err
			}
			return errClosed(g)
		}
	}
	return gateway.Refused("no-grant", "ask for one at "+s.page("/requests/new"), "you hold no grant for %s", target)
}

// shut names the target, zone or protocol whose suspension closed a grant, as
// long as it stands.
func (s *Service) shut(ctx context.Context, g gateway.Grant) error {
	if g.Why != gateway.EndSuspended {
		return nil
	}
	t, err := s.chain.Target(ctx, g.Target)
	if err == nil {
		err = s.chain.Open(ctx, reach(g.Vendor, g.Person, t), s.clock.now())
	}
	var no *gateway.Error
	if errors.As(err, &no) && no.Rule == trust.Shut {
		return no
	}
	return nil // what closed the grant is answer enough
}

// entitled reads a grant, opens it if its time has come, and verifies all that
// stands behind it and that it is usable now.
func (s *Service) entitled(ctx context.Context, id string) (entitled, error) {
	g, err := s.store.Grant(ctx, id)
	if err != nil {
		return entitled{}, notFound(err, "grant", id)
	}
	if g.State == gateway.GrantPlanned && !s.clock.now().Before(g.From) {
		if g, err = s.openGrant(ctx, id); err != nil {
			return entitled{}, err
		}
	}
	e, err := s.derive(ctx, g)
	if err != nil {
		return entitled{}, err
	}
	if err := s.usableNow(e); err != nil {
		return entitled{}, err
	}
	if err := trust.Opens(e.ladder, reach(e.ask.Vendor, e.ask.Person, e.target)); err != nil {
		return entitled{}, err
	}
	no := s.policy.Decide(policy.Facts{
		Action: policy.Open, Person: e.person, Vendor: e.vendor, Target: e.target, Account: e.ask.Account,
		Terms: gateway.Terms{From: e.from, To: e.to, Abilities: e.abilities}, Now: s.clock.now(), Stage: e.ladder.Stage,
	}).Err()
	if no != nil {
		return entitled{}, no
	}
	return e, nil
}

// DraftOpen draws up what the engineer signs to open one session. transport
// is the SSH session identifier or the login's id, code the matching code.
func (s *Service) DraftOpen(ctx context.Context, p gateway.Person, id string, binding statement.BindingKind, transport, source, code string) (*statement.Open, error) {
	e, err := s.entitled(ctx, id)
	if err != nil {
		return nil, err
	}
	if e.grant.Person != p.Name {
		return nil, gateway.NotFound("grant", id)
	}
	body := e.open()
	body.Binding, body.Transport, body.Source, body.Code = binding, transport, source, code
	return body, body.Check()
}

// open is the statement that this entitlement lets the person sign, but for
// the transport.
func (e entitled) open() *statement.Open {
	return &statement.Open{
		Grant: e.grant.ID, Request: e.row.Digest, Person: e.ask.Person, Vendor: e.ask.Vendor, Target: e.ask.Target, Account: e.ask.Account,
		Abilities: e.abilities, From: e.from, To: e.to,
	}
}

// opens holds a touch to the entitlement: signed by the person himself, about
// exactly this, and no older than it may be.
func (s *Service) opens(ctx context.Context, e entitled, touch statement.Signed) (*statement.Open, error) {
	checked, err := s.chain.Check(ctx, touch)
	if err != nil {
		return nil, err
	}
	if b, is := checked.Body.(*statement.ServiceOpen); is {
		return nil, s.opensService(e, checked, b)
	}
	body, ok := checked.Body.(*statement.Open)
	if !ok {
		return nil, gateway.Refused("touch", "touch your key for this session", "the touch agrees to something else than opening a session")
	}
	want := e.open()
	switch {
	case checked.Signer.Name != e.ask.Person || body.Person != e.ask.Person || body.Grant != e.grant.ID:
		return nil, gateway.Refused("touch", "touch your own key for your own grant", "the touch is by another person or for another grant")
	case !body.Request.Equal(want.Request) || body.Vendor != want.Vendor || body.Target != want.Target || body.Account != want.Account ||
		!sameAbilities(body.Abilities, want.Abilities) || !body.From.Equal(want.From) || !body.To.Equal(want.To):
		return nil, broken("the touch for grant %s opens something else than what was agreed to", e.grant.ID)
	}
	oldest := statement.Fresh
	if body.Binding == statement.BindLogin {
		oldest += TicketLife // it was fresh when the ticket was made of it
	}
	return body, s.fresh(checked, oldest)
}

func (s *Service) fresh(c trust.Checked, oldest time.Duration) error {
	if age := s.clock.now().Sub(c.Statement.At); age > oldest || age < -skew {
		return gateway.Refused("touch-age", "connect again and touch your key", "the touch is %s old; at most %s are allowed", age.Round(time.Second), oldest)
	}
	return nil
}

// CommitTicket keeps a touch that was given ahead in the browser: good for one
// connection of that person under that grant, within TicketLife.
func (s *Service) CommitTicket(ctx context.Context, signed statement.Signed) (Ticket, error) {
	checked, err := s.chain.CheckFresh(ctx, signed)
	if err != nil {
		return Ticket{}, err
	}
	body, ok := checked.Body.(*statement.Open)
	if !ok || body.Binding != statement.BindLogin {
		return Ticket{}, gateway.Invalid("statement", "the statement makes no ticket")
	}
	e, err := s.entitled(ctx, body.Grant)
	if err != nil {
		return Ticket{}, err
	}
	if _, err := s.opens(ctx, e, signed); err != nil {
		return Ticket{}, s.tampered(ctx, grantEvent("", body.Person, e.grant), err)
	}
	t := Ticket{Touch: signed.Digest, Person: e.ask.Person, Grant: e.grant.ID, Via: body.Transport, Expires: s.clock.now().Add(TicketLife)}
	err = s.store.Update(ctx, func(tx Tx) error {
		if err := current(tx, e.ask); err != nil {
			return err
		}
		if err := tx.PutStatement(signed); err != nil {
			return usedUp(err)
		}
		if err := tx.PutTicket(t); err != nil {
			return usedUp(err)
		}
		event := grantEvent(audit.TicketMade, t.Person, e.grant)
		event.Statement, event.Source = t.Touch, body.Source
		return tx.Append(event)
	})
	if err != nil {
		return Ticket{}, err
	}
	return t, nil
}

// TakeTicket takes a ticket of the person under the grant, and returns the
// touch that it was made of; false if there is none. With a login, only one
// that was made in it is taken: others are left for whom they were made for.
func (s *Service) TakeTicket(ctx context.Context, p gateway.Person, id, login string) (statement.Signed, bool, error) {
	var t Ticket
	err := s.store.Update(ctx, func(tx Tx) error {
		var err error
		if t, err = tx.TakeTicket(p.Name, id, login, s.clock.now()); err != nil {
			return err
		}
		return tx.Append(audit.Event{Name: audit.TicketTaken, Actor: p.Name, Vendor: p.Vendor, Grant: id, Statement: t.Touch})
	})
	if errors.Is(err, gateway.ErrNotFound) {
		return statement.Signed{}, false, nil
	}
	if err != nil {
		return statement.Signed{}, false, err
	}
	signed, err := s.store.Statement(ctx, t.Touch)
	if err != nil {
		return statement.Signed{}, false, missing(err, "ticket's statement", t.Touch.Short())
	}
	return signed, true, nil
}

// Entitle is the check of P5. It believes no row: the request's document, the
// approvals with their signers' roles of now, the target's definition, the
// epochs, the policy of now and the touch are all verified, and what comes
// back is what they say. A mismatch is a chain.broken event and a refusal.
func (s *Service) Entitle(ctx context.Context, id string, touch statement.Signed) (Entitlement, error) {
	e, err := s.entitled(ctx, id)
	if err != nil {
		return Entitlement{}, err
	}
	if _, err := s.opens(ctx, e, touch); err != nil {
		event := grantEvent("", e.ask.Person, e.grant)
		event.Statement = touch.Digest
		return Entitlement{}, s.tampered(ctx, event, err)
	}
	return Entitlement{
		Grant: e.grant, Request: e.row, Target: e.target, Account: e.account, Person: e.person, Vendor: e.vendor,
		Abilities: e.abilities, From: e.from, To: e.to, Recording: e.verdict.Recording, Idle: e.verdict.Idle, Supervised: e.ladder.Stage != gateway.StageNormal,
	}, nil
}

// Credential gives what proves the account to the target, for one session. A
// certificate ends with the grant.
func (s *Service) Credential(_ context.Context, e Entitlement, sessionID string) (certs.Credential, error) {
	if e.Account.Proof != gateway.ProofCertificate {
		return s.certs.Held(e.Target.Kind, e.Account)
	}
	now := s.clock.late()
	if !now.Before(e.To) {
		return certs.Credential{}, errEnded(e.To)
	}
	if e.Target.Kind == gateway.KindHTTPS {
		return s.certs.Client(e.Account.Login, sessionID, s.clock.now(), e.To)
	}
	return s.certs.User(e.Account.Login, sessionID, s.clock.now(), e.To, certs.Permits{
		PTY: e.Abilities.Shell || e.Abilities.Exec, Forward: len(e.Abilities.Forward) > 0,
	})
}

var _ Chain = (*trust.Chain)(nil)
