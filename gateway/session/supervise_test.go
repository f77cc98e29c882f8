package session_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/session"
)

// watching has somebody of the staff watch.
func (w *world) watching(l *session.Live, who string) (leave func()) {
	w.t.Helper()
	leave, err := w.m.Watch(w.t.Context(), l.ID(), who)
	if err != nil {
		w.t.Fatal(err)
	}
	return leave
}

// What is typed in a supervised session passes while at least one watches, and
// not a byte before the first or after the last; output goes on. Each turn is
// an event.
func TestASupervisedSessionPassesWhileWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, time.Hour, nil)
		w.access.ent.Supervised = true
		l, ch := w.up()
		var to target
		typed := func(text string) chan error {
			sent := make(chan error, 1)
			go func() { sent <- ch.Send([]byte(text), &to) }()
			synctest.Wait()
			return sent
		}
		first := typed("one ")
		if to.String() != "" || l.Waits() == "" || l.Session().Unwatched.IsZero() || !w.store.rows[l.ID()].Supervised {
			t.Fatalf("before anybody watches %q passed; %+v", to.String(), l.Session())
		}
		var shown target
		if err := ch.Show(false, []byte("output"), &shown); err != nil || shown.String() != "output" {
			t.Errorf("output: %q, %v", shown.String(), err)
		}
		leave := w.watching(l, "rita")
		if err := <-first; err != nil || to.String() != "one " {
			t.Fatalf("watched: %q, %v", to.String(), err)
		}
		also := w.watching(l, "omar")
		leave()
		leave() // once is enough
		if err := <-typed("two "); err != nil || to.String() != "one two " {
			t.Errorf("one of two has left: %q, %v", to.String(), err)
		}
		also()
		held := typed("three ")
		if to.String() != "one two " || l.Waits() == "" {
			t.Errorf("nobody watches, and %q passed", to.String())
		}
		again := w.watching(l, "rita")
		if err := <-held; err != nil || to.String() != "one two three " {
			t.Errorf("watched again: %q, %v", to.String(), err)
		}
		again()
		end := typed("never")
		w.m.EndAll(func(gateway.Session) bool { return true }, &gateway.Ended{Reason: gateway.EndSuspended})
		if err := <-end; err == nil || to.String() != "one two three " {
			t.Errorf("what was held at the end: %q, %v", to.String(), err)
		}
		<-l.Done()
		names := slices.DeleteFunc(w.store.names(), func(n audit.Name) bool { return n != audit.SessionHeld && n != audit.SessionReleased })
		if !slices.Equal(names, []audit.Name{audit.SessionReleased, audit.SessionHeld, audit.SessionReleased, audit.SessionHeld}) {
			t.Errorf("events %v", names)
		}
	})
}

// A freeze and the want of a watcher each hold; both must be gone.
func TestAFrozenSupervisedSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, time.Hour, nil)
		w.access.ent.Supervised = true
		l, ch := w.up()
		var to target
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(w.m.Freeze(t.Context(), l.ID(), "rita", "wait"))
		sent := make(chan error, 1)
		go func() { sent <- ch.Send([]byte("x"), &to) }()
		leave := w.watching(l, "omar")
		synctest.Wait()
		if to.String() != "" {
			t.Error("a watcher opened a frozen session")
		}
		leave()
		must(w.m.Thaw(t.Context(), l.ID(), "rita"))
		synctest.Wait()
		if to.String() != "" {
			t.Error("a thaw opened a session that nobody watches")
		}
		w.watching(l, "omar")
		must(<-sent)
		if to.String() != "x" {
			t.Errorf("thawed and watched: %q", to.String())
		}
		l.Finish(gateway.EndClientLeft)
	})
}

// Without its event nothing is let pass.
func TestSupervisionFailsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, time.Hour, nil)
		w.access.ent.Supervised = true
		l, ch := w.up()
		var to target
		sent := make(chan error, 1)
		go func() { sent <- ch.Send([]byte("x"), &to) }()
		w.store.setDown(errors.New("disk full"))
		if _, err := w.m.Watch(t.Context(), l.ID(), "rita"); err == nil || len(w.m.Watchers(l.ID())) != 0 {
			t.Errorf("watched without an event: %v, %v", err, w.m.Watchers(l.ID()))
		}
		synctest.Wait()
		if to.String() != "" {
			t.Error("it passed without an event")
		}
		w.store.setDown(nil)
		l.Finish(gateway.EndClientLeft)
		if err := <-sent; err == nil {
			t.Error("sent after the end")
		}
	})
}

// What is not supervised waits for nobody; nor do the operator's own people.
func TestNobodyElseIsSupervised(t *testing.T) {
	for name, vendor := range map[string]string{"a vendor in normal": "acme", "the operator's own": ""} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, time.Hour, nil)
			w.access.ent.Supervised = vendor == ""
			w.access.ent.Person.Vendor = vendor
			l, ch := w.up()
			var to target
			if err := ch.Send([]byte("x"), &to); err != nil || to.String() != "x" || l.Waits() != "" || l.Session().Supervised {
				t.Errorf("%q, %v, %+v", to.String(), err, l.Session())
			}
			l.Finish(gateway.EndClientLeft)
		})
	}
}
