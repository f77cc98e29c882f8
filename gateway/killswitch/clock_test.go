package killswitch_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/killswitch"
)

// with each reading of the store its clock is compared with this node's.
// What the way to it may have made is not held against the node; who parts from
// it is told once, and once more when it is mended.
func TestR10ClockIsCompared(t *testing.T) {
	for name, c := range map[string]struct {
		off, trip time.Duration // of the store's clock, and there and back
		ahead     time.Duration // what the registry hears
		events    int
	}{
		"the same":            {0, 0, 0, 0},
		"behind the store's":  {3 * time.Second, 0, -3 * time.Second, 1},
		"ahead of the store":  {-time.Hour, 0, time.Hour, 1},
		"half of a long trip": {time.Second, 2 * time.Second, 0, 0},
		"more than the trip":  {5 * time.Second, 2 * time.Second, -4 * time.Second, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				var off atomic.Int64
				off.Store(int64(c.off))
				var err error
				w.k, err = killswitch.New(killswitch.Config{Store: w.store, Statements: w.store, Chain: w.chain, Sessions: w.ses, Bus: w.bus, Floor: w.floor, Node: "node-1",
					Clock: func(context.Context) (time.Time, error) {
						time.Sleep(c.trip / 2) // the bubble's clock
						at := time.Now().Add(time.Duration(off.Load()))
						time.Sleep(c.trip / 2)
						return at, nil
					}})
				if err != nil {
					t.Fatal(err)
				}
				stop := w.run()
				defer stop()
				time.Sleep(5 * time.Second)
				w.ses.mu.Lock()
				if w.ses.ahead != c.ahead {
					t.Errorf("the registry hears that the clock is %s ahead, want %s", w.ses.ahead, c.ahead)
				}
				w.ses.mu.Unlock()
				if got := w.clockEvents(); len(got) != c.events || len(got) > 0 && got[0].Outcome != audit.Failed {
					t.Errorf("told %+v", got)
				}
				if c.events == 0 {
					return
				}
				off.Store(0)
				time.Sleep(5 * time.Second)
				if got := w.clockEvents(); len(got) != 2 || got[1].Outcome != "" {
					t.Errorf("mended, and told %+v", got)
				}
			})
		})
	}
}

func (w *world) clockEvents() (list []audit.Event) {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	for _, e := range w.store.events {
		if e.Name == audit.ClockOff {
			list = append(list, e)
		}
	}
	return list
}

// The difference of two readings of time.Now is monotonic and shows no step.
func TestR10LeaseHasAWallClock(t *testing.T) {
	if at := newWorld(t).k.Wall(); strings.Contains(at.String(), "m=") {
		t.Errorf("the wall clock reads %s", at)
	}
}
