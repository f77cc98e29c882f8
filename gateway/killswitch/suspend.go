package killswitch

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/cluster"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/trust"
)

// DraftSuspend draws up the order for the scope as it stands now. Nothing is
// changed; the person signs it, and Suspend carries it out.
func (s *Service) DraftSuspend(ctx context.Context, _ gateway.Person, scope gateway.Scope, c gateway.Closing, reason string) (*statement.Suspend, error) {
	st, err := s.standing(ctx, scope)
	if err != nil {
		return nil, err
	}
	b := &statement.Suspend{ID: gateway.NewID("sus", s.now()), Scope: scope, Epoch: st.Epoch + 1, Mode: c.Mode, Until: gateway.Instant(c.Until), Except: c.Except, Reason: reason}
	if b.Mode == gateway.ModeCut {
		b.Mode = ""
	}
	if err := b.Check(); err != nil {
		return nil, err
	}
	if err := b.CheckTimes(s.now()); err != nil {
		return nil, err
	}
	return b, s.mayExcept(ctx, b)
}

// mayExcept holds exceptions to sessions that are live under the scope, and
// to owners of the staff.
func (s *Service) mayExcept(ctx context.Context, b *statement.Suspend) error {
	if len(b.Except) == 0 {
		return nil
	}
	var live []gateway.Session
	err := s.store.Update(ctx, func(tx Tx) (err error) { live, err = tx.LiveSessions(b.Scope); return err })
	if err != nil {
		return err
	}
	for _, e := range b.Except {
		if !slices.ContainsFunc(live, func(l gateway.Session) bool { return l.ID == e.Session }) {
			return gateway.Invalid("except", "session %s is not live under %s", e.Session, b.Scope)
		}
		owner, err := s.chain.Person(ctx, e.Owner)
		if err != nil {
			return err
		}
		if owner.Vendor != "" || owner.State != gateway.Active {
			return gateway.Invalid("except", "%s is not an active person of the staff, so cannot answer for session %s", e.Owner, e.Session)
		}
	}
	return nil
}

// agreed checks what was signed a moment ago, and that it agrees to an act of
// kind B, which what names.
func agreed[B statement.Body](ctx context.Context, chain interface {
	CheckFresh(ctx context.Context, s statement.Signed) (trust.Checked, error)
}, signed statement.Signed, what string) (checked trust.Checked, body B, err error) {
	if checked, err = chain.CheckFresh(ctx, signed); err != nil {
		return checked, body, err
	}
	body, ok := checked.Body.(B)
	if !ok {
		return checked, body, gateway.Invalid("statement", "this statement agrees to something else than %s", what)
	}
	return checked, body, nil
}

// Suspend carries a signed order out: verified, made durable in one
// transaction, then sessions are ended here and on the other nodes, and the
// report is written. An error means that nothing was ordered. A scope that is
// suspended already is closed again, under another epoch. Once the order is
// durable it is carried to its end whatever becomes of ctx.
func (s *Service) Suspend(ctx context.Context, signed statement.Signed) (gateway.Suspension, error) {
	return s.suspend(ctx, signed, nil)
}

// suspend is Suspend; also, if set, writes beside the order, in its
// transaction.
func (s *Service) suspend(ctx context.Context, signed statement.Signed, also func(Tx) error) (gateway.Suspension, error) {
	checked, body, err := agreed[*statement.Suspend](ctx, s.chain, signed, "a suspension")
	if err != nil {
		return gateway.Suspension{}, err
	}
	if err := body.CheckTimes(checked.Statement.At); err != nil {
		return gateway.Suspension{}, err
	}
	ctx = context.WithoutCancel(ctx)
	sus := gateway.Suspension{
		ID: body.ID, Scope: body.Scope, Epoch: body.Epoch, Closing: body.Closing(), Reason: body.Reason, By: checked.Signer.Name,
		Node: s.node, Statement: signed.Digest, Ordered: gateway.Instant(s.now()),
	}
	if checked.Statement.Signer == statement.Machine && body.For != "" {
		sus.By = body.For
	}
	if sus.Mode == gateway.ModeCut || sus.Mode == "" { // what it ends makes way for it
		defer s.sessions.Hush(meant(sus, s.now()))()
	}
	report, err := s.order(ctx, sus, signed, also)
	if err != nil {
		return gateway.Suspension{}, err
	}
	s.log.Warn("suspension ordered", "scope", sus.Scope.String(), "epoch", sus.Epoch, "by", sus.By)
	defer s.sessions.PutOff()() // the answer does not wait behind hundreds of seals
	sus.Report = s.carryOut(ctx, sus, report)
	noteSince(sus.Report, body.Since)
	s.fileReport(ctx, sus)
	return sus, nil
}

