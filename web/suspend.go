package web

import (
	"slices"
	"time"

	"github.com/portcullis/portcullis/gateway"
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
	d := map[string]any{
		"Vendors": slices.DeleteFunc(slices.Clone(vendors), func(x gateway.Vendor) bool { return x.State == gateway.Removed }),
		"People":  slices.DeleteFunc(slices.Clone(people), func(x gateway.Person) bool { return x.State == gateway.Removed }),
		"Reason":  q.Get("reason"),
	}
	if scope := (gateway.Scope{Kind: gateway.ScopeKind(q.Get("kind")), Name: q.Get("name")}); scope.Name != "" {
		pre, err := s.rooms.KillSwitch.Preview(v.Context(), scope)
		if err != nil {
			return err
		}
		pre.Scope = scope
		d["Preview"] = pre
		return s.show(v, "suspend", "Suspend "+scope.String(), d)
	}
	return s.show(v, "suspend", "Suspend", d)
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
	Before, After int
	Bytes         int64
	Slowest       time.Duration
	Silent        []gateway.NodeReport // nodes that have not answered
	State         gateway.State        // of the scope, now
	MayRestore    bool
}

func (s *Server) suspension(v *visit) error {
	x, err := s.rooms.KillSwitch.Suspension(v.Context(), v.PathValue("id"))
	if err != nil {
		return err
	}
	d := report{Suspension: x, MayRestore: x.Lifted.IsZero() && api.Holds(v.who.Person, api.Restoring)}
	if x.Report != nil {
		d.count(*x.Report)
	}
	if d.State, err = s.stateOfScope(v, x.Scope); err != nil {
		return err
	}
	return s.show(v, "suspension", "Suspension of "+x.Scope.String(), d)
}

func (d *report) count(r gateway.Report) {
	for _, n := range r.Nodes {
		d.Before += n.LiveBefore
		d.After += n.LiveAfter
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
	if scope.Kind == gateway.ScopeVendor {
		x, err := s.rooms.Directory.Vendor(v.Context(), scope.Name)
		return x.State, err
	}
	x, err := s.rooms.Directory.Person(v.Context(), scope.Name)
	return x.State, err
}
