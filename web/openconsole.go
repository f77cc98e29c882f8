package web

import (
	"github.com/portcullis/portcullis/gateway"
)

// openConsole opens a console under the touch that was given a moment ago, and
// tells the script where to go: a form's own redirect may not leave this site.
func (s *Server) openConsole(v *visit) error {
	if s.cfg.Consoles == nil {
		return gateway.Refused("console", "ask the operator to set apps_domain", "this gateway has no domain for consoles")
	}
	g, err := s.rooms.Access.Grant(v.Context(), v.PathValue("grant"))
	if err != nil {
		return err
	}
	if g.Person != v.who.Person.Name {
		return gateway.NotFound("grant", g.ID)
	}
	link, err := s.cfg.Consoles.Open(v.Context(), ConsoleOpening{
		Person: v.who.Person, Login: v.who.Login.ID, Grant: g.ID, Source: v.RemoteAddr, UserAgent: v.UserAgent(),
	})
	if err != nil {
		return err
	}
	return v.answer(map[string]string{"link": link})
}
