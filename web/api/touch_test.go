package api_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/web/api"
)

// sshTouches answers one key and refuses all others, each in its own words.
type sshTouches struct{ got []string }

func (s *sshTouches) Begin(_ context.Context, in api.TouchParams, source string) (api.SSHChallenge, error) {
	s.got = append(s.got, fmt.Sprintf("begin %s %s %s %s", in.Fingerprint, in.Account, in.Target, source))
	switch in.Fingerprint {
	case "SHA256:ana":
		return api.SSHChallenge{ID: "d1", Statement: `{"a":"<&>"}`, Namespace: "portcullis-open@gate"}, nil
	case "SHA256:suspended":
		return api.SSHChallenge{}, gateway.Refused("suspended", "call", "vendor acme is suspended")
	case "SHA256:plain":
		return api.SSHChallenge{}, gateway.Refused("ssh-key", "make one", "this SSH key does not live in a FIDO2 key")
	case "SHA256:down":
		return api.SSHChallenge{}, gateway.Unavailable("store", context.DeadlineExceeded)
	}
	return api.SSHChallenge{}, gateway.NotFound("SSH key", in.Fingerprint)
}

func (s *sshTouches) Finish(_ context.Context, id string, signature []byte, source string) (api.SSHTicket, error) {
	s.got = append(s.got, fmt.Sprintf("finish %s %s %s", id, signature, source))
	if id != "d1" {
		return api.SSHTicket{}, gateway.Refused("draft", "begin again", "this text has been signed before")
	}
	return api.SSHTicket{Grant: "grt_1", Command: "ssh pump@gate"}, nil
}

func touchStand(t *testing.T) (*stand, *sshTouches, func(from, path, body string) (int, string)) {
	t.Helper()
	touches := &sshTouches{}
	s := newStand(t, func(c *api.Config) { c.SSHTouches = touches })
	h := s.server.Handler(s.actor("nobody"))
	return s, touches, func(from, path, body string) (int, string) {
		rec := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPost, api.Prefix+path, strings.NewReader(body))
		r.RemoteAddr = from
		h.ServeHTTP(rec, r)
		return rec.Code, rec.Body.String()
	}
}

func TestTouchWithoutLogin(t *testing.T) {
	_, touches, post := touchStand(t)
	code, body := post("192.0.2.1:5", "/touch/begin", `{"fingerprint":"SHA256:ana","target":"pump","account":"ops"}`)
	if got := decoded[api.SSHChallenge](t, body); code != 200 || got.Statement != `{"a":"<&>"}` || got.ID != "d1" {
		t.Errorf("begin: %d %s", code, body)
	}
	code, body = post("192.0.2.1:5", "/touch/finish", `{"id":"d1","signature":"sig\n"}`)
	if got := decoded[api.SSHTicket](t, body); code != 200 || got.Command == "" {
		t.Errorf("finish: %d %s", code, body)
	}
	if got := strings.Join(touches.got, "; "); got != "begin SHA256:ana ops pump 192.0.2.1:5; finish d1 sig\n 192.0.2.1:5" {
		t.Errorf("the room heard %q", got)
	}
	// No other route opens with it.
	if code, body := post("192.0.2.1:5", "/acts", `{"kind":"session.open","params":{}}`); code != http.StatusUnauthorized {
		t.Errorf("acts: %d %s", code, body)
	}
}

// A fingerprint proves nothing, so its bearer learns nothing.
func TestTouchIsNoOracle(t *testing.T) {
	_, _, post := touchStand(t)
	var first string
	for _, fp := range []string{"SHA256:nobody", "SHA256:suspended", "SHA256:plain", ""} {
		code, body := post("192.0.2.1:5", "/touch/begin", `{"fingerprint":"`+fp+`","target":"pump"}`)
		if first == "" {
			first = body
		}
		if code != http.StatusForbidden || body != first {
			t.Errorf("%s: %d %s; the first heard %s", fp, code, body, first)
		}
	}
	if code, _ := post("192.0.2.1:5", "/touch/begin", `{"fingerprint":"SHA256:down","target":"pump"}`); code != http.StatusServiceUnavailable {
		t.Errorf("an outage is told as %d", code)
	}
}

