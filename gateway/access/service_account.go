package access

import (
	"context"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/trust"
)

// RuleOwner refuses whoever asks for a service account and does not answer for
// it.
const RuleOwner = "owner"

// inWhoseName is who would use what is asked for: the asker himself, or the
// service account that he names and answers for.
func (s *Service) inWhoseName(ctx context.Context, p gateway.Person, service string) (who gateway.Person, vendor gateway.Vendor, err error) {
	if service == "" {
		return s.asker(ctx, p.Name)
	}
	if err := gateway.CheckName("service", service); err != nil {
		return who, vendor, err
	}
	asker, err := s.chain.Person(ctx, p.Name)
	if err != nil {
		return who, vendor, err
	}
	who, err = s.chain.Service(ctx, service)
	switch {
	case gateway.IsCode(err, gateway.CodeNotFound), err == nil && !asker.Staff() && asker.Vendor != who.Vendor:
		return who, vendor, gateway.NotFound("service account", service)
	case err != nil:
		return who, vendor, err
	case asker.State != gateway.Active:
		return who, vendor, errSuspended()
	case who.Service.Owner != asker.Name:
		return who, vendor, gateway.Refused(RuleOwner, "have its owner ask", "%s answers for service account %s, and alone asks in its name", who.Service.Owner, service)
	}
	vendor, err = s.chain.Vendor(ctx, who.Vendor)
	return who, vendor, err
}

// bounded refuses a request for a service account that leaves open how much it
// would let pass.
func bounded(a statement.Ask, kind gateway.TargetKind) error {
	switch {
	case a.Key == "":
		return nil
	case kind != gateway.KindHTTPS:
		return gateway.Invalid("service", "a service account reaches consoles, and target %s is none", a.Target)
	case !a.Abilities.Limited():
		return gateway.Invalid("abilities", "nobody sits in front of a service account: state its rate (requests per second), volume-in and volume-out (bytes), such as rate 5, volume-in 1000000, volume-out 50000000")
	}
	return nil
}

// serves holds a request for a service account to what that is now.
func (s *Service) serves(ctx context.Context, b *basis) error {
	if b.ask.Key == "" {
		if b.person.Service != nil {
			return broken("request %s names a service account and not its key", b.ask.ID)
		}
		return nil
	}
	who, err := s.chain.Service(ctx, b.ask.Person)
	switch {
	case gateway.IsCode(err, gateway.CodeNotFound):
		return broken("%s is no service account", b.ask.Person)
	case err != nil:
		return err
	case who.Service.Pin() != b.ask.Key:
		return gateway.Refused("key-changed", "ask anew", "service account %s has another key than the one that was agreed to", b.ask.Person)
	}
	return nil
}

// ServiceOpening finds the grant that a service account would use on the
// target now, and draws up what the machine states of the key that it has just
// proven.
func (s *Service) ServiceOpening(ctx context.Context, name, target string, proof statement.ServiceProof, source string) (*statement.ServiceOpen, error) {
	g, _, err := s.Usable(ctx, gateway.Person{Name: name}, target, "")
	if err != nil {
		return nil, err
	}
	e, err := s.entitled(ctx, g.ID)
	if err != nil {
		return nil, err
	}
	b := e.serviceOpen()
	b.Proof, b.Source = proof, source
	return b, b.Check()
}

func (e entitled) serviceOpen() *statement.ServiceOpen {
	return &statement.ServiceOpen{
		Grant: e.grant.ID, Request: e.row.Digest, Person: e.ask.Person, Vendor: e.ask.Vendor, Target: e.ask.Target, Account: e.ask.Account,
		Abilities: e.abilities, From: e.from, To: e.to, Key: e.ask.Key,
	}
}

// opensService holds what the machine states to the entitlement. It is for
// service accounts alone: for a person the machine opens nothing.
func (s *Service) opensService(e entitled, checked trust.Checked, body *statement.ServiceOpen) error {
	want := e.serviceOpen()
	switch {
	case e.ask.Key == "" || e.person.Service == nil:
		return broken("the machine opens a session for %s, who is a person", e.ask.Person)
	case body.Grant != want.Grant || !body.Request.Equal(want.Request) || body.Person != want.Person || body.Vendor != want.Vendor || body.Target != want.Target ||
		body.Account != want.Account || body.Key != want.Key || !sameAbilities(body.Abilities, want.Abilities) || !body.From.Equal(want.From) || !body.To.Equal(want.To):
		return broken("the proof for grant %s opens something else than what was agreed to", e.grant.ID)
	}
	return s.fresh(checked, statement.Fresh)
}
