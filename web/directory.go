package web

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/web/api"
)

func (s *Server) mayAdmit(v *visit, k statement.Kind) bool {
	return api.Holds(v.who.Person, api.Administer) && s.acts(k)
}

func (s *Server) vendors(v *visit) error {
	rows, err := s.rooms.Directory.Vendors(v.Context())
	if err != nil {
		return err
	}
	all, err := api.Staged(v.Context(), s.rooms.KillSwitch, rows)
	if err != nil {
		return err
	}
	return s.show(v, "vendors", "Vendors", map[string]any{"Rows": all, "MayAdmit": s.mayAdmit(v, statement.KindVendor)})
}

func (s *Server) vendor(v *visit) error {
	ctx, name := v.Context(), v.PathValue("name")
	x, err := s.rooms.Directory.Vendor(ctx, name)
	if err != nil {
		return err
	}
	people, err := s.rooms.Directory.People(ctx)
	if err != nil {
		return err
	}
	targets, err := s.rooms.Directory.Targets(ctx)
	if err != nil {
		return err
	}
	sessions, err := s.rooms.Sessions.Sessions(ctx, api.SessionFilter{Vendor: name, Limit: shownRecent})
	if err != nil {
		return err
	}
	targets = slices.DeleteFunc(slices.Clone(targets), func(t gateway.Target) bool { return t.Removed || !slices.Contains(t.Vendors, name) })
	shut, err := s.rooms.KillSwitch.Suspensions(ctx)
	if err != nil {
		return err
	}
	wide, err := s.shutOver(v, func(o gateway.Scope) bool {
		return slices.ContainsFunc(targets, func(t gateway.Target) bool { return o.Covers(reached(name, t)) })
	})
	if err != nil {
		return err
	}
	live := s.cfg.API.Live(ctx, v.who)
	staged, err := api.Staged(ctx, s.rooms.KillSwitch, []gateway.Vendor{x})
	if err != nil {
		return err
	}
	return s.show(v, "vendor", "Vendor "+x.Title, map[string]any{
		"X":        x,
		"Ladder":   s.ladderOf(v, staged[0].Restoration),
		"Wide":     wide,
		"People":   slices.DeleteFunc(slices.Clone(people), func(p gateway.Person) bool { return p.Vendor != name }),
		"Targets":  targets,
		"Sessions": api.WithCounts(sessions, live.Items),
		"Silent":   api.Silent(live.Nodes),
		"Shut":     slices.DeleteFunc(slices.Clone(shut), func(o gateway.Suspension) bool { return !o.Scope.Covers(gateway.Reach{Vendor: name}) }),
		"MaySee":   api.Holds(v.who.Person, api.Review), "MayAdmit": s.mayAdmit(v, statement.KindVendor), "MayShut": api.Holds(v.who.Person, api.Suspending),
	})
}

// vendorForm admits a vendor or changes one; the form becomes a statement.
func (s *Server) vendorForm(v *visit) error {
	var x gateway.Vendor
	title := "Admit a vendor"
	if name := v.PathValue("name"); name != "" {
		var err error
		if x, err = s.rooms.Directory.Vendor(v.Context(), name); err != nil {
			return err
		}
		title = "Change vendor " + x.Title
	}
	return s.show(v, "vendorform", title, map[string]any{"X": x})
}

func (s *Server) people(v *visit) error {
	all, err := s.rooms.Directory.People(v.Context())
	if err != nil {
		return err
	}
	groups := map[string][]gateway.Person{}
	var names []string
	for _, p := range all {
		if _, ok := groups[p.Vendor]; !ok {
			names = append(names, p.Vendor)
		}
		groups[p.Vendor] = append(groups[p.Vendor], p)
	}
	slices.Sort(names) // the staff, whose vendor is empty, first
	return s.show(v, "people", "People", map[string]any{"Groups": groups, "Names": names, "MayAdmit": s.mayAdmit(v, statement.KindPerson)})
}

func (s *Server) person(v *visit) error {
	ctx, name := v.Context(), v.PathValue("name")
	x, err := s.rooms.Directory.Person(ctx, name)
	if err != nil {
		return err
	}
	keys, ssh, err := s.id.Keys(ctx, name)
	if err != nil {
		return err
	}
	sessions, err := s.rooms.Sessions.Sessions(ctx, api.SessionFilter{Person: name, Limit: shownRecent})
	if err != nil {
		return err
	}
	return s.show(v, "person", x.Title, map[string]any{
		"X": x, "Keys": keys, "SSH": ssh, "Sessions": sessions, "Self": name == v.who.Person.Name,
		"MayAdmit": s.mayAdmit(v, statement.KindPerson), "MayInvite": s.mayAdmit(v, statement.KindInvite) && x.State == gateway.Active,
		"MayShut": api.Holds(v.who.Person, api.Suspending) && x.State != gateway.Removed,
	})
}

