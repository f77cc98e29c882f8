package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/web/api"
)

//go:embed templates
var templates embed.FS

// pages are the parsed templates, one set a page.
type pages map[string]*template.Template

// view is what every page gets beside its own data.
type view struct {
	Title   string
	Data    any
	Wasm    bool   // the page plays recordings
	Xterm   bool   // the page is a terminal
	Tunnel  bool   // the page opens a tunnel
	Refresh string // the page goes on there by itself
	Done    string // what was just done, in a sentence
	Wide    bool   // the page uses the whole width

	Path    string
	Who     *gateway.Person
	Nav     []navItem
	CSS, JS string
	Player  string
	Styles  string // of the player or the terminal
	Term    string // script of the terminal
	Peer    string // script of the tunnel
	Icon    string
	Node    string
	Version string
	Now     time.Time
}

// parsePages parses the base and the shared parts once, and each page onto a
// copy of them.
func parsePages(now func() time.Time) (pages, error) {
	names, err := fs.Glob(templates, "templates/*.html")
	if err != nil {
		return nil, err
	}
	help, err := fs.Glob(templates, "templates/help/*.html")
	if err != nil {
		return nil, err
	}
	parts, err := template.New("base").Funcs(funcs(now)).ParseFS(templates, "templates/parts/*.html")
	if err != nil {
		return nil, fmt.Errorf("parse the parts of pages: %w", err)
	}
	all := pages{}
	for _, file := range append(names, help...) {
		name := strings.TrimSuffix(strings.TrimPrefix(file, "templates/"), ".html")
		t, err := parts.Clone()
		if err == nil {
			t, err = t.ParseFS(templates, file)
		}
		if err != nil {
			return nil, fmt.Errorf("parse page %s: %w", name, err)
		}
		all[name] = t
	}
	return all, nil
}

// render sends a page whole, or the reason why not.
func (s *Server) render(v *visit, status int, page string, d view) {
	h := v.w.Header()
	if !s.assets.built() {
		http.Error(v.w, "The pages' styles and scripts were not built into this binary. Run `make build`, then start it again.", http.StatusServiceUnavailable)
		return
	}
	s.dress(v, &d)
	var b bytes.Buffer
	if err := s.pages[page].ExecuteTemplate(&b, "base", d); err != nil {
		s.rooms.Logger.Error("page was not rendered", "page", page, "error", err)
		http.Error(v.w, gateway.Internal(nil).Sentence(), http.StatusInternalServerError)
		return
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	switch {
	case d.Wasm:
		h.Set("Content-Security-Policy", policyHead+policyWasm)
	case d.Xterm:
		h.Set("Content-Security-Policy", strings.Replace(policyHead, "style-src 'self'", "style-src 'self'"+policyXterm, 1))
	}
	v.w.WriteHeader(status)
	_, _ = v.w.Write(b.Bytes()) // the browser may have left
}

// show renders a page that went well.
func (s *Server) show(v *visit, page, title string, data any) error {
	s.render(v, http.StatusOK, page, view{Title: title, Data: data})
	return nil
}

func (s *Server) dress(v *visit, d *view) {
	d.Path, d.Who, d.Node, d.Version, d.Now = v.URL.Path, v.person(), s.cfg.Node, s.rooms.Version, s.now()
	d.CSS, d.JS, d.Icon = s.assets.url("app.css"), s.assets.url("app.js"), s.assets.url("icon.svg")
	if d.Wasm {
		d.Player, d.Styles = s.assets.url("player.js"), s.assets.url("player.css")
	}
	if d.Xterm {
		d.Term, d.Styles = s.assets.url("terminal.js"), s.assets.url("terminal.css")
	}
	if d.Tunnel {
		d.Peer = s.assets.url("tunnel.js")
	}
	if d.Done == "" {
		d.Done = dones[v.URL.Query().Get("done")]
	}
	if d.Who != nil {
		d.Nav = navOf(*d.Who, v.URL.Path)
	}
}

// dones are the sentences a page may begin with after a form was done; the
// query names one, so that nobody can put words on our pages.
var dones = map[string]string{
	"asked":     "Sent. Whoever may agree to it sees it in the inbox now.",
	"withdrawn": "The request was withdrawn.",

	"order-withdrawn": "The order was withdrawn: its file is worth nothing.",
	"token-removed":   "The token was removed: it is worth nothing.",

	"refused":   "The request was refused, and its asker is told why.",
	"revoked":   "The grant was taken back. Its sessions have ended.",
	"ended":     "The session has ended: both of its connections are closed.",
	"frozen":    "The session is frozen: what its engineer types is held until you thaw it.",
	"thawed":    "The session is thawed: what was held has passed.",
	"approved":  "Your approval is signed and kept.",
	"signed":    "Signed and kept.",
	"rotated":   "Its file bears that out: the secret is rotated.",
	"removed":   "Removed.",
	"added":     "Added.",
	"stage":     "The next stage has begun.",
	"restoring": "Your signature under the restoration is kept.",
	"out":       "You are signed out.",
	"no-touch":  "The connection was refused. If it was not yours, tell the operator and remove the SSH key it came with.",
}

// navItem is one line of the menu.
type navItem struct {
	Href, Text string
	Here       bool
	Gap        bool // a new group begins
}

func navOf(p gateway.Person, at string) []navItem {
	var nav []navItem
	gap := false
	add := func(show bool, href, text string) {
		if !show {
			return
		}
		here := at == href || href != "/" && strings.HasPrefix(at, href+"/")
		nav = append(nav, navItem{href, text, here, gap})
		gap = false
	}
	all := api.Holds(p, api.SeeAll)
	add(true, "/", "Home")
	add(api.Holds(p, api.Approve), "/inbox", "Inbox")
	add(true, "/requests", "Requests")
	add(all, "/board", "Live board")
	add(api.Holds(p, api.Review), "/recordings", "Recordings")
	gap = all
	add(all, "/vendors", "Vendors")
	add(all, "/people", "People")
	add(all, "/targets", "Targets")
	gap = all
	add(all, "/suspensions", "Suspensions")
	add(api.Holds(p, api.SeeSecrets), "/secrets", "Secrets")
	add(api.Holds(p, api.Suspending), "/orders", "Signed orders")
	add(api.Holds(p, api.Administer), "/tokens", "Tokens")
	add(api.Holds(p, api.ReadEvents), "/events", "Events")
	gap = true
	add(true, "/keys", "My keys")
	add(true, "/help", "Help")
	return nav
}

// part of a file name in help, so that a topic cannot leave the folder.
func topicPage(topic string) string { return path.Join("help", path.Base("/"+topic)) }
