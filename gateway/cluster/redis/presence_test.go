package redis_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway/cluster"
	"github.com/portcullis/portcullis/gateway/cluster/redis"
	"github.com/portcullis/portcullis/gateway/cluster/redis/redistest"
)

// A node that is frozen sends no beats and may serve for its whole lease from
// the order on; that its last beat was long ago proves nothing. Only the
// store's word does: no node renews its lease without a beat there.
func TestFrozenNodeIsNamed(t *testing.T) {
	s, keys := redistest.Start(t), newKeys(t)
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	var stored []cluster.Member
	plain := startBus(t, at(s.Addr), keys, func(c *redis.Config) { c.Now = now })
	told := startBus(t, at(s.Addr), keys, func(c *redis.Config) { c.Now, c.Members = now, later{&stored} })
	two := startBus(t, at(s.Addr), keys)
	join(t, plain, "node-1", nil)
	join(t, two, "node-2", closes(7))
	wantAnswer(t, plain)
	if r, err := publish(t, told, 2*time.Second); err != nil || len(r) == 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	if err := two.Close(); err != nil { // frozen: it takes no leave
		t.Fatal(err)
	}
	named := func(b *redis.Bus) bool {
		r, err := publish(t, b, 300*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range r {
			if n.Node == "node-2" {
				if left := n.LeaseEnds.Sub(now()); left < lease-time.Second {
					t.Errorf("its lease is said to end in %s; it may have begun with the order", left)
				}
				return true
			}
		}
		return false
	}
	ahead.Store(int64(lease + time.Minute))
	if !named(plain) {
		t.Error("left out because its last beat is old")
	}
	if !named(told) {
		t.Error("left out though the store does not know it")
	}
	stored = []cluster.Member{{Name: "node-2", Seen: now().Add(-lease), Lease: lease}}
	if !named(told) {
		t.Error("left out though the store saw it within the lease and the margin")
	}
	stored = []cluster.Member{{Name: "node-2", Seen: now().Add(-lease - 2*redis.Margin), Lease: lease}}
	if named(told) {
		t.Error("named though its last beat in the store proves that its lease is over")
	}
}

// later answers with what the list holds by then.
type later struct{ list *[]cluster.Member }

func (l later) Members(context.Context) ([]cluster.Member, error) { return *l.list, nil }
