package killswitch

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/cluster"
	"github.com/portcullis/portcullis/gateway/statement"
)

// DraftSuspend draws up the order for the scope as it stands now. Nothing is
// changed; the person signs it, and Suspend carries it out.
func (s *Service) DraftSuspend(ctx context.Context, _ gateway.Person, scope gateway.Scope, reason string) (*statement.Suspend, error) {
	st, err := s.standing(ctx, scope)
	if err != nil {
		return nil, err
	}
	b := &statement.Suspend{ID: gateway.NewID("sus", s.now()), Scope: scope, Epoch: st.Epoch + 1, Reason: reason}
	return b, b.Check()
}

// Suspend carries a signed order out: verified, made durable in one
// transaction, then sessions are ended here and on the other nodes, and the
// report is written. An error means that nothing was ordered. A scope that is
// suspended already is closed again, under another epoch. Once the order is
// durable it is carried to its end whatever becomes of ctx.
func (s *Service) Suspend(ctx context.Context, signed statement.Signed) (gateway.Suspension, error) {
	checked, err := s.chain.CheckFresh(ctx, signed)
	if err != nil {
		return gateway.Suspension{}, err
	}
	body, ok := checked.Body.(*statement.Suspend)
	if !ok {
		return gateway.Suspension{}, gateway.Invalid("statement", "this statement agrees to something else than a suspension")
	}
	ctx = context.WithoutCancel(ctx)
	sus := gateway.Suspension{
		ID: body.ID, Scope: body.Scope, Epoch: body.Epoch, Reason: body.Reason, By: checked.Signer.Name,
		Statement: signed.Digest, Ordered: gateway.Instant(s.now()),
	}
	report, err := s.order(ctx, sus, signed)
	if err != nil {
		return gateway.Suspension{}, err
	}
	s.log.Warn("suspension ordered", "scope", sus.Scope.String(), "epoch", sus.Epoch, "by", sus.By)
	sus.Report = s.carryOut(ctx, sus, report)
	s.fileReport(ctx, sus)
	return sus, nil
}

// order makes the order durable, in one transaction.
func (s *Service) order(ctx context.Context, sus gateway.Suspension, signed statement.Signed) (*gateway.Report, error) {
	ctx, cancel := context.WithTimeout(ctx, CommitWait)
	defer cancel()
	r := &gateway.Report{Ordered: sus.Ordered}
	err := s.store.Update(ctx, func(tx Tx) error {
		if err := tx.PutStatement(signed); err != nil {
			return err
		}
		st, err := tx.Standing(sus.Scope)
		if err != nil {
			return err
		}
		if st.Epoch+1 != sus.Epoch {
			return gateway.ErrStale
		}
		if err := tx.SetStanding(sus.Scope, st.Epoch, Standing{State: gateway.Suspended, Epoch: sus.Epoch}, sus.Ordered); err != nil {
			return err
		}
		if r.Cancelled, err = tx.Cancel(sus.Scope, sus.By, sus.Ordered); err != nil {
			return err
		}
		if err := tx.PutSuspension(sus); err != nil {
			return err
		}
		e := s.event(audit.Suspended, sus.By, sus.Scope)
		e.Suspension, e.Statement, e.Reason = sus.ID, sus.Statement, sus.Reason
		e.Detail = map[string]string{"epoch": strconv.FormatUint(sus.Epoch, 10)}
		return tx.Append(e)
	})
	r.Durable = gateway.Instant(s.now())
	switch {
	case errors.Is(err, gateway.ErrUsed):
		return nil, gateway.Conflict("statement", "this order was carried out before; look at the list of suspensions")
	case errors.Is(err, gateway.ErrStale):
		return nil, gateway.Conflict("epoch", "%s was suspended or restored since this order was drawn up; look at it again and sign again", sus.Scope)
	}
	return r, known(sus.Scope, err)
}

