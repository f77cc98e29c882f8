package search

import (
	"context"
	"errors"
	"testing"

	"github.com/portcullis/portcullis/gateway/recording"
)

// unreadable is a vault of which one recording cannot be read.
type unreadable struct {
	*recording.Vault
	session string
}

func (u *unreadable) Events(ctx context.Context, session string, tell func(recording.Event) error) error {
	if session == u.session {
		return errors.New("input/output error")
	}
	return u.Vault.Events(ctx, session, tell)
}

// Whoever finds nothing must know whether there was something that nobody
// looked at.
func TestWhatCannotBeIndexedIsCounted(t *testing.T) {
	w := newWorld(t)
	bad := &unreadable{w.vault, "ses_b"}
	w.index.recs = bad
	for _, id := range []string{"ses_a", "ses_b"} {
		s := w.start(id)
		s.show(s.shell(), "pump stopped\r\n")
		s.end()
	}
	w.run()
	if a := w.search(Query{Text: "pump"}); len(a.Hits) != 1 || a.Waiting != 1 {
		t.Errorf("%d hits, %d not searched", len(a.Hits), a.Waiting)
	}
	bad.session = ""
	must(t, w.index.Close())
	w.open() // the next start
	w.run()
	if a := w.search(Query{Text: "pump"}); len(a.Hits) != 2 || a.Waiting != 0 {
		t.Errorf("after the next start: %d hits, %d not searched", len(a.Hits), a.Waiting)
	}
}
