package api

import (
	"context"
	"slices"

	"github.com/portcullis/portcullis/gateway"
)

func (s *Server) vendors(c call) (any, error) {
	if err := s.may(c, SeeAll, "vendors"); err != nil {
		return nil, err
	}
	rows, err := s.cfg.Directory.Vendors(c.Context())
	if err != nil {
		return nil, err
	}
	all, err := Staged(c.Context(), s.cfg.KillSwitch, rows)
	return page(all, len(all)+1, func(v Vendor) string { return v.Name }), err
}

func (s *Server) vendor(c call) (any, error) {
	if err := s.may(c, SeeAll, "vendor:"+c.PathValue("name")); err != nil {
		return nil, err
	}
	row, err := s.cfg.Directory.Vendor(c.Context(), c.PathValue("name"))
	if err != nil {
		return nil, err
	}
	all, err := Staged(c.Context(), s.cfg.KillSwitch, []gateway.Vendor{row})
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// Vendor is a vendor as it is shown: with how far it has come back, while a
// restoration is under way.
type Vendor struct {
	gateway.Vendor
	Restoration *gateway.Ladder `json:"restoration,omitempty"`
}

// Staged asks the chain about those that were restored at some time. One whose
// chain does not hold is shown as its row: nothing opens on it.
func Staged(ctx context.Context, gate KillSwitch, rows []gateway.Vendor) ([]Vendor, error) {
	all := make([]Vendor, len(rows))
	for i, v := range rows {
		all[i].Vendor = v
		if v.State != gateway.Active || v.Epoch <= 1 {
			continue
		}
		x, err := gate.Ladder(ctx, gateway.Scope{Kind: gateway.ScopeVendor, Name: v.Name})
		switch {
		case err != nil && !gateway.IsCode(err, gateway.CodeRefused):
			return nil, err
		case err == nil && x.UnderWay():
			all[i].Restoration = &x
		}
	}
	return all, nil
}

func (s *Server) people(c call) (any, error) {
	if err := s.may(c, SeeAll, "people"); err != nil {
		return nil, err
	}
	all, err := s.cfg.Directory.People(c.Context())
	return page(all, len(all)+1, func(p gateway.Person) string { return p.Name }), err
}

// services lists the service accounts: to whoever sees all, or those that the
// caller answers for.
func (s *Server) services(c call) (any, error) {
	all, err := s.cfg.Directory.People(c.Context())
	if err != nil {
		return nil, err
	}
	shown := VisibleServices(c.who, all)
	return page(shown, len(shown)+1, func(p gateway.Person) string { return p.Name }), nil
}

// VisibleServices are the service accounts among all people: to whoever sees
// all every one of them, to others those that they answer for.
func VisibleServices(who Who, all []gateway.Person) (shown []gateway.Person) {
	for _, p := range all {
		if p.Service != nil && (p.Service.Owner == who.Person.Name || Sees(who, "", "service account", p.Name) == nil) {
			shown = append(shown, p)
		}
	}
	return shown
}

func (s *Server) person(c call) (any, error) {
	name := c.PathValue("name")
	if err := Sees(c.who, name, "person", name); err != nil {
		return nil, err
	}
	return s.cfg.Directory.Person(c.Context(), name)
}

func (s *Server) targets(c call) (any, error) {
	all, err := s.cfg.Directory.Targets(c.Context())
	if err != nil {
		return nil, err
	}
	shown := VisibleTargets(c.who, all)
	return page(shown, len(shown)+1, func(t gateway.Target) string { return t.Name }), nil
}

func (s *Server) target(c call) (any, error) {
	t, err := s.cfg.Directory.Target(c.Context(), c.PathValue("name"))
	if err != nil {
		return nil, err
	}
	shown := VisibleTargets(c.who, []gateway.Target{t})
	if len(shown) == 0 {
		return nil, gateway.NotFound("target", t.Name)
	}
	return shown[0], nil
}

// VisibleTargets leaves a vendor's people the targets that they may ask for,
// without address, host keys, owner, and how the accounts are proven.
func VisibleTargets(who Who, all []gateway.Target) []gateway.Target {
	if who.Machine() || Holds(who.Person, SeeAll) {
		return all
	}
	shown := []gateway.Target{}
	for _, t := range all {
		if t.Removed || who.Person.Vendor == "" || !slices.Contains(t.Vendors, who.Person.Vendor) {
			continue
		}
		bare := gateway.Target{Name: t.Name, Title: t.Title, Kind: t.Kind, Zone: t.Zone, Impact: t.Impact, Vendors: []string{who.Person.Vendor}, Version: t.Version, Changed: t.Changed}
		for _, a := range t.Accounts {
			bare.Accounts = append(bare.Accounts, gateway.Account{Name: a.Name})
		}
		if t.Network != nil { // what may be asked for; which address a name has is not needed for that
			bare.Network = &gateway.Network{Prefixes: t.Network.Prefixes}
			for _, n := range t.Network.Names {
				bare.Network.Names = append(bare.Network.Names, gateway.NetworkName{Name: n.Name})
			}
		}
		shown = append(shown, bare)
	}
	return shown
}
