package killswitch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// ProbeWait bounds the trying of all paths of one order.
const ProbeWait = 5 * time.Second

// Probe tries the ways back in that other rooms know, after an order has been
// carried out, and answers with what came of each. It must not be able to open
// anything: it asks who judges, and never hands in what it is told.
type Probe func(ctx context.Context, sus gateway.Suspension) []gateway.Probed

// probes tries every path that this room or another knows; none where no other
// room's were joined.
func (s *Service) probes(ctx context.Context, sus gateway.Suspension) []gateway.Probed {
	if s.probe == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, ProbeWait)
	defer cancel()
	return append(s.probe(ctx, sus),
		s.tried(gateway.PathChannel, func() (int, string, error) { return s.tryChannel(sus) }),
		s.tried(gateway.PathRows, func() (int, string, error) { return s.tryRows(ctx, sus.Scope) }),
		s.tried(gateway.PathRestoration, func() (int, string, error) { return s.tryRestoration(ctx, sus) }))
}

// tried measures one path. A nil error is a way in; what is an answer of
// nobody is no refusal.
func (s *Service) tried(path gateway.Path, try func() (tried int, subject string, err error)) gateway.Probed {
	p := gateway.Probed{Path: path, At: gateway.Instant(s.now()), Result: gateway.ProbeRefused}
	begun := time.Now()
	var err error
	p.Tried, p.Subject, err = try()
	p.Took = time.Since(begun)
	var nothing nothingError
	switch {
	case err == nil:
		p.Result = gateway.ProbeOpen
	case errors.As(err, &nothing):
		p.Result, p.Sentence = gateway.ProbeNothing, string(nothing)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		p.Result, p.Sentence = gateway.ProbeSilent, "the gateway's own rooms did not answer in time"
	default:
		e := gateway.AsError(err)
		p.Rule, p.Sentence = e.Rule, e.Sentence()
	}
	return p
}

// nothingError says why a path has nothing to be tried with.
type nothingError string

func (e nothingError) Error() string { return string(e) }

// tryChannel looks for a connection that a second channel could be opened on.
// What the order itself leaves is not a way back in: it never was shut.
func (s *Service) tryChannel(sus gateway.Suspension) (int, string, error) {
	now, left := s.now(), 0
	for _, l := range s.liveUnder(sus.Scope) {
		_, excepted := sus.Excepted(l.ID, now)
		switch {
		case excepted, sus.Mode == gateway.ModeDrain, sus.Mode == gateway.ModeNoNew, sus.Mode == gateway.ModeFreeze && !l.Frozen.IsZero():
			left++
		default:
			return 1, "session " + l.ID + " of " + l.Person, nil
		}
	}
	if left > 0 {
		return 0, "", nothingError(fmt.Sprintf("%d connections are there by the order's own word, and no other", left))
	}
	return 1, "", gateway.Refused("registry", "", "no connection of %s is live on this node, so there is none to open a channel on", sus.Scope)
}

// tryRows counts, in a transaction that is rolled back, what the order would
// still have to cancel. Logins and invitations are not a wide scope's matter:
// whom it does not name may sign in, and reaches nothing.
func (s *Service) tryRows(ctx context.Context, scope gateway.Scope) (int, string, error) {
	var c gateway.Cancelled
	err := s.store.Update(ctx, func(tx Tx) (err error) {
		if c, err = tx.Cancel(scope, "probe", gateway.Instant(s.now())); err != nil {
			return err
		}
		return errRollBack
	})
	if !errors.Is(err, errRollBack) {
		return 1, "", known(scope, err)
	}
	if scope.Wide() {
		c.Logins, c.Invitations = 0, 0
	}
	if c != (gateway.Cancelled{}) {
		return 1, fmt.Sprintf("%d requests, %d grants, %d logins, %d tickets, %d invitations", c.Requests, c.Grants, c.Logins, c.Tickets, c.Invitations), nil
	}
	return 1, "", gateway.Refused("cancelled", "", "no request, grant, login, ticket or invitation of before is left")
}

// tryRestoration hands in a restoration of the epoch that the order ended, as
// it could have been kept from an earlier time, and rolls back whatever is
// made of it. It is not signed: the judgement that it asks for comes after the
// one about signatures.
func (s *Service) tryRestoration(ctx context.Context, sus gateway.Suspension) (int, string, error) {
	b := &statement.Restore{Suspension: sus.ID, Scope: sus.Scope, Epoch: sus.Epoch, Report: gateway.DigestOf(nil), Reason: "probe"}
	st, err := statement.Draft("probe", "probe", s.now(), nil, b)
	if err != nil {
		return 1, "", err
	}
	unsigned, err := statement.Seal(st)
	if err != nil {
		return 1, "", err
	}
	err = s.store.Update(ctx, func(tx Tx) error {
		if _, err := s.half(ctx, tx, b, "probe", unsigned); err != nil {
			return err
		}
		return errRollBack
	})
	if errors.Is(err, errRollBack) {
		return 1, fmt.Sprintf("a restoration to epoch %d", b.Epoch), nil
	}
	return 1, "", restoreWord(sus.Scope, err)
}
