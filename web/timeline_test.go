package web_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
)

// A console's recording is a timeline; what was sent is for those who may read
// input, and each look is written down once.
func TestTimelineOfAConsole(t *testing.T) {
	s := newStand(t)
	s.Sessions[2].Protocol = gateway.KindHTTPS
	id := s.Sessions[2].ID
	path := "/recordings/" + id
	page := text(t, s.as("omar", http.MethodGet, path, ""))
	for _, want := range []string{"/pumps/7/setpoint", "no DELETE", "export.csv", "412 messages", "cut short", "forms and calls (1)", "Download HAR"} {
		if !strings.Contains(page, want) {
			t.Errorf("the timeline lacks %q", want)
		}
	}
	for _, no := range []string{"style.css", "id=\"player\"", "har?typed"} {
		if strings.Contains(page, no) {
			t.Errorf("the timeline has %q", no)
		}
	}
	if parts := text(t, s.as("omar", http.MethodGet, path+"?kind=part", "")); !strings.Contains(parts, "style.css") || strings.Contains(parts, "setpoint") {
		t.Error("parts of pages are not shown by themselves")
	}
	if found := text(t, s.as("omar", http.MethodGet, path+"?text=setpoint&kind=", "")); !strings.Contains(found, "/pumps/7/setpoint") || strings.Contains(found, "export.csv") {
		t.Error("what a browser's form sends for all kinds is not taken")
	}
	if none := text(t, s.as("omar", http.MethodGet, path+"?text=nowhere", "")); !strings.Contains(none, "Nothing of this session fits") {
		t.Error("an empty timeline does not say so")
	}
	if n := len(s.Calls("event " + string(audit.RecordingWatched))); n != 1 {
		t.Errorf("five looks within a minute are %d events", n)
	}

	one := text(t, s.as("omar", http.MethodGet, path+"/exchanges/1", ""))
	if !strings.Contains(one, "&lt;script&gt;alert(1)") || strings.Contains(one, "<script>alert(1)") || !strings.Contains(one, "9c1185a5c5e9fc54") {
		t.Error("a page of the target's is not shown as text")
	}
	if r := s.as("omar", http.MethodGet, path+"/exchanges/3?typed=true", ""); r.StatusCode != http.StatusForbidden {
		t.Errorf("what was sent, for who may only watch: %d", r.StatusCode)
	}
	if form := text(t, s.as("rita", http.MethodGet, path+"/exchanges/3?typed=true", "")); !strings.Contains(form, "typed-by-hand") || len(s.Calls("event "+string(audit.InputRead))) != 1 {
		t.Error("what was sent is not shown to who may read it, or without an event")
	}
	if r := s.as("rita", http.MethodGet, path+"/exchanges/99", ""); r.StatusCode != http.StatusNotFound {
		t.Errorf("an exchange that was not: %d", r.StatusCode)
	}
	s.Broken = gateway.Unavailable("store", nil)
	if r := s.as("omar", http.MethodGet, path, ""); r.StatusCode == http.StatusOK {
		t.Error("P9: shown without an event")
	}
}

// A tunnel's recording is a timeline of its flows, with those that were
// refused; its packets are for those who may read input.
func TestTimelineOfATunnel(t *testing.T) {
	s := newStand(t)
	s.Sessions[2].Protocol = gateway.KindNetwork
	path := "/recordings/" + s.Sessions[2].ID
	page := text(t, s.as("omar", http.MethodGet, path, ""))
	for _, want := range []string{
		"<b>hist</b> 10.20.0.5:443", "looks like TLS hist.plant.example", "closed by the target", "this grant lets no flow to 10.20.0.9:22/tcp", "rule <code>flow</code>",
		"10.20.0.17</span>", "cut short: the session was over", "refused (1)", "6 flows", "2.4 MB of packets kept", "watched by rita", "flows?download", `width="6"`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the timeline lacks %q", want)
		}
	}
	for _, no := range []string{"id=\"player\"", "pcapng", "10.20.0.17:0"} {
		if strings.Contains(page, no) {
			t.Errorf("the timeline has %q", no)
		}
	}
	if mine := text(t, s.as("rita", http.MethodGet, path, "")); !strings.Contains(mine, "/pcapng?download") {
		t.Error("the capture is not offered to who may read it")
	}
	if refused := text(t, s.as("omar", http.MethodGet, path+"?kind=refused&text=", "")); !strings.Contains(refused, "10.20.0.9:22") || strings.Contains(refused, "plc-7") {
		t.Error("refused flows are not shown by themselves")
	}
	if none := text(t, s.as("omar", http.MethodGet, path+"?text=nowhere", "")); !strings.Contains(none, "No flow of this session fits") {
		t.Error("an empty timeline does not say so")
	}
	if n := len(s.Calls("event " + string(audit.RecordingWatched))); n != 2 {
		t.Errorf("four looks of two people within a minute are %d events", n)
	}
	if r := s.as("omar", http.MethodGet, path+"?kind=page", ""); r.StatusCode != http.StatusBadRequest {
		t.Errorf("a kind that no flow has: %d", r.StatusCode)
	}
	s.Broken = gateway.Unavailable("store", nil)
	if r := s.as("omar", http.MethodGet, path, ""); r.StatusCode == http.StatusOK {
		t.Error("P9: shown without an event")
	}
}
