package session_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// drain begins one and returns what tells its end.
func (w *world) drain(ctx context.Context, length time.Duration) <-chan struct{} {
	over := make(chan struct{})
	go func() {
		defer close(over)
		w.m.Drain(ctx, time.Now().Add(length))
	}()
	synctest.Wait()
	return over
}

// a restart opens nothing, says until when, lets the work go on, and ends
// what is left for its own reason, sealed and written.
func TestR18Drain(t *testing.T) {
	for name, c := range map[string]struct {
		window, drain, ends time.Duration
		reason              gateway.EndReason
	}{
		"the drain is shorter than the window": {20 * time.Minute, 10 * time.Minute, 10 * time.Minute, gateway.EndStopping},
		"the window ends first":                {7 * time.Minute, 10 * time.Minute, 7 * time.Minute, gateway.EndWindow},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, c.window, nil)
				l, ch := w.up()
				began := time.Now()
				over := w.drain(t.Context(), c.drain)
				if told := <-l.Notices(); !strings.Contains(told, "is being restarted") || !strings.Contains(told, began.Add(c.ends).UTC().Format("15:04:05")) {
					t.Errorf("told %q", told)
				}
				var no *gateway.Error
				if _, err := w.m.Open(t.Context(), w.opening()); !errors.As(err, &no) || no.Code != gateway.CodeUnavailable || !strings.Contains(no.Sentence(), "try again in a minute") {
					t.Errorf("a session opened while draining: %v", err)
				}
				if err := w.m.Admits(""); err == nil {
					t.Error("the staff is let in while draining")
				}
				time.Sleep(time.Minute)
				if err := ch.Send([]byte("y"), io.Discard); err != nil {
					t.Errorf("the work does not go on: %v", err)
				}
				<-over
				if took := time.Since(began); took < c.ends || took > c.ends+2*time.Second {
					t.Errorf("drained after %s, want %s", took, c.ends)
				}
				if got := ended(t, l).Reason; got != c.reason || len(w.rec.seals) != 1 || w.store.rows[l.ID()].Reason != c.reason {
					t.Errorf("ended with %s, row %+v, %d seals", got, w.store.rows[l.ID()], len(w.rec.seals))
				}
			})
		})
	}
}

// A drain is over when the last engineer has left, and a second signal does not
// wait for anybody.
func TestR18DrainEndsEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, time.Hour, nil)
		first, second := w.open(), w.open()
		over := w.drain(t.Context(), 10*time.Minute)
		first.Finish(gateway.EndClientLeft)
		synctest.Wait()
		select {
		case <-over:
			t.Fatal("it did not wait for the second one")
		default:
		}
		began := time.Now()
		second.Finish(gateway.EndClientLeft)
		if <-over; time.Since(began) != 0 {
			t.Errorf("it waited %s for nobody", time.Since(began))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 20*time.Minute, nil)
		l := w.open()
		ctx, hurry := context.WithCancel(t.Context())
		over := w.drain(ctx, 10*time.Minute)
		began := time.Now()
		hurry()
		if <-over; time.Since(began) != 0 || l.Context().Err() != nil {
			t.Errorf("the second signal: %s later, %v", time.Since(began), context.Cause(l.Context()))
		}
		if err := w.m.Run(ctx); err != nil || ended(t, l).Reason != gateway.EndStopping {
			t.Errorf("the stop: %v, %v", err, ended(t, l))
		}
	})
}

// An order that comes while a node drains closes earlier than the drain, and an
// engineer hears of the order.
func TestR18SuspendedWhileDraining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 20*time.Minute, nil)
		l, _ := w.up()
		over := w.drain(t.Context(), 10*time.Minute)
		<-l.Notices()
		w.m.Shorten(l.ID(), time.Now().Add(2*time.Minute), byOrder)
		if told := <-l.Notices(); !strings.Contains(told, "access was suspended") {
			t.Errorf("told %q", told)
		}
		if live := w.m.Live(); len(live) != 1 {
			t.Errorf("the gate finds %d live sessions on a node that drains", len(live))
		}
		w.m.EndAll(func(gateway.Session) bool { return true }, &gateway.Ended{Reason: gateway.EndSuspended})
		<-over
		if got := ended(t, l).Reason; got != gateway.EndSuspended {
			t.Errorf("ended with %s", got)
		}
	})
}

// A session that is being opened when the drain begins is refused, or is told.
func TestR18DrainAgainstOpening(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 20*time.Minute, nil)
		n := 0
		var over <-chan struct{}
		w.store.before = func() {
			if n++; n == 2 { // the touch is consumed, the session is not registered
				done := make(chan struct{})
				over = done
				began := make(chan struct{})
				go func() { defer close(done); close(began); w.m.Drain(t.Context(), time.Now().Add(time.Minute)) }()
				<-began
				synctest.Wait()
			}
		}
		var no *gateway.Error
		if _, err := w.m.Open(t.Context(), w.opening()); !errors.As(err, &no) || no.Rule != string(gateway.EndStopping) {
			t.Errorf("opened: %v", err)
		}
		<-over
		for id, r := range w.store.rows {
			if r.State != gateway.SessionEnded {
				t.Errorf("%s is %s", id, r.State)
			}
		}
	})
}
