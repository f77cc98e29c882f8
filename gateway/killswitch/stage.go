package killswitch

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/statement"
)

// Ladder is how far a scope has come back, as its signed statements say.
func (s *Service) Ladder(ctx context.Context, scope gateway.Scope) (gateway.Ladder, error) {
	st, err := s.chain.Standing(ctx, scope)
	return st.Ladder, err
}

// Stays are the shortest times in the stages for what is restored from now on.
func (s *Service) Stays() gateway.Stays { return s.stays }

// DraftAdvance draws up the step to the next stage. It answers with the moment
// to come back at while the shortest stay is not over.
func (s *Service) DraftAdvance(ctx context.Context, scope gateway.Scope, reason string) (*statement.Advance, error) {
	if _, err := s.standing(ctx, scope); err != nil {
		return nil, err
	}
	x, err := s.Ladder(ctx, scope)
	if err != nil {
		return nil, err
	}
	b := &statement.Advance{Suspension: x.Suspension, Scope: scope, Epoch: x.Epoch, To: x.Next, Previous: x.Began, Reason: reason}
	if err := s.mayAdvance(x, b, s.now()); err != nil {
		return nil, err
	}
	return b, b.Check()
}

// Advance takes a signed step to the next stage. What is live goes on in the
// stage that it was opened in.
func (s *Service) Advance(ctx context.Context, signed statement.Signed) (gateway.Ladder, error) {
	checked, b, err := agreed[*statement.Advance](ctx, s.chain, signed, "the next stage")
	if err != nil {
		return gateway.Ladder{}, err
	}
	x, err := s.Ladder(ctx, b.Scope)
	if err != nil {
		return x, err
	}
	if err := s.mayAdvance(x, b, checked.Statement.At); err != nil {
		return x, err
	}
	if b.Scope.Kind == gateway.ScopePerson && b.Scope.Name == checked.Signer.Name {
		return x, gateway.Refused("own-return", "let somebody else of the staff sign it", "nobody signs for his own return")
	}
	now := gateway.Instant(s.now())
	err = s.store.Update(ctx, func(tx Tx) error {
		st, err := tx.Standing(b.Scope)
		if err != nil {
			return err
		}
		// The last word on the scope is still the one that the step goes on from:
		// no suspension and no other step came between.
		head, err := tx.ScopeHead(b.Scope)
		if err != nil {
			return err
		}
		if st.State != gateway.Active || st.Epoch != b.Epoch || !head.Equal(b.Previous) {
			return gateway.ErrStale
		}
		if err := tx.PutStatement(signed); err != nil {
			return err
		}
		e := s.event(audit.StageBegun, checked.Signer.Name, b.Scope)
		e.Suspension, e.Statement, e.Reason = b.Suspension, signed.Digest, b.Reason
		e.Detail = map[string]string{"epoch": strconv.FormatUint(b.Epoch, 10), "scope": b.Scope.String(), "from": string(x.Stage), "stage": string(b.To)}
		e.At = now
		return tx.Append(e)
	})
	switch {
	case errors.Is(err, gateway.ErrStale), errors.Is(err, gateway.ErrUsed):
		return x, gateway.Conflict("stage", "%s was suspended or went on since this was drawn up; look at it again", b.Scope)
	case err != nil:
		return x, known(b.Scope, err)
	}
	s.log.Warn("next stage of a restoration", "scope", b.Scope.String(), "stage", string(b.To), "by", checked.Signer.Name)
	return s.Ladder(ctx, b.Scope)
}

// mayAdvance holds a step that is drawn up at that time to the stage that it
// ends, as the chain holds it afterwards.
func (s *Service) mayAdvance(x gateway.Ladder, b *statement.Advance, at time.Time) error {
	switch {
	case x.Stage == "":
		return gateway.Conflict("state", "%s is closed, so there is no stage to go on from", b.Scope)
	case x.Next == "":
		return gateway.Conflict("stage", "%s is in the stage %s, and there is no further one", b.Scope, x.Stage)
	case !x.Began.Equal(b.Previous) || x.Epoch != b.Epoch || x.Next != b.To || x.Suspension != b.Suspension:
		return gateway.Conflict("stage", "%s was suspended or went on since this was drawn up; look at it again", b.Scope)
	case at.Before(x.Earliest):
		return gateway.Refused("stay", "come back then", "%s is %s since %s and stays so until %s at the earliest", b.Scope, x.Stage, stampOf(x.Since), stampOf(x.Earliest))
	}
	return nil
}

// staysOf are the shortest stays that a restoration of the scope states. The
// return of somebody of the staff has no stages: they are what vendors do.
func (s *Service) staysOf(ctx context.Context, scope gateway.Scope) (gateway.Stays, error) {
	if scope.Kind == gateway.ScopePerson {
		p, err := s.chain.Person(ctx, scope.Name)
		if err != nil || p.Staff() {
			return gateway.Stays{}, err
		}
	}
	return s.stays, nil
}

// longEnough refuses a restoration whose stages are shorter than this node's
// configuration says.
func (s *Service) longEnough(ctx context.Context, b *statement.Restore) error {
	least, err := s.staysOf(ctx, b.Scope)
	if err != nil {
		return err
	}
	if has := b.Stays(); has.WatchOnly < least.WatchOnly || has.Supervised < least.Supervised || b.Staged() != (least.WatchOnly > 0) {
		return gateway.Refused("stay", "have it drawn up again", "this restoration of %s states other stages than it must go through", b.Scope)
	}
	return nil
}
