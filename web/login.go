package web

import (
	"encoding/json"
	"net/http"

	"github.com/portcullis/portcullis/gateway"
)

// whys are the reasons that the login page gives for an ended login. Its
// address names one; a page that repeated a sentence from its address would
// say whatever a phisher wants said.
var whys = map[string]string{
	"login":         "this login has ended; sign in again",
	"login-idle":    "nobody used this login for a while, so it has ended; sign in again",
	"login-age":     "a login lasts twelve hours at most; sign in again",
	"login-binding": "this login was made in another browser and has been ended; sign in again",
	"epoch":         "access was suspended since this login was made; sign in with a key that was enrolled after it was restored",
	"suspended":     "access is suspended; call the operator's control room",
	"removed":       "you have been removed from this gateway; call the operator if that is a mistake",
	"networks":      "people of your organisation do not connect from this network; call the operator",
}

func (s *Server) login(v *visit) error {
	q := v.URL.Query()
	next := localPath(q.Get("next"))
	if v.person() != nil {
		return v.seeOther(next)
	}
	return s.show(v, "login", "Sign in", map[string]any{"Next": next, "Why": whys[q.Get("why")], "Providers": s.id.Providers()})
}

func (s *Server) loginBegin(v *visit) error {
	if err := v.read(&struct{}{}); err != nil {
		return err
	}
	c, err := s.id.BeginLogin(v.Context())
	if err != nil {
		return err
	}
	return v.answer(c)
}

func (s *Server) loginFinish(v *visit) error {
	var in struct {
		ID         string          `json:"id"`
		Credential json.RawMessage `json:"credential"`
		Next       string          `json:"next"`
	}
	if err := v.read(&in); err != nil {
		return err
	}
	token, _, err := s.id.FinishLogin(v.Context(), in.ID, in.Credential, clientOf(v.Request))
	if err != nil {
		return err
	}
	s.setLogin(v.w, token)
	return v.answer(map[string]string{"next": localPath(in.Next)})
}

func (s *Server) logout(v *visit) error {
	if c, err := v.Cookie(s.cookieName(loginCookie)); err == nil {
		if err := s.id.Logout(v.Context(), c.Value); err != nil {
			return err
		}
	}
	s.clearCookie(v.w, loginCookie)
	v.w.Header().Set("Clear-Site-Data", `"cache"`)
	return v.seeOther("/login?done=out")
}

func (s *Server) oidcStart(v *visit) error {
	to, state, err := s.id.BeginOIDC(v.Context(), v.PathValue("provider"))
	if err != nil {
		return err
	}
	s.setState(v.w, state)
	http.Redirect(v.w, v.Request, to, http.StatusSeeOther)
	return nil
}

// oidcCallback ends with a page of our own, not a redirect: the browser comes
// from another site, and would leave the strict login cookie behind on the
// way.
func (s *Server) oidcCallback(v *visit) error {
	c, err := v.Cookie(s.cookieName(stateCookie))
	if err != nil {
		return gateway.Refused("state", "begin the sign-in again on the login page", "this browser has not begun a sign-in at the provider, or it took too long")
	}
	s.clearCookie(v.w, stateCookie)
	token, _, err := s.id.FinishOIDC(v.Context(), v.PathValue("provider"), c.Value, v.URL.Query(), clientOf(v.Request))
	if err != nil {
		return err
	}
	s.setLogin(v.w, token)
	s.render(v, http.StatusOK, "bounce", view{Title: "Signed in", Refresh: "/", Data: "/"})
	return nil
}
