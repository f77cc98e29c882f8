package redis_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/cluster"
	"github.com/portcullis/portcullis/gateway/cluster/redis"
	"github.com/portcullis/portcullis/gateway/cluster/redis/redistest"
	"github.com/portcullis/portcullis/gateway/statement"
)

const orders = "portcullis:orders"

type envelope struct {
	Body      []byte `json:"body"`
	Signature []byte `json:"signature"`
}

// sealed is a message as the bus would send it, by the keys k.
func sealed(t *testing.T, k redis.Keys, domain string, body map[string]any) string {
	t.Helper()
	raw, err := statement.Canonical(body)
	if err != nil {
		t.Fatal(err)
	}
	msg, err := json.Marshal(envelope{raw, k.Sign(append([]byte(domain+"\x00"), raw...))})
	if err != nil {
		t.Fatal(err)
	}
	return string(msg)
}

func body(t *testing.T, msg string) map[string]any {
	t.Helper()
	var e envelope
	if err := json.Unmarshal([]byte(msg), &e); err != nil {
		t.Fatal(err)
	}
	m := map[string]any{}
	if err := json.Unmarshal(e.Body, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// spy hears everything that the channels carry.
func spy(t *testing.T, s *redistest.Server, pattern string) func() *goredis.Message {
	t.Helper()
	c := s.Client()
	sub := c.PSubscribe(t.Context(), pattern)
	if _, err := sub.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sub.Close(); _ = c.Close() })
	return func() *goredis.Message {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), redistest.Patience)
		defer cancel()
		m, err := sub.ReceiveMessage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(redistest.Patience)
	defer end.Stop()
	for !f() {
		select {
		case <-end.C:
			t.Fatal("never: " + what)
		case <-tick.C:
		}
	}
}

func TestStrangersOrderEndsNothing(t *testing.T) {
	s, keys, stranger := redistest.Start(t), newKeys(t), newKeys(t)
	one, two := startBus(t, at(s.Addr), keys), startBus(t, at(s.Addr), keys)
	join(t, one, "node-1", nil)
	var ended atomic.Int32
	join(t, two, "node-2", func(context.Context, cluster.Order) gateway.NodeReport {
		ended.Add(1)
		return gateway.NodeReport{LiveBefore: 7}
	})
	good := map[string]any{
		"cluster": "portcullis", "nonce": strings.Repeat("a", 32), "from": "node-1", "reply": strings.Repeat("b", 32), "sent": gateway.Instant(time.Now()),
		"order": map[string]any{"suspension": "sus_1", "scope": map[string]any{"kind": "vendor", "name": "acme"}, "epoch": 2, "ordered": gateway.Instant(time.Now())},
	}
	with := func(key string, v any) map[string]any {
		m := map[string]any{key: v}
		for k, x := range good {
			if k != key {
				m[k] = x
			}
		}
		return m
	}
	const domain = "portcullis cluster order v1"
	bad := map[string]string{
		"nothing": "", "garbage": "\x00\xff{", "another thing": `{"hello":1}`, "unsigned": `{"body":"e30=","signature":""}`,
		"by a stranger":        sealed(t, stranger, domain, good),
		"signed for an answer": sealed(t, keys, "portcullis cluster answer v1", good),
		"of another cluster":   sealed(t, keys, domain, with("cluster", "other")),
		"of last week":         sealed(t, keys, domain, with("sent", time.Now().Add(-7*24*time.Hour))),
		"of next week":         sealed(t, keys, domain, with("sent", time.Now().Add(7*24*time.Hour))),
		"with more in it":      sealed(t, keys, domain, with("also", 1)),
		"to a strange channel": sealed(t, keys, domain, with("reply", "x:y")),
		"from nobody":          sealed(t, keys, domain, with("from", "")),
		"two in one":           sealed(t, keys, domain, good) + sealed(t, keys, domain, good),
		"too long":             `{"body":"` + strings.Repeat("A", redis.MaxOrder) + `"}`,
	}
	before := two.Drops().Orders
	for _, msg := range bad {
		s.Do("PUBLISH", orders, msg)
	}
	eventually(t, "all are dropped and counted", func() bool { return two.Drops().Orders == before+uint64(len(bad)) })
	if n := ended.Load(); n != 0 {
		t.Errorf("%d forged orders were carried out", n)
	}
	s.Do("PUBLISH", orders, sealed(t, keys, domain, good)) // the form itself is right
	eventually(t, "the good one is carried out", func() bool { return ended.Load() == 1 })

	s.Do("PUBLISH", orders, strings.Repeat("x", redis.MaxAnswer+8<<10)) // more than is read into memory
	wantAnswer(t, one)
}

