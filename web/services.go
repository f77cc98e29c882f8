package web

import (
	"slices"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/web/api"
)

// service is a service account with what it holds.
type service struct {
	gateway.Person
	Mine    bool // the visitor answers for it, and asks in its name
	Grants  []heldGrant
	Waiting []gateway.Request
	Live    []gateway.Session
}

// heldGrant is a grant with the address at which it is used.
type heldGrant struct {
	gateway.Grant
	Address string // empty: this gateway has no domain for consoles
}

// services shows the service accounts: to the staff all, to others those that
// they answer for.
func (s *Server) services(v *visit) error {
	all, err := s.rooms.Directory.People(v.Context())
	if err != nil {
		return err
	}
	rows := []service{}
	for _, p := range api.VisibleServices(v.who, all) {
		row, err := s.service(v, p)
		if err != nil {
			return err
		}
		rows = append(rows, row)
	}
	return s.show(v, "services", "Service accounts", map[string]any{"Rows": rows, "MayAdmit": s.mayAdmit(v, statement.KindPerson)})
}

func (s *Server) service(v *visit, p gateway.Person) (service, error) {
	ctx := v.Context()
	row := service{Person: p, Mine: p.Service.Owner == v.who.Person.Name && p.State == gateway.Active}
	grants, err := s.rooms.Access.Grants(ctx, api.Filter{Person: p.Name, States: []string{string(gateway.GrantOpen), string(gateway.GrantPlanned)}, Limit: shownMost})
	if err != nil {
		return row, err
	}
	for _, g := range grants {
		row.Grants = append(row.Grants, heldGrant{g, s.serviceAddress(g.Target)})
	}
	row.Waiting, err = s.rooms.Access.Requests(ctx, api.Filter{Person: p.Name, States: []string{string(gateway.RequestWaiting)}, Limit: shownMost})
	if err != nil {
		return row, err
	}
	row.Live, err = s.rooms.Sessions.Sessions(ctx, api.SessionFilter{Person: p.Name, Live: true, Limit: shownMost})
	return row, err
}

func (s *Server) serviceAddress(target string) string {
	if s.cfg.Consoles == nil {
		return ""
	}
	return s.cfg.Consoles.ServiceAddress(target)
}

// answersFor finds the service account that the visitor asks for. Whoever does
// not answer for it hears what is said of one that is not there, unless he sees
// it anyway.
func (s *Server) answersFor(v *visit, name string) (*gateway.Person, error) {
	p, err := s.rooms.Directory.Person(v.Context(), name)
	switch {
	case err != nil && !gateway.IsCode(err, gateway.CodeNotFound):
		return nil, err
	case err == nil && p.Service != nil && p.Service.Owner == v.who.Person.Name:
		return &p, nil
	case err == nil && p.Service != nil && api.Holds(v.who.Person, api.SeeAll):
		return nil, gateway.Refused("owner", "have its owner ask", "%s answers for service account %s, and alone asks in its name", p.Service.Owner, name)
	}
	return nil, gateway.NotFound("service account", name)
}

// own reports whether somebody asked for himself, or for a service account in
// whose name he asks.
func own(v *visit, r gateway.Request) bool {
	me := v.who.Person.Name
	return r.Person == me || r.Asker != "" && r.Asker == me
}

// consolesOf are the targets that a service account may be granted.
func consolesOf(p *gateway.Person, all []gateway.Target) []gateway.Target {
	return slices.DeleteFunc(slices.Clone(all), func(t gateway.Target) bool {
		return t.Removed || t.Kind != gateway.KindHTTPS || !slices.Contains(t.Vendors, p.Vendor)
	})
}

// serviceForm defines a service account, or changes one.
func (s *Server) serviceForm(v *visit) error {
	x := gateway.Person{Vendor: v.URL.Query().Get("vendor"), Service: &gateway.Service{}}
	title := "Define a service account"
	if name := v.PathValue("name"); name != "" {
		var err error
		if x, err = s.rooms.Directory.Person(v.Context(), name); err != nil {
			return err
		}
		if x.Service == nil {
			return gateway.NotFound("service account", name)
		}
		title = "Change " + x.Title
	}
	vendors, err := s.rooms.Directory.Vendors(v.Context())
	if err != nil {
		return err
	}
	return s.show(v, "serviceform", title, map[string]any{"X": x, "Vendors": vendors, "Role": gateway.ServiceAccount})
}
