package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/e2e/rig"
)

// consoleStory is a stage with a console that is named pump-web.
type consoleStory struct {
	*story
	console *rig.Console
}

func newConsoleStory(t *testing.T) *consoleStory {
	t.Helper()
	c, err := rig.StartConsole(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	s := newStory(t, rig.Options{Config: "apps_domain: localhost\n", Targets: func(*rig.Stage) string { return c.Target("pump-web") }})
	return &consoleStory{s, c}
}

// enter opens the console for somebody, in a browser of his own.
func (s *consoleStory) enter(who string, length time.Duration, abilities ...string) *rig.Browser {
	s.Helper()
	g, err := s.ConsoleGrant(s.ctx, who, "pump-web", length, abilities...)
	s.must(err)
	link, err := s.ConsoleLink(s.ctx, who, g.ID)
	s.must(err)
	b, err := s.NewBrowser()
	s.must(err)
	s.must(b.Enter(s.ctx, link))
	return b
}

// visit asks for a path and reads the whole answer.
func (s *consoleStory) visit(b *rig.Browser, method, path, body string) (int, string, http.Header) {
	s.Helper()
	r, err := b.Visit(s.ctx, method, path, body)
	s.must(err)
	defer r.Body.Close()
	raw, err := io.ReadAll(r.Body)
	s.must(err)
	return r.StatusCode, string(raw), r.Header
}

// P1, P2, P3, P7: a console opens under a grant and a touch, shows itself
// through the gateway, and all of it stands in the recording, without a secret.
func TestConsole(t *testing.T) {
	t.Parallel()
	s := newConsoleStory(t)
	g, err := s.ConsoleGrant(s.ctx, "ana", "pump-web", time.Hour)
	s.must(err)

	var no *rig.Problem
	if err := s.People["ana"].Post(s.ctx, "/console/"+g.ID, map[string]any{}, nil); !errors.As(err, &no) {
		t.Fatalf("P2: a console without a touch: %v", err)
	}
	if err := s.People["bob"].Post(s.ctx, "/console/"+g.ID, map[string]any{}, nil); !errors.As(err, &no) {
		t.Fatalf("another person's grant: %v", err)
	}
	stranger, err := s.NewBrowser()
	s.must(err)
	stranger.Base = strings.Replace(s.URL, "localhost", "pump-web.localhost", 1)
	if code, page, _ := s.visit(stranger, "GET", "/", ""); code < 400 || strings.Contains(page, "Pump 7") {
		t.Fatalf("P1: a browser without a session: %d %s", code, page)
	}
	if n := len(s.console.Seen()); n != 0 {
		t.Fatalf("P1: the console was asked %d times before anything was open", n)
	}

	link, err := s.ConsoleLink(s.ctx, "ana", g.ID)
	s.must(err)
	b, err := s.NewBrowser()
	s.must(err)
	s.must(b.Enter(s.ctx, link))
	again, err := s.NewBrowser()
	s.must(err)
	if err := again.Enter(s.ctx, link); err == nil {
		t.Error("P2: a link was good twice")
	}

	code, page, head := s.visit(b, "GET", "/?token=canary-query", "")
	if code != http.StatusOK || !strings.Contains(page, "Pump 7") {
		t.Fatalf("the console's page: %d %s", code, page)
	}
	if c := head.Get("Set-Cookie"); !strings.Contains(c, "target-session") || strings.Contains(strings.ToLower(c), "domain") {
		t.Errorf("the console's cookie: %q", c)
	}
	if code, _, _ := s.visit(b, "POST", "/echo", "user=ana&password=canary-typed"); code != http.StatusOK {
		t.Errorf("a form: %d", code)
	}
	if _, _, head := s.visit(b, "GET", "/leave", ""); head.Get("Location") != b.Base+"/echo" {
		t.Errorf("a redirect to the console's own name leads to %q", head.Get("Location"))
	}
	if _, file, _ := s.visit(b, "GET", "/file", ""); file != string(rig.File) {
		t.Errorf("a file came with %d bytes, want %d", len(file), len(rig.File))
	}
	s.seen(link)

	id := s.sessions()[0].ID
	s.must(s.People["ben"].Post(s.ctx, "/api/v1/sessions/"+id+"/end", map[string]any{}, nil))
	s.ended(id)
	if code, page, _ := s.visit(b, "GET", "/", ""); code < 400 || !strings.Contains(page, "ended") {
		t.Errorf("P8: after the end: %d %s", code, page)
	}
	s.archive(id)
	s.canaries(rig.ConsolePassword, "canary-target-cookie", "canary-query", "canary-typed")
}

// seen holds what the console got: its own credential and cookies, none of ours.
func (s *consoleStory) seen(link string) {
	s.Helper()
	_, secret, _ := strings.Cut(link, "#")
	for _, r := range s.console.Seen() {
		all := fmt.Sprint(r.Header, r.URL)
		if strings.Contains(all, "portcullis") || strings.Contains(all, secret) {
			s.Errorf("the console was shown what is ours: %s", all)
		}
		if user, word, ok := (&http.Request{Header: r.Header}).BasicAuth(); !ok || user != "svc" || word != rig.ConsolePassword {
			s.Errorf("%s %s came without the account's proof", r.Method, r.URL)
		}
		if r.Host != s.console.Addr {
			s.Errorf("%s %s was for host %q", r.Method, r.URL, r.Host)
		}
	}
	seen := s.console.Seen()
	if last := seen[len(seen)-1]; !strings.Contains(last.Header.Get("Cookie"), "canary-target-cookie") {
		s.Errorf("the console's own cookie did not come back: %q", last.Header.Get("Cookie"))
	}
}

// archive reads the recording as HAR.
func (s *consoleStory) archive(id string) {
	s.Helper()
	_, raw, err := s.HAR(s.ctx, id, true)
	s.must(err)
	var har struct {
		Log struct {
			Entries []struct {
				Request struct {
					Method, URL string
					PostData    *struct{ Text string }
				}
				Response struct {
					Status  int
					Content struct {
						Size   int64
						Text   string
						SHA256 string `json:"_sha256"`
						File   string `json:"_file"`
					}
				}
			}
		}
	}
	s.must(json.Unmarshal(raw, &har))
	var got []string
	for _, e := range har.Log.Entries {
		got = append(got, fmt.Sprintf("%s %d", e.Request.Method, e.Response.Status))
		if strings.HasSuffix(e.Request.URL, "/file") {
			if sum := sha256.Sum256(rig.File); e.Response.Content.SHA256 != hex.EncodeToString(sum[:]) || e.Response.Content.File != "firmware.bin" || e.Response.Content.Size != int64(len(rig.File)) {
				s.Errorf("the file stands as %+v", e.Response.Content)
			}
		}
		if e.Request.Method == http.MethodPost && (e.Request.PostData == nil || !strings.Contains(e.Request.PostData.Text, "user=ana")) {
			s.Errorf("the form stands as %+v", e.Request.PostData)
		}
	}
	if want := "GET 200, POST 200, GET 302, GET 200"; strings.Join(got, ", ") != want {
		s.Errorf("P3: the recording holds %q, want %q", strings.Join(got, ", "), want)
	}
}

// P4: the gate ends a console in the middle of a download and of events, at
// once, keeps its cookie out, and leaves another vendor's console alone.
func TestP4ConsoleIsCut(t *testing.T) {
	t.Parallel()
	s := newConsoleStory(t)
	ana, bob := s.enter("ana", time.Hour), s.enter("bob", time.Hour)
	ends := make(chan time.Time, 2)
	for _, path := range []string{"/endless", "/events"} {
		r, err := ana.Visit(s.ctx, "GET", path, "")
		s.must(err)
		if _, err := io.ReadFull(r.Body, make([]byte, 64)); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		go func() {
			_, _ = io.Copy(io.Discard, r.Body)
			r.Body.Close()
			ends <- time.Now()
		}()
	}
	other, err := bob.Visit(s.ctx, "GET", "/events", "")
	s.must(err)
	defer other.Body.Close()

	begun := time.Now()
	s.suspend("vendor", "acme", "breach")
	answered := time.Now()
	for range 2 {
		select {
		case at := <-ends:
			if at.After(answered.Add(100 * time.Millisecond)) { // this process shares two cores with all others
				t.Errorf("a stream ended %s after the answer", at.Sub(answered))
			}
		case <-time.After(10 * time.Second):
			t.Fatal("P4: a stream goes on after the suspension")
		}
	}
	t.Logf("the answer came %s after the command's start", answered.Sub(begun).Round(time.Millisecond))
	if code, page, _ := s.visit(ana, "GET", "/", ""); code < 400 || strings.Contains(page, "Pump 7") || !strings.Contains(page, "suspended") {
		t.Errorf("P4, P8: the cookie after it: %d %s", code, page)
	}
	r, err := ana.Visit(s.ctx, "POST", "/echo", "x=1")
	s.must(err)
	r.Body.Close()
	if r.StatusCode < 400 {
		t.Errorf("P4: a form after it: %d", r.StatusCode)
	}
	if _, err := io.ReadFull(other.Body, make([]byte, 4096)); err != nil {
		t.Errorf("another vendor's events: %v", err)
	}
	if code, page, _ := s.visit(bob, "GET", "/", ""); code != http.StatusOK || !strings.Contains(page, "Pump 7") {
		t.Errorf("another vendor's console: %d", code)
	}
}

// P1: at the window's end a console ends too, in the middle of a download.
func TestP1ConsoleEndsWithItsWindow(t *testing.T) {
	t.Parallel()
	s := newConsoleStory(t)
	b := s.enter("ana", shortest)
	id := s.sessions()[0].ID
	var x struct {
		Until time.Time `json:"until"`
	}
	s.must(s.Machine().Get(s.ctx, "/api/v1/sessions/"+id, &x))
	r, err := b.Visit(s.ctx, "GET", "/endless", "")
	s.must(err)
	ctx, cancel := context.WithTimeout(s.ctx, 2*shortest)
	defer cancel()
	done := make(chan struct{})
	go func() { defer close(done); _, _ = io.Copy(io.Discard, r.Body); r.Body.Close() }()
	select {
	case <-done:
	case <-ctx.Done():
		t.Fatal("P1: a download goes on after the window's end")
	}
	if late := time.Since(x.Until); late > time.Second || late < -time.Second {
		t.Errorf("P1: the download ended %s after the window's end", late)
	}
	if got := s.ended(id); got.Reason != "window-ended" {
		t.Errorf("the session ended by %q", got.Reason)
	}
	if code, page, _ := s.visit(b, "GET", "/", ""); code < 400 || !strings.Contains(page, "window") {
		t.Errorf("P8: the page after it: %d %s", code, page)
	}
}

// A grant for a part of a console is for that part, and each no says why.
func TestConsoleAbilities(t *testing.T) {
	t.Parallel()
	s := newConsoleStory(t)
	b := s.enter("ana", time.Hour, "GET", "path /echo")
	if code, _, _ := s.visit(b, "GET", "/echo/x", ""); code != http.StatusNotFound {
		t.Errorf("a path that is let: %d, want the console's own 404", code)
	}
	before := len(s.console.Seen())
	for _, c := range []struct{ method, path, body, says string }{
		{"GET", "/", "", "path"}, {"POST", "/echo", "a=b", "POST"}, {"GET", "/echo/..%2ffile", "", "path"}, {"GET", "/file", "", "path"}, {"DELETE", "/echo", "", "DELETE"},
	} {
		if code, page, _ := s.visit(b, c.method, c.path, c.body); code != http.StatusForbidden || !strings.Contains(page, c.says) || !strings.Contains(page, "ask") {
			t.Errorf("P8: %s %s: %d %s", c.method, c.path, code, page)
		}
	}
	if n := len(s.console.Seen()); n != before {
		t.Errorf("the console saw %d requests that were refused", n-before)
	}
}
