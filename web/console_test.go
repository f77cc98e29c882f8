package web_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/web"
	"github.com/portcullis/portcullis/web/api"
	"github.com/portcullis/portcullis/web/webtest"
)

const pinned = "sha256:0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f"

// withConsole adds a web console, a request for it and an open grant.
func withConsole(w *webtest.World, _ *web.Config, _ *api.Config) {
	w.Targets = append(w.Targets, gateway.Target{
		Name: "scada-web", Title: "SCADA head-end, web", Kind: gateway.KindHTTPS, Address: "10.20.0.8:443", Zone: "ami", Impact: gateway.High, Owner: "olga", Vendors: []string{"acme"},
		HTTPS: &gateway.HTTPS{Trust: gateway.TrustPin, Pins: []string{pinned}, Redact: []string{"X-Plant-Key"}}, Version: 1, Changed: noon.Add(-time.Hour),
		Accounts: []gateway.Account{
			{Name: "api", Proof: gateway.ProofHeader, Header: "X-API-Key", SecretFile: "/etc/portcullis/api key"},
			{Name: "ops", Login: "svc", Proof: gateway.ProofForm, SecretFile: "/etc/portcullis/ops", Form: &gateway.Form{Page: "/login", Action: "/login", User: "user", Password: "word", Fields: map[string]string{"realm": `the "plant"`}, Done: 302}},
		},
	})
	can := gateway.Abilities{Methods: []string{"GET", "POST"}, Paths: []string{"/reports", "/trends"}, WebSocket: true, Upload: true, MaxUpload: 10_000_000}
	r := w.Requests[0]
	r.ID, r.Target, r.Account, r.Terms = "req_00000000000000000000000090", "scada-web", "ops", gateway.Terms{Length: time.Hour, Abilities: can}
	r.Person, r.Vendor, r.Reason = "ana", "acme", "Export the readings."
	w.Requests = append(w.Requests, r)
	g := w.Grants[0]
	g.ID, g.Request, g.Target, g.Account, g.Abilities, g.Person = "grt_00000000000000000000000090", r.ID, "scada-web", "ops", can, "ana"
	w.Grants = append(w.Grants, g)
}

// What the form for a console offers becomes the abilities that are signed.
func TestAskForAConsole(t *testing.T) {
	for name, c := range map[string]struct {
		send []string
		want []string
	}{
		"as it stands": {nil, []string{"GET", "HEAD", "OPTIONS", "path /"}},
		"work on two parts": {[]string{"level", "work", "paths", "/reports\r\n /trends ", "http", "websocket"}, []string{
			"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "path /reports", "path /trends", "websocket",
		}},
		"chosen, with bounds": {[]string{"level", "custom", "method", "GET", "method", "PUT", "http", "upload", "http", "download", "up", "1.5", "down", "10"}, []string{
			"GET", "PUT", "path /", "upload", "download", "max-upload 1500000", "max-download 10000000",
		}},
		"bound of what is not asked": {[]string{"level", "look", "up", "5"}, []string{"GET", "HEAD", "OPTIONS", "path /"}},
		"an SSH form's leftovers":    {[]string{"ability", "shell", "forwards", "a:1"}, []string{"GET", "HEAD", "OPTIONS", "path /"}},
	} {
		s := newStand(t, withConsole)
		res := s.as("ana", http.MethodPost, "/requests", form(append([]string{"target", "scada-web", "account", "ops", "hours", "2", "reason", "Export"}, c.send...)...))
		if res.StatusCode != http.StatusSeeOther || len(s.Asked) != 1 {
			t.Errorf("%s: answers %d: %s", name, res.StatusCode, text(t, res))
			continue
		}
		if got := s.Asked[0].Abilities; !slices.Equal(got, c.want) {
			t.Errorf("%s: asked for %q, wants %q", name, got, c.want)
		}
	}
	for says, send := range map[string][]string{
		"path 2: path &#34;reports&#34;": {"paths", "/a\nreports"},
		"Path 1: path &#34;/a?b&#34;":    {"paths", "/a/../b"},
		"is not a size above 0":          {"http", "upload", "up", "-1"},
	} {
		s := newStand(t, withConsole)
		res := s.as("ana", http.MethodPost, "/requests", form(append([]string{"target", "scada-web", "account", "ops", "hours", "2", "reason", "Export"}, send...)...))
		if body := text(t, res); res.StatusCode != http.StatusBadRequest || len(s.Asked) > 0 || !strings.Contains(body, "Export") {
			t.Errorf("%q: answers %d, and does not say %q", send, res.StatusCode, says)
		}
	}
}

func TestAskAgainForAConsole(t *testing.T) {
	s := newStand(t, withConsole)
	body := text(t, s.as("ana", http.MethodGet, "/requests/new?extends=grt_00000000000000000000000090", ""))
	for _, want := range []string{`value="custom" checked`, `name="method" value="POST" checked`, `name="http" value="websocket" checked`, `name="up" value="10"`, "/reports\n/trends</textarea>", `<fieldset data-if="kind=ssh" hidden disabled>`} {
		if !strings.Contains(body, want) {
			t.Errorf("the form lacks %q", want)
		}
	}
	if body := text(t, s.as("ana", http.MethodGet, "/requests/new", "")); !strings.Contains(body, `<fieldset data-if="kind=https" hidden disabled>`) || !strings.Contains(body, `data-kind="https"`) {
		t.Error("a form without a target does not begin with what SSH lets")
	}
}

// Whoever looks at a request, a grant or a target reads what a console lets,
// and how it proves its name.
func TestConsolesAreReadable(t *testing.T) {
	s := newStand(t, withConsole)
	for _, c := range []struct {
		who, path  string
		want, lack []string
	}{
		{"olga", "/requests/req_00000000000000000000000090", []string{
			"<b>GET, POST</b> <span class=\"small\">looking and changing", "what begins with /reports", "at most 10 MB in one request", `data-as="paths"`, "/reports\n/trends</textarea>", `value="POST" checked`, "live connections",
		}, []string{"ssh ", `value="path `}},
		{"ana", "/", []string{"ops on scada-web", "A console in this browser:", `data-enter="/console/grt_00000000000000000000000090"`}, []string{"ops+scada-web", "ssh ops"}},
		{"olga", "/targets/scada-web", []string{pinned, "whoever signed its certificate", "X-Plant-Key", "proven by header X-API-Key", "proven by form of /login"}, []string{"Pinned host keys", "/etc/portcullis"}},
		{"root", "/targets/scada-web/edit", []string{
			pinned + "</textarea>", "api - header &#34;/etc/portcullis/api key&#34; header=X-API-Key",
			"ops svc form /etc/portcullis/ops page=/login action=/login user=user password=word", `done=302`, `<fieldset data-if="kind=ssh" hidden disabled>`,
		}, nil},
		{"root", "/targets/new", []string{`name="kind" value="https"`, `<fieldset data-if="kind=https" hidden disabled>`}, nil},
	} {
		body := text(t, s.as(c.who, http.MethodGet, c.path, ""))
		for _, want := range c.want {
			if !strings.Contains(body, want) {
				t.Errorf("%s at %s does not read %q", c.who, c.path, want)
			}
		}
		for _, lack := range c.lack {
			if strings.Contains(body, lack) {
				t.Errorf("%s at %s reads %q", c.who, c.path, lack)
			}
		}
	}
}
