package httpsproxy

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"strings"

	"github.com/portcullis/portcullis/gateway"
)

//go:embed page.html
var pageSource string

// What the pages hold inline, named to browsers by its hash.
const (
	pageStyle = `body{font:1.05rem/1.5 system-ui,sans-serif;max-width:38rem;margin:12vh auto;padding:0 1.5rem;color:#1d2430;background:#f7f8fa}h1{font-size:1.4rem}.rule{color:#5b6675;font-size:.9rem}a{color:#0b57d0}button{font:inherit;padding:.4rem 1rem}`
	// enterScript posts the link's secret, once: the address no longer shows it then.
	enterScript = `var h=location.hash.slice(1);history.replaceState(null,"",location.pathname);if(h){var f=document.forms[0];f.action+="?node="+encodeURIComponent(h.slice(0,h.lastIndexOf(".")));f.elements.code.value=h;f.submit()}else{document.getElementById("none").hidden=false}`
)

// pages are the few that the proxy shows itself.
type pages struct {
	t      *template.Template
	policy string // Content-Security-Policy
	begin  []byte // the page of a link
}

// page is what the template shows.
type page struct {
	Title, Text, Next, Rule, Home string
	Style                         template.CSS
	Script                        template.JS
	Told                          []string
	Leave, Enter                  bool
}

func newPages() (pages, error) {
	t, err := template.New("page").Parse(pageSource)
	if err != nil {
		return pages{}, fmt.Errorf("parse page: %w", err)
	}
	g := pages{t: t, policy: "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'; style-src '" + hashSource(pageStyle) + "'; script-src '" + hashSource(enterScript) + "'"}
	g.begin, err = g.made(page{Title: "Opening the console", Text: "One moment.", Enter: true, Script: enterScript})
	return g, err
}

func hashSource(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

func (g pages) made(d page) ([]byte, error) {
	d.Style = pageStyle
	var b bytes.Buffer
	if err := g.t.Execute(&b, d); err != nil {
		return nil, fmt.Errorf("render page: %w", err)
	}
	return b.Bytes(), nil
}

// own sets what every answer of the gateway's own has.
func own(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}

func (g pages) show(w http.ResponseWriter, status int, b []byte) {
	h := w.Header()
	own(h)
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", g.policy)
	w.WriteHeader(status)
	_, _ = w.Write(b) // the browser may have left
}

func (g pages) enter(w http.ResponseWriter) { g.show(w, http.StatusOK, g.begin) }

// session shows what the engineer may know of his session.
func (g pages) session(w http.ResponseWriter, c *console, home string) {
	c.mu.Lock()
	told := append([]string(nil), c.told...)
	c.mu.Unlock()
	b, err := g.made(page{
		Title: "Your session to " + c.live.Target().Name, Text: "Everything that passes is recorded. This session lets: " + strings.Join(c.abilities.List(), ", ") + ".",
		Told: told, Leave: true, Home: home,
	})
	if err != nil {
		http.Error(w, gateway.Internal(nil).Sentence(), http.StatusInternalServerError)
		return
	}
	g.show(w, http.StatusOK, b)
}

// problem is a refusal for a script (RFC 9457).
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Rule   string `json:"rule,omitempty"`
	Next   string `json:"next,omitempty"`
}

// refuse says no: to a person by a page, to a script by a problem and never by
// a redirect. Where the session is over, the browser is told to forget what it
// kept of the console.
func (g pages) refuse(w http.ResponseWriter, r *http.Request, status int, no *gateway.Error, home string) {
	h := w.Header()
	own(h)
	if no.Code == gateway.CodeSignIn { // not its cookies: that would take the gateway's own from the whole domain
		h.Set("Clear-Site-Data", `"cache", "storage"`)
	}
	if !isNavigation(r) {
		b, err := json.Marshal(problem{"about:blank", http.StatusText(status), status, no.Text, no.Rule, no.Next})
		if err != nil { // strings always marshal
			b = nil
		}
		h.Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		_, _ = w.Write(b) // the browser may have left
		return
	}
	title := titles[no.Code]
	if gateway.EndReason(no.Rule).Known() {
		title = "This console is closed"
	}
	b, err := g.made(page{Title: title, Text: strings.ToUpper(no.Text[:1]) + no.Text[1:] + ".", Next: no.Next, Rule: no.Rule, Home: home})
	if err != nil {
		http.Error(w, gateway.Internal(nil).Sentence(), http.StatusInternalServerError)
		return
	}
	g.show(w, status, b)
}

var titles = map[gateway.Code]string{
	gateway.CodeInvalid: "This request cannot be carried", gateway.CodeSignIn: "No session is open", gateway.CodeRefused: "This is not let",
	gateway.CodeNotFound: "There is no such page", gateway.CodeConflict: "Somebody was faster", gateway.CodeTooMany: "Too much at once",
	gateway.CodeUnavailable: "The console does not answer", gateway.CodeInternal: "Something failed",
}

// isNavigation reports whether a person will see the answer.
func isNavigation(r *http.Request) bool {
	if isWebSocket(r) || r.Context().Value(plainKey{}) != nil {
		return false
	}
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate"
	}
	return strings.Contains(r.Header.Get("Accept"), "text/html") && r.Header.Get("X-Requested-With") == ""
}
