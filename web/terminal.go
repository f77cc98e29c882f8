package web

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/web/api"
	"github.com/portcullis/portcullis/web/terminal"
)

// maxSessionName bounds what is looked up as a session's identifier.
const maxSessionName = 64

// ownGrant is a grant of the visitor's own, with a shell in it.
func (s *Server) ownGrant(v *visit) (gateway.Grant, error) {
	id := v.PathValue("grant")
	if s.cfg.Terminals == nil {
		return gateway.Grant{}, gateway.Refused("terminal", "connect with ssh", "this gateway has no terminals in the browser")
	}
	g, err := s.rooms.Access.Grant(v.Context(), id)
	if err != nil {
		return g, err
	}
	if g.Person != v.who.Person.Name {
		return gateway.Grant{}, gateway.NotFound("grant", id)
	}
	if !g.Abilities.Shell {
		return gateway.Grant{}, gateway.Refused("ability", "ask for one with a shell", "the grant for %s on %s lets no shell", g.Account, g.Target)
	}
	return g, nil
}

// terminalPage shows the terminal of a grant, where its owner opens it by
// touch.
func (s *Server) terminalPage(v *visit) error {
	g, err := s.ownGrant(v)
	if err != nil {
		return err
	}
	title, err := s.titleOf(v, g.Target)
	if err != nil {
		return err
	}
	s.render(v, http.StatusOK, "terminal", view{Title: g.Account + " on " + g.Target, Wide: true, Xterm: true, Data: map[string]any{
		"Grant": g, "Title": title, "Over": g.State != gateway.GrantOpen || !s.now().Before(g.To), "SSH": s.ssh,
	}})
	return nil
}

// terminalSocket carries the terminal. A browser sends the cookie along with
// the sockets of any page, so the page must be ours.
func (s *Server) terminalSocket(v *visit) error {
	u, err := url.Parse(s.cfg.URL)
	if err != nil {
		return err
	}
	if v.Header.Get("Origin") != u.Scheme+"://"+u.Host {
		return gateway.Refused("origin", "open the gateway's own page and do it there", "this came from a page of another site")
	}
	g, err := s.ownGrant(v)
	if err != nil {
		return err
	}
	in := terminal.Visit{
		Opening: terminal.Opening{Person: v.who.Person, Login: v.who.Login.ID, Grant: g, Source: v.RemoteAddr},
		Origin:  u.Host, Still: s.still(v),
	}
	q := v.URL.Query()
	in.Cols, in.Rows = whole(q, "cols"), whole(q, "rows")
	if !terminal.Fits(in.Cols, in.Rows) {
		return gateway.Invalid("size", "no terminal is of that size")
	}
	in.Session, in.From = q.Get("session"), int64(whole(q, "from"))
	if len(in.Session) > maxSessionName || in.From < 0 {
		return gateway.Invalid("session", "this names no terminal")
	}
	return s.cfg.Terminals.Serve(v.w, v.Request, in)
}

// whole is a number of the query, 0 where it is none.
func whole(q url.Values, name string) int {
	n, err := strconv.Atoi(q.Get(name))
	if err != nil {
		return 0
	}
	return n
}

// still asks whether the login of a visit holds, and still is that person's
// who may ask for access. Typing keeps it from going idle; looking on does not.
func (s *Server) still(v *visit) func(context.Context, bool) error {
	return func(ctx context.Context, active bool) error {
		c, err := v.Cookie(s.cookieName(loginCookie))
		if err != nil {
			return err
		}
		look := s.id.Peek
		if active {
			look = s.id.ByToken
		}
		login, p, err := look(ctx, c.Value, clientOf(v.Request))
		if err != nil {
			return err
		}
		if login.ID != v.who.Login.ID || p.Name != v.who.Person.Name {
			return gateway.Refused("login", "sign in again", "this login has ended")
		}
		return s.cfg.API.May(ctx, api.Who{Person: p, Login: &login}, api.Ask, "")
	}
}
