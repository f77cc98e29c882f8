package session_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/session"
)

// up opens a session, brings it up and begins a shell in it.
func (w *world) up() (*session.Live, *session.Channel) {
	w.t.Helper()
	l := w.open()
	if err := l.Up(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	ch, err := l.Channel(w.t.Context(), gateway.Channel{Kind: gateway.ChannelShell})
	if err != nil {
		w.t.Fatal(err)
	}
	return l, ch
}

// target is what reached the target.
type target struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (t *target) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.Write(p)
}

func (t *target) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}

// What is typed into a frozen session waits and passes whole and in order at
// the thaw; output goes on, and all of it is on record.
func TestFreezeHoldsInputAndThawLetsItPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, time.Hour, nil)
		l, ch := w.up()
		var to target
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(ch.Send([]byte("one "), &to))
		must(w.m.Freeze(t.Context(), l.ID(), "sam", "look at the pump"))
		if text := <-l.Notices(); !strings.Contains(text, "has frozen this session") || !strings.Contains(text, "look at the pump") {
			t.Errorf("the engineer is told %q", text)
		}
		row := w.store.rows[l.ID()]
		if now := l.Session(); now.FrozenBy != "sam" || now.Frozen.IsZero() || !row.Frozen.Equal(now.Frozen) || row.FrozenBy != "sam" || now.State != gateway.SessionLive {
			t.Errorf("session %+v, row %+v", now, row)
		}
		if e := w.store.last(t, audit.SessionFrozen); e.Actor != "sam" || e.Reason != "look at the pump" || e.Person != "ana" {
			t.Errorf("event %+v", e)
		}
		sent, held := make(chan error, 1), make(chan error, 1)
		go func() { sent <- errors.Join(ch.Send([]byte("two "), &to), ch.Send([]byte("three"), &to)) }()
		go func() { held <- ch.Hold() }()
		synctest.Wait()
		select {
		case <-sent:
			t.Error("input passed a frozen session")
		case <-held:
			t.Error("a signal or a new size passed a frozen session")
		default:
		}
		var shown bytes.Buffer
		must(ch.Show(false, []byte("output goes on"), &shown))
		if to.String() != "one " || shown.String() != "output goes on" {
			t.Errorf("reached %q, shown %q", to.String(), shown.String())
		}
		if _, err := l.Channel(t.Context(), gateway.Channel{Kind: gateway.ChannelShell}); err == nil || !strings.Contains(err.Error(), "nothing new begins") {
			t.Errorf("a channel began in a frozen session: %v", err)
		}
		if err := w.m.Freeze(t.Context(), l.ID(), "eve", ""); !gateway.IsCode(err, gateway.CodeConflict) || !strings.Contains(err.Error(), "frozen by sam") {
			t.Errorf("frozen twice: %v", err)
		}
		must(w.m.Thaw(t.Context(), l.ID(), "eve"))
		must(<-sent)
		must(<-held)
		if to.String() != "one two three" || w.rec.in.String() != "one two three" {
			t.Errorf("reached %q, recorded %q", to.String(), w.rec.in.String())
		}
		if text := <-l.Notices(); !strings.Contains(text, "thawed") {
			t.Errorf("the engineer is told %q", text)
		}
		if want := []string{"frozen by sam: look at the pump", "thawed by eve"}; !slices.Equal(w.rec.notes, want) {
			t.Errorf("marks %q, want %q", w.rec.notes, want)
		}
		if row := w.store.rows[l.ID()]; !row.Frozen.IsZero() || row.FrozenBy != "" {
			t.Errorf("row %+v", row)
		}
		if err := w.m.Thaw(t.Context(), l.ID(), "eve"); !gateway.IsCode(err, gateway.CodeConflict) {
			t.Errorf("thawed twice: %v", err)
		}
		l.Finish(gateway.EndClientLeft)
	})
}

