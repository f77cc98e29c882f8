package web_test

import (
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/web"
	"github.com/portcullis/portcullis/web/api"
	"github.com/portcullis/portcullis/web/webtest"
)

var everybody = []string{"ana", "root", "olga", "omar", "rita"}

var (
	inline = regexp.MustCompile(`(?i)<style|\sstyle=|\son[a-z]+=|javascript:|<script(?:[^>]*)>[^<]`)
	ids    = regexp.MustCompile(`\sid="([^"]+)"`)
)

// Every page that anybody can click to is whole: it answers 200, stays under
// the content policy, and names each of its parts once.
func TestEveryPageIsWhole(t *testing.T) {
	s := newStand(t)
	for _, person := range everybody {
		s.crawl(person, func(path string, res *http.Response, body string) {
			if res.StatusCode != http.StatusOK {
				t.Errorf("%s: %s answers %d: %s", person, path, res.StatusCode, body)
				return
			}
			if bad := inline.FindString(body); bad != "" {
				t.Errorf("%s: %s holds %q", person, path, bad)
			}
			var known []string
			for _, m := range ids.FindAllStringSubmatch(body, -1) {
				if slices.Contains(known, m[1]) {
					t.Errorf("%s: %s has the id %q twice", person, path, m[1])
				}
				known = append(known, m[1])
			}
			for _, needs := range []string{`<html lang="en">`, `<h1>`, `id="main"`, `class="skip"`, `aria-label="Main"`, `<title>`} {
				if !strings.Contains(body, needs) {
					t.Errorf("%s: %s has no %s", person, path, needs)
				}
			}
		})
	}
}

// What runs in a session now stands on the board and on the session's page.
func TestWhatRunsNow(t *testing.T) {
	s := newStand(t)
	for path, want := range map[string][]string{
		"/board":                        {">shell, forward</span>", ">nothing runs</span>"},
		"/sessions/" + s.Sessions[0].ID: {"Runs now</dt>", ">shell, forward</dd>"},
	} {
		body := text(t, s.as("omar", http.MethodGet, path, ""))
		for _, words := range want {
			if !strings.Contains(body, words) {
				t.Errorf("%s lacks %q", path, words)
			}
		}
	}
}

func TestHostileTextStaysText(t *testing.T) {
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(2)>'`
	s := newStand(t)
	for i := range s.Vendors {
		s.Vendors[i].Title, s.Vendors[i].Contact, s.Vendors[i].Contract = evil, evil, evil
	}
	for i := range s.People {
		s.People[i].Title, s.People[i].Email = evil, evil
	}
	for i := range s.Targets {
		s.Targets[i].Title, s.Targets[i].Zone = evil, evil
		s.Targets[i].HostKeys = append(s.Targets[i].HostKeys, evil)
	}
	for i := range s.Requests {
		s.Requests[i].Reason, s.Requests[i].Ticket, s.Requests[i].Word = evil, evil, evil
	}
	for i := range s.Sessions {
		s.Sessions[i].Client, s.Sessions[i].Source, s.Sessions[i].Detail = evil, evil, evil
	}
	for i := range s.Lines {
		s.Lines[i].Event.Reason, s.Lines[i].Event.Actor = evil, evil
	}
	for i := range s.Keys {
		s.Keys[i].Label = evil
	}
	s.Suspensions[0].Reason = evil
	for _, person := range everybody {
		s.crawl(person, func(path string, _ *http.Response, body string) {
			if strings.Contains(body, "<script>") || strings.Contains(body, "<img") {
				t.Errorf("%s: %s lets markup through", person, path)
			}
		})
	}
	for _, path := range []string{"/login?why=" + "%22%3E%3Cscript%3E", "/login?next=%22%3E%3Cscript%3E", "/%3Cscript%3E", "/recordings?text=%3Cscript%3E&vendor=%22%3E%3Cscript%3E"} {
		if body := text(t, s.as("", http.MethodGet, path, "")); strings.Contains(body, "<script>") {
			t.Errorf("%s echoes markup", path)
		}
	}
}

