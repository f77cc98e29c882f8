package web_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway/secrets"
	"github.com/portcullis/portcullis/web/api"
	"github.com/portcullis/portcullis/web/webtest"

	"github.com/portcullis/portcullis/web"
)

// After a suspension the responder goes from its page to what is to be rotated,
// says of one that it is, is refused until its file bears that out, and sees it
// done.
func TestASuspensionLeadsToWhatIsToBeRotated(t *testing.T) {
	s := newStand(t)
	sus := s.Suspensions[0].ID
	page := text(t, s.as("omar", http.MethodGet, "/suspensions/"+sus, ""))
	if !strings.Contains(page, "<b>1</b> credential.") || !strings.Contains(page, `href="/secrets?suspension=`+sus+`"`) {
		t.Fatal("the suspension's page does not lead to the work-list")
	}
	list := func() string { return text(t, s.as("omar", http.MethodGet, "/secrets?suspension="+sus, "")) }
	body := list()
	for _, want := range []string{"vendor cobalt could have seen", "readonly on rtu-7", "to rotate", "owner olga", "portcullis secrets rotated rtu-7 readonly", "not on file", "expires by itself", `href="/sessions/` + s.Sessions[4].ID} {
		if !strings.Contains(strings.ToLower(body), strings.ToLower(want)) {
			t.Errorf("the work-list lacks %q", want)
		}
	}
	if strings.Contains(body, "/etc/portcullis") {
		t.Error("the page names where a secret lies")
	}
	const say = "/secrets/rtu-7/readonly/rotated"
	form := "vendor=cobalt&back=%2Fsecrets%3Fsuspension%3D" + sus
	res := s.as("omar", http.MethodPost, say, form)
	if body := text(t, res); res.StatusCode != http.StatusConflict || !strings.Contains(body, "last written") || !strings.Contains(body, "unchanged") {
		t.Errorf("an untouched file is answered with %d %s", res.StatusCode, body)
	}
	s.SecretFiles["/etc/portcullis/ro.key"] = secrets.Rest{Changed: noon.Add(-time.Hour), Mark: "fedcba9876543210"}
	res = s.as("omar", http.MethodPost, say, form)
	if to := res.Header.Get("Location"); res.StatusCode != http.StatusSeeOther || to != "/secrets?done=rotated&suspension="+sus {
		t.Fatalf("a rotation leads to %d %s", res.StatusCode, to)
	}
	if body := list(); !strings.Contains(body, "<b>0</b> to rotate") || !strings.Contains(body, "says omar") {
		t.Error("what is rotated stays on the work-list")
	}
	if page := text(t, s.as("omar", http.MethodGet, "/suspensions/"+sus, "")); !strings.Contains(page, "Nothing is left to rotate.") {
		t.Error("the suspension's page does not say that nothing is left")
	}
}

func TestSecretsAreForResponders(t *testing.T) {
	s := newStand(t)
	for person, status := range map[string]int{"omar": 200, "root": 200, "olga": 403, "rita": 403, "ana": 403} {
		for _, path := range []string{"/secrets", "/secrets?vendor=cobalt&days=90", "/secrets?show=rotate", "/secrets?show=rotate&vendor=acme"} {
			res := s.as(person, http.MethodGet, path, "")
			if got := res.StatusCode; got != status {
				t.Errorf("%s gets %s with %d, want %d", person, path, got, status)
			}
		}
		if res := s.as(person, http.MethodPost, "/secrets/rtu-7/readonly/rotated", "back=//evil.example"); res.StatusCode == http.StatusSeeOther {
			t.Errorf("%s had it taken: to %s", person, res.Header.Get("Location"))
		}
	}
	if page := text(t, s.as("olga", http.MethodGet, "/suspensions/"+s.Suspensions[0].ID, "")); strings.Contains(page, `id="rotate"`) {
		t.Error("an approver is told of the work-list")
	}
}

// With nothing to show the page says so; without the room there is no page.
func TestNoSecrets(t *testing.T) {
	s := newStand(t, func(w *webtest.World, _ *web.Config, _ *api.Config) {
		w.Targets, w.Sessions = nil, nil
	})
	for path, want := range map[string]string{"/secrets": "No account needs a credential", "/secrets?show=rotate": "no session of whoever was suspended", "/secrets?suspension=" + s.Suspensions[0].ID: "none of its sessions"} {
		if body := text(t, s.as("omar", http.MethodGet, path, "")); !strings.Contains(body, want) {
			t.Errorf("%s lacks %q", path, want)
		}
	}
	s = newStand(t, func(_ *webtest.World, _ *web.Config, c *api.Config) { c.Secrets = nil })
	if res := s.as("omar", http.MethodGet, "/secrets", ""); res.StatusCode != http.StatusNotFound {
		t.Errorf("without the room the page answers %d", res.StatusCode)
	}
	if res := s.as("omar", http.MethodGet, "/suspensions/"+s.Suspensions[0].ID, ""); res.StatusCode != http.StatusOK {
		t.Errorf("without the room a suspension's page answers %d", res.StatusCode)
	}
}
