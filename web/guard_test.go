package web_test

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/web"
	"github.com/portcullis/portcullis/web/api"
	"github.com/portcullis/portcullis/web/webtest"
)

func TestHeaders(t *testing.T) {
	s := newStand(t)
	for _, path := range []string{"/login", "/", "/recordings/" + s.Sessions[2].ID, "/api/v1/me", "/assets/none.js", "/nothing"} {
		h := s.as("rita", http.MethodGet, path, "").Header
		csp := h.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
			if !strings.Contains(csp, part) {
				t.Errorf("%s: content policy %q lacks %q", path, csp, part)
			}
		}
		if strings.Contains(csp, "unsafe-inline") || strings.Contains(csp, "'wasm-unsafe-eval'") != strings.HasPrefix(path, "/recordings/") {
			t.Errorf("%s: content policy %q lets too much", path, csp)
		}
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Cross-Origin-Opener-Policy": "same-origin", "Referrer-Policy": "same-origin"} {
			if h.Get(name) != want {
				t.Errorf("%s: %s is %q", path, name, h.Get(name))
			}
		}
	}
}

// A page of another site cannot act with our cookie, whatever it sends.
func TestOtherOriginsAreRefused(t *testing.T) {
	s := newStand(t)
	for _, target := range []string{"/requests", "/sessions/" + s.Sessions[0].ID + "/end", "/logout", "/login/finish", "/api/v1/acts", "/api/v1/requests"} {
		for _, c := range []struct{ site, origin string }{
			{"cross-site", "https://evil.example"}, {"same-site", "http://app.localhost:8080"}, {"", "https://evil.example"}, {"", "null"}, {"cross-site", ""},
		} {
			r := browser(http.MethodPost, target, `{}`)
			r.Header.Del("Sec-Fetch-Site")
			if c.site != "" {
				r.Header.Set("Sec-Fetch-Site", c.site)
			}
			if c.origin != "" {
				r.Header.Set("Origin", c.origin)
			}
			r.AddCookie(&http.Cookie{Name: "portcullis", Value: s.SignIn("omar")})
			s.Did = nil
			res := s.do(r)
			if res.StatusCode != http.StatusForbidden || len(s.Did) > 0 {
				t.Errorf("%s from %+v answers %d and did %q", target, c, res.StatusCode, s.Did)
			}
		}
	}
}

func cookie(res *http.Response, name string) *http.Cookie {
	all := res.Cookies()
	if i := slices.IndexFunc(all, func(c *http.Cookie) bool { return c.Name == name }); i >= 0 {
		return all[i]
	}
	return &http.Cookie{}
}

func TestCookies(t *testing.T) {
	for _, secure := range []bool{false, true} {
		s := newStand(t, func(_ *webtest.World, c *web.Config, _ *api.Config) { c.Secure = secure })
		prefix := map[bool]string{true: "__Host-"}[secure]
		res := s.as("", http.MethodPost, "/login/finish", `{"id":"login-1","credential":{},"next":"//evil.example"}`)
		c := cookie(res, prefix+"portcullis")
		if c.Value == "" || !c.HttpOnly || c.Secure != secure || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" || c.MaxAge != 0 {
			t.Errorf("login cookie: %+v", c)
		}
		var answer struct{ Next string }
		if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || answer.Next != "/" {
			t.Errorf("a login leads to %q (%v)", answer.Next, err)
		}
		if got := res.Header.Get("Strict-Transport-Security") != ""; got != secure {
			t.Errorf("strict transport security is %t over TLS %t", got, secure)
		}
	}
}

// A sign-in through a provider ends on a page of our own: a redirect would
// leave the strict cookie behind.
func TestOIDCComesBack(t *testing.T) {
	s := newStand(t)
	start := s.as("", http.MethodGet, "/oidc/acme/start", "")
	state := cookie(start, "portcullis-oidc")
	if start.StatusCode != http.StatusSeeOther || state.SameSite != http.SameSiteLaxMode || !state.HttpOnly {
		t.Fatalf("start answers %d with %+v", start.StatusCode, state)
	}
	if res := s.as("", http.MethodGet, "/oidc/acme/callback?code=c", ""); res.StatusCode != http.StatusForbidden || cookie(res, "portcullis").Value != "" {
		t.Errorf("a callback without its state answers %d", res.StatusCode)
	}
	r := browser(http.MethodGet, "/oidc/acme/callback?code=c", "")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	r.AddCookie(state)
	res := s.do(r)
	if c := cookie(res, "portcullis"); res.StatusCode != http.StatusOK || c.SameSite != http.SameSiteStrictMode || !strings.Contains(text(t, res), `http-equiv="refresh"`) {
		t.Errorf("callback answers %d with %+v", res.StatusCode, c)
	}
	if c := cookie(res, "portcullis-oidc"); c.MaxAge >= 0 {
		t.Errorf("the state is kept: %+v", c)
	}
}

