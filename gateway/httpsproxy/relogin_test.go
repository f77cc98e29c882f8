package httpsproxy

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/portcullis/portcullis/gateway"
)

// forgetful is a console with a login of its own, which it ends when it likes.
type forgetful struct {
	w        *world
	now      atomic.Int64  // seconds on the gateway's clock
	logins   atomic.Int64  // that were asked for
	good     atomic.Int64  // the one login that is good; 0: none
	locked   atomic.Bool   // it takes no credential any more
	token    bool          // by a token, and 401; else a cookie, and a redirect
	taken    atomic.Int64  // requests that were served
	echo     http.Handler  // nil, or what answers who is logged in
	gathered chan struct{} // nil, or closed when the strangers may be turned away: all of them have come
}

func (f *forgetful) forget() { f.good.Store(0) }

func (f *forgetful) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/login" && r.Method == http.MethodPost {
		n := f.logins.Add(1)
		_ = r.ParseForm()
		if f.locked.Load() || r.PostForm.Get("p") != canary {
			http.Error(rw, "wrong", http.StatusForbidden)
			return
		}
		f.good.Store(n)
		if f.token {
			fmt.Fprintf(rw, `{"token":"tok-%d-%s"}`, n, canary)
			return
		}
		http.SetCookie(rw, &http.Cookie{Name: "sid", Value: fmt.Sprintf("sid-%d-%s", n, canary)})
		return
	}
	n, known := f.good.Load(), ""
	if k, err := r.Cookie("sid"); err == nil {
		known = strings.TrimPrefix(k.Value, "sid-")
	}
	if f.token {
		known = strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer tok-")
	}
	if n == 0 || known != fmt.Sprintf("%d-%s", n, canary) || r.URL.Path == "/never" {
		if f.gathered != nil {
			<-f.gathered
		}
		if f.token || r.URL.Path == "/never" {
			rw.WriteHeader(http.StatusUnauthorized)
			return
		}
		http.Redirect(rw, r, "/login?next="+r.URL.Path, http.StatusFound)
		return
	}
	if f.echo != nil {
		f.echo.ServeHTTP(rw, r)
		return
	}
	f.taken.Add(1)
	raw, _ := io.ReadAll(r.Body)
	fmt.Fprintf(rw, "%s %s %d", r.Method, raw, n)
}

func newForgetful(t *testing.T, token bool) *forgetful {
	t.Helper()
	f := &forgetful{token: token}
	form := &gateway.Form{Page: "", Action: "/login", User: "u", Password: "p", LoggedIn: "sid"}
	if token {
		form.LoggedIn, form.Token = "", "token"
	}
	f.w = newWorld(t, f, func(w *world) {
		w.live.account = gateway.Account{Name: "svc", Proof: gateway.ProofForm, Form: form}
		w.live.cred = Credential{Proof: gateway.ProofForm, Login: "svc", Secret: canary}
	})
	begun := time.Now()
	f.w.p.c.Now = func() time.Time { return begun.Add(time.Duration(f.now.Load()) * time.Second) }
	f.w.enter()
	return f
}

// The target ends its login while many requests are under way: one of them logs
// in anew, and all are answered. What the gateway did stands in the recording,
// and nothing of the secret.
func TestTheGatewayLogsInAnew(t *testing.T) {
	for name, token := range map[string]bool{"by cookie": false, "by token": true} {
		t.Run(name, func(t *testing.T) {
			f := newForgetful(t, token)
			w := f.w
			if res, body := w.get("/a"); res.StatusCode != http.StatusOK || body != "GET  1" {
				t.Fatalf("before: %d %q", res.StatusCode, body)
			}
			f.forget()
			const many = 12
			var strangers atomic.Int64
			f.gathered = make(chan struct{})
			var all sync.WaitGroup
			for range many {
				all.Go(func() {
					if strangers.Add(1) == many {
						close(f.gathered)
					}
					if res, body := w.get("/a"); res.StatusCode != http.StatusOK || body != "GET  2" {
						t.Errorf("after: %d %q", res.StatusCode, body)
					}
				})
			}
			all.Wait()
			if n := f.logins.Load(); n != 2 {
				t.Errorf("%d logins, want one at the beginning and one anew", n)
			}
			var own []string
			for _, r := range w.live.ch.of(gateway.HTTPRequest) {
				if len(r.Header) == 1 && r.Header[0].Value == ownAgent {
					own = append(own, r.Method+" "+r.URL)
				}
			}
			if strings.Join(own, ",") != "POST /login" {
				t.Errorf("of its own the gateway recorded %v", own)
			}
			w.live.ch.mu.Lock()
			raw, _ := json.Marshal(w.live.ch.records)
			w.live.ch.mu.Unlock()
			if all := string(raw) + w.live.ch.body(gateway.HTTPSent) + w.live.ch.body(gateway.HTTPShown) + w.logs.String(); strings.Contains(all, canary) {
				t.Errorf("the secret was written down: %s", all)
			}
		})
	}
}

