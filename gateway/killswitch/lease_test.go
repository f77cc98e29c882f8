package killswitch_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/cluster"
	"github.com/portcullis/portcullis/gateway/killswitch"
)

// The operator's own work goes on when the store is away for longer than the
// lease; vendors' sessions do not, and it is over before others count it over.
func TestLeaseEndsVendorsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.ses.live = append(w.ses.live, gateway.Session{ID: "ses_3", Person: "olga", Epochs: gateway.Epochs{Person: 1}})
		w.store.standings[gateway.Scope{Kind: gateway.ScopePerson, Name: "olga"}] = killswitch.Standing{State: gateway.Active, Epoch: 1}
		stop := w.run()
		defer stop()
		synctest.Wait()
		w.store.mu.Lock()
		w.store.hang = true
		w.store.mu.Unlock()
		time.Sleep(killswitch.DefaultLease - killswitch.CloseAhead)
		synctest.Wait()
		if live := w.ses.Live(); len(live) != 1 || live[0].ID != "ses_3" {
			t.Errorf("live %+v", live)
		}
		time.Sleep(10 * killswitch.DefaultLease)
		if len(w.ses.Live()) != 1 {
			t.Error("the operator's own session was ended")
		}
	})
}

// What the registry may pass is counted from the asking: a store that takes
// its time, or a node that was frozen over the answer, gains nothing by it.
func TestLeaseCountsFromTheAsking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		begun := time.Now()
		w.store.slow = 2 * time.Second
		stop := w.run()
		defer stop()
		time.Sleep(2500 * time.Millisecond)
		w.ses.mu.Lock()
		until := w.ses.until
		w.ses.mu.Unlock()
		if most := killswitch.DefaultLease - killswitch.CloseAhead; until.Sub(begun) > most {
			t.Errorf("a reading asked for at 0 serves until %v, more than %v", until.Sub(begun), most)
		}
		// One that was on its way for longer than its lease begins none.
		w.store.mu.Lock()
		w.store.slow, w.store.deaf = 12*time.Second, true
		w.store.mu.Unlock()
		time.Sleep(13 * time.Second)
		w.ses.mu.Lock()
		defer w.ses.mu.Unlock()
		if w.ses.until.After(time.Now()) {
			t.Errorf("serves for %v more by a reading from before a freeze", time.Until(w.ses.until))
		}
	})
}

// Whatever epoch the bus names, the floor rises to what the store says, once
// it can be asked.
func TestFloorBelievesTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		stop := w.run()
		defer stop()
		synctest.Wait()
		at := func() uint64 { w.floor.mu.Lock(); defer w.floor.mu.Unlock(); return w.floor.at["vendor-epoch:acme"] }
		hear := func(epoch uint64) {
			if _, err := w.bus.Publish(t.Context(), "node-2", cluster.Order{Suspension: "sus_1", Scope: acme, Epoch: epoch}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		hear(1 << 40)
		if at() > 1 {
			t.Errorf("floor at %d by the bus's word", at())
		}
		w.store.mu.Lock()
		w.store.standings[acme] = killswitch.Standing{State: gateway.Suspended, Epoch: 2}
		w.store.down = errors.New("away")
		w.store.mu.Unlock()
		hear(2)
		w.store.mu.Lock()
		w.store.down = nil
		w.store.mu.Unlock()
		time.Sleep(2 * killswitch.PollEvery)
		if at() != 2 {
			t.Errorf("floor at %d, the store says 2", at())
		}
	})
}

func (s *sessions) ServeUntil(until, _ time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.until = until
}

// roll is the list of the nodes in the store.
type roll struct {
	mu    sync.Mutex
	err   error
	beats int
	gone  bool
	live  func() int
	left  int // live sessions at the goodbye
}

func (r *roll) Members(context.Context) ([]cluster.Member, error) {
	return []cluster.Member{{Name: "node-9", Lease: time.Minute}}, nil
}

func (r *roll) Beat(_ context.Context, _ time.Duration, gone bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.beats++
	}
	if gone {
		r.gone, r.left = true, r.live()
	}
	return r.err
}

// A node serves only as long as the store knows that it does, and says goodbye
// when nothing of a vendor is left on it.
func TestLeaseNeedsABeatInTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r := &roll{live: func() int { return len(w.ses.Live()) }}
		k, err := killswitch.New(killswitch.Config{Store: w.store, Statements: w.store, Chain: w.chain, Sessions: w.ses, Bus: w.bus, Floor: w.floor, Node: "node-1", Roll: r})
		if err != nil {
			t.Fatal(err)
		}
		w.k = k
		stop := w.run()
		time.Sleep(3500 * time.Millisecond)
		r.mu.Lock()
		if r.beats < 3 {
			t.Errorf("%d beats in 3.5 s", r.beats)
		}
		r.err = errors.New("read only")
		r.mu.Unlock()
		time.Sleep(killswitch.DefaultLease)
		if len(w.ses.Live()) != 0 || w.ses.ends[0] != gateway.EndStore {
			t.Error("goes on to serve, and the store does not know it")
		}
		r.mu.Lock()
		r.err = nil
		r.mu.Unlock()
		w.ses.mu.Lock()
		w.ses.live = []gateway.Session{{ID: "ses_9", Vendor: "other", Person: "bob", Epochs: gateway.Epochs{Vendor: 1, Person: 1}}}
		w.ses.mu.Unlock()
		stop()
		if !r.gone || r.left != 0 {
			t.Errorf("goodbye %v with %d live", r.gone, r.left)
		}
	})
}
