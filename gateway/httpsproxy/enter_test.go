package httpsproxy

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

func hello() http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/html")
		rw.Header().Set("Cache-Control", "max-age=3600")
		fmt.Fprint(rw, "hello")
	})
}

func opened(t *testing.T, w *world, path string) string {
	t.Helper()
	l, err := w.p.Enter(t.Context(), Entering{Grant: "grt_1", Path: path})
	check(t, err)
	return l
}

// TestTheLinkIsGoodOnce, at its own host, and for half a minute; the session
// that nobody came for ends.
func TestTheLinkIsGoodOnce(t *testing.T) {
	w := newWorld(t, hello())
	l := opened(t, w, "/start?x=1")
	if res := w.redeem(l); res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/start?x=1" {
		t.Fatalf("%d %q", res.StatusCode, res.Header.Get("Location"))
	} else if k := res.Cookies()[0]; k.Name != "__Host-portcullis-app" || !k.Secure || !k.HttpOnly || k.Path != "/" || k.Domain != "" || !strings.HasPrefix(k.Value, "n1.") {
		t.Errorf("cookie %+v", k)
	}
	if res := w.redeem(l); res.StatusCode != http.StatusUnauthorized || len(res.Cookies()) != 0 {
		t.Errorf("a second time: %d", res.StatusCode)
	}

	w = newWorld(t, hello())
	l = strings.Replace(opened(t, w, ""), testTarget, "other", 1)
	if res := w.redeem(l); res.StatusCode != http.StatusUnauthorized || w.live.ctx.Err() == nil {
		t.Errorf("at a sister's host: %d", res.StatusCode)
	}

	w = newWorld(t, hello())
	opened(t, w, "")
	w.p.sweep(time.Now().Add(LinkTime - time.Second))
	if w.live.ctx.Err() != nil {
		t.Error("ended too soon")
	}
	w.p.sweep(time.Now().Add(LinkTime + time.Second))
	if w.live.ctx.Err() == nil {
		t.Error("nobody came, and the session lives")
	}

	w = newWorld(t, hello())
	w.ticket = false
	if _, err := w.p.Enter(t.Context(), Entering{Grant: "grt_1"}); !gateway.IsCode(err, gateway.CodeRefused) || len(w.refuse) != 1 {
		t.Errorf("without a touch: %v", err)
	}
	for _, path := range []string{"//evil", "/\\evil", "https://evil", "evil", "/a\nb", "/.portcullis/leave", "/\tx", "/" + strings.Repeat("a", MaxTarget)} {
		if _, err := w.p.Enter(t.Context(), Entering{Grant: "grt_1", Path: path}); !gateway.IsCode(err, gateway.CodeInvalid) {
			t.Errorf("path %.20q: %v", path, err)
		}
	}
}

// TestTheLinksPageLeaksNothing: not by Referer, not into a frame, not to a
// cache.
func TestTheLinksPageLeaksNothing(t *testing.T) {
	w := newWorld(t, hello())
	res, body := w.get("/.portcullis/enter")
	csp := res.Header.Get("Content-Security-Policy")
	if res.Header.Get("Referrer-Policy") != "no-referrer" || res.Header.Get("Cache-Control") != "no-store" || !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") {
		t.Errorf("%v", res.Header)
	}
	if !strings.Contains(body, enterScript) || !strings.Contains(body, pageStyle) {
		t.Error("the page does not hold what its policy has hashed")
	}
}

// TestW24WithoutASession: a person gets a page and a script a problem, neither
// a redirect; a cookie of one console opens no other, and no node but its own
// is named by it.
func TestW24WithoutASession(t *testing.T) {
	w := newWorld(t, hello())
	w.enter()
	if got := w.p.Node(w.request("GET", "/", nil)); got != "n1" {
		t.Errorf("node %q", got)
	}
	good := w.cookie
	for _, cookie := range []string{"", "__Host-portcullis-app=n1.AAAA", strings.Replace(good, "__Host-", "", 1), good + "x", "x=" + good} {
		w.cookie = cookie
		res, body := w.get("/", "Sec-Fetch-Mode", "navigate", "Accept", "text/html")
		if res.StatusCode != http.StatusUnauthorized || !strings.Contains(body, "https://gw.test/") || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
			t.Errorf("%q: page %d %q", cookie, res.StatusCode, body)
		}
		res, body = w.get("/api", "X-Requested-With", "XMLHttpRequest", "Accept", "text/html")
		if res.StatusCode != http.StatusUnauthorized || res.Header.Get("Content-Type") != "application/problem+json" || !strings.Contains(body, `"status":401`) {
			t.Errorf("%q: problem %d %q", cookie, res.StatusCode, body)
		}
	}
	w.cookie = good
	r := w.request("GET", "/", nil)
	r.URL.Host, r.Host = "other."+testApps, "other."+testApps
	if res, _ := w.do(w.client(false), r); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("at a sister's host: %d", res.StatusCode)
	}
	if n := len(w.live.ch.of(gateway.HTTPRequest)); n != 0 {
		t.Errorf("%d requests were carried", n)
	}
	// A cookie that a sister host tossed beside ours changes nothing.
	if res, _ := w.get("/", "Cookie", "__Host-portcullis-app=n1."+strings.Repeat("A", 43)); res.StatusCode != http.StatusOK {
		t.Errorf("with a tossed cookie: %d", res.StatusCode)
	}
}