func TestTouchIsBounded(t *testing.T) {
	s, touches, post := touchStand(t)
	const body = `{"fingerprint":"SHA256:nobody","target":"pump"}`
	for i := range 20 {
		if code, _ := post(fmt.Sprintf("[2001:db8::%d]:5", i+1), "/touch/begin", body); code != http.StatusForbidden {
			t.Fatalf("call %d: %d", i, code)
		}
	}
	if code, _ := post("[2001:db8::ff]:5", "/touch/finish", `{"id":"x","signature":""}`); code != http.StatusTooManyRequests || len(touches.got) != 20 {
		t.Errorf("the next of one network: %d, %d reached the room", code, len(touches.got))
	}
	if code, _ := post("[2001:db8:0:1::1]:5", "/touch/begin", body); code != http.StatusForbidden {
		t.Errorf("another network is told %d", code)
	}
	s.Now = s.Now.Add(time.Second)
	if code, _ := post("[2001:db8::1]:5", "/touch/begin", body); code != http.StatusForbidden {
		t.Errorf("a second later: %d", code)
	}
	// A flood from everywhere fills the memory and no more; quiet ones are forgotten.
	for i := range 4200 {
		post(fmt.Sprintf("10.%d.%d.1:5", i/250, i%250), "/touch/begin", body)
	}
	if code, _ := post("198.51.100.1:5", "/touch/begin", body); code != http.StatusTooManyRequests {
		t.Errorf("in the flood: %d", code)
	}
	s.Now = s.Now.Add(time.Minute)
	if code, _ := post("198.51.100.1:5", "/touch/begin", body); code != http.StatusForbidden {
		t.Errorf("after the flood: %d", code)
	}
	if code, _ := post("192.0.2.77:5", "/touch/begin", `{"fingerprint":"`+strings.Repeat("x", 20<<10)+`"}`); code != http.StatusBadRequest {
		t.Errorf("a long body: %d", code)
	}
	for _, bad := range []string{`{"fingerprint":1}`, `{"x":1}`, ``, `{} {}`} {
		if code, _ := post("192.0.2.78:5", "/touch/begin", bad); code != http.StatusBadRequest {
			t.Errorf("%q: %d", bad, code)
		}
	}
	if code, _ := post("@", "/touch/begin", body); code != http.StatusNotFound {
		t.Errorf("at the local socket: %d", code)
	}
}

func TestTouchNotWired(t *testing.T) {
	s := newStand(t)
	if code, body := s.call("nobody", http.MethodPost, "/touch/begin", `{}`); code != http.StatusNotFound {
		t.Errorf("%d %s", code, body)
	}
	if _, body := s.call("nobody", http.MethodGet, "/openapi.json", ""); !strings.Contains(body, "/touch/begin") {
		t.Error("the routes are not described")
	}
}

// counting is a share that lets so many of each name.
type counting map[string]int

func (c counting) Allow(_ context.Context, name string) bool {
	c[name]--
	return c[name] >= 0
}

// What was called at other nodes counts here too: one network, whatever its
// addresses, and never the local socket, which has none.
func TestTouchesAreCountedOverAllNodes(t *testing.T) {
	share := counting{"192.0.2.1/32": 2, "2001:db8::/64": 1}
	s := newStand(t, func(c *api.Config) { c.SSHTouches, c.Share = &sshTouches{}, share })
	for _, c := range []struct {
		from string
		want int
	}{{"192.0.2.1:5", 200}, {"192.0.2.1:6", 200}, {"192.0.2.1:7", 429}, {"[2001:db8::1]:5", 200}, {"[2001:db8::2%eth0]:5", 429}, {"198.51.100.1:5", 429}} {
		rec := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPost, api.Prefix+"/touch/begin", strings.NewReader(`{"fingerprint":"SHA256:ana","target":"pump"}`))
		r.RemoteAddr = c.from
		s.server.Handler(s.actor("nobody")).ServeHTTP(rec, r)
		if rec.Code != c.want {
			t.Errorf("from %s: %d, want %d: %s", c.from, rec.Code, c.want, rec.Body)
		}
	}
	if _, counted := share[""]; counted || len(share) != 3 {
		t.Errorf("counted were %v", share)
	}
}