// A WebSocket that is turned away gets in with the next login.
func TestAWebSocketLogsInAnew(t *testing.T) {
	f := newForgetful(t, false)
	f.echo = echoTarget(t)
	f.forget()
	c, _, err := f.w.dial("/ws")
	check(t, err)
	check(t, c.Write(t.Context(), websocket.MessageText, []byte("still here")))
	if _, got, err := c.Read(t.Context()); string(got) != "still here" || f.logins.Load() != 2 {
		t.Errorf("%q, %v, after %d logins", got, err, f.logins.Load())
	}
}

// What was sent is sent again only if that cannot do it twice.
func TestWhatIsSentAgain(t *testing.T) {
	for name, c := range map[string]struct {
		token          bool
		method, body   string
		streamed       bool
		status, served int
	}{
		"a form, not taken":         {true, "POST", "a=1", false, 200, 1},
		"a form, sent elsewhere":    {false, "POST", "a=1", false, 409, 0},
		"an order without a body":   {false, "DELETE", "", false, 200, 1},
		"a put, at hand":            {false, "PUT", "a=1", false, 200, 1},
		"a stream":                  {true, "POST", "a=1", true, 409, 0},
		"a stream, put":             {false, "PUT", "a=1", true, 409, 0},
		"a bodyless post, redirect": {false, "POST", "", false, 409, 0},
	} {
		t.Run(name, func(t *testing.T) {
			f := newForgetful(t, c.token)
			f.forget()
			var body io.Reader
			if c.body != "" {
				body = strings.NewReader(c.body)
			}
			if c.streamed {
				body = struct{ io.Reader }{body}
			}
			r := f.w.request(c.method, "/a", body, "Content-Type", "application/x-www-form-urlencoded")
			res, page := f.w.do(f.w.client(false), r)
			if res.StatusCode != c.status || int(f.taken.Load()) != c.served || c.status == 200 && page != fmt.Sprintf("%s %s 2", c.method, c.body) {
				t.Errorf("answered with %d, served %d times: %q", res.StatusCode, f.taken.Load(), page)
			}
			if c.status == http.StatusConflict && !strings.Contains(page, "once more") {
				t.Errorf("the page does not say what to do: %q", page)
			}
			if n := strings.Count(f.w.live.ch.body(gateway.HTTPSent), "a=1"); n > 1 || n == 0 && c.status == http.StatusOK && c.body != "" {
				t.Errorf("the body is recorded %d times", n)
			}
			if res, _ := f.w.get("/a"); res.StatusCode != http.StatusOK || f.logins.Load() != 2 {
				t.Errorf("afterwards: %d, after %d logins", res.StatusCode, f.logins.Load())
			}
		})
	}
}

// A login that is not taken, or helps nobody, is not tried again and again: it
// would lock the account.
func TestLoginsAnewAreBounded(t *testing.T) {
	t.Run("refused", func(t *testing.T) {
		f := newForgetful(t, false)
		f.forget()
		f.locked.Store(true)
		for range 50 {
			res, _ := f.w.get("/a")
			if res.StatusCode == http.StatusOK {
				t.Fatal("let in")
			}
			f.now.Add(60)
		}
		if n := f.logins.Load(); n != 1+maxLoginFailures {
			t.Errorf("%d logins", n)
		}
		res, body := f.w.get("/a")
		if res.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body, "ended the gateway") {
			t.Errorf("the engineer is told %d %q", res.StatusCode, body)
		}
	})
	t.Run("of no help", func(t *testing.T) {
		f := newForgetful(t, false)
		for range 60 {
			if res, _ := f.w.get("/never"); res.StatusCode != http.StatusUnauthorized {
				t.Fatalf("answered with %d", res.StatusCode)
			}
			f.now.Add(1)
		}
		if n := f.logins.Load(); n < 2 || n > 6 {
			t.Errorf("%d logins in a minute", n)
		}
	})
	t.Run("at the form itself", func(t *testing.T) {
		f := newForgetful(t, false)
		f.forget()
		if res, _ := f.w.get("/login"); res.StatusCode != http.StatusFound || f.logins.Load() != 1 {
			t.Errorf("the form's own page: %d, after %d logins", res.StatusCode, f.logins.Load())
		}
	})
}