// The routes that anybody may call are a short closed list; all others want a
// login before they do anything.
func TestEveryRouteNeedsLogin(t *testing.T) {
	open := []string{
		"GET /login", "POST /login/begin", "POST /login/finish", "POST /logout", "GET /enrol", "POST /enrol/who", "POST /enrol/begin", "POST /enrol/created", "POST /enrol/finish",
		"GET /oidc/{provider}/start", "GET /oidc/{provider}/callback", "GET /help", "GET /help/{topic}",
	}
	s := newStand(t)
	fill := strings.NewReplacer("{$}", "", "{id}", "x", "{name}", "x", "{topic}", "x", "{provider}", "x")
	for _, r := range web.Routes() {
		if r.Open {
			if !slices.Contains(open, r.Pattern) {
				t.Errorf("%s is open to everybody", r.Pattern)
			}
			continue
		}
		method, path, _ := strings.Cut(r.Pattern, " ")
		s.Did = nil
		res := s.as("", method, fill.Replace(path), "")
		if to := res.Header.Get("Location"); res.StatusCode != http.StatusSeeOther || !strings.HasPrefix(to, "/login") {
			t.Errorf("%s without a login answers %d to %q", r.Pattern, res.StatusCode, to)
		}
		if len(s.Did) > 0 {
			t.Errorf("%s without a login reaches the rooms: %q", r.Pattern, s.Did)
		}
	}
	for _, path := range []string{"/api/v1/me", "/api/v1/requests", "/api/v1/stream", "/api/v1/recordings/x/asciicast", "/api/v1/events"} {
		if res := s.as("", http.MethodGet, path, ""); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s without a login answers %d", path, res.StatusCode)
		}
	}
}

func TestDoors(t *testing.T) {
	s := newStand(t)
	session, request, own := s.Sessions[0].ID, s.Requests[1].ID, s.Requests[0].ID
	for _, c := range []struct {
		person, method, path string
		status               int
	}{
		{"ana", "GET", "/board", 403}, {"ana", "GET", "/vendors", 403}, {"ana", "GET", "/suspend", 403}, {"ana", "GET", "/recordings/" + session, 403}, {"ana", "GET", "/events", 403},
		{"ana", "GET", "/requests/" + own, 200}, {"ana", "GET", "/requests/" + request, 404}, {"dora", "GET", "/sessions/" + session, 404}, {"dora", "POST", "/sessions/" + session + "/end", 404},
		{"olga", "GET", "/requests/new", 403}, {"olga", "GET", "/suspend", 403}, {"olga", "GET", "/people/new", 403}, {"olga", "POST", "/sessions/" + session + "/end", 403}, {"olga", "GET", "/recordings", 403},
		{"rita", "POST", "/grants/" + s.Grants[0].ID + "/revoke", 403}, {"rita", "GET", "/inbox", 403}, {"omar", "GET", "/suspend", 200}, {"root", "GET", "/people/new", 200},
		{"ana", "GET", "/touch/pending-1", 200}, {"ben", "GET", "/touch/pending-1", 404}, {"ana", "GET", "/nothing", 404},
	} {
		if res := s.as(c.person, c.method, c.path, ""); res.StatusCode != c.status {
			t.Errorf("%s %s %s answers %d, wants %d", c.person, c.method, c.path, res.StatusCode, c.status)
		}
	}
	if ended := s.Calls("end "); len(ended) > 0 {
		t.Errorf("sessions were ended: %q", ended)
	}
}

// A room that does not answer is named, its secret is not, and nothing opens.
func TestBrokenRoom(t *testing.T) {
	s := newStand(t)
	s.Broken = gateway.Unavailable("store", errors.New("dial tcp 10.9.8.7: password hunter2"))
	for _, path := range []string{"/", "/requests", "/keys", "/api/v1/requests"} {
		res := s.as("ana", http.MethodGet, path, "")
		body := text(t, res)
		if res.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body, "store does not answer") || strings.Contains(body, "hunter2") {
			t.Errorf("%s answers %d: %s", path, res.StatusCode, body)
		}
	}
}

func TestWithoutAssets(t *testing.T) {
	s := newStand(t)
	s.server.ForgetBuilt()
	res := s.as("", http.MethodGet, "/login", "")
	if body := text(t, res); res.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body, "make build") {
		t.Errorf("answers %d: %s", res.StatusCode, body)
	}
}