// TestTheEndIsTheEnd: connections are cut in the middle of a body, the cookie
// shows why, and what browsers keep is told to go.
func TestTheEndIsTheEnd(t *testing.T) {
	begun := make(chan struct{}, 4)
	w := newWorld(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/endless" {
			hello().ServeHTTP(rw, r)
			return
		}
		rw.Header().Set("Content-Type", "video/mp4")
		begun <- struct{}{}
		_, _ = io.Copy(rw, &pattern{})
	}))
	w.enter()
	if res, _ := w.get("/"); res.Header.Get("Cache-Control") != "private, no-cache" {
		t.Errorf("W-30: a page may be kept: %q", res.Header.Get("Cache-Control"))
	}
	if res, body := w.get("/sw.js", "Service-Worker", "script"); res.StatusCode != http.StatusForbidden || !strings.Contains(body, "service-worker") {
		t.Errorf("a service worker: %d", res.StatusCode)
	}
	ends := make(chan error, 2)
	clients := []*http.Client{w.client(false), w.client(true)}
	for _, c := range clients {
		res, err := c.Do(w.request("GET", "/endless", nil))
		check(t, err)
		defer res.Body.Close()
		<-begun
		go func() { _, err := io.Copy(io.Discard, res.Body); ends <- err }()
	}
	at := time.Now()
	w.live.End(gateway.EndWindow, "", "")
	for range clients {
		if err := <-ends; err == nil {
			t.Error("a body ended well")
		}
	}
	if d := time.Since(at); d > time.Second {
		t.Errorf("the end took %s", d)
	}
	for i := range 100 {
		res, body := w.do(clients[i%2], w.request("GET", "/", nil, "Sec-Fetch-Mode", "navigate"))
		if res.StatusCode != http.StatusUnauthorized || !strings.Contains(body, "the window that was agreed is over") || res.Header.Get("Clear-Site-Data") != `"cache", "storage"` || res.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("after the end: %d %s", res.StatusCode, body)
		}
	}
}

// TestFreezeHoldsTheBrowser: a request waits for the thaw, and what goes to
// the target with it.
func TestFreezeHoldsTheBrowser(t *testing.T) {
	reached := make(chan struct{}, 1)
	w := newWorld(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached <- struct{}{} }))
	w.enter()
	thaw := make(chan struct{})
	w.live.ch.mu.Lock()
	w.live.ch.thawed = thaw
	w.live.ch.mu.Unlock()
	done := make(chan int, 1)
	c, r := w.client(false), w.request("GET", "/", nil)
	go func() {
		res, err := c.Do(r)
		if err != nil {
			done <- 0
			return
		}
		res.Body.Close()
		done <- res.StatusCode
	}()
	select {
	case <-reached:
		t.Error("a frozen session reached its target")
	case <-time.After(200 * time.Millisecond):
	}
	close(thaw)
	if code := <-done; code != http.StatusOK {
		t.Errorf("after the thaw: %d", code)
	}
}