// A link from another site arrives without the strict cookie: the page is
// asked for once more from our own before the login page is shown.
func TestLinkFromElsewhereBouncesOnce(t *testing.T) {
	s := newStand(t)
	r := browser(http.MethodGet, "/inbox?x=1", "")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	res := s.do(r)
	if body := text(t, res); res.StatusCode != http.StatusOK || !strings.Contains(body, `content="0;url=/inbox?x=1"`) {
		t.Errorf("answers %d: %s", res.StatusCode, body)
	}
	if res := s.as("", http.MethodGet, "/inbox?x=1", ""); res.Header.Get("Location") != "/login?next=%2Finbox%3Fx%3D1" {
		t.Errorf("leads to %q", res.Header.Get("Location"))
	}
}

func TestLoginLeadsNowhereElse(t *testing.T) {
	for in, want := range map[string]string{
		"/inbox": "/inbox", "/requests/new?target=a": "/requests/new?target=a", "": "/", "//evil.example": "/", "https://evil.example": "/", `/\evil.example`: "/", "/login": "/", "javascript:alert(1)": "/", "/\tx": "/",
	} {
		if got := web.LocalPath(in); got != want {
			t.Errorf("%q leads to %q, wants %q", in, got, want)
		}
	}
}

func FuzzLocalPath(f *testing.F) {
	for _, seed := range []string{"/", "//a", `/\a`, "/a?b#c", "/%2f%2fa", "/a//b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, to string) {
		got := web.LocalPath(to)
		if !strings.HasPrefix(got, "/") || strings.HasPrefix(got, "//") || strings.ContainsAny(got, "\\\r\n") {
			t.Errorf("%q leads to %q", to, got)
		}
	})
}

func TestEndedLoginSaysWhy(t *testing.T) {
	s := newStand(t)
	r := browser(http.MethodGet, "/", "")
	r.AddCookie(&http.Cookie{Name: "portcullis", Value: "long gone"})
	res := s.do(r)
	if to := res.Header.Get("Location"); !strings.HasSuffix(to, "why=login") || cookie(res, "portcullis").MaxAge >= 0 {
		t.Errorf("leads to %q", to)
	}
}

func TestLoginPageSaysNothingOfItsAddress(t *testing.T) {
	s := newStand(t)
	for why, want := range map[string]string{"login-idle": "nobody used this login", "Call+0900+123": ""} {
		res := s.do(browser(http.MethodGet, "/login?why="+why, ""))
		raw, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		page := strings.ToLower(string(raw))
		if !strings.Contains(page, want) || strings.Contains(page, "0900") {
			t.Errorf("why=%s: the page says %s", why, page)
		}
	}
}

func TestEnrolByInvitation(t *testing.T) {
	s := newStand(t)
	if res := s.as("", http.MethodPost, "/enrol/who", `{"token":"used"}`); res.StatusCode != http.StatusForbidden {
		t.Errorf("a used invitation answers %d", res.StatusCode)
	}
	if res := s.as("", http.MethodPost, "/enrol/begin", `{"token":"","label":"x"}`); res.StatusCode != http.StatusForbidden || len(s.Calls("begin enrol")) > 0 {
		t.Errorf("an enrolment that nobody lets in answers %d", res.StatusCode)
	}
	for _, step := range [][2]string{{"/enrol/who", `{"token":"good"}`}, {"/enrol/begin", `{"token":"good","label":"blue"}`}, {"/enrol/created", `{"id":"enrol-1","credential":{}}`}} {
		if res := s.as("", http.MethodPost, step[0], step[1]); res.StatusCode != http.StatusOK {
			t.Fatalf("%s answers %d: %s", step[0], res.StatusCode, text(t, res))
		}
	}
	res := s.as("", http.MethodPost, "/enrol/finish", `{"id":"enrol-1","assertions":[{}]}`)
	if cookie(res, "portcullis").Value == "" {
		t.Errorf("nobody is signed in after enrolling: %d", res.StatusCode)
	}
}

func TestAScreenLeftOpenLetsItsLoginGoIdle(t *testing.T) {
	s := newStand(t)
	ask := func(path string, live bool) int {
		before := len(s.Calls("peek"))
		r := browser(http.MethodGet, path, "")
		r.AddCookie(&http.Cookie{Name: "portcullis", Value: s.SignIn("rita")})
		if live {
			r.Header.Set("X-Portcullis-Live", "1")
		}
		s.do(r)
		return len(s.Calls("peek")) - before
	}
	if ask("/board", true) == 0 {
		t.Error("a page that fetched itself anew kept its login from going idle")
	}
	if ask("/board", false) != 0 {
		t.Error("a page that somebody opened did not count as use")
	}
}

// What names data-live is fetched anew and replaced when its events come, or
// when the stream was lost: nothing else may carry the name, least of all a
// player that is playing.
func TestOnlyRegionsOfEventsAreReplaced(t *testing.T) {
	names := regexp.MustCompile(`data-live="([^"]*)"`)
	files, err := filepath.Glob("templates/*.html")
	if err != nil || len(files) == 0 {
		t.Fatalf("no templates: %v", err)
	}
	for _, path := range files {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range names.FindAllStringSubmatch(string(raw), -1) {
			for _, word := range strings.Fields(m[1]) {
				if word != "*" && !regexp.MustCompile(`^[a-z]+\.$`).MatchString(word) {
					t.Errorf("%s: data-live=%q names no events", path, m[1])
				}
			}
		}
	}
}
