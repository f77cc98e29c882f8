package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/portcullis/portcullis/e2e/rig"
)

// looks are the widths and colours that each page is seen in.
var looks = []struct {
	name          string
	width, height int64
	scheme        string
}{{"light", 1280, 900, "light"}, {"dark", 1280, 900, "dark"}, {"phone", 390, 844, "light"}, {"phone-dark", 390, 844, "dark"}}

// TestPages looks at every page in light, dark and phone width: nothing
// serious by axe, no violation of the content policy, nothing in the console,
// no sideways scrolling, no inline script. PORTCULLIS_SHOTS names a folder for
// the pictures.
func TestPages(t *testing.T) {
	t.Parallel()
	s := newStory(t, rig.Options{})
	g := s.grant("ana", "pump", time.Hour)
	shell := s.shell("ana", "pump")
	s.must(shell.Type("uname -a; echo '\\033[31mred\\033[0m'\n"))
	waiting, err := rig.OpenTerminal(100, 30, "ssh", s.Args("ana", "pump", "-tt")...)
	s.must(err)
	t.Cleanup(waiting.Close)
	link, err := waiting.Expect(s.ctx, 15*time.Second, rig.TouchLink)
	s.must(err)
	asked, err := s.Ask(s.ctx, "bob", "pump", time.Hour)
	s.must(err)
	var more rig.Request // goes on where the window of g ends, with all abilities
	s.must(s.People["ana"].Post(s.ctx, "/api/v1/requests", map[string]any{
		"target": "pump", "account": "ops", "from": g.To, "to": g.To.Add(time.Hour), "reason": "the inspection takes longer: the drive's log is to be fetched",
		"abilities": []string{"shell", "exec", "upload", "download", "forward historian.norte.example:5432", "forward [2001:db8::9]:443"},
	}, &more))
	order := s.suspend("person", "bob", "drill on a person")
	_ = asked
	session := s.sessions()[0].ID

	chrome := chromium(t)
	seats := map[string]*seat{}
	for _, who := range []string{"", "adm", "ben", "cleo", "ana"} {
		seat := newSeat(t, chrome, s.URL)
		if who != "" {
			seat.borrow(s.People[who])
		}
		seats[who] = seat
	}
	for _, p := range []struct{ who, path string }{
		{"", "/login"}, {"", "/enrol"}, {"", "/help"}, {"", "/help/connect"}, {"", "/help/approve"}, {"", "/help/suspend"}, {"", "/help/keys"}, {"", "/help/terminal"}, {"", "/help/certificates"}, {"", "/help/files"}, {"", "/help/forwards"}, {"", "/help/replay"}, {"", "/no-such-page"},
		{"ana", "/"}, {"ana", "/requests"}, {"ana", "/requests/new?target=pump"}, {"ana", "/requests/new?extends=" + g.ID}, {"ana", "/requests/" + more.ID}, {"ben", "/requests/" + more.ID}, {"ana", "/keys"}, {"ana", strings.TrimPrefix(link[0], s.URL)}, {"ana", "/sessions/" + session},
		{"ben", "/"}, {"ben", "/inbox"}, {"ben", "/board"}, {"ben", "/suspend"}, {"ben", "/suspend?kind=vendor&name=acme"}, {"ben", "/suspensions"}, {"ben", "/suspensions/" + order.ID}, {"ben", "/sessions/" + session},
		{"cleo", "/recordings"}, {"cleo", "/recordings?text=Linux"}, {"cleo", "/recordings?text=uname&kind=file&from=2026-01-01"}, {"cleo", "/recordings/" + session}, {"cleo", "/events"},
		{"adm", "/"}, {"adm", "/vendors"}, {"adm", "/vendors/new"}, {"adm", "/vendors/acme"}, {"adm", "/people"}, {"adm", "/people/new"}, {"adm", "/people/ana"}, {"adm", "/targets"}, {"adm", "/targets/new"}, {"adm", "/targets/pump"},
	} {
		t.Run(p.who+p.path, func(t *testing.T) { seats[p.who].look(t, p.who, p.path) })
	}
}

// look opens one page in every look: once for each width, since no script of
// the pages asks for the colours.
func (s *seat) look(t *testing.T, who, path string) {
	s.t = t
	complaints := s.complaints()
	width := int64(0)
	for _, l := range looks {
		s.emulate(l.scheme)
		if l.width != width {
			width = l.width
			s.do(chromedp.EmulateViewport(l.width, l.height))
			s.open(path)
			s.until("loaded", "document.readyState === 'complete'")
		}
		if js[bool](s, "document.documentElement.scrollWidth > innerWidth + 1") {
			t.Errorf("%s: the page scrolls sideways at %d pixels", l.name, l.width)
		}
		if js[bool](s, "[...document.querySelectorAll('script')].some(e => !e.src && e.type !== 'application/json') || !!document.querySelector('[style],style,[onclick],[onload]')") && !strings.HasPrefix(path, "/recordings/") {
			t.Errorf("%s: inline script or style", l.name)
		}
		s.axe(t, l.name)
		s.shot(t, strings.Trim(strings.NewReplacer("/", "_", "?", "_", "&", "_", "=", "_").Replace(who+path), "_")+"-"+l.name)
	}
	for _, c := range complaints() {
		t.Errorf("the browser complains: %s", c)
	}
}

