package session_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// a node whose clock is not the store's opens nothing, for anybody, says
// so, goes on with what is live, and opens again when it is mended. A step since
// the last comparison counts before the next one.
func TestR10ClockThatIsNotTheStores(t *testing.T) {
	for name, c := range map[string]struct {
		off, step time.Duration
		says      string // empty: it opens
	}{
		"the same":                  {0, 0, ""},
		"a little ahead":            {1900 * time.Millisecond, 0, ""},
		"a little behind":           {-1900 * time.Millisecond, 0, ""},
		"ahead":                     {2100 * time.Millisecond, 0, "2.1s ahead of its store's"},
		"behind":                    {-time.Hour, 0, "1h0m0s behind its store's"},
		"stepped since":             {0, -5 * time.Second, "behind its store's"},
		"stepped to the right time": {-5 * time.Second, 5 * time.Second, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var step atomic.Int64
			w := newWorld(t, time.Hour, func() time.Time { return time.Now().Add(time.Duration(step.Load())) })
			l := w.open()
			w.m.ClockOff(c.off)
			step.Store(int64(c.step))
			for _, vendor := range []string{"acme", ""} {
				err := w.m.Admits(vendor)
				if (err == nil) != (c.says == "") || err != nil && !strings.Contains(gateway.AsError(err).Sentence(), c.says) {
					t.Errorf("people of %q: %v", vendor, err)
				}
			}
			if c.says != "" {
				var no *gateway.Error
				if _, err := w.m.Open(t.Context(), w.opening()); !errors.As(err, &no) || no.Rule != "clock" || len(w.store.used) != 1 {
					t.Errorf("opened, or a touch used up for nothing: %v", err)
				}
			}
			if l.Context().Err() != nil {
				t.Error("what was live has ended")
			}
			w.m.ClockOff(0)
			if err := w.m.Admits("acme"); err != nil {
				t.Errorf("mended: %v", err)
			}
			l.Finish(gateway.EndClientLeft)
		})
	}
}

// The difference of two readings of time.Now is monotonic and shows no step.
func TestR10WallClockAlone(t *testing.T) {
	if at := newWorld(t, time.Hour, time.Now).m.Wall(); strings.Contains(at.String(), "m=") {
		t.Errorf("the wall clock reads %s", at)
	}
}
