package api_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/web/api"
)

// The index holds commands and paths: whoever may not play a recording does
// not read it, and reading it is an event before anything is told.
func TestIndexIsALook(t *testing.T) {
	s := newStand(t)
	path := "/recordings/" + s.Sessions[0].ID + "/index"
	for _, who := range []string{"ana", "dora", "olga"} {
		if got, body := s.call(who, http.MethodGet, path, ""); got != http.StatusForbidden || strings.Contains(body, "firmware") {
			t.Errorf("%s reads the index: %d %s", who, got, body)
		}
	}
	if did := s.Calls("index"); len(did) > 0 {
		t.Fatalf("it was read for a refusal: %q", did)
	}
	s.Did = nil
	got, body := s.call("rita", http.MethodGet, path, "")
	x := decoded[api.Index](t, body)
	if got != http.StatusOK || len(x.Files) != 3 || x.Files[1].Path != "/opt/dispatcher/firmware-3.2.1.bin" || x.Files[1].SHA256.IsZero() || x.Flows[0].To == "" || x.Files[2].Verdict != gateway.FileRefused {
		t.Fatalf("answers %d: %+v", got, x)
	}
	if did := s.Calls(""); len(did) != 2 || did[0] != "event recording.watched rita "+s.Sessions[0].ID || !strings.HasPrefix(did[1], "index ") {
		t.Errorf("done: %q", did)
	}
	s.Broken = gateway.Unavailable("store", errors.New("gone"))
	if got, body := s.call("rita", http.MethodGet, path, ""); got != http.StatusServiceUnavailable || strings.Contains(body, "firmware") {
		t.Errorf("without a log it answers %d: %s", got, body)
	}
}
