package api

import (
	"context"

	"github.com/portcullis/portcullis/gateway"
)

func (s *Server) sessions(c call) (any, error) {
	f, err := filterOf(c)
	if err != nil {
		return nil, err
	}
	q := c.URL.Query()
	all, err := s.cfg.Sessions.Sessions(c.Context(), SessionFilter{
		Vendor: f.Vendor, Person: f.Person, Target: f.Target, Grant: q.Get("grant"), Live: q.Get("live") == "true", Before: f.Before, Limit: f.Limit,
	})
	if err != nil {
		return nil, err
	}
	live := s.Live(c.Context(), c.who)
	return OfNodes[gateway.Session]{page(WithCounts(all, live.Items), f.Limit, func(x gateway.Session) string { return x.ID }), live.Nodes}, nil
}

// OfNodes is a page of a list to which all nodes have added what they know.
type OfNodes[T any] struct {
	Page[T]
	Nodes []NodeState `json:"nodes,omitempty"`
}

// WithCounts puts the byte counts of now, and what runs now, into rows of
// sessions that live.
func WithCounts(rows, live []gateway.Session) []gateway.Session {
	now := make(map[string]gateway.Session, len(live))
	for _, l := range live {
		now[l.ID] = l
	}
	for i, r := range rows {
		if l, ok := now[r.ID]; ok {
			rows[i].BytesIn, rows[i].BytesOut, rows[i].State = l.BytesIn, l.BytesOut, l.State
			rows[i].Frozen, rows[i].FrozenBy, rows[i].Running, rows[i].Until, rows[i].Unwatched = l.Frozen, l.FrozenBy, l.Running, l.Until, l.Unwatched
		}
	}
	return rows
}

func (s *Server) session(c call) (any, error) {
	x, err := s.cfg.Sessions.Session(c.Context(), c.PathValue("id"))
	if err != nil {
		return nil, err
	}
	if err := Sees(c.who, x.Person, "session", x.ID); err != nil {
		return nil, err
	}
	out := Watched{Session: WithCounts([]gateway.Session{x}, s.cfg.Sessions.Live())[0], Away: s.Away(x)}
	if c.who.Machine() || Holds(c.who.Person, SeeAll) {
		out.Watchers = s.cfg.Sessions.Watchers(x.ID)
	}
	return out, nil
}

// Watched is a session with the people who watch it now, for the staff.
type Watched struct {
	gateway.Session
	Watchers []string `json:"watchers,omitempty"`
	Away     bool     `json:"away,omitempty"` // its node does not answer: this is what the store knew last
}

func (s *Server) freezeSession(c call) (any, error) {
	var in struct {
		Reason string `json:"reason"`
	}
	if err := c.read(&in); err != nil {
		return nil, err
	}
	id := c.PathValue("id")
	if err := s.FreezeSession(c.Context(), c.who, id, in.Reason); err != nil {
		return nil, err
	}
	return s.session(c)
}

func (s *Server) thawSession(c call) (any, error) {
	if err := s.ThawSession(c.Context(), c.who, c.PathValue("id")); err != nil {
		return nil, err
	}
	return s.session(c)
}

// FreezeSession holds what is typed in somebody's live session.
func (s *Server) FreezeSession(ctx context.Context, who Who, id, reason string) error {
	if err := s.mayFreeze(ctx, who, id); err != nil {
		return err
	}
	if err := gateway.CheckText("reason", reason, gateway.MaxReason, false); err != nil {
		return err
	}
	return s.cfg.Sessions.Freeze(detached(ctx), id, who.Person.Name, reason)
}

// ThawSession lets what was held pass.
func (s *Server) ThawSession(ctx context.Context, who Who, id string) error {
	if err := s.mayFreeze(ctx, who, id); err != nil {
		return err
	}
	return s.cfg.Sessions.Thaw(detached(ctx), id, who.Person.Name)
}

// mayFreeze refuses whoever may not end the session either: not even its own
// person freezes it, or thaws what the operator has frozen.
func (s *Server) mayFreeze(ctx context.Context, who Who, id string) error {
	x, err := s.cfg.Sessions.Session(ctx, id)
	if err != nil {
		return err
	}
	if err := Sees(who, x.Person, "session", id); err != nil {
		return err
	}
	if err := s.May(ctx, who, EndSession, "session:"+id); err != nil {
		return err
	}
	if x.State == gateway.SessionEnded {
		return gateway.Conflict("session", "session %s is over", id)
	}
	return nil
}

func (s *Server) endSession(c call) (any, error) {
	var in struct {
		Detail string `json:"detail"`
	}
	if err := c.read(&in); err != nil {
		return nil, err
	}
	id := c.PathValue("id")
	if err := s.EndSession(c.Context(), c.who, id, in.Detail); err != nil {
		return nil, err
	}
	return s.cfg.Sessions.Session(c.Context(), id)
}

// EndSession ends a session for whoever may: its own person, or the staff.
func (s *Server) EndSession(ctx context.Context, who Who, id, detail string) error {
	x, err := s.cfg.Sessions.Session(ctx, id)
	if err != nil {
		return err
	}
	if err := Sees(who, x.Person, "session", id); err != nil {
		return err
	}
	if x.Person != who.Person.Name {
		if err := s.May(ctx, who, EndSession, "session:"+id); err != nil {
			return err
		}
	}
	if err := gateway.CheckText("detail", detail, gateway.MaxReason, false); err != nil {
		return err
	}
	return s.cfg.Sessions.End(detached(ctx), id, who.Person.Name, detail)
}

func (s *Server) suspensions(c call) (any, error) {
	if err := s.may(c, SeeAll, "suspensions"); err != nil {
		return nil, err
	}
	all, err := s.cfg.KillSwitch.Suspensions(c.Context())
	return page(all, len(all)+1, func(x gateway.Suspension) string { return x.ID }), err
}

func (s *Server) suspension(c call) (any, error) {
	if c.who.Token != nil {
		return s.cfg.OutOfBand.OfToken(c.Context(), *c.who.Token, c.PathValue("id"))
	}
	if err := s.may(c, SeeAll, "suspension:"+c.PathValue("id")); err != nil {
		return nil, err
	}
	return s.cfg.KillSwitch.Suspension(c.Context(), c.PathValue("id"))
}

func (s *Server) ladder(c call) (any, error) {
	if err := s.may(c, SeeAll, "suspension:"+c.PathValue("id")); err != nil {
		return nil, err
	}
	x, err := s.cfg.KillSwitch.Suspension(c.Context(), c.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return s.cfg.KillSwitch.Ladder(c.Context(), x.Scope)
}

func (s *Server) previewSuspend(c call) (any, error) {
	var scope gateway.Scope
	if err := c.read(&scope); err != nil {
		return nil, err
	}
	if err := s.may(c, Suspending, scope.String()); err != nil {
		return nil, err
	}
	return s.PreviewSuspend(c.Context(), c.who, scope)
}

// PreviewSuspend shows what a suspension would close, with what runs now on
// every node that answers.
func (s *Server) PreviewSuspend(ctx context.Context, who Who, scope gateway.Scope) (SuspendPreview, error) {
	p, err := s.cfg.KillSwitch.Preview(ctx, scope)
	if err != nil {
		return p, err
	}
	live := s.Live(ctx, who)
	p.Sessions, p.Nodes = WithCounts(p.Sessions, live.Items), live.Nodes
	return p, nil
}
