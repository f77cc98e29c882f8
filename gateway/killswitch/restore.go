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

// DraftRestore draws up one person's half of a restoration. report is the
// SHA-256 of the forensic report on file; both halves must name the same.
func (s *Service) DraftRestore(ctx context.Context, _ gateway.Person, scope gateway.Scope, report gateway.Digest, reason string) (*statement.Restore, error) {
	st, err := s.standing(ctx, scope)
	if err != nil {
		return nil, err
	}
	if st.State != gateway.Suspended && st.State != gateway.Restoring {
		return nil, gateway.Conflict("state", "%s is %s, so there is nothing to restore", scope, st.State)
	}
	all, err := s.store.Suspensions(ctx)
	if err != nil {
		return nil, err
	}
	for _, sus := range all {
		if sus.Scope == scope && sus.Epoch == st.Epoch && sus.Lifted.IsZero() {
			if err := s.stillClosing(ctx, sus); err != nil {
				return nil, err
			}
			b := &statement.Restore{Suspension: sus.ID, Scope: scope, Epoch: st.Epoch + 1, Report: report, Reason: reason}
			stays, err := s.staysOf(ctx, scope)
			if err != nil {
				return nil, err
			}
			b.WatchOnly, b.Supervised = int64(stays.WatchOnly/time.Second), int64(stays.Supervised/time.Second)
			return b, b.Check()
		}
	}
	return nil, gateway.NotFound("suspension", scope.String())
}

// Restore takes one signed half. The first leaves the scope restoring, still
// closed; the second, by a person of another role over the same report, begins
// a new epoch in its first stage, in which its people enrol new keys. The
// machine counts as one person.
func (s *Service) Restore(ctx context.Context, signed statement.Signed) (gateway.Suspension, error) {
	checked, body, err := agreed[*statement.Restore](ctx, s.chain, signed, "a restoration")
	if err != nil {
		return gateway.Suspension{}, err
	}
	sus, err := s.Suspension(ctx, body.Suspension)
	if err != nil {
		return sus, err
	}
	if sus.Scope != body.Scope {
		return sus, gateway.Invalid("scope", "suspension %s closed %s, not %s", sus.ID, sus.Scope, body.Scope)
	}
	if err := s.stillClosing(ctx, sus); err != nil {
		return gateway.Suspension{}, err
	}
	if err := s.longEnough(ctx, body); err != nil {
		return gateway.Suspension{}, err
	}
	by, now := checked.Signer.Name, gateway.Instant(s.now())
	var done bool
	err = s.store.Update(ctx, func(tx Tx) error {
		if done, err = s.half(ctx, tx, body, by, signed); err != nil {
			return err
		}
		e := s.event(audit.RestorationSigned, by, sus.Scope)
		to := Standing{State: gateway.Restoring, Epoch: sus.Epoch}
		if done {
			e.Name, sus.Lifted = audit.Restored, now
			to = Standing{State: gateway.Active, Epoch: body.Epoch}
		}
		if err := tx.SetStanding(sus.Scope, sus.Epoch, to, now); err != nil {
			return err
		}
		if err := tx.PutSuspension(sus); err != nil {
			return err
		}
		e.Suspension, e.Statement, e.Reason = sus.ID, signed.Digest, body.Reason
		e.Detail = map[string]string{"epoch": strconv.FormatUint(body.Epoch, 10), "scope": sus.Scope.String(), "report": body.Report.String()}
		if done && body.Staged() {
			e.Detail["stage"] = string(gateway.StageWatchOnly)
		}
		return tx.Append(e)
	})
	if err != nil {
		return gateway.Suspension{}, restoreWord(sus.Scope, err)
	}
	if done {
		if err := s.floor.Raise(epochSubject(sus.Scope), body.Epoch); err != nil {
			s.log.Error("floor not raised after restoration", "scope", sus.Scope.String(), "error", err)
		}
	}
	return sus, nil
}

// half files one signature and says whether two different people have signed
// the same restoration.
func (s *Service) half(ctx context.Context, tx Tx, b *statement.Restore, by string, signed statement.Signed) (bool, error) {
	st, err := tx.Standing(b.Scope)
	switch {
	case err != nil:
		return false, err
	case st.Epoch+1 != b.Epoch:
		return false, gateway.ErrStale
	case st.State != gateway.Suspended && st.State != gateway.Restoring:
		return false, gateway.Conflict("state", "%s is %s, so there is nothing to restore", b.Scope, st.State)
	}
	if err := tx.PutStatement(signed); err != nil {
		return false, err
	}
	halves, err := tx.PutRestoration(b.Suspension, b.Epoch, by, signed.Digest)
	if err != nil {
		return false, err
	}
	for _, h := range halves {
		if h.Signer == by && h.Statement != signed.Digest {
			return false, samePerson()
		}
		if h.Signer == by {
			continue
		}
		return true, s.agrees(ctx, h, b, signed)
	}
	return false, nil
}

func samePerson() error {
	return gateway.Refused("two-people", "let another person of the staff sign it", "you have signed this restoration already, and it takes two people")
}

// agrees holds the second signature to what the first was given for, and its
// signer to another role than the first one's.
func (s *Service) agrees(ctx context.Context, h Restoration, b *statement.Restore, second statement.Signed) error {
	first, err := s.stmts.Statement(ctx, h.Statement)
	if err != nil {
		return err
	}
	_, body, err := first.Parse()
	if err != nil {
		return err
	}
	r, ok := body.(*statement.Restore)
	switch {
	case !ok || r.Suspension != b.Suspension || r.Scope != b.Scope || r.Epoch != b.Epoch:
		return gateway.Internal(errors.New("the first half of a restoration is another statement"))
	case r.Report != b.Report:
		return gateway.Refused("report", "agree on one report, then sign again", "%s signed for the report %s, and this names %s", h.Signer, r.Report.Short(), b.Report.Short())
	case r.Stays() != b.Stays():
		return gateway.Refused("stay", "suspend it once more, then sign both anew", "the shortest stays were set anew since %s signed", h.Signer)
	case !b.Staged():
		return nil
	}
	return s.chain.DifferentRoles(ctx, first, second)
}

func restoreWord(scope gateway.Scope, err error) error {
	switch {
	case errors.Is(err, gateway.ErrUsed):
		return samePerson()
	case errors.Is(err, gateway.ErrStale):
		return gateway.Conflict("epoch", "%s was suspended or restored since this was drawn up; look at it again and sign again", scope)
	}
	return known(scope, err)
}