// story: whoever can write to Redis can keep an answer from arriving, and
// cannot give one.
func TestForgedAnswerIsNoAnswer(t *testing.T) {
	s, keys, stranger := redistest.Start(t), newKeys(t), newKeys(t)
	one, two := startBus(t, at(s.Addr), keys), startBus(t, at(s.Addr), keys)
	join(t, one, "node-1", nil)
	release, hold := make(chan struct{}), atomic.Bool{}
	join(t, two, "node-2", func(context.Context, cluster.Order) gateway.NodeReport {
		if hold.Load() {
			<-release
		}
		return gateway.NodeReport{LiveBefore: 7}
	})
	t.Cleanup(func() { close(release) })
	hear := spy(t, s, "portcullis:*")
	wantAnswer(t, one)
	old := hear()
	for old.Channel == orders {
		old = hear()
	}
	hold.Store(true)

	const domain = "portcullis cluster answer v1"
	done := make(chan struct{})
	go func() {
		defer close(done)
		m := hear()
		for m.Channel != orders {
			m = hear()
		}
		asked := body(t, m.Payload)
		answer := map[string]any{"cluster": "portcullis", "nonce": asked["nonce"], "suspension": "sus_1", "node": "node-2",
			"report": map[string]any{"node": "node-2", "answered": true, "live_before": 7, "live_after": 0, "sessions": nil}}
		raw, _ := json.Marshal(answer)
		unsigned, _ := json.Marshal(envelope{Body: raw})
		edited := body(t, old.Payload)
		edited["nonce"] = asked["nonce"]
		raw, _ = json.Marshal(edited)
		var e envelope
		_ = json.Unmarshal([]byte(old.Payload), &e)
		moved, _ := json.Marshal(envelope{Body: raw, Signature: e.Signature})
		for _, msg := range []string{
			old.Payload, string(unsigned), string(moved), sealed(t, stranger, domain, answer), sealed(t, keys, "portcullis cluster order v1", answer), "garbage",
		} {
			s.Do("PUBLISH", old.Channel, msg)
		}
	}()
	r, err := publish(t, one, time.Second)
	<-done
	if err != nil || len(r) != 1 || r[0].Answered || r[0].LeaseEnds.IsZero() {
		t.Errorf("reports %+v, error %v; want node-2 not answered", r, err)
	}
	if d := one.Drops().Answers; d != 6 {
		t.Errorf("%d answers dropped, want 6", d)
	}
}

func TestOrderIsCarriedOutOnce(t *testing.T) {
	s, keys := redistest.Start(t), newKeys(t)
	one, two := startBus(t, at(s.Addr), keys), startBus(t, at(s.Addr), keys)
	late := startBus(t, at(s.Addr), keys, func(c *redis.Config) {
		c.Now = func() time.Time { return time.Now().Add(redis.MaxOrderAge + time.Second) }
	})
	join(t, one, "node-1", nil)
	var ended, endedLate atomic.Int32
	join(t, two, "node-2", func(context.Context, cluster.Order) gateway.NodeReport {
		ended.Add(1)
		return gateway.NodeReport{LiveBefore: 7}
	})
	hear := spy(t, s, orders)
	wantAnswer(t, one)
	msg := hear().Payload
	join(t, late, "node-3", func(context.Context, cluster.Order) gateway.NodeReport {
		endedLate.Add(1)
		return gateway.NodeReport{}
	})
	answers := spy(t, s, "portcullis:answers:*")
	for range 3 {
		s.Do("PUBLISH", orders, msg)
		if a := body(t, answers().Payload); a["node"] != "node-2" {
			t.Errorf("answer %v", a)
		}
	}
	eventually(t, "the old order is dropped", func() bool { return late.Drops().Orders >= 3 })
	if ended.Load() != 1 || endedLate.Load() != 0 {
		t.Errorf("carried out %d times, and %d times when it was old", ended.Load(), endedLate.Load())
	}
}

type members struct {
	list []cluster.Member
	err  error
}

