package web

import "net/http"

// The cookies. Under TLS their names carry the prefix that makes browsers hold
// them to this host, this path and TLS (RFC 6265bis clause 4.1.3.2).
const (
	loginCookie = "portcullis"
	stateCookie = "portcullis-oidc"
)

// stateAge is how long a sign-in at an identity provider may take, in seconds.
const stateAge = 10 * 60

func (s *Server) cookieName(name string) string {
	if s.cfg.Secure {
		return "__Host-" + name
	}
	return name
}

// setLogin hands the browser its login. It ends with the browser, or sooner
// when identity says so.
func (s *Server) setLogin(w http.ResponseWriter, token string) {
	s.setCookie(w, loginCookie, token, 0, http.SameSiteStrictMode)
}

// setState keeps a sign-in's state while the browser is at the provider. It
// must come back with a link from there, so it is lax.
func (s *Server) setState(w http.ResponseWriter, state string) {
	s.setCookie(w, stateCookie, state, stateAge, http.SameSiteLaxMode)
}

func (s *Server) clearCookie(w http.ResponseWriter, name string) {
	s.setCookie(w, name, "", -1, http.SameSiteStrictMode)
}

func (s *Server) setCookie(w http.ResponseWriter, name, value string, age int, site http.SameSite) {
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // G124: without TLS, on localhost alone, a Secure cookie would not come back
		Name: s.cookieName(name), Value: value, Path: "/", MaxAge: age, HttpOnly: true, Secure: s.cfg.Secure, SameSite: site,
	})
}