// TestFilesNeedTheirAbility: up and down apart, by what they are and how large.
func TestFilesNeedTheirAbility(t *testing.T) {
	serve := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if q := r.URL.Query(); q.Get("type") != "" {
			rw.Header().Set("Content-Type", q.Get("type"))
		}
		if d := r.URL.Query().Get("d"); d != "" {
			rw.Header().Set("Content-Disposition", d)
		}
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = rw.Write([]byte(r.URL.Query().Get("body")))
		_ = http.NewResponseController(rw).Flush()
		_, _ = rw.Write([]byte(strings.Repeat("x", 2000)))
	})
	form := "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b--\r\n"
	file := "--b\r\nContent-Disposition: form-data; name=\"a\"; filename=\"plan.pdf\"\r\n\r\n1\r\n--b--\r\n"
	none, all := everything(), everything()
	none.Upload, none.Download = false, false
	all.MaxUpload, all.MaxDownload = 1500, 1500
	for name, x := range map[string]struct {
		method, path, kind, body string
		none, all                int // statuses; 0: cut in the middle
	}{
		"form":             {"POST", "/", "application/x-www-form-urlencoded", "a=1", 200, 200},
		"json":             {"POST", "/", "application/json", "{}", 200, 200},
		"multipart form":   {"POST", "/", "multipart/form-data; boundary=b", form, 200, 200},
		"multipart file":   {"POST", "/", "multipart/form-data; boundary=b", file, 403, 200},
		"multipart, odd":   {"POST", "/", "multipart/form-data", file, 403, 200},
		"multipart, large": {"POST", "/", "multipart/form-data; boundary=b", strings.Repeat("x", HeldForm+1), 403, 403},
		"a file":           {"PUT", "/a.bin", "application/octet-stream", "x", 403, 200},
		"a large file":     {"PUT", "/a.bin", "application/octet-stream", strings.Repeat("x", 1501), 403, 403},
		"page":             {"GET", "/?type=text/html", "", "", 200, 200},
		"attachment":       {"GET", "/?type=text/html&d=attachment%3Bfilename=x.html", "", "", 403, 0},
		"odd disposition":  {"GET", "/?type=text/html&d=%22%3B%3B", "", "", 403, 0},
		"archive":          {"GET", "/?type=application/zip", "", "", 403, 0},
		"csv":              {"GET", "/?type=text/csv", "", "", 403, 0},
		"no type, text":    {"GET", "/?body=hello", "", "", 200, 200},
		"no type, no text": {"GET", "/?body=" + url.QueryEscape("PK\x03\x04\x00"), "", "", 403, 0},
		"an image":         {"GET", "/?type=image/png", "", "", 200, 200},
		"inline, any name": {"GET", "/?type=image/png&d=inline%3Bfilename=x.png", "", "", 200, 200},
	} {
		for _, limited := range []bool{false, true} {
			w := newWorld(t, serve, func(w *world) {
				w.live.abilities = none
				if limited {
					w.live.abilities = all
				}
			})
			w.enter()
			want := x.none
			if limited {
				want = x.all
			}
			r := w.request(x.method, x.path, strings.NewReader(x.body))
			if x.kind != "" {
				r.Header.Set("Content-Type", x.kind)
			}
			res, err := w.client(false).Do(r)
			check(t, err)
			_, err = io.Copy(io.Discard, res.Body)
			res.Body.Close()
			got := res.StatusCode
			if err != nil {
				got = 0
			}
			if got != want {
				t.Errorf("%s, limited %v: %d, want %d", name, limited, got, want)
			}
		}
	}
}

// TestAnotherSiteCannotAsk in the engineer's name, but for a link.
func TestAnotherSiteCannotAsk(t *testing.T) {
	w := newWorld(t, hello())
	w.enter()
	for _, x := range []struct {
		method string
		header []string
		status int
	}{
		{"GET", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, 200},
		{"GET", []string{"Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "script"}, 403},
		{"GET", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}, 403},
		{"POST", []string{"Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, 403},
		{"POST", []string{"Sec-Fetch-Site", "same-origin", "Origin", "null"}, 200},
		{"POST", []string{"Origin", "https://other." + testApps}, 403},
		{"POST", []string{"Origin", "https://" + testHost}, 200},
		{"POST", nil, 200},
	} {
		if res, _ := w.do(w.client(false), w.request(x.method, "/", nil, x.header...)); res.StatusCode != x.status {
			t.Errorf("%s %q: %d, want %d", x.method, x.header, res.StatusCode, x.status)
		}
	}
}

// TestW33NoConnectionIsShared: not between two sessions to one target.
func TestW33NoConnectionIsShared(t *testing.T) {
	seen := map[string]string{} // connection: session
	h := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if s, ok := seen[r.RemoteAddr]; ok && s != r.Header.Get("X-Who") {
			t.Errorf("one connection carried %s and %s", s, r.Header.Get("X-Who"))
		}
		seen[r.RemoteAddr] = r.Header.Get("X-Who")
	})
	w := newWorld(t, h)
	w.enter()
	c := w.client(true)
	w.do(c, w.request("GET", "/", nil, "X-Who", "one"))
	first, live := w.cookie, w.live
	w.live = w.newLive(everything())
	w.live.target.Address = live.target.Address
	w.enter()
	for range 3 {
		w.do(c, w.request("GET", "/", nil, "X-Who", "two"))
		second := w.cookie
		w.cookie = first
		w.do(c, w.request("GET", "/", nil, "X-Who", "one"))
		w.cookie = second
	}
	if len(seen) != 2 {
		t.Errorf("connections %v", seen)
	}
	live.End(gateway.EndWindow, "", "")
}

// TestLeaving: the engineer ends his own session, and no other site does.
func TestLeaving(t *testing.T) {
	w := newWorld(t, hello())
	w.enter()
	w.live.notices <- "this session ends in 5m"
	waitFor(t, func() bool {
		_, body := w.get("/.portcullis/")
		return strings.Contains(body, "this session ends in 5m")
	})
	if res, _ := w.do(w.client(false), w.request("POST", "/.portcullis/leave", nil, "Sec-Fetch-Site", "cross-site")); res.StatusCode != http.StatusForbidden || w.live.ctx.Err() != nil {
		t.Errorf("from elsewhere: %d", res.StatusCode)
	}
	res, err := w.client(false).Do(w.request("POST", "/.portcullis/leave", nil, "Sec-Fetch-Site", "same-origin"))
	if err == nil {
		res.Body.Close()
	}
	if w.live.ctx.Err() == nil {
		t.Error("the session lives on")
	}
}
