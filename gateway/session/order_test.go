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

var byOrder = &gateway.Ended{Reason: gateway.EndSuspended, Detail: "order sus_1"}

// A session that an order shortens ends then and for that reason; no later
// order makes it longer, and none outlasts its window.
func TestShortenNeverLengthens(t *testing.T) {
	for name, c := range map[string]struct {
		shorten []time.Duration // from the opening, each a second after the one before
		ends    time.Duration
		reason  gateway.EndReason
		told    int // sentences, before the warnings
	}{
		"once":                      {[]time.Duration{20 * time.Minute}, 20 * time.Minute, gateway.EndSuspended, 1},
		"then longer":               {[]time.Duration{20 * time.Minute, 22 * time.Minute}, 20 * time.Minute, gateway.EndSuspended, 1},
		"then shorter":              {[]time.Duration{20 * time.Minute, 10 * time.Minute}, 10 * time.Minute, gateway.EndSuspended, 2},
		"the same each second":      {[]time.Duration{20 * time.Minute, 20 * time.Minute, 20 * time.Minute}, 20 * time.Minute, gateway.EndSuspended, 1},
		"beyond the window":         {[]time.Duration{3 * time.Hour}, 25 * time.Minute, gateway.EndWindow, 0},
		"to what is over":           {[]time.Duration{-time.Minute}, 0, gateway.EndSuspended, 0},
		"beyond the window, nearer": {[]time.Duration{3 * time.Hour, 10 * time.Second}, 10 * time.Second, gateway.EndSuspended, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 25*time.Minute, nil) // less than what ends an idle session
				l, _ := w.up()
				opened, told := time.Now(), 0
				for i, d := range c.shorten {
					if i > 0 {
						time.Sleep(time.Second) // the bubble's clock
					}
					w.m.Shorten(l.ID(), opened.Add(d), byOrder)
					synctest.Wait()
					for drained := false; !drained; {
						select {
						case text := <-l.Notices():
							if told++; !strings.Contains(text, "access was suspended") {
								t.Errorf("the engineer is told %q", text)
							}
						default:
							drained = true
						}
					}
				}
				if until := l.Session().Until; until.Sub(opened) != c.ends && c.ends > 0 {
					t.Errorf("it says that it ends after %s, want %s", until.Sub(opened), c.ends)
				}
				<-l.Done()
				e := ended(t, l)
				if late := time.Since(opened) - c.ends; e.Reason != c.reason || late < 0 || late > 2*time.Second {
					t.Errorf("ended with %s after %s, want %s after %s", e.Reason, time.Since(opened), c.reason, c.ends)
				}
				if told != c.told {
					t.Errorf("the engineer was told %d times, want %d", told, c.told)
				}
				if row := w.store.rows[l.ID()]; row.Reason != c.reason {
					t.Errorf("row %+v", row)
				}
			})
		})
	}
}

// A session that is not there is shortened by nobody.
func TestShortenOfNobody(t *testing.T) {
	newWorld(t, time.Hour, nil).m.Shorten("ses_none", time.Now(), byOrder)
}