// personForm admits a person or changes one.
func (s *Server) personForm(v *visit) error {
	var x gateway.Person
	title := "Admit a person"
	x.Vendor = v.URL.Query().Get("vendor")
	if name := v.PathValue("name"); name != "" {
		var err error
		if x, err = s.rooms.Directory.Person(v.Context(), name); err != nil {
			return err
		}
		title = "Change " + x.Title
	}
	vendors, err := s.rooms.Directory.Vendors(v.Context())
	if err != nil {
		return err
	}
	return s.show(v, "personform", title, map[string]any{"X": x, "Vendors": vendors, "VendorRoles": gateway.VendorRoles, "StaffRoles": gateway.StaffRoles})
}

func (s *Server) targets(v *visit) error {
	all, err := s.rooms.Directory.Targets(v.Context())
	if err != nil {
		return err
	}
	return s.show(v, "targets", "Targets", map[string]any{"Rows": all, "MayAdmit": s.mayAdmit(v, statement.KindTarget)})
}

func (s *Server) target(v *visit) error {
	ctx, name := v.Context(), v.PathValue("name")
	x, err := s.rooms.Directory.Target(ctx, name)
	if err != nil {
		return err
	}
	sessions, err := s.rooms.Sessions.Sessions(ctx, api.SessionFilter{Target: name, Limit: shownRecent})
	if err != nil {
		return err
	}
	shut, err := s.shutOver(v, func(o gateway.Scope) bool {
		return slices.ContainsFunc(x.Vendors, func(vendor string) bool { return o.Covers(reached(vendor, x)) })
	})
	if err != nil {
		return err
	}
	return s.show(v, "target", x.Title, map[string]any{"Wide": shut, "MayShut": api.Holds(v.who.Person, api.Suspending) && !x.Removed, "X": x, "Keys": hostKeys(x.HostKeys), "Authorities": authorities(x.HTTPS), "Sessions": sessions, "MayAdmit": s.mayAdmit(v, statement.KindTarget)})
}

func reached(vendor string, t gateway.Target) gateway.Reach {
	return gateway.Reach{Vendor: vendor, Target: t.Name, Zone: t.Zone, Protocol: t.Kind}
}

// trusts are how a console may prove its name, in words.
var trusts = []struct {
	Trust gateway.TLSTrust
	Says  string
}{
	{gateway.TrustPin, "by its key, which is pinned, whoever signed it"},
	{gateway.TrustCA, "by authorities that are named here"},
	{gateway.TrustSystem, "by the authorities that the gateway’s machine trusts"},
}

// authority is one that may sign a console's certificate, as the page shows it.
type authority struct{ Name, Fingerprint, Until string }

func authorities(h *gateway.HTTPS) []authority {
	if h == nil || h.CA == "" {
		return nil
	}
	list, err := statement.ParseCA(h.CA)
	if err != nil {
		return []authority{{Name: "unreadable"}} // of a row that the chain does not hold
	}
	var all []authority
	for _, c := range list {
		all = append(all, authority{c.Subject.String(), fmt.Sprintf("%x", sha256.Sum256(c.Raw)), stamp(c.NotAfter)})
	}
	return all
}

// targetForm defines a target or changes one.
func (s *Server) targetForm(v *visit) error {
	x := gateway.Target{Kind: gateway.KindSSH, Impact: gateway.Low}
	title := "Define a target"
	if name := v.PathValue("name"); name != "" {
		var err error
		if x, err = s.rooms.Directory.Target(v.Context(), name); err != nil {
			return err
		}
		title = "Change target " + x.Title
	}
	https := gateway.HTTPS{Trust: gateway.TrustPin}
	if x.HTTPS != nil {
		https = *x.HTTPS
	}
	network := gateway.Network{Capture: gateway.CaptureHeaders}
	if x.Network != nil {
		network = *x.Network
	}
	return s.show(v, "targetform", title, map[string]any{"X": x, "Network": network, "Captures": statement.CaptureRules(), "Weak": gateway.LegacyAlgorithms(), "Impacts": []gateway.Impact{gateway.Low, gateway.Medium, gateway.High}, "HTTPS": https, "Trusts": trusts})
}
