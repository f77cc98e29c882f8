package session_test

import (
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
)

// The end of a session says which secrets it was given, by their marks: what
// is to be rotated is told by it.
func TestTheEndTellsWhichSecretsWereGiven(t *testing.T) {
	w := newWorld(t, time.Hour, nil)
	l := w.open()
	for _, mark := range []string{"aaaa", "aaaa", "", "bbbb"} { // asked again, and once more after a rotation
		w.access.mark = mark
		if _, err := l.Credential(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	l.Finish(gateway.EndClientLeft)
	events := w.store.events
	if e := events[len(events)-1]; e.Name != audit.SessionEnded || e.Detail[audit.Marks] != "aaaa bbbb" {
		t.Errorf("the end says %+v", e)
	}
}
