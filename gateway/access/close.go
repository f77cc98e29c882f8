package access

import (
	"context"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/statement"
)

// Withdraw takes back a waiting request of the person's own.
func (s *Service) Withdraw(ctx context.Context, p gateway.Person, id string) (gateway.Request, error) {
	return s.closeRequest(ctx, id, audit.RequestWithdrawn, func(r gateway.Request) (gateway.Request, error) {
		if r.Person != p.Name && r.Asker != p.Name {
			return r, gateway.NotFound("request", id)
		}
		r.State, r.ClosedBy = gateway.RequestWithdrawn, p.Name
		return r, nil
	})
}

// Refuse says no for everybody: one approver's word ends a waiting request.
func (s *Service) Refuse(ctx context.Context, by gateway.Person, id, word string) (gateway.Request, error) {
	if err := gateway.CheckNeeded("word", word, gateway.MaxReason, true); err != nil {
		return gateway.Request{}, err
	}
	who, err := s.actor(ctx, by)
	if err != nil {
		return gateway.Request{}, err
	}
	return s.closeRequest(ctx, id, audit.RequestRefused, func(r gateway.Request) (gateway.Request, error) {
		if !who.Staff() || !who.Is(append([]gateway.Role{gateway.Approver, gateway.Responder, gateway.Admin}, r.Roles...)...) {
			return r, gateway.Refused("refuse", "ask one of them", "approvers, responders and administrators of the staff refuse requests")
		}
		r.State, r.ClosedBy, r.Word = gateway.RequestRefused, who.Name, word
		return r, nil
	})
}

// closeRequest ends a waiting request by compare-and-swap. end sees the row as
// it is in the transaction.
func (s *Service) closeRequest(ctx context.Context, id string, name audit.Name, end func(gateway.Request) (gateway.Request, error)) (gateway.Request, error) {
	var out gateway.Request
	err := s.store.Update(ctx, func(tx Tx) error {
		r, err := tx.Request(id)
		if err != nil {
			return notFound(err, "request", id)
		}
		next, err := end(r)
		if err != nil {
			return err
		}
		if r.State != gateway.RequestWaiting {
			return over(r)
		}
		next.Closed, next.Version = s.clock.now(), r.Version+1
		if err := tx.PutRequest(next); err != nil {
			return err
		}
		out = next
		e := requestEvent(name, next.ClosedBy, next)
		e.Reason = next.Word
		return tx.Append(e)
	})
	if err != nil {
		return gateway.Request{}, err
	}
	if out.State != gateway.RequestLapsed { // a lapse is in the signed document itself
		s.raise("request-closed:" + id)
	}
	s.tellRequest(out)
	return out, nil
}

// Revoke closes a grant before its time: staff takes it back, or the engineer
// gives it back. What is live under it ends.
func (s *Service) Revoke(ctx context.Context, by gateway.Person, id, word string) (gateway.Grant, error) {
	if err := gateway.CheckText("word", word, gateway.MaxReason, true); err != nil {
		return gateway.Grant{}, err
	}
	who, err := s.actor(ctx, by)
	if err != nil {
		return gateway.Grant{}, err
	}
	return s.closeGrant(ctx, id, gateway.EndRevoked, who.Name, word, func(g gateway.Grant) error {
		if g.Person == who.Name {
			return nil
		}
		if !who.Staff() {
			return gateway.NotFound("grant", id)
		}
		if !who.Is(gateway.Approver, gateway.Responder, gateway.Admin) {
			return gateway.Refused("revoke", "ask one of them", "approvers, responders and administrators of the staff take grants back")
		}
		return nil
	})
}

// actor reads who acts, as of now. The machine is who its caller says: the
// local socket is for root alone.
func (s *Service) actor(ctx context.Context, by gateway.Person) (gateway.Person, error) {
	if by.Name == statement.Machine {
		return by, nil
	}
	who, err := s.chain.Person(ctx, by.Name)
	if err != nil {
		return who, err
	}
	if who.State != gateway.Active {
		return who, errSuspended()
	}
	return who, nil
}

func (s *Service) closeGrant(ctx context.Context, id string, why gateway.EndReason, by, word string, may func(gateway.Grant) error) (gateway.Grant, error) {
	var out gateway.Grant
	err := s.store.Update(ctx, func(tx Tx) error {
		g, err := tx.Grant(id)
		if err != nil {
			return notFound(err, "grant", id)
		}
		if err := may(g); err != nil {
			return err
		}
		if g.State == gateway.GrantClosed {
			return gateway.Conflict("closed", "grant %s was closed at %s by %s: %s", g.ID, stamp(g.Closed), g.ClosedBy, g.Why.Sentence())
		}
		g.State, g.Why, g.Closed, g.ClosedBy, g.Version = gateway.GrantClosed, why, s.clock.now(), by, g.Version+1
		if err := tx.PutGrant(g); err != nil {
			return err
		}
		out = g
		e := grantEvent(audit.GrantClosed, by, g)
		e.Reason = string(why)
		if word != "" {
			e.Detail = map[string]string{"word": word}
		}
		return tx.Append(e)
	})
	if err != nil {
		return gateway.Grant{}, err
	}
	if why != gateway.EndWindow { // a window's end is in the signed terms themselves
		s.raise("grant-closed:" + id)
	}
	s.closed(id, why, by)
	s.tellGrant(out)
	return out, nil
}

// raise remembers outside the database. The row is durable already; a floor
// that cannot be written takes nothing back.
func (s *Service) raise(subject string) {
	if err := s.floor.Raise(subject, 1); err != nil {
		s.log.Error("raise floor", "subject", subject, "error", err)
	}
}

// openGrant opens a planned grant whose window has begun, by compare-and-swap;
// one that is open already is returned as it is.
func (s *Service) openGrant(ctx context.Context, id string) (gateway.Grant, error) {
	if err := s.grants(); err != nil {
		return gateway.Grant{}, err
	}
	var out gateway.Grant
	opened := false
	err := s.store.Update(ctx, func(tx Tx) error {
		g, err := tx.Grant(id)
		if err != nil {
			return notFound(err, "grant", id)
		}
		out, opened = g, false
		if g.State != gateway.GrantPlanned || s.clock.now().Before(g.From) {
			return nil
		}
		g.State, g.Version = gateway.GrantOpen, g.Version+1
		if err := tx.PutGrant(g); err != nil {
			return err
		}
		out, opened = g, true
		return tx.Append(grantEvent(audit.GrantOpened, "gateway", g))
	})
	if err == nil && opened {
		s.tellGrant(out)
	}
	return out, err
}

// lapse ends a request that nobody agreed to in time.
func (s *Service) lapse(ctx context.Context, id string, now time.Time) error {
	_, err := s.closeRequest(ctx, id, audit.RequestLapsed, func(r gateway.Request) (gateway.Request, error) {
		if now.Before(r.Lapse) {
			return r, gateway.Conflict("lapse", "request %s has not lapsed", id)
		}
		r.State, r.ClosedBy = gateway.RequestLapsed, "gateway"
		return r, nil
	})
	return err
}
