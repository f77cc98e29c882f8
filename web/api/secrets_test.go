package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway/secrets"
)

func TestSecrets(t *testing.T) {
	s := newStand(t)
	status, body := s.call("omar", http.MethodGet, "/secrets?vendor=cobalt", "")
	if list := decoded[secrets.List](t, body); status != http.StatusOK || len(list.Items) != 3 {
		t.Errorf("cobalt's secrets: %d %s", status, body)
	}
	if strings.Contains(body, "/etc/") || strings.Contains(body, "0123456789abcdef") {
		t.Errorf("the list tells where a secret lies, or its mark: %s", body)
	}
	for path, open := range map[string]int{"/secrets/exposed?vendor=cobalt": 1, "/secrets/exposed?suspension=" + s.Suspensions[0].ID: 1, "/secrets/exposed": 1, "/secrets/exposed?vendor=borealis": 0, "/secrets/exposed?vendor=cobalt&since=2026-11-22T11:00:00Z": 0} {
		status, body := s.call("machine", http.MethodGet, path, "")
		if list := decoded[secrets.WorkList](t, body); status != http.StatusOK || list.Open != open {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	for _, c := range []struct {
		person, method, path string
		status               int
	}{
		{"omar", http.MethodGet, "/secrets?since=yesterday", 400},
		{"omar", http.MethodGet, "/secrets/exposed?vendor=cobalt&suspension=x", 400},
		{"omar", http.MethodGet, "/secrets/exposed?vendor=nobody", 404},
		{"omar", http.MethodGet, "/secrets/exposed?suspension=sus_none", 404},
		{"rita", http.MethodGet, "/secrets", 403},
		{"ana", http.MethodGet, "/secrets/exposed", 403},
		{"ana", http.MethodPost, "/secrets/rtu-7/readonly/rotated", 403},
		{"omar", http.MethodPost, "/secrets/rtu-7/readonly/rotated", 409},
		{"omar", http.MethodPost, "/secrets/rtu-7/maint/rotated", 409}, // a certificate
		{"omar", http.MethodPost, "/secrets/rtu-7/factory/rotated", 404},
	} {
		if status, body := s.call(c.person, c.method, c.path, "{}"); status != c.status {
			t.Errorf("%s %s by %s: %d %s", c.method, c.path, c.person, status, body)
		}
	}
	s.SecretFiles["/etc/portcullis/ro.key"] = secrets.Rest{Changed: noon.Add(-time.Hour), Mark: "fedcba9876543210"}
	status, body = s.call("omar", http.MethodPost, "/secrets/rtu-7/readonly/rotated", `{"vendor":"cobalt"}`)
	if x := decoded[secrets.Secret](t, body); status != http.StatusOK || x.Work != secrets.WorkDone {
		t.Errorf("a rotation: %d %s", status, body)
	}
}
