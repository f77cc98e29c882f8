package web_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/gateway"
)

// The page tells of every way back in, and names one that is open.
func TestProofPage(t *testing.T) {
	s := newStand(t)
	page := func() string {
		t.Helper()
		res := s.as("omar", http.MethodGet, "/suspensions/"+s.Suspensions[0].ID, "")
		if res.StatusCode != http.StatusOK {
			t.Fatalf("status %d", res.StatusCode)
		}
		return text(t, res)
	}
	body := page()
	for _, want := range []string{"Ways back in", "New SSH connection with an enrolled key", "shut", "nothing to try", "not tried", "carla of acme", "Turned away since", "198.51.100.7:40022", "Entitled by", "/proof\" download"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	s.Suspensions[0].Report.Probes[0].Result, s.Suspensions[0].Report.Probes[0].Subject = gateway.ProbeOpen, "<b>SHA256:1 of carl"
	s.Suspensions[0].Report.Verdict = gateway.Fail
	if body = page(); !strings.Contains(body, "still open") || !strings.Contains(body, "&lt;b&gt;SHA256:1 of carl") {
		t.Error("an open way is not named, or not as text")
	}
}

// The signed file is for the staff alone.
func TestProofFile(t *testing.T) {
	s := newStand(t)
	path := "/api/v1/suspensions/" + s.Suspensions[0].ID + "/proof"
	if res := s.as("omar", http.MethodGet, path, ""); res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "application/vnd.dsse.envelope.v1+json" {
		t.Errorf("status %d, %s", res.StatusCode, res.Header.Get("Content-Type"))
	}
	if res := s.as("ana", http.MethodGet, path, ""); res.StatusCode != http.StatusForbidden {
		t.Errorf("an engineer has it: %d", res.StatusCode)
	}
	if res := s.as("omar", http.MethodGet, "/api/v1/suspensions/sus_0/proof", ""); res.StatusCode != http.StatusNotFound {
		t.Errorf("of none: %d", res.StatusCode)
	}
}
