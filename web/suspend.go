package web

import (
	"cmp"
	"slices"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/evidence"
	"github.com/portcullis/portcullis/gateway/secrets"
	"github.com/portcullis/portcullis/web/api"
)

// suspend is the red button's page: whom, what it would close now, why, then
// the touch.
func (s *Server) suspend(v *visit) error {
	q := v.URL.Query()
	vendors, err := s.rooms.Directory.Vendors(v.Context())
	if err != nil {
		return err
	}
	people, err := s.rooms.Directory.People(v.Context())
	if err != nil {
		return err
	}
	targets, err := s.rooms.Directory.Targets(v.Context())
	if err != nil {
		return err
	}
	vendors = slices.DeleteFunc(slices.Clone(vendors), func(x gateway.Vendor) bool { return x.State == gateway.Removed })
	people = slices.DeleteFunc(slices.Clone(people), func(x gateway.Person) bool { return x.State == gateway.Removed })
	targets = slices.DeleteFunc(slices.Clone(targets), func(x gateway.Target) bool { return x.Removed })
	d := map[string]any{"Vendors": vendors, "People": people, "Targets": targets, "Reason": q.Get("reason"), "Zones": zones(targets), "Protocols": protocols(targets), "Modes": modes, "AllVendors": gateway.AllVendors}
	if scope := (gateway.Scope{Kind: gateway.ScopeKind(q.Get("kind")), Name: q.Get("name")}); scope.Name != "" {
		pre, err := s.cfg.API.PreviewSuspend(v.Context(), v.who, scope)
		if err != nil {
			return err
		}
		pre.Scope = scope
		d["Preview"], d["Silent"] = pre, api.Silent(pre.Nodes)
		d["Owners"] = slices.DeleteFunc(people, func(x gateway.Person) bool { return x.Vendor != "" || x.State != gateway.Active })
		d["MaxDrain"], d["MaxHours"] = int(gateway.MaxDrain.Minutes()), int(gateway.MaxException.Hours())
		return s.show(v, "suspend", "Suspend "+scopeText(scope), d)
	}
	return s.show(v, "suspend", "Suspend", d)
}

// mode is a mode of suspension as the page offers it.
type mode struct {
	Mode         gateway.Mode
	Title, About string
}

var modes = []mode{
	{gateway.ModeCut, "End them at once", "Both sides of every session are closed and measured closed. What is being written to a device breaks off."},
	{gateway.ModeFreeze, "Freeze them", "Sessions stay up and go on showing output. What is typed is held, and nothing new begins. A restoration ends them."},
	{gateway.ModeDrain, "Let them finish, for some minutes", "Each engineer is told when the session ends. It ends then, finished or not."},
	{gateway.ModeNoNew, "Only keep new ones out", "What is live goes on to the end of its window."},
}

// scopeText words a scope for a heading: "vendor acme", "every vendor".
func scopeText(s gateway.Scope) string {
	if s.Kind == gateway.ScopeAll {
		return "every vendor"
	}
	return s.String()
}

// zones lists the zones that targets stand in.
func zones(targets []gateway.Target) []string {
	var list []string
	for _, t := range targets {
		if t.Zone != "" {
			list = append(list, t.Zone)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// protocols lists what targets are reached by.
func protocols(targets []gateway.Target) []string {
	var list []string
	for _, t := range targets {
		list = append(list, string(t.Kind))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// shutOver are the suspensions of wide scopes in force that the test picks.
func (s *Server) shutOver(v *visit, over func(gateway.Scope) bool) ([]gateway.Suspension, error) {
	all, err := s.rooms.KillSwitch.Suspensions(v.Context())
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(api.InForce(all), func(x gateway.Suspension) bool { return !x.Scope.Wide() || !over(x.Scope) }), nil
}

func (s *Server) suspensions(v *visit) error {
	all, err := s.rooms.KillSwitch.Suspensions(v.Context())
	if err != nil {
		return err
	}
	return s.show(v, "suspensions", "Suspensions", map[string]any{"Rows": all, "MayShut": api.Holds(v.who.Person, api.Suspending)})
}

// report is a suspension's report with the figures that stand on top.
type report struct {
	gateway.Suspension
	Title         string
	Before, After int
	Left          int // that the order itself leaves
	Bytes         int64
	Slowest       time.Duration
	Silent        []gateway.NodeReport // nodes that have not answered
	State         gateway.State        // of the scope, now
	MayRestore    bool
	MayShut       bool
	Ladder        *ladder              // how far it has come back; nil: it has not, or this is not what was lifted last
	Plan          *ladder              // the stages of a restoration that is still to be signed
	Proof         *evidence.Suspension // nil: it could not be gathered
	Rotate        *secrets.WorkList    // nil: not for whoever looks, or it could not be told
}

func (s *Server) suspension(v *visit) error {
	x, err := s.rooms.KillSwitch.Suspension(v.Context(), v.PathValue("id"))
	if err != nil {
		return err
	}
	x.Mode = cmp.Or(x.Mode, gateway.ModeCut)
	d := report{Suspension: x, Title: scopeText(x.Scope), MayRestore: x.Lifted.IsZero() && api.Holds(v.who.Person, api.Restoring)}
	if x.Report != nil {
		d.count(*x.Report)
	}
	d.Proof, d.Rotate = s.prove(v, x.ID), s.toRotate(v, x.ID)
	if d.State, err = s.stateOfScope(v, x.Scope); err != nil {
		return err
	}
	d.MayRestore = d.MayRestore && d.State != gateway.Active
	d.MayShut = api.Holds(v.who.Person, api.Suspending)
	if err := s.stages(v, &d); err != nil {
		return err
	}
	return s.show(v, "suspension", "Suspension of "+scopeText(x.Scope), d)
}

func (d *report) count(r gateway.Report) {
	for _, n := range r.Nodes {
		d.Before += n.LiveBefore
		d.After += n.LiveAfter
		d.Left += n.Left
		if !n.Answered {
			d.Silent = append(d.Silent, n)
		}
		for _, c := range n.Sessions {
			d.Bytes += c.BytesAfter
			d.Slowest = max(d.Slowest, c.After)
		}
	}
}

func (s *Server) stateOfScope(v *visit, scope gateway.Scope) (gateway.State, error) {
	switch scope.Kind {
	case gateway.ScopeVendor:
		x, err := s.rooms.Directory.Vendor(v.Context(), scope.Name)
		return x.State, err
	case gateway.ScopePerson:
		x, err := s.rooms.Directory.Person(v.Context(), scope.Name)
		return x.State, err
	}
	p, err := s.rooms.KillSwitch.Preview(v.Context(), scope)
	return p.State, err
}

// fated words what became of one session of a report.
func fated(c gateway.ClosedSession) string {
	switch {
	case c.Closed:
		return "closed, measured"
	case c.Fate == "" || c.Fate == gateway.FateClosed:
		return "still open"
	}
	return string(c.Fate)
}