// Whatever ends a frozen session, what was held never reaches the target.
func TestNothingHeldPassesAnEnd(t *testing.T) {
	for name, end := range map[string]func(*world, *session.Live){
		"end": func(w *world, l *session.Live) { _ = w.m.End(context.Background(), l.ID(), "sam", "") },
		"suspension": func(w *world, _ *session.Live) {
			w.m.EndAll(func(gateway.Session) bool { return true }, &gateway.Ended{Reason: gateway.EndSuspended})
		},
		"revoked": func(w *world, _ *session.Live) { w.m.EndGrant(grantID, gateway.EndRevoked, "sam") },
		"window":  func(_ *world, l *session.Live) { <-l.Done() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, time.Hour, nil)
				l, ch := w.up()
				if err := w.m.Freeze(t.Context(), l.ID(), "sam", ""); err != nil {
					t.Fatal(err)
				}
				var to target
				sent := make(chan error, 1)
				go func() { sent <- ch.Send([]byte("rm -rf /"), &to) }()
				synctest.Wait()
				end(w, l)
				<-l.Done()
				if err := <-sent; err == nil || to.String() != "" || w.rec.in.Len() > 0 {
					t.Errorf("answered %v, reached %q", err, to.String())
				}
				if err := w.m.Thaw(t.Context(), l.ID(), "sam"); err == nil {
					t.Error("a session that is over was thawed")
				}
				if row := w.store.rows[l.ID()]; row.State != gateway.SessionEnded || !row.Frozen.IsZero() {
					t.Errorf("row %+v", row)
				}
			})
		})
	}
}

// Freezing and thawing while the session ends: the row stays ended, whoever
// came last, and nothing reaches the target after the end was measured.
func TestFreezeAgainstEnd(t *testing.T) {
	for i := range 200 {
		w := newWorld(t, time.Hour, nil)
		l, ch := w.up()
		gone := newCloser()
		if err := l.Attach(gone); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			if err := w.m.Freeze(t.Context(), l.ID(), "sam", ""); err != nil {
				t.Fatal(err)
			}
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			_ = ch.Send([]byte("x"), writer(func(p []byte) (int, error) {
				select {
				case <-gone.closed:
					return 0, errors.New("closed")
				default:
				}
				return len(p), nil
			}))
		})
		wg.Go(func() {
			if i%2 == 0 {
				_ = w.m.Thaw(t.Context(), l.ID(), "sam")
			} else {
				_ = w.m.Freeze(t.Context(), l.ID(), "sam", "")
			}
		})
		wg.Go(func() {
			if i%3 == 0 {
				w.store.suspend()
				w.m.EndAll(func(gateway.Session) bool { return true }, &gateway.Ended{Reason: gateway.EndSuspended})
				return
			}
			_ = w.m.End(t.Context(), l.ID(), "sam", "")
		})
		wg.Wait()
		<-l.Done()
		if row := w.store.rows[l.ID()]; row.State != gateway.SessionEnded || !row.Frozen.IsZero() {
			t.Fatalf("round %d: row %+v", i, row)
		}
		names := w.store.names()
		if last := names[len(names)-1]; last != audit.SessionEnded {
			t.Fatalf("round %d: %s follows the end", i, last)
		}
	}
}

// A freeze that the store does not take holds nothing.
func TestFreezeIsWrittenFirst(t *testing.T) {
	w := newWorld(t, time.Hour, nil)
	l, ch := w.up()
	w.store.setDown(gateway.Unavailable("store", errors.New("locked")))
	if err := w.m.Freeze(t.Context(), l.ID(), "sam", ""); !gateway.IsCode(err, gateway.CodeUnavailable) {
		t.Errorf("frozen without the store: %v", err)
	}
	w.store.setDown(nil)
	var to target
	if err := ch.Send([]byte("on"), &to); err != nil || to.String() != "on" {
		t.Errorf("%v, reached %q", err, to.String())
	}
	if err := w.m.Freeze(t.Context(), "ses_none", "sam", ""); !gateway.IsCode(err, gateway.CodeNotFound) {
		t.Errorf("an unknown session: %v", err)
	}
	l.Finish(gateway.EndClientLeft)
	l = w.open()
	if err := w.m.Freeze(t.Context(), l.ID(), "sam", ""); !gateway.IsCode(err, gateway.CodeConflict) {
		t.Errorf("a session that is being dialled: %v", err)
	}
	l.Finish(gateway.EndClientLeft)
}