// order makes the order durable, in one transaction.
func (s *Service) order(ctx context.Context, sus gateway.Suspension, signed statement.Signed, also func(Tx) error) (*gateway.Report, error) {
	ctx, cancel := context.WithTimeout(ctx, CommitWait)
	defer cancel()
	r := &gateway.Report{Ordered: sus.Ordered}
	err := s.store.Update(ctx, func(tx Tx) error {
		if err := tx.PutStatement(signed); err != nil {
			return err
		}
		if also != nil {
			if err := also(tx); err != nil {
				return err
			}
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
		e.Detail = map[string]string{"epoch": strconv.FormatUint(sus.Epoch, 10), "scope": sus.Scope.String(), "mode": string(sus.Mode), "excepted": strconv.Itoa(len(sus.Except))}
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
	if s.watched(sus.ID) { // to count takes time from the sockets
		s.tell(sus.ID, Progress{Suspension: sus.ID, Live: s.countLive(sus.Scope)})
	}
	var floor sync.WaitGroup
	floor.Go(func() {
		if err := s.floor.Raise(epochSubject(sus.Scope), sus.Epoch); err != nil {
			s.log.Error("floor not raised; the store keeps the scope out", "scope", sus.Scope.String(), "error", err)
		}
	})
	// The order is durable: the other nodes need not wait for this one's sockets.
	asked := s.now()
	ask, cancel := context.WithTimeout(ctx, AnswerWait)
	defer cancel()
	var (
		others   []gateway.NodeReport
		err      error
		answered time.Time
	)
	var asking sync.WaitGroup
	asking.Go(func() {
		others, err = s.bus.Publish(ask, s.node, cluster.Order{Suspension: sus.ID, Scope: sus.Scope, Epoch: sus.Epoch, Closing: sus.Closing, Ordered: sus.Ordered})
		answered = s.now()
	})
	r.Nodes = []gateway.NodeReport{s.closeHere(ctx, sus)}
	floor.Wait()
	var probing sync.WaitGroup
	probing.Go(func() { r.Probes = s.probes(ctx, sus) }) // what is shut here can be tried while others answer
	asking.Wait()
	if err != nil {
		s.log.Error("bus does not carry the order; the other nodes read the store", "error", err)
		r.Note = "the bus did not carry the order; the other nodes read it from the store"
	}
	offsets(others, asked, answered)
	r.Nodes = append(r.Nodes, others...)
	probing.Wait()
	r.Finished = gateway.Instant(s.now())
	r.Verdict = verdict(r.Nodes, err).Judged(r.Probes)
	return r
}

// closeHere does to this node's live sessions what the order says, and answers
// for it.
func (s *Service) closeHere(ctx context.Context, sus gateway.Suspension) gateway.NodeReport {
	now := s.now()
	n := gateway.NodeReport{Node: s.node, Answered: true, Clock: gateway.Instant(now)}
	before := s.liveUnder(sus.Scope)
	n.LiveBefore = len(before)
	switch sus.Mode {
	case gateway.ModeFreeze:
		n.Sessions = s.sessions.HoldAll(ctx, meant(sus, now), sus.By, "")
	case gateway.ModeDrain, gateway.ModeNoNew:
	default:
		n.Sessions = s.sessions.EndAll(meant(sus, now), suspended(sus.ID))
	}
	n.LiveBefore = max(n.LiveBefore, len(n.Sessions))
	byMethod(n.Sessions)
	for _, l := range s.liveUnder(sus.Scope) {
		fate := s.spare(sus, l, now)
		if fate == "" {
			n.LiveAfter++
			continue
		}
		if fate == gateway.FateFrozen {
			continue // it stands among the sessions already
		}
		n.Left++
		n.Sessions = append(n.Sessions, gateway.ClosedSession{Session: l.ID, Person: l.Person, Target: l.Target, Protocol: l.Protocol, Fate: fate})
	}
	return n
}

// meant are the sessions that an order is for.
func meant(sus gateway.Suspension, now time.Time) func(gateway.Session) bool {
	return func(l gateway.Session) bool {
		_, excepted := sus.Excepted(l.ID, now)
		return !excepted && sus.Scope.Covers(l.Reach())
	}
}

// spare sees to a session that the order itself leaves, and says how; "" is
// one that should not be there.
func (s *Service) spare(sus gateway.Suspension, l gateway.Session, now time.Time) gateway.Fate {
	if e, ok := sus.Excepted(l.ID, now); ok {
		s.sessions.Shorten(l.ID, e.Until, suspended(sus.ID))
		return gateway.FateExcepted
	}
	switch sus.Mode {
	case gateway.ModeFreeze:
		if !l.Frozen.IsZero() {
			return gateway.FateFrozen
		}
	case gateway.ModeDrain:
		s.sessions.Shorten(l.ID, sus.Until, suspended(sus.ID))
		return gateway.FateDraining
	case gateway.ModeNoNew:
		return gateway.FateLeft
	}
	return ""
}

func (s *Service) liveUnder(scope gateway.Scope) []gateway.Session {
	return slices.DeleteFunc(s.sessions.Live(), func(l gateway.Session) bool { return !scope.Covers(l.Reach()) })
}

func (s *Service) countLive(scope gateway.Scope) int { return len(s.liveUnder(scope)) }

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
			if !c.Closed && c.Fate == "" {
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
	closed, total, spared := 0, 0, 0
	var slowest time.Duration
	for _, n := range r.Nodes {
		spared += n.Left
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
		e.Detail = map[string]string{"closed": strconv.Itoa(closed), "live_before": strconv.Itoa(total), "left": strconv.Itoa(spared), "slowest": slowest.String(), "nodes": strconv.Itoa(len(r.Nodes)), "scope": sus.Scope.String()}
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
	if r.Verdict == gateway.Pending {
		select {
		case s.unfinished <- struct{}{}:
		default: // it looks through all of them
		}
	}
}
