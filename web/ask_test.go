package web_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

func form(pairs ...string) string {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	return v.Encode()
}

// Abilities that are ticked and forwards that are typed are asked for
// together, in the spelling that is compared.
func TestAskForFilesAndForwards(t *testing.T) {
	s := newStand(t)
	res := s.as("ana", http.MethodPost, "/requests", form("target", "headend-1", "account", "maint", "start", "now", "hours", "2", "reason", "Fetch the log",
		"ability", "upload", "ability", "download", "forwards", "Historian.Norte.Example.:5432\r\n\r\n  10.0.0.9:443 \r\n"))
	if res.StatusCode != http.StatusSeeOther || len(s.Asked) != 1 {
		t.Fatalf("answers %d: %s", res.StatusCode, text(t, res))
	}
	want := []string{"upload", "download", "forward historian.norte.example:5432", "forward 10.0.0.9:443"}
	if got := s.Asked[0].Abilities; !slices.Equal(got, want) {
		t.Errorf("asked for %q, wants %q", got, want)
	}
}

func TestAskNamesTheWrongForward(t *testing.T) {
	for lines, says := range map[string]string{
		"historian:5432\n10.0.0.9":       "Line 2 of the forwards",
		"historian:99999":                "has no port from 1 to 65535",
		"http://historian:80":            "Line 1 of the forwards",
		"0.0.0.0:22":                     "is no address of one machine",
		strings.Repeat("a:1\n", 17):      "At most 16 forwards",
		"<script>:1":                     "names no host",
		"historian:5432 turbine:22":      "Line 1 of the forwards",
		"\n\nhistorian:5432\n*.plant:80": "Line 4 of the forwards",
	} {
		s := newStand(t)
		res := s.as("ana", http.MethodPost, "/requests", form("target", "headend-1", "account", "maint", "hours", "2", "reason", "Fetch the log", "forwards", lines))
		body := text(t, res)
		if res.StatusCode != http.StatusBadRequest || !strings.Contains(body, says) || strings.Contains(body, "<script>") {
			t.Errorf("%q answers %d and does not say %q", lines, res.StatusCode, says)
		}
		if !strings.Contains(body, "Fetch the log") || !strings.Contains(body, `id="forwards"`) {
			t.Errorf("%q: what was typed is lost", lines)
		}
		if len(s.Asked) > 0 {
			t.Errorf("%q was asked for", lines)
		}
	}
}

// Extend leads to a new request that begins in the very moment in which the
// grant ends, and is asked for like any other.
func TestExtendIsANewRequest(t *testing.T) {
	s := newStand(t)
	g := s.Grants[0]
	path := "/requests/new?extends=" + g.ID
	for _, where := range []string{"/", "/requests/" + g.Request} {
		if body := text(t, s.as("ana", http.MethodGet, where, "")); !strings.Contains(body, `href="`+path+`"`) {
			t.Errorf("%s does not lead to the extension", where)
		}
	}
	body := text(t, s.as("ana", http.MethodGet, path, ""))
	for _, want := range []string{
		"This is a new request", `name="extends" value="` + g.ID, `value="extend" checked`, `<option value="headend-1" selected`, `data-of="headend-1" selected`, `value="upload" checked`,
		"[2001:db8:17::5]:443\nhistorian.norte.example:5432",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the form lacks %q", want)
		}
	}
	res := s.as("ana", http.MethodPost, "/requests", form("extends", g.ID, "start", "extend", "more", "1.5", "target", g.Target, "account", g.Account, "ability", "shell", "reason", "The queue is not empty yet"))
	if res.StatusCode != http.StatusSeeOther || len(s.Asked) != 1 {
		t.Fatalf("answers %d: %s", res.StatusCode, text(t, res))
	}
	if in := s.Asked[0]; !in.From.Equal(g.To) || in.To.Sub(in.From) != 90*time.Minute || in.Length != 0 {
		t.Errorf("asked for %s to %s, and the grant ends at %s", in.From, in.To, g.To)
	}
}

func TestExtendOnlyOnesOwnOpenGrant(t *testing.T) {
	s := newStand(t)
	g := s.Grants[0]
	send := form("extends", g.ID, "start", "extend", "target", g.Target, "account", g.Account, "ability", "shell", "reason", "x")
	if res := s.as("ben", http.MethodGet, "/requests/new?extends="+g.ID, ""); res.StatusCode != http.StatusNotFound {
		t.Errorf("somebody else's grant answers %d", res.StatusCode)
	}
	if res := s.as("ben", http.MethodPost, "/requests", send); res.StatusCode != http.StatusNotFound {
		t.Errorf("somebody else's grant answers %d", res.StatusCode)
	}
	s.Grants[0].State = gateway.GrantClosed
	if res := s.as("ana", http.MethodPost, "/requests", send); res.StatusCode != http.StatusConflict {
		t.Errorf("a closed grant answers %d", res.StatusCode)
	}
	if res := s.as("ana", http.MethodPost, "/requests", form("start", "extend", "target", g.Target, "account", g.Account, "ability", "shell", "reason", "x")); res.StatusCode != http.StatusBadRequest {
		t.Errorf("an extension of nothing answers %d", res.StatusCode)
	}
	if len(s.Asked) > 0 {
		t.Errorf("asked: %+v", s.Asked)
	}
}

// Whoever agrees sees what is extended, reads each ability in words, and can
// leave each forward out by itself.
func TestApproverSeesAbilitiesAndExtension(t *testing.T) {
	s := newStand(t)
	asked, extension := s.Requests[0], s.Requests[6]
	body := text(t, s.as("olga", http.MethodGet, "/requests/"+asked.ID, ""))
	for _, want := range []string{
		`value="forward historian.norte.example:5432" checked`, `value="forward [2001:db8:17::5]:443" checked`, `value="upload" checked`,
		"TCP from the target to historian.norte.example:5432", "files to the target",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the card lacks %q", want)
		}
	}
	for _, where := range []string{"/inbox", "/requests/" + extension.ID} {
		if body := text(t, s.as("olga", http.MethodGet, where, "")); !strings.Contains(body, "Extends") {
			t.Errorf("%s does not tell that a window is extended", where)
		}
	}
	if body := text(t, s.as("olga", http.MethodGet, "/requests/"+extension.ID, "")); !strings.Contains(body, "both together are 1 h 54 min") {
		t.Error("the card does not tell how long both windows are")
	}
}

func TestAskAgainBeginsAsTheOldRequest(t *testing.T) {
	s := newStand(t)
	old := s.Requests[2]
	body := text(t, s.as("ana", http.MethodGet, "/requests/new?like="+old.ID, ""))
	for _, want := range []string{"Firmware campaign, group 3", `value="download" checked`, "historian.norte.example:5432", `name="hours" value="4"`} {
		if !strings.Contains(body, want) {
			t.Errorf("the form lacks %q", want)
		}
	}
	if res := s.as("ben", http.MethodGet, "/requests/new?like="+old.ID, ""); res.StatusCode != http.StatusNotFound {
		t.Errorf("somebody else's request answers %d", res.StatusCode)
	}
}