// carryOut ends what is live, here and on the other nodes, and fills in what
// was measured. The floor is raised beside it: it may wait for a disk.
func (s *Service) carryOut(ctx context.Context, sus gateway.Suspension, r *gateway.Report) *gateway.Report {
	s.tell(sus.ID, Progress{Suspension: sus.ID, Live: s.countLive(sus.Scope)})
	var floor sync.WaitGroup
	floor.Go(func() {
		if err := s.floor.Raise(epochSubject(sus.Scope), sus.Epoch); err != nil {
			s.log.Error("floor not raised; the store keeps the scope out", "scope", sus.Scope.String(), "error", err)
		}
	})
	r.Nodes = []gateway.NodeReport{s.endHere(sus.Scope, sus.ID)}
	floor.Wait()
	ask, cancel := context.WithTimeout(ctx, AnswerWait)
	defer cancel()
	others, err := s.bus.Publish(ask, s.node, cluster.Order{Suspension: sus.ID, Scope: sus.Scope, Epoch: sus.Epoch, Ordered: sus.Ordered})
	if err != nil {
		s.log.Error("bus does not carry the order; the other nodes read the store", "error", err)
		r.Note = "the bus did not carry the order; the other nodes read it from the store"
	}
	r.Nodes = append(r.Nodes, others...)
	r.Finished = gateway.Instant(s.now())
	r.Verdict = verdict(r.Nodes, err)
	return r
}

// endHere ends the scope's sessions on this node and answers for it.
func (s *Service) endHere(scope gateway.Scope, id string) gateway.NodeReport {
	n := gateway.NodeReport{Node: s.node, Answered: true}
	n.LiveBefore = s.countLive(scope)
	n.Sessions = s.sessions.EndAll(func(l gateway.Session) bool { return scope.Covers(l.Vendor, l.Person) },
		&gateway.Ended{Reason: gateway.EndSuspended, Detail: "order " + id})
	n.LiveBefore = max(n.LiveBefore, len(n.Sessions))
	n.LiveAfter = s.countLive(scope)
	return n
}

func (s *Service) countLive(scope gateway.Scope) int {
	n := 0
	for _, l := range s.sessions.Live() {
		if scope.Covers(l.Vendor, l.Person) {
			n++
		}
	}
	return n
}

func verdict(nodes []gateway.NodeReport, bus error) gateway.Verdict {
	v := gateway.Pass
	if bus != nil {
		v = gateway.Pending
	}
	for _, n := range nodes {
		if !n.Answered {
			v = gateway.Pending
		}
	}
	for _, n := range nodes {
		if n.LiveAfter > 0 {
			return gateway.Fail
		}
		for _, c := range n.Sessions {
			if !c.Closed {
				return gateway.Fail
			}
		}
	}
	return v
}

// fileReport writes the report beside its order. The order stands without it.
func (s *Service) fileReport(ctx context.Context, sus gateway.Suspension) {
	ctx, cancel := context.WithTimeout(ctx, CommitWait)
	defer cancel()
	r := sus.Report
	closed, total := 0, 0
	var slowest time.Duration
	for _, n := range r.Nodes {
		for _, c := range n.Sessions {
			total++
			if c.Closed {
				closed++
			}
			slowest = max(slowest, c.After)
		}
	}
	err := s.store.Update(ctx, func(tx Tx) error {
		if err := tx.PutSuspension(sus); err != nil {
			return err
		}
		e := s.event(audit.SuspensionReport, "gateway", sus.Scope)
		e.Suspension, e.Reason = sus.ID, string(r.Verdict)
		e.Detail = map[string]string{"closed": strconv.Itoa(closed), "live_before": strconv.Itoa(total), "slowest": slowest.String(), "nodes": strconv.Itoa(len(r.Nodes))}
		if r.Verdict != gateway.Pass {
			e.Outcome = audit.Failed
		}
		return tx.Append(e)
	})
	if err != nil {
		s.log.Error("report not written; the next start writes it", "suspension", sus.ID, "error", err)
		r.Note = "the order stands; its report could not be written yet"
	}
	s.tell(sus.ID, Progress{Suspension: sus.ID, Live: s.countLive(sus.Scope), Closed: closed, Verdict: r.Verdict, Done: true})
}
