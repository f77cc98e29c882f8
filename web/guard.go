package web

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/web/api"
)

// maxForm bounds the body of a form or a ceremony's answer.
const maxForm = 256 << 10

// policy is the content policy of every page. The player decodes terminal
// output in WebAssembly, which its page alone allows.
const (
	policyHead = "default-src 'none'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; script-src 'self'"
	policyWasm = " 'wasm-unsafe-eval'"
	// xterm.js writes the sizes and colours of its cells into style elements,
	// which the page of the terminal alone allows. Scripts stay our own.
	policyXterm = " 'unsafe-inline'"
)

// guard puts the headers on every answer and keeps other origins from acting
// with a browser's cookie.
func (s *Server) guard(next http.Handler) http.Handler {
	s.origin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := gateway.Refused("origin", "open the gateway's own page and do it there", "this came from a page of another site")
		if strings.HasPrefix(r.URL.Path, api.Prefix+"/") {
			api.WriteProblem(w, r, s.rooms.Logger, err)
			return
		}
		s.fail(&visit{Request: r, w: w}, err)
	}))
	guarded := s.origin.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policyHead)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=(), usb=(), publickey-credentials-get=(self), publickey-credentials-create=(self)")
		if s.cfg.Secure {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		guarded.ServeHTTP(w, r)
	})
}

// visit is one call of a page with the one who makes it.
type visit struct {
	*http.Request
	w   http.ResponseWriter
	who api.Who // the zero Who at an open door
}

// person is who visits, nil at an open door.
func (v *visit) person() *gateway.Person {
	if v.who.Login == nil {
		return nil
	}
	return &v.who.Person
}

func (s *Server) enter(w http.ResponseWriter, r *http.Request, e entry) {
	w.Header().Set("Cache-Control", "no-store")
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	v := &visit{Request: r, w: w}
	who, err := s.actor(r)
	if err == nil {
		v.who = who
	}
	if err == nil || e.door == open {
		err = s.admit(v, e)
	}
	if err == nil {
		err = e.handle(s, v)
	}
	if err != nil {
		s.fail(v, err)
	}
}

// admit holds a visit to the route's door.
func (s *Server) admit(v *visit, e entry) error {
	if e.door == staff && !api.Holds(v.who.Person, api.SeeAll) {
		return gateway.Refused("role", "go back to your own page", "this page is for the operator's staff")
	}
	if e.needs == "" {
		return nil
	}
	return s.cfg.API.May(v.Context(), v.who, e.needs, "")
}

// actor finds out who calls by the login cookie.
func (s *Server) actor(r *http.Request) (api.Who, error) {
	none := &gateway.Error{Code: gateway.CodeSignIn, Rule: "login", Text: "nobody is signed in here", Next: "sign in with your key"}
	c, err := r.Cookie(s.cookieName(loginCookie))
	if err != nil || c.Value == "" {
		return api.Who{}, none
	}
	look := s.id.ByToken
	if byItself(r) {
		look = s.id.Peek
	}
	login, p, err := look(r.Context(), c.Value, clientOf(r))
	if err != nil {
		return api.Who{}, err
	}
	return api.Who{Person: p, Login: &login}, nil
}

// ByItself is the header that marks what a page fetches because something
// changed, and what a node asks another for, not because somebody asked.
// Whoever forges it only lets his own login end sooner.
const ByItself = "X-Portcullis-Live"

// byItself reports whether a page asks by itself: a screen that is left open
// must not keep its login from going idle.
func byItself(r *http.Request) bool {
	return r.Header.Get(ByItself) != "" || r.URL.Path == api.Prefix+"/stream" || strings.HasSuffix(r.URL.Path, "/live")
}

func clientOf(r *http.Request) Client {
	return Client{UserAgent: r.UserAgent(), Source: r.RemoteAddr}
}

// fail answers a refusal: as a problem document to a script, as the login page
// to who must sign in, else as a page.
func (s *Server) fail(v *visit, err error) {
	p := api.ProblemOf(err)
	if wantsJSON(v.Request) {
		api.WriteProblem(v.w, v.Request, s.rooms.Logger, err)
		return
	}
	api.LogFault(v.Request, s.rooms.Logger, p, err)
	if p.Status == http.StatusUnauthorized {
		s.toLogin(v, err)
		return
	}
	s.render(v, p.Status, "problem", view{Title: p.Title, Data: p})
}

// Problem answers err as a page, or to a script as a problem document: for
// calls that no route of ours could take.
func (s *Server) Problem(err error) http.Handler {
	return s.guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		v := &visit{Request: r, w: w}
		if who, no := s.actor(r); no == nil {
			v.who = who
		}
		s.fail(v, err)
	}))
}

// toLogin sends somebody to the login page and back. A strict cookie does not
// come along with a link from another site, so such a visit is asked once more
// from our own page before anybody is told that he is not signed in.
func (s *Server) toLogin(v *visit, err error) {
	if v.Header.Get("Sec-Fetch-Site") == "cross-site" && v.Method == http.MethodGet {
		s.render(v, http.StatusOK, "bounce", view{Title: "One moment", Refresh: v.URL.RequestURI(), Data: v.URL.RequestURI()})
		return
	}
	q := url.Values{}
	if v.Method == http.MethodGet && v.URL.Path != "/" {
		q.Set("next", v.URL.RequestURI())
	}
	if _, had := v.Cookie(s.cookieName(loginCookie)); had == nil {
		s.clearCookie(v.w, loginCookie)
		q.Set("why", gateway.AsError(err).Rule)
	}
	to := "/login"
	if len(q) > 0 {
		to += "?" + q.Encode()
	}
	http.Redirect(v.w, v.Request, to, http.StatusSeeOther)
}

func wantsJSON(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") || strings.HasPrefix(r.Header.Get("Accept"), "application/json")
}

// read decodes a script's JSON body strictly. Requiring the content type
// keeps a plain form of another page from being one.
func (v *visit) read(into any) error {
	if !strings.HasPrefix(v.Header.Get("Content-Type"), "application/json") {
		return gateway.Invalid("body", "this route takes JSON")
	}
	dec := json.NewDecoder(v.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		var long *http.MaxBytesError
		if errors.As(err, &long) {
			return gateway.Invalid("body", "the body has more than %d bytes", long.Limit)
		}
		return gateway.Invalid("body", "the body is not the JSON that this route takes")
	}
	return nil
}

// answer writes JSON to a script.
func (v *visit) answer(with any) error {
	v.w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(v.w).Encode(with) // the browser may have left
	return nil
}

// seeOther sends the browser on after a form was done.
func (v *visit) seeOther(to string) error {
	http.Redirect(v.w, v.Request, to, http.StatusSeeOther)
	return nil
}

// localPath is to if it is a path of this site, else "/": a login must not
// lead away.
func localPath(to string) string {
	if !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\r\n\t") {
		return "/"
	}
	u, err := url.Parse(to)
	if err != nil || u.Scheme != "" || u.Host != "" || u.Path == "/login" {
		return "/"
	}
	return to
}
