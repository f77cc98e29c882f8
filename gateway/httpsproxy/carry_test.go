package httpsproxy

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/gateway"
)

// TestAConsoleIsCarried: a browser of either version reaches its console, and
// the recording has the exchange before the target and the browser have it.
func TestAConsoleIsCarried(t *testing.T) {
	w := newWorld(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Cookie") != "" {
			t.Errorf("the target saw the cookie %q", r.Header.Get("Cookie"))
		}
		b, _ := io.ReadAll(r.Body)
		rw.Header().Set("X-Proto", r.Proto)
		fmt.Fprintf(rw, "%s %s %s", r.Method, r.RequestURI, b)
	}))
	w.enter()
	for _, h2 := range []bool{false, true} {
		res, body := w.do(w.client(h2), w.request("POST", "/a%2Fb;x?q=1", strings.NewReader("name=value"), "Content-Type", "application/x-www-form-urlencoded"))
		if res.StatusCode != http.StatusOK || body != "POST /a%2Fb;x?q=1 name=value" || res.ProtoMajor != map[bool]int{false: 1, true: 2}[h2] {
			t.Fatalf("h2 %v: %d %s %q\n%s", h2, res.StatusCode, res.Proto, body, w.logs)
		}
		if got := res.Header.Get("X-Proto"); got != "HTTP/1.1" {
			t.Errorf("the target was asked over %s", got)
		}
	}
	req := w.live.ch.of(gateway.HTTPRequest)
	if len(req) != 2 || req[0].URL != "/a%2Fb;x?q=1" || req[0].N != 1 || req[1].N != 2 {
		t.Fatalf("recorded requests: %+v", req)
	}
	if got := w.live.ch.body(gateway.HTTPSent); got != "name=valuename=value" {
		t.Errorf("recorded as sent: %q", got)
	}
	end := w.live.ch.of(gateway.HTTPEnd)
	if len(end) != 2 || end[0].Sent.Bytes != 10 || end[0].Shown.Bytes == 0 || end[0].Cut != "" {
		t.Fatalf("recorded ends: %+v", end)
	}
	for _, r := range req {
		if f, ok := field(r.Header, "Cookie"); ok {
			t.Errorf("the gateway's cookie is in the recording: %+v", f)
		}
	}
}

// TestNothingPassesUnrecorded is P3: a recorder that fails lets no request
// reach the target.
func TestNothingPassesUnrecorded(t *testing.T) {
	reached := 0
	w := newWorld(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached++ }))
	w.enter()
	w.live.ch.fail = io.ErrShortWrite
	if res, _ := w.get("/"); res.StatusCode != http.StatusServiceUnavailable || reached != 0 {
		t.Errorf("answered %d, the target was reached %d times", res.StatusCode, reached)
	}
}

// TestARefusalNamesItsRule: by a page for a person, by a problem for a script;
// on the record, and nothing of it at the target.
func TestARefusalNamesItsRule(t *testing.T) {
	reached := 0
	w := newWorld(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached++ }), func(w *world) {
		w.live.abilities = gateway.Abilities{Methods: []string{"GET"}, Paths: []string{"/ui"}}
	})
	w.enter()
	res, body := w.get("/admin", "Sec-Fetch-Mode", "navigate")
	if res.StatusCode != http.StatusForbidden || !strings.Contains(body, "abilities.paths") || !strings.Contains(body, "ask for a grant") || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("page: %d %s", res.StatusCode, body)
	}
	res, body = w.do(w.client(true), w.request("DELETE", "/ui/x", nil, "Sec-Fetch-Mode", "cors", "Sec-Fetch-Site", "same-origin"))
	if res.StatusCode != http.StatusForbidden || res.Header.Get("Content-Type") != "application/problem+json" || !strings.Contains(body, `"rule":"abilities.methods"`) {
		t.Errorf("problem: %d %s", res.StatusCode, body)
	}
	if reached != 0 {
		t.Error("the target was reached")
	}
	req := w.live.ch.of(gateway.HTTPRequest)
	if len(req) != 2 || req[0].Rule != "abilities.paths" || req[0].Refused == "" || len(w.live.refused) != 2 {
		t.Errorf("recorded %+v, events %q", req, w.live.refused)
	}
}