func (m members) Members(context.Context) ([]cluster.Member, error) { return m.list, m.err }

func TestWipedRedisHidesNobody(t *testing.T) {
	s, keys := redistest.Start(t), newKeys(t)
	one, two := startBus(t, at(s.Addr), keys), startBus(t, at(s.Addr), keys)
	join(t, one, "node-1", nil)
	join(t, two, "node-2", closes(7))
	wantAnswer(t, one)
	if err := two.Close(); err != nil { // cut off; it takes no leave
		t.Fatal(err)
	}
	silent := func(name string, b *redis.Bus, want time.Time) {
		t.Helper()
		s.Do("FLUSHALL")
		r, err := publish(t, b, 400*time.Millisecond)
		if err != nil || len(r) != 1 || r[0].Node != "node-2" || r[0].Answered {
			t.Fatalf("%s: reports %+v, error %v; want node-2 not answered", name, r, err)
		}
		if d := r[0].LeaseEnds.Sub(want).Abs(); d > 3*time.Second {
			t.Errorf("%s: lease ends %s, want about %s", name, r[0].LeaseEnds, want)
		}
	}
	silent("remembered", one, time.Now().Add(lease))

	seen := time.Now().Add(-4 * time.Second)
	knows := func(list []cluster.Member, err error) *redis.Bus {
		return startBus(t, at(s.Addr), keys, func(c *redis.Config) { c.Members = members{list, err} })
	}
	silent("from the store", knows([]cluster.Member{
		{Name: "node-1", Seen: time.Now(), Lease: lease}, {Name: "node-2", Seen: seen, Lease: lease}, {Name: "long-gone", Seen: time.Now().Add(-lease - 3*time.Second), Lease: lease},
	}, nil), time.Now().Add(lease))

	s.Do("FLUSHALL")
	if r, err := publish(t, knows(nil, errors.New("store is down")), 400*time.Millisecond); err == nil {
		t.Errorf("with neither the store nor Redis to say who is there: %+v and no error", r)
	}
	if r, err := publish(t, startBus(t, at(s.Addr), keys), 400*time.Millisecond); err != nil || len(r) != 0 {
		t.Errorf("fresh bus without a store: %+v, %v", r, err)
	}
}

func TestForgedBeats(t *testing.T) {
	s, keys, stranger := redistest.Start(t), newKeys(t), newKeys(t)
	one, two := startBus(t, at(s.Addr), keys), startBus(t, at(s.Addr), keys)
	join(t, one, "node-1", nil)
	leave, err := two.Join("node-2", closes(7))
	if err != nil {
		t.Fatal(err)
	}
	beat := s.Do("HGET", "portcullis:nodes", "node-2").(string)
	wantAnswer(t, one)
	if err := two.Close(); err != nil {
		t.Fatal(err)
	}
	gone := body(t, beat)
	gone["left"], gone["count"] = true, 1<<40
	for what, raw := range map[string]string{
		"garbage": "x", "a stranger's leave": sealed(t, stranger, "portcullis cluster beat v1", gone), "too long": strings.Repeat("x", redis.MaxBeat+1),
	} {
		s.Do("HSET", "portcullis:nodes", "node-2", raw, "node-9", beat)
		if r, err := publish(t, one, 300*time.Millisecond); err != nil || len(r) != 1 || r[0].Node != "node-2" || r[0].Answered {
			t.Errorf("%s: reports %+v, error %v; want node-2 alone, not answered", what, r, err)
		}
	}
	if one.Drops().Beats < 6 {
		t.Errorf("drops = %+v", one.Drops())
	}
	leave() // waits for nothing, though the bus is closed

	// A leave that is signed holds.
	s.Do("HSET", "portcullis:nodes", "node-2", sealed(t, keys, "portcullis cluster beat v1", gone))
	s.Do("HDEL", "portcullis:nodes", "node-9")
	if r, err := publish(t, one, time.Second); err != nil || len(r) != 0 {
		t.Errorf("after the leave: %+v, %v", r, err)
	}
	// And the beat of before, sent again, does not bring the node back.
	s.Do("HSET", "portcullis:nodes", "node-2", beat)
	if r, err := publish(t, one, time.Second); err != nil || len(r) != 0 {
		t.Errorf("after the old beat: %+v, %v", r, err)
	}
}
