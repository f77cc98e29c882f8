package access

import (
	"context"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// JudgeGrant says what an opening under the grant would be told if its row
// said at that time that it is open: as after somebody has edited the database
// or set a clock. It opens nothing and writes nothing. Nil means that it would
// be let in.
func (s *Service) JudgeGrant(ctx context.Context, id string, at time.Time) error {
	g, err := s.store.Grant(ctx, id)
	if err != nil {
		return notFound(err, "grant", id)
	}
	g.State, g.Closed, g.ClosedBy, g.Why = gateway.GrantOpen, time.Time{}, "", ""
	e, err := s.rederive(ctx, g)
	switch {
	case err != nil:
		return err
	case at.Before(e.from):
		return errPlanned(e.from)
	case !at.Before(e.to):
		return errEnded(e.to)
	}
	return nil
}

// JudgeRequest says what an approval of the request would be told if its row
// said that it still waits. It writes nothing. Nil means that approvals would
// be taken.
func (s *Service) JudgeRequest(ctx context.Context, id string) error {
	r, err := s.store.Request(ctx, id)
	if err != nil {
		return notFound(err, "request", id)
	}
	r.State, r.Closed, r.ClosedBy, r.Word = gateway.RequestWaiting, time.Time{}, "", ""
	_, err = s.basis(ctx, r)
	return err
}

// JudgeApproval says what an approver who agrees now would be told. It writes
// nothing. Nil means that the approval would be taken.
func (s *Service) JudgeApproval(ctx context.Context, id string) error {
	r, err := s.store.Request(ctx, id)
	if err != nil {
		return notFound(err, "request", id)
	}
	if err := s.waits(r); err != nil {
		return err
	}
	_, err = s.basis(ctx, r)
	return err
}