// HoldAll shuts every gate before it writes the first row, holds only what
// matches, and no thaw opens what it holds: not even of a session that a
// person had frozen before.
func TestHoldAllShutsAllGatesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, time.Hour, nil)
		one, first := w.up()
		two, second := w.up()
		was, third := w.up()
		other, free := w.up()
		if err := w.m.Freeze(t.Context(), was.ID(), "sam", ""); err != nil {
			t.Fatal(err)
		}
		var to, away target
		w.store.before = func() {
			if one.Session().Frozen.IsZero() || two.Session().Frozen.IsZero() {
				t.Error("something is written while a gate is open")
			}
		}
		out := w.m.HoldAll(t.Context(), func(s gateway.Session) bool { return s.ID != other.ID() }, "rita", "look at it")
		w.store.before = nil
		if len(out) != 3 || slices.ContainsFunc(out, func(c gateway.ClosedSession) bool { return c.Fate != gateway.FateFrozen || c.Closed || c.After < 0 }) {
			t.Errorf("answered %+v", out)
		}
		held := make(chan error, 3)
		for _, ch := range []*session.Channel{first, second, third} {
			go func() { held <- ch.Send([]byte("rm -rf /"), &to) }()
		}
		if err := free.Send([]byte("ls"), &away); err != nil || away.String() != "ls" {
			t.Errorf("what does not match is held too: %v", err)
		}
		for _, l := range []*session.Live{one, two, was} {
			if err := w.m.Thaw(t.Context(), l.ID(), "sam"); !gateway.IsCode(err, gateway.CodeRefused) || !strings.Contains(err.Error(), "order of suspension") {
				t.Errorf("thawed: %v", err)
			}
		}
		synctest.Wait()
		if len(held) != 0 || to.String() != "" {
			t.Errorf("%q reached the target", to.String())
		}
		if e := w.store.last(t, audit.SessionFrozen); e.Actor != "rita" || e.Reason != "look at it" {
			t.Errorf("event %+v", e)
		}
		if row := w.store.rows[one.ID()]; row.Frozen.IsZero() || row.FrozenBy != "rita" {
			t.Errorf("row %+v", row)
		}
		var shown bytes.Buffer
		if err := first.Show(false, []byte("output goes on"), &shown); err != nil || shown.Len() == 0 {
			t.Errorf("output is held: %v", err)
		}
		if again := w.m.HoldAll(t.Context(), func(s gateway.Session) bool { return s.ID != other.ID() }, "rita", ""); len(again) != 3 {
			t.Errorf("the same order once more: %+v", again)
		}
		w.m.EndAll(func(gateway.Session) bool { return true }, byOrder)
		for range 3 {
			if err := <-held; err == nil {
				t.Error("what was held passed the end")
			}
		}
		for _, l := range []*session.Live{one, two, was, other} {
			<-l.Done()
		}
		if to.String() != "" {
			t.Errorf("%q reached the target after the end", to.String())
		}
	})
}

// A store that is away does not keep an order from holding: it is durable
// elsewhere.
func TestHoldAllWithoutTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, time.Hour, nil)
		l, ch := w.up()
		w.store.setDown(errors.New("disk full"))
		out := w.m.HoldAll(t.Context(), func(gateway.Session) bool { return true }, "rita", "")
		if len(out) != 1 || out[0].Fate != gateway.FateFrozen {
			t.Errorf("answered %+v", out)
		}
		var to target
		sent := make(chan error, 1)
		go func() { sent <- ch.Send([]byte("x"), &to) }()
		synctest.Wait()
		w.store.setDown(nil)
		l.Finish(gateway.EndSuspended)
		if err := <-sent; err == nil || to.String() != "" {
			t.Errorf("%v, %q passed", err, to.String())
		}
	})
}

// An order against a thaw, a freeze, an end and a shortening at once: a
// session that the order answered for as frozen is frozen, or over.
func TestHoldAllAgainstThaw(t *testing.T) {
	for i := range 200 {
		w := newWorld(t, time.Hour, nil)
		l, ch := w.up()
		if i%2 == 0 {
			if err := w.m.Freeze(t.Context(), l.ID(), "sam", ""); err != nil {
				t.Fatal(err)
			}
		}
		var wg sync.WaitGroup
		var out []gateway.ClosedSession
		wg.Go(func() { _ = w.m.Thaw(context.Background(), l.ID(), "sam") })
		wg.Go(func() {
			out = w.m.HoldAll(context.Background(), func(gateway.Session) bool { return true }, "rita", "")
		})
		wg.Go(func() { w.m.Shorten(l.ID(), time.Now().Add(time.Minute), byOrder) })
		if i%3 == 0 {
			wg.Go(func() { _ = w.m.Freeze(context.Background(), l.ID(), "sam", "") })
		}
		wg.Wait()
		if now := l.Session(); len(out) != 1 || out[0].Fate != gateway.FateFrozen || now.Frozen.IsZero() {
			t.Fatalf("round %d: answered %+v, the session is %+v", i, out, now)
		}
		if row, err := w.store.Session(t.Context(), l.ID()); err != nil || row.Frozen.IsZero() {
			t.Fatalf("round %d: the row says that it is not frozen: %+v, %v", i, row, err)
		}
		var to target
		sent := make(chan error, 1)
		go func() { sent <- ch.Send([]byte("x"), &to) }()
		l.Finish(gateway.EndSuspended)
		if err := <-sent; err == nil || to.String() != "" {
			t.Fatalf("round %d: %q passed", i, to.String())
		}
	}
}
