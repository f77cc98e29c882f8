package web

import (
	"slices"
	"strconv"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/policy"
	"github.com/portcullis/portcullis/web/api"
)

// ladder is how far a scope has come back, with its stages as they are shown.
type ladder struct {
	X     gateway.Ladder
	Rungs []rung
	Ahead bool // the shortest stay is not over
	May   bool // the visitor may sign the next step
}

// rung is one stage. Step is nil while it is ahead.
type rung struct {
	Stage     gateway.Stage
	Now, Next bool
	Step      *gateway.Step
	Stay      string
}

// ladderOf dresses a ladder; nil for none.
func (s *Server) ladderOf(v *visit, x *gateway.Ladder) *ladder {
	if x == nil {
		return nil
	}
	l := &ladder{X: *x, Ahead: s.now().Before(x.Earliest), May: api.Holds(v.who.Person, api.Advancing)}
	for _, stage := range gateway.Stages {
		r := rung{Stage: stage, Now: stage == x.Stage, Next: stage == x.Next}
		if i := slices.IndexFunc(x.Steps, func(step gateway.Step) bool { return step.Stage == stage }); i >= 0 {
			r.Step = &x.Steps[i]
		}
		if stay := x.Stays.In(stage); stay > 0 {
			r.Stay = staying(stay)
		}
		l.Rungs = append(l.Rungs, r)
	}
	return l
}

// staying words a shortest stay: "7 days", "90m".
func staying(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d == day:
		return "1 day"
	case d%day == 0:
		return strconv.Itoa(int(d/day)) + " days"
	}
	return policy.Span(d)
}

// stages fills in how far what the suspension closed has come back, or what
// its restoration will go through.
func (s *Server) stages(v *visit, d *report) error {
	if d.MayRestore {
		d.Plan = s.ladderOf(v, &gateway.Ladder{Scope: d.Scope, Stays: s.rooms.KillSwitch.Stays()})
		return nil
	}
	if d.State != gateway.Active {
		return nil
	}
	x, err := s.rooms.KillSwitch.Ladder(v.Context(), d.Scope)
	switch {
	case gateway.IsCode(err, gateway.CodeRefused): // its chain does not hold, and nothing opens on it
		return nil
	case err != nil:
		return err
	case x.Suspension == d.ID:
		d.Ladder = s.ladderOf(v, &x)
	}
	return nil
}
