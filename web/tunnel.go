package web

import (
	"context"
	"net/http"
	"strings"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/vpn"
	"github.com/portcullis/portcullis/web/api"
)

// Tunnels tells how the tunnels of this node are. They are opened by the act
// session.open.
type Tunnels interface {
	// State is false of a session that is no tunnel of this node, or one that
	// ended long ago.
	State(session string) (vpn.State, bool)
	// Terminal is the machine that waits behind a link, with its target.
	Terminal(link string) (SSHTerminal, string, error)
	Refuse(link string) error
	// Usable is the grant that the person would use there now.
	Usable(ctx context.Context, p gateway.Person, target string) (gateway.Grant, error)
}

// maxInterface is the longest name that Linux takes for a network interface,
// which wg-quick names after the file.
const maxInterface = 15

// tunnelPage shows the tunnel of a grant, where its owner opens it by touch.
func (s *Server) tunnelPage(v *visit) error {
	if s.cfg.Tunnels == nil {
		return gateway.Refused("tunnel", "ask the operator to set listen.vpn", "this gateway carries no tunnels")
	}
	g, err := s.rooms.Access.Grant(v.Context(), v.PathValue("grant"))
	if err != nil {
		return err
	}
	if g.Person != v.who.Person.Name || len(g.Abilities.Flows) == 0 {
		return gateway.NotFound("grant", v.PathValue("grant"))
	}
	title, err := s.titleOf(v, g.Target)
	if err != nil {
		return err
	}
	s.render(v, http.StatusOK, "tunnel", view{Title: "Tunnel to " + g.Target, Tunnel: true, Data: map[string]any{
		"Grant": g, "Title": title, "Over": g.State != gateway.GrantOpen || !s.now().Before(g.To), "URL": s.cfg.URL, "File": tunnelFile(g.Target),
	}})
	return nil
}

// tunnelTerminal is the page that the link of `portcullis tunnel` leads to.
func (s *Server) tunnelTerminal(v *visit) error {
	if s.cfg.Tunnels == nil {
		return gateway.NotFound("page", v.URL.Path)
	}
	id := v.PathValue("id")
	t, target, err := s.cfg.Tunnels.Terminal(id)
	if err != nil {
		return err
	}
	g, err := s.cfg.Tunnels.Usable(v.Context(), v.who.Person, target)
	if err != nil {
		return err
	}
	return s.show(v, "tunnelterminal", "A terminal wants a tunnel", map[string]any{"ID": id, "T": t, "Grant": g, "Elsewhere": !sameAddress(t.Source, v.RemoteAddr)})
}

func (s *Server) refuseTunnel(v *visit) error {
	if s.cfg.Tunnels == nil {
		return gateway.NotFound("page", v.URL.Path)
	}
	if err := s.cfg.Tunnels.Refuse(v.PathValue("id")); err != nil {
		return err
	}
	return v.seeOther("/?done=no-touch")
}

// titleOf is a target's title, for whoever may see it.
func (s *Server) titleOf(v *visit, name string) (string, error) {
	targets, err := s.rooms.Directory.Targets(v.Context())
	if err != nil {
		return "", err
	}
	for _, t := range api.VisibleTargets(v.who, targets) {
		if t.Name == name {
			return t.Title, nil
		}
	}
	return "", nil
}

// tunnelFile names a configuration after its target, as long as an interface
// can be named.
func tunnelFile(target string) string {
	return strings.TrimRight(target[:min(len(target), maxInterface)], ".-_") + ".conf"
}

// tunnelOf is how the tunnel of a session is; nil: it is none, or another
// node's.
func (s *Server) tunnelOf(x gateway.Session) *vpn.State {
	if s.cfg.Tunnels == nil || x.Protocol != gateway.KindNetwork {
		return nil
	}
	if t, ok := s.cfg.Tunnels.State(x.ID); ok {
		return &t
	}
	return nil
}
