package api_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/recording"
	"github.com/portcullis/portcullis/web/api"
)

// A file's bytes are for who may see its side of the recording, and that
// somebody took them is written before the first of them.
func TestFileOutOfARecording(t *testing.T) {
	s := newStand(t)
	id := s.Sessions[0].ID
	_, body := s.call("rita", http.MethodGet, "/recordings/"+id+"/index", "")
	files := decoded[api.Index](t, body).Files
	read, written := files[0], files[1]
	at := func(f recording.IndexFile) string {
		return "/recordings/" + id + "/channels/2/files/" + f.SHA256.String()
	}
	for _, who := range []string{"ana", "dora", "olga"} {
		if got, body := s.call(who, http.MethodGet, at(read), ""); got != http.StatusForbidden || strings.Contains(body, "bytes of") {
			t.Errorf("%s takes a file: %d %s", who, got, body)
		}
	}
	if did := s.Calls("file"); len(did) > 0 {
		t.Fatalf("it was read for a refusal: %q", did)
	}
	for _, row := range []struct {
		file  recording.IndexFile
		event audit.Name
	}{{read, audit.RecordingWatched}, {written, audit.InputRead}} {
		s.Did = nil
		got, body := s.call("rita", http.MethodGet, at(row.file), "")
		if got != http.StatusOK || body != "bytes of "+row.file.SHA256.Short() {
			t.Errorf("%s: %d %s", row.file.Op, got, body)
		}
		if did := strings.Join(s.Calls(""), "; "); !strings.Contains(did, "event "+string(row.event)+" rita "+id+"; file 2 ") {
			t.Errorf("%s: done %q, want the event %s and then the file", row.file.Op, did, row.event)
		}
	}
	for _, path := range []string{"/channels/3/files/" + read.SHA256.String(), "/channels/2/files/" + gateway.DigestOf([]byte("x")).String()} {
		if got, _ := s.call("rita", http.MethodGet, "/recordings/"+id+path, ""); got != http.StatusNotFound {
			t.Errorf("%s: %d", path, got)
		}
	}
	for _, path := range []string{"/channels/-1/files/" + read.SHA256.String(), "/channels/2/files/XYZ"} {
		if got, _ := s.call("rita", http.MethodGet, "/recordings/"+id+path, ""); got != http.StatusBadRequest && got != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d", path, got)
		}
	}
	s.Did, s.Broken = nil, gateway.Unavailable("store", errors.New("gone"))
	if got, body := s.call("rita", http.MethodGet, at(read), ""); got != http.StatusServiceUnavailable || strings.Contains(body, "bytes of") {
		t.Errorf("without a log it answers %d: %s", got, body)
	}
}
