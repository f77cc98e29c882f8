package redis

import (
	"context"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// Health is what was seen of one server that takes writes.
type Health struct {
	Server string        // its address, or what it was asked by
	Err    error         // it does not answer, or not us
	Policy string        // maxmemory-policy; empty if it does not say
	Offset time.Duration // its clock before ours
	Answer time.Duration // how long it took
}

// Check asks every server that takes writes about itself.
func (b *Bus) Check(ctx context.Context) []Health {
	c, ok := b.client.(*goredis.ClusterClient)
	if !ok {
		return []Health{b.checkOne(ctx, b.client, "redis")}
	}
	var mu sync.Mutex
	var all []Health
	err := c.ForEachMaster(ctx, func(ctx context.Context, s *goredis.Client) error { // at once, for all of them
		h := b.checkOne(ctx, s, s.Options().Addr)
		mu.Lock()
		defer mu.Unlock()
		all = append(all, h)
		return nil
	})
	if err != nil {
		all = append(all, Health{Server: "redis cluster", Err: err})
	}
	return all
}

func (b *Bus) checkOne(ctx context.Context, c goredis.Cmdable, name string) Health {
	began := b.now()
	at, err := c.Time(ctx).Result()
	took := b.now().Sub(began)
	if err != nil {
		return Health{Server: name, Err: err}
	}
	h := Health{Server: name, Offset: at.Sub(began.Add(took / 2)), Answer: took}
	info, err := c.Info(ctx, "memory").Result()
	if err != nil {
		h.Err = err
		return h
	}
	for line := range strings.Lines(info) {
		if policy, ok := strings.CutPrefix(strings.TrimSpace(line), "maxmemory_policy:"); ok {
			h.Policy = policy
		}
	}
	return h
}
