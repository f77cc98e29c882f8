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
	http.SetCookie(w, &http.Cookie{Name: s.cookieName(loginCookie), Value: token, Path: "/", HttpOnly: true, Secure: s.cfg.Secure, SameSite: http.SameSiteStrictMode})
}

// setState keeps a sign-in's state while the browser is at the provider. It
// must come back with a link from there, so it is lax.
func (s *Server) setState(w http.ResponseWriter, state string) {
	http.SetCookie(w, &http.Cookie{Name: s.cookieName(stateCookie), Value: state, Path: "/", MaxAge: stateAge, HttpOnly: true, Secure: s.cfg.Secure, SameSite: http.SameSiteLaxMode})
}

func (s *Server) clearCookie(w http.ResponseWriter, name string) {
	http.SetCookie(w, &http.Cookie{Name: s.cookieName(name), Path: "/", MaxAge: -1, HttpOnly: true, Secure: s.cfg.Secure, SameSite: http.SameSiteStrictMode})
}
