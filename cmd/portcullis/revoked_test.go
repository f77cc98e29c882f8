package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
)

// kept is what a keeper asks and ends, played.
type kept struct {
	mu       sync.Mutex
	live     []gateway.Session
	closed   map[string]gateway.EndReason // by grant
	void     map[string]bool              // what a review closes
	down     error
	reviews  int
	ended    []string
	log      chan audit.Entry
	follows  int
	nextLeaf int64
}

func (k *kept) Live() []gateway.Session {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.live)
}

func (k *kept) EndGrant(id string, why gateway.EndReason, _ string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ended = append(k.ended, id+" "+string(why))
	k.live = slices.DeleteFunc(k.live, func(s gateway.Session) bool { return s.Grant == id })
}

func (k *kept) Grant(_ context.Context, id string) (gateway.Grant, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	g := gateway.Grant{ID: id, State: gateway.GrantOpen}
	if id == "grt_gone" && k.down == nil {
		return g, gateway.NotFound("grant", id)
	}
	if why, ok := k.closed[id]; ok {
		g.State, g.Why = gateway.GrantClosed, why
	}
	return g, k.down
}

func (k *kept) Review(ctx context.Context, id string) (gateway.Grant, error) {
	k.mu.Lock()
	k.reviews++
	if k.void[id] && k.down == nil {
		k.closed[id] = gateway.EndNotGranted
	}
	k.mu.Unlock()
	return k.Grant(ctx, id)
}

func (k *kept) follow(context.Context) <-chan audit.Entry {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.follows++
	k.log = make(chan audit.Entry, 8)
	return k.log
}

func (k *kept) tell(t *testing.T, e audit.Event) {
	t.Helper()
	e.At = time.Now()
	row, err := audit.NewRow(e, k.nextLeaf)
	if err != nil {
		t.Fatal(err)
	}
	k.nextLeaf++
	k.log <- row.Entry
}

func (k *kept) told() (ended []string, reviews int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.ended), k.reviews
}

// keeping runs a keeper over two sessions that have lived for an hour.
func keeping(t *testing.T, shared bool, story func(*kept)) {
	synctest.Test(t, func(t *testing.T) {
		k := &kept{closed: map[string]gateway.EndReason{}, void: map[string]bool{}}
		k.opens("ses_1", "grt_1")
		k.opens("ses_2", "grt_2")
		time.Sleep(time.Hour)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		keeper := keeper{grants: k, sessions: k, shared: shared, log: slog.New(slog.DiscardHandler)}
		wg.Go(func() { keeper.run(ctx, k.follow) })
		synctest.Wait()
		story(k)
		cancel()
		wg.Wait()
	})
}

func (k *kept) opens(id, grant string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.live = append(k.live, gateway.Session{ID: id, Grant: grant, Started: time.Now()})
}

// what a removed approver agreed to ends while it is used, at once, and
// everything else is looked at once and left alone.
func TestKeeperReviewsAfterAChange(t *testing.T) {
	for name, shared := range map[string]bool{"one node": false, "several nodes": true} {
		t.Run(name, func(t *testing.T) {
			keeping(t, shared, func(k *kept) {
				time.Sleep(time.Minute)
				if ended, n := k.told(); len(ended) != 0 || n != 2 {
					t.Fatalf("nothing changed: ended %v, %d reviews", ended, n)
				}
				k.mu.Lock()
				k.void["grt_2"] = true
				k.mu.Unlock()
				k.tell(t, audit.Event{Name: audit.PersonAdmitted, Actor: "root", Person: "cleo", Outcome: audit.Refused, Reason: "no"})
				time.Sleep(time.Minute)
				if ended, n := k.told(); len(ended) != 0 || n != 2 {
					t.Errorf("a refused change: ended %v, %d reviews", ended, n)
				}
				k.tell(t, audit.Event{Name: audit.PersonAdmitted, Actor: "root", Person: "cleo"})
				synctest.Wait()
				if ended, n := k.told(); !slices.Equal(ended, []string{"grt_2 not-granted"}) || n != 4 {
					t.Errorf("ended %v, %d reviews", ended, n)
				}
				time.Sleep(time.Hour)
				if ended, n := k.told(); len(ended) != 1 || n != 4 {
					t.Errorf("an hour later: ended %v, %d reviews", ended, n)
				}
			})
		})
	}
}

// A session that was being opened while what stands behind it changed, or
// while its grant was closed, is found when it is there.
func TestKeeperSeesWhoWasOpening(t *testing.T) {
	keeping(t, false, func(k *kept) {
		k.mu.Lock()
		k.void["grt_3"] = true
		k.mu.Unlock()
		k.tell(t, audit.Event{Name: audit.TargetDefined, Actor: "root", Target: "pump"})
		synctest.Wait()
		k.opens("ses_3", "grt_3")
		time.Sleep(2 * grantsEvery)
		if ended, _ := k.told(); !slices.Equal(ended, []string{"grt_3 not-granted"}) {
			t.Errorf("ended %v", ended)
		}
		time.Sleep(time.Hour)
		k.mu.Lock()
		k.closed["grt_4"] = gateway.EndRevoked
		k.mu.Unlock()
		k.opens("ses_4", "grt_4")
		time.Sleep(2 * grantsEvery)
		k.opens("ses_5", "grt_gone")
		time.Sleep(2 * grantsEvery)
		for _, want := range []string{"grt_4 revoked", "grt_gone not-granted"} {
			if ended, _ := k.told(); !slices.Contains(ended, want) {
				t.Errorf("ended %v, not %s", ended, want)
			}
		}
	})
}

// What another node took back ends here. What a suspension closed is the kill
// switch's to end: some of its modes leave it alone.
func TestKeeperOfSeveralNodes(t *testing.T) {
	keeping(t, true, func(k *kept) {
		k.mu.Lock()
		k.closed["grt_1"], k.closed["grt_2"] = gateway.EndSuspended, gateway.EndRevoked
		k.mu.Unlock()
		k.tell(t, audit.Event{Name: audit.GrantClosed, Actor: "rita", Grant: "grt_2"})
		synctest.Wait()
		time.Sleep(time.Minute)
		if ended, _ := k.told(); !slices.Equal(ended, []string{"grt_2 revoked"}) {
			t.Errorf("ended %v", ended)
		}
	})
}

// After an outage of the store all is looked at once more.
func TestKeeperAfterAnOutage(t *testing.T) {
	keeping(t, false, func(k *kept) {
		time.Sleep(time.Minute)
		k.mu.Lock()
		k.void["grt_1"], k.down = true, gateway.Unavailable("store", errors.New("away"))
		close(k.log)
		k.mu.Unlock()
		time.Sleep(10 * grantsEvery)
		if ended, _ := k.told(); len(ended) != 0 {
			t.Errorf("ended without a store: %v", ended)
		}
		k.mu.Lock()
		k.down = nil
		k.mu.Unlock()
		time.Sleep(2 * grantsEvery)
		if ended, _ := k.told(); !slices.Equal(ended, []string{"grt_1 not-granted"}) {
			t.Errorf("ended %v", ended)
		}
	})
}
