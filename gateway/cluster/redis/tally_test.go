package redis_test

import (
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway/cluster"
	"github.com/portcullis/portcullis/gateway/cluster/bustest"
	"github.com/portcullis/portcullis/gateway/cluster/redis"
	"github.com/portcullis/portcullis/gateway/cluster/redis/redistest"
)

func clockOf(now func() time.Time) busOption { return func(c *redis.Config) { c.Now = now } }

func TestTally(t *testing.T) {
	s := redistest.Start(t)
	bustest.RunTally(t, func(t *testing.T, now func() time.Time) (a, b cluster.Tally) {
		s.Do("FLUSHALL")
		keys := newKeys(t)
		return startBus(t, at(s.Addr), keys, clockOf(now)), startBus(t, at(s.Addr), keys, clockOf(now))
	})
}

// TestTallyOfAHostileRedis: counts that were planted, wiped or made something
// else slow a name down to its node's part and no further, and what is counted
// does not stay.
func TestTallyOfAHostileRedis(t *testing.T) {
	const most, nodes = 12, 3
	s := redistest.Start(t)
	clock := bustest.NewClock()
	bus := startBus(t, at(s.Addr), newKeys(t), clockOf(clock.Now))
	let := func() (n int) {
		clock.Pass(time.Minute) // a window that nothing was counted in
		share := cluster.NewShare(cluster.ShareConfig{Tally: bus, Most: most, Window: time.Minute, Nodes: nodes, Now: clock.Now})
		for range 2 * most {
			if share.Allow(t.Context(), "192.0.2.7/32") {
				n++
			}
		}
		return n
	}
	if n := let(); n != most {
		t.Errorf("an honest Redis lets %d of a limit of %d", n, most)
	}
	for _, key := range s.Do("KEYS", "portcullis:tally:*").([]any) {
		if left := s.Do("PTTL", key).(int64); left <= 0 || left > (2*time.Minute).Milliseconds() {
			t.Errorf("%s lives for %d ms", key, left)
		}
	}
	for script, want := range map[string]int{
		"redis.call('SET', k, '9007199254740991', 'EX', 60)":                             most / nodes,
		"redis.call('SET', k, '-9007199254740991', 'EX', 60)":                            2 * most,
		"redis.call('SET', k, 'x', 'EX', 60)":                                            2 * most,
		"redis.call('DEL', k); redis.call('RPUSH', k, 'x'); redis.call('EXPIRE', k, 60)": 2 * most,
	} {
		clock.Pass(time.Minute)
		if _, err := bus.Add(t.Context(), "192.0.2.7/32", time.Minute); err != nil {
			t.Fatal(err)
		}
		s.Do("EVAL", "for _, k in ipairs(redis.call('KEYS', 'portcullis:tally:*')) do "+script+" end", 0)
		clock.Pass(-time.Minute) // let passes it again
		if n := let(); n != want {
			t.Errorf("after %s %d were let, want %d", script, n, want)
		}
	}
	s.Kill()
	if n := let(); n != 2*most {
		t.Errorf("without Redis %d were let, want %d", n, 2*most)
	}
}
