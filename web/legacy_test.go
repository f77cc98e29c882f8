package web_test

import (
	"net/http"
	"strings"
	"testing"
)

// The staff is warned of a target's weak algorithms where it looks at the
// target and where it agrees; a vendor's people are not told of weaknesses.
func TestWeakAlgorithmsAreShown(t *testing.T) {
	s := newStand(t)
	for i := range s.Targets {
		if s.Targets[i].Name == "rtu-7" {
			s.Targets[i].Legacy = []string{"diffie-hellman-group1-sha1"}
		}
	}
	for _, c := range []struct {
		who, path string
		warned    bool
	}{
		{"olga", "/targets/rtu-7", true},
		{"olga", "/targets/headend-1", false},
		{"olga", "/requests/" + s.Requests[0].ID, true},
		{"ana", "/requests/" + s.Requests[0].ID, false},
	} {
		res := s.as(c.who, http.MethodGet, c.path, "")
		if body := text(t, res); res.StatusCode != http.StatusOK || strings.Contains(body, "diffie-hellman-group1-sha1") != c.warned {
			t.Errorf("%s at %s: %d, warned %t", c.who, c.path, res.StatusCode, !c.warned)
		}
	}
	if body := text(t, s.as("root", http.MethodGet, "/targets/rtu-7/edit", "")); !strings.Contains(body, ">diffie-hellman-group1-sha1</textarea>") {
		t.Error("a change would lose what the definition allows")
	}
}
