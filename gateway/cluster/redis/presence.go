package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/cluster"
)

// sighting is what this process remembers of a node's beats. It outlives
// Redis, so that a node is missed when Redis was wiped.
type sighting struct {
	beatBody
	seen time.Time // by our own clock, when the beat was first read
}

// keepBeating says each BeatEvery that the nodes of this process are there,
// and reads who else is.
func (b *Bus) keepBeating() {
	tick := time.NewTicker(BeatEvery)
	defer tick.Stop()
	for {
		ctx, cancel := context.WithTimeout(b.ctx, BeatEvery)
		if err := errors.Join(b.beat(ctx), b.readBeats(ctx)); err != nil {
			b.complain("beat", "the bus does not take this node's beat", err)
		}
		cancel()
		select {
		case <-b.ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// beat says that the nodes of this process are there, and that those named
// have left. One at a time: a beat of before must not overwrite a leave.
func (b *Bus) beat(ctx context.Context, leaving ...string) error {
	b.beating.Lock()
	defer b.beating.Unlock()
	says := map[string]bool{} // name to whether it leaves
	for _, name := range leaving {
		says[name] = true
	}
	b.mu.Lock()
	for name := range b.nodes {
		says[name] = false
	}
	b.mu.Unlock()
	if len(says) == 0 {
		return nil
	}
	var fields []any
	for name, left := range says {
		h := beatBody{Cluster: b.prefix, Node: name, Boot: b.boot, Count: b.nextCount(), At: gateway.Instant(b.now()), Lease: b.lease, Left: left}
		raw, err := seal(b.signer, beatDomain, h)
		if err != nil {
			return err
		}
		b.note(h)
		fields = append(fields, name, raw)
	}
	_, err := b.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
		p.HSet(ctx, b.nodesKey(), fields...)
		p.PExpire(ctx, b.nodesKey(), forgetAfter)
		return nil
	})
	return err
}

func (b *Bus) nextCount() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count++
	return b.count
}

// readBeats reads the roll off Redis into memory.
func (b *Bus) readBeats(ctx context.Context) error {
	all, err := b.client.HGetAll(ctx, b.nodesKey()).Result()
	if err != nil {
		return err
	}
	var stale []string
	for name, raw := range all {
		h, err := b.openBeat(name, raw)
		if err != nil {
			b.drop("beat", &b.drops.Beats, err)
			continue
		}
		if b.now().Sub(h.At) > forgetAfter {
			stale = append(stale, name)
			continue
		}
		b.note(h)
	}
	if len(stale) > 0 {
		return b.client.HDel(ctx, b.nodesKey(), stale...).Err()
	}
	return nil
}

// note remembers a beat that tells something new.
func (b *Bus) note(h beatBody) {
	now := b.now()
	b.mu.Lock()
	defer b.mu.Unlock()
	old, known := b.known[h.Node]
	switch {
	case !known:
		if len(b.known) >= MaxNodes {
			b.forgetOldest()
		}
		// How old it is only its own clock tells; the next one shows it.
		b.known[h.Node] = sighting{h, earlier(now, h.At)}
	case old.Boot == h.Boot && h.Count > old.Count:
		b.known[h.Node] = sighting{h, now}
	case old.Boot != h.Boot && h.At.After(old.At):
		b.known[h.Node] = sighting{h, now}
	}
}

func (b *Bus) forgetOldest() {
	oldest := ""
	for name, s := range b.known {
		if oldest == "" || s.seen.Before(b.known[oldest].seen) {
			oldest = name
		}
	}
	delete(b.known, oldest)
}

// mustAnswer unites what Redis, our memory and the store say of who is there:
// name to the end of its lease. With an error it holds those that are known.
func (b *Bus) mustAnswer(ctx context.Context, from string, asked time.Time) (map[string]time.Time, error) {
	err := b.readBeats(ctx)
	var stored []cluster.Member
	if b.members != nil {
		var storeErr error
		if stored, storeErr = b.members.Members(ctx); storeErr != nil {
			err = errors.Join(err, fmt.Errorf("ask the store: %w", storeErr))
		}
	}
	if len(stored) > MaxNodes {
		err = errors.Join(err, errors.New("the store knows "+strconv.Itoa(len(stored))+" nodes"))
		stored = stored[:MaxNodes]
	}
	must := map[string]time.Time{}
	add := func(name string, lease time.Duration) {
		if ends := asked.Add(lease); name != from && ends.After(must[name]) {
			must[name] = ends
		}
	}
	listed := map[string]bool{}
	for _, m := range stored {
		listed[m.Name] = true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, s := range b.known {
		if !s.Left && (holdsLease(asked, s.seen, s.Lease) || !b.provable(name, listed, err)) {
			add(name, s.Lease)
		}
	}
	for _, m := range stored {
		// A node that took its leave is not waited for, unless the store has
		// seen it since.
		if s := b.known[m.Name]; s.Left && !m.Seen.After(s.At.Add(Margin)) {
			continue
		}
		if holdsLease(asked, m.Seen, m.Lease) {
			add(m.Name, m.Lease)
		}
	}
	return must, err
}

// holdsLease reports whether a node that was seen then may still serve.
func holdsLease(asked, seen time.Time, lease time.Duration) bool {
	return asked.Sub(seen) <= lease+Margin
}

// provable reports whether a node's last beat proves that its lease is over.
// That of the store does: no node renews its lease without it. One that came
// over Redis does not: the node may be cut off from Redis alone, or be frozen
// after a later reading of the store.
func (b *Bus) provable(name string, listed map[string]bool, err error) bool {
	return b.members != nil && err == nil && listed[name]
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