// complaints collects what the console and the content policy say until the
// answer is called.
func (s *seat) complaints() func() []string {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.ctx)
	var all []string
	said := make(chan string, 64)
	err := chromedp.Listen(ctx, func(ev any) {
		text := ""
		switch e := ev.(type) {
		case *runtime.EventExceptionThrown:
			text = "exception: " + e.ExceptionDetails.Text
		case *runtime.EventConsoleAPICalled:
			if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
				raw, _ := json.Marshal(e.Args)
				text = "console: " + string(raw)
			}
		}
		if text != "" {
			select {
			case said <- text:
			default: // enough
			}
		}
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return func() []string {
		cancel()
		for {
			select {
			case text := <-said:
				all = append(all, text)
			default:
				return all
			}
		}
	}
}

// axe runs axe-core and fails on what it calls serious or critical.
func (s *seat) axe(t *testing.T, look string) {
	t.Helper()
	source, err := os.ReadFile(filepath.Join("node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		t.Fatalf("axe-core is missing; run npm ci in e2e, or make test: %v", err)
	}
	if !js[bool](s, "!!window.axe") {
		js[bool](s, "("+"()=>{"+string(source)+"\n;return true})()")
	}
	raw := js[string](s, `axe.run(document, {resultTypes: ['violations']}).then(r => JSON.stringify(r.violations.filter(v => v.impact === 'serious' || v.impact === 'critical').map(v => ({id: v.id, help: v.help, nodes: v.nodes.slice(0, 3).map(n => n.html.slice(0, 200) + ' :: ' + n.failureSummary)}))))`)
	var found []struct {
		ID    string   `json:"id"`
		Help  string   `json:"help"`
		Nodes []string `json:"nodes"`
	}
	if err := json.Unmarshal([]byte(raw), &found); err != nil {
		t.Fatal(err)
	}
	for _, v := range found {
		t.Errorf("%s: axe: %s: %s\n\t%s", look, v.ID, v.Help, strings.Join(v.Nodes, "\n\t"))
	}
}

// shot keeps a picture where PORTCULLIS_SHOTS asks for it.
func (s *seat) shot(t *testing.T, name string) {
	t.Helper()
	dir := os.Getenv("PORTCULLIS_SHOTS")
	if dir == "" {
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, pageWithin)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600); err != nil {
		t.Fatal(err)
	}
}

// borrow signs the seat in as a person whose key is software: a login is bound
// to its User-Agent, so the browser takes theirs.
func (s *seat) borrow(p *rig.Person) {
	s.t.Helper()
	s.call("take the User-Agent", func(ctx context.Context) error {
		_, err := chromedp.Call(ctx, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: p.Agent})
		return err
	})
	for _, c := range p.Cookies() {
		s.call("take the cookie", func(ctx context.Context) error {
			_, err := chromedp.Call(ctx, network.SetCookie, network.SetCookieParams{Name: c.Name, Value: c.Value, URL: s.base, HTTPOnly: new(true), SameSite: network.CookieSameSiteStrict})
			return err
		})
	}
}

// TestPagesGuard: headers of every answer, and what another site's page may
// not do with a browser's cookie.
func TestPagesGuard(t *testing.T) {
	t.Parallel()
	s := newStory(t, rig.Options{})
	for _, path := range []string{"/login", "/", "/api/v1/me", "/no-such", "/assets/none"} {
		req, err := http.NewRequestWithContext(s.ctx, http.MethodGet, s.URL+path, nil)
		s.must(err)
		res, err := http.DefaultTransport.RoundTrip(req)
		s.must(err)
		res.Body.Close()
		csp := res.Header.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'", "script-src 'self'"} {
			if !strings.Contains(csp, part) {
				t.Errorf("%s: the content policy lacks %q: %q", path, part, csp)
			}
		}
		if strings.Contains(csp, "unsafe-inline") || res.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %q %q", path, csp, res.Header)
		}
	}
	for _, site := range []string{"cross-site", "same-site"} {
		err := s.People["ana"].PostFrom(s.ctx, "/api/v1/requests", site, "https://evil.example", map[string]any{"target": "pump"})
		refused(t, err, "another site")
	}
	if got := fmt.Sprint(s.People["ana"].Cookies()); !strings.Contains(got, "=") {
		t.Error("no cookie was set")
	}
}