// A refusal comes back in the form, with what was typed still there.
func TestAskKeepsWhatWasTyped(t *testing.T) {
	s := newStand(t)
	res := s.as("ana", http.MethodPost, "/requests", "target=rtu-7&account=maint&start=planned&from=nonsense&to=&ability=shell&reason=Look+at+the+clock&ticket=CHG-9")
	body := text(t, res)
	if res.StatusCode != http.StatusBadRequest || !strings.Contains(body, "Look at the clock") || !strings.Contains(body, `value="CHG-9"`) || !strings.Contains(body, "is not a time such as") {
		t.Errorf("answers %d: %s", res.StatusCode, body)
	}
	res = s.as("ana", http.MethodPost, "/requests", "target=rtu-7&account=maint&start=now&hours=2.5&ability=shell&reason=Look+at+the+clock")
	if to := res.Header.Get("Location"); res.StatusCode != http.StatusSeeOther || !strings.HasSuffix(to, "?done=asked") {
		t.Errorf("answers %d to %q", res.StatusCode, to)
	}
	if asked := s.Calls("ask "); len(asked) != 1 || asked[0] != "ask ana rtu-7 2h30m0s" {
		t.Errorf("asked: %q", asked)
	}
}

func TestVerdictBeforeSending(t *testing.T) {
	s := newStand(t)
	for query, words := range map[string]string{
		"target=rtu-7&account=maint&hours=2&ability=shell&reason=x":      "2 people have to agree",
		"target=headend-1&account=maint&hours=24&ability=shell&reason=x": "Policy says no",
		"target=headend-1&account=maint&hours=NaN&reason=x":              "is not between",
	} {
		body := text(t, s.as("ana", http.MethodGet, "/requests/new?"+query, ""))
		if !strings.Contains(body, words) {
			t.Errorf("%s does not say %q", query, words)
		}
	}
	if asked := s.Calls("ask "); len(asked) > 0 {
		t.Errorf("asked: %q", asked)
	}
}

func TestEmptyGateway(t *testing.T) {
	s := newStand(t, func(w *webtest.World, _ *web.Config, _ *api.Config) {
		w.Vendors, w.Targets, w.Requests, w.Approvals, w.Grants, w.Sessions, w.Suspensions, w.Lines, w.SSHKeys = nil, nil, nil, nil, nil, nil, nil, nil, nil
	})
	for _, person := range everybody {
		for _, path := range []string{"/", "/requests", "/inbox", "/board", "/recordings", "/vendors", "/people", "/targets", "/suspensions", "/events", "/suspend", "/requests/new"} {
			res := s.as(person, http.MethodGet, path, "")
			body := text(t, res)
			if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusForbidden {
				t.Errorf("%s: %s answers %d: %s", person, path, res.StatusCode, body)
			}
			if res.StatusCode == http.StatusOK && path != "/people" && !strings.Contains(body, `class="none"`) {
				t.Errorf("%s: %s says nothing about its emptiness", person, path)
			}
		}
	}
}

// Every topic that the help lists is a page of its own, and each way in is one.
func TestHelpPages(t *testing.T) {
	s := newStand(t)
	topics := regexp.MustCompile(`href="/help/([a-z]+)"`).FindAllStringSubmatch(text(t, s.as("", http.MethodGet, "/help", "")), -1)
	said := map[string]string{}
	for _, m := range topics {
		res := s.as("", http.MethodGet, "/help/"+m[1], "")
		if said[m[1]] = text(t, res); res.StatusCode != http.StatusOK || !strings.Contains(said[m[1]], "<h1>") {
			t.Errorf("/help/%s answers %d", m[1], res.StatusCode)
		}
	}
	for topic, want := range map[string]string{
		"connect": "Connecting by ssh", "consoles": "service account", "tunnels": "portcullis tunnel TARGET --server http", "suspend": "portcullis secrets exposed",
	} {
		if !strings.Contains(said[topic], want) {
			t.Errorf("/help/%s does not say %q", topic, want)
		}
	}
}

// The help shows how to jump, with the gateway's authority; without one it
// says nothing of it.
func TestHelpShowsTheJump(t *testing.T) {
	s := newStand(t, func(_ *webtest.World, c *web.Config, _ *api.Config) { c.HostCA = "ssh-ed25519 AAAAhost" })
	body := text(t, s.as("", http.MethodGet, "/help/connect", ""))
	for _, want := range []string{"ProxyJump portcullis", "@cert-authority [localhost]:2022,TARGET ssh-ed25519 AAAAhost", "Port 2022"} {
		if !strings.Contains(body, want) {
			t.Errorf("the help lacks %q", want)
		}
	}
	if bare := text(t, newStand(t).as("", http.MethodGet, "/help/connect", "")); strings.Contains(bare, "ProxyJump") {
		t.Error("a jump is shown without an authority to know it by")
	}
}
