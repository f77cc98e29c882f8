package postgres_test

import (
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/store/postgres/pgtest"
)

// the primary is killed in the middle of writing and the standby takes
// over: all that was confirmed is there, the log is whole, and the same store
// goes on at the new primary.
func TestFailoverKeepsWhatWasConfirmed(t *testing.T) {
	primary, err := pgtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = primary.Stop() }() // it was killed
	standby, err := primary.Standby(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := standby.Stop(); err != nil {
			t.Error(err)
		}
	}()
	db := open(t, strings.Replace(primary.URL(pgtest.User, "postgres"), "/postgres", fmt.Sprintf(",127.0.0.1:%d/postgres", standby.Port), 1))
	if w, err := db.Warnings(t.Context()); err != nil || strings.Contains(fmt.Sprint(w), "no standby is synchronous") {
		t.Fatalf("%v %v", w, err)
	}
	const writers, before = 4, 50
	var mu sync.Mutex
	var confirmed []string
	var wg sync.WaitGroup
	enough := make(chan struct{})
	for w := range writers {
		wg.Go(func() {
			for i := w; ; i += writers {
				name := fmt.Sprint("v", i)
				if err := admit(t.Context(), db, name); err != nil {
					return
				}
				mu.Lock()
				if confirmed = append(confirmed, name); len(confirmed) == before {
					close(enough)
				}
				mu.Unlock()
			}
		})
	}
	<-enough
	if err := primary.Down(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if err := standby.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	for err := admit(t.Context(), db, "after"); err != nil; err = admit(t.Context(), db, "after") {
		if time.Since(begun) > 20*time.Second {
			t.Fatalf("at the new primary: %v", err)
		}
	}
	for _, name := range append(confirmed, "after") {
		if err := eventually(t.Context(), func() error { // connections to the old one are found out one by one
			_, err := db.Directory().Vendor(t.Context(), name)
			return err
		}, "does not answer"); err != nil {
			t.Errorf("%s was confirmed: %v", name, err)
		}
	}
	sound(t, db, audit.Checkpoint{})
	t.Logf("%d were confirmed", len(confirmed))
}
