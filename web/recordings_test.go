package web_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/web/api"
)

// Who looked at a recording stands beside it, once for each time.
func TestWhoLooked(t *testing.T) {
	s := newStand(t)
	id := s.Sessions[2].ID
	path := "/recordings/" + id
	if body := text(t, s.as("rita", http.MethodGet, path, "")); !strings.Contains(body, "Nobody has looked") {
		t.Error("the page does not say that nobody has looked")
	}
	look := func(name audit.Name, who string, ago time.Duration, detail map[string]string) {
		s.Lines = append(s.Lines, api.Line{Event: audit.Event{Name: name, Actor: who, At: noon.Add(-ago), Session: id, Detail: detail}})
	}
	look(audit.RecordingWatched, "rita", time.Minute+time.Second, nil)
	look(audit.RecordingWatched, "rita", time.Minute, map[string]string{"part": "index"})
	look(audit.RecordingWatched, "rita", 30*time.Minute, nil)
	look(audit.RecordingWatched, "omar", time.Hour, map[string]string{"live": "true"})
	look(audit.InputRead, "omar", 2*time.Hour, nil)
	body := text(t, s.as("rita", http.MethodGet, path, ""))
	for want, times := range map[string]int{"<b>rita</b> opened it": 2, "<b>omar</b> watched it live": 1, "<b>omar</b> read what was typed": 1, "Nobody has looked": 0} {
		if n := strings.Count(body, want); n != times {
			t.Errorf("%q stands there %d times, wants %d", want, n, times)
		}
	}
}