// A write that hangs at the target delays the answer by FreezeWait and no more.
func TestFreezeWaitsForWritesBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, time.Hour, nil)
		l, ch := w.up()
		stuck := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() { _ = ch.Send([]byte("x"), writer(func(p []byte) (int, error) { <-stuck; return len(p), nil })) })
		synctest.Wait()
		begun := time.Now()
		if err := w.m.Freeze(t.Context(), l.ID(), "sam", ""); err != nil || time.Since(begun) != session.FreezeWait {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		close(stuck)
		wg.Wait()
		l.Finish(gateway.EndClientLeft)
	})
}

func TestIdleEnds(t *testing.T) {
	for name, c := range map[string]struct{ policy, want time.Duration }{"by default": {0, session.DefaultIdle}, "as policy says": {5 * time.Minute, 5 * time.Minute}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 8*time.Hour, nil)
				w.access.ent.Idle = c.policy
				l, ch := w.up()
				time.Sleep(c.want - 2*time.Minute) // the bubble's clock
				if err := ch.Show(false, []byte("$ "), &target{}); err != nil {
					t.Fatal(err)
				}
				begun := time.Now()
				text := <-l.Notices()
				if at := time.Since(begun); at < c.want-session.IdleWarning || at > c.want-session.IdleWarning+time.Second || !strings.Contains(text, "unless something is typed") {
					t.Errorf("warned after %v: %q", at, text)
				}
				if err := ch.Send([]byte("\n"), &target{}); err != nil {
					t.Fatal(err)
				}
				begun = time.Now()
				<-l.Notices() // warned once more
				<-l.Done()
				if at := time.Since(begun); at < c.want || at > c.want+time.Second || ended(t, l).Reason != gateway.EndIdle {
					t.Errorf("ended after %v: %v", at, ended(t, l))
				}
			})
		})
	}
	t.Run("not while it is frozen", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 8*time.Hour, nil)
			l, _ := w.up()
			if err := w.m.Freeze(t.Context(), l.ID(), "sam", ""); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * session.DefaultIdle)
			begun := time.Now()
			if err := w.m.Thaw(t.Context(), l.ID(), "sam"); err != nil {
				t.Fatal(err)
			}
			<-l.Done()
			if at := time.Since(begun); at < session.DefaultIdle || ended(t, l).Reason != gateway.EndIdle {
				t.Errorf("ended after %v: %v", at, ended(t, l))
			}
		})
	})
}

func TestWatchersAreNoted(t *testing.T) {
	w := newWorld(t, time.Hour, nil)
	l, _ := w.up()
	var leave []func()
	for _, who := range []string{"rita", "omar", "rita"} {
		f, err := w.m.Watch(t.Context(), l.ID(), who)
		if err != nil {
			t.Fatal(err)
		}
		leave = append(leave, f)
	}
	if got := w.m.Watchers(l.ID()); !slices.Equal(got, []string{"rita", "omar"}) {
		t.Errorf("watchers %v", got)
	}
	leave[0]()
	leave[1]()
	if got := w.m.Watchers(l.ID()); !slices.Equal(got, []string{"rita"}) {
		t.Errorf("watchers %v", got)
	}
	for range session.MaxWatchers - 1 {
		if _, err := w.m.Watch(t.Context(), l.ID(), "rita"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.m.Watch(t.Context(), l.ID(), "one too many"); !gateway.IsCode(err, gateway.CodeTooMany) {
		t.Errorf("one too many: %v", err)
	}
	if !slices.Contains(w.rec.notes, "watched by omar") {
		t.Errorf("marks %q", w.rec.notes)
	}
	l.Finish(gateway.EndClientLeft)
	if _, err := w.m.Watch(t.Context(), l.ID(), "rita"); err != nil {
		t.Errorf("a session that is over: %v", err)
	}
}
