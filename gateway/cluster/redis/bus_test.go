package redis_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"log/slog"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/cluster"
	"github.com/portcullis/portcullis/gateway/cluster/bustest"
	"github.com/portcullis/portcullis/gateway/cluster/redis"
	"github.com/portcullis/portcullis/gateway/cluster/redis/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const lease = 10 * time.Second

// newKeys are the keys of a cluster whose nodes share one.
func newKeys(t *testing.T) redis.Keys {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return redis.Keys{Private: private, Trusted: []ed25519.PublicKey{public}}
}

type busOption func(*redis.Config)

func startBus(t *testing.T, server redis.Server, keys redis.Keys, opts ...busOption) *redis.Bus {
	t.Helper()
	c := redis.Config{Server: server, Lease: lease, Signer: keys, Verifier: keys, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}
	for _, o := range opts {
		o(&c)
	}
	b, err := redis.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func at(addresses ...string) redis.Server { return redis.Server{Addresses: addresses} }

func order(epoch uint64) cluster.Order {
	return cluster.Order{Suspension: "sus_1", Scope: gateway.Scope{Kind: gateway.ScopeVendor, Name: "acme"}, Epoch: epoch, Ordered: gateway.Instant(time.Unix(1, 0))}
}

// join puts a node on the bus whose answers count its orders.
func join(t *testing.T, b *redis.Bus, node string, h cluster.Handler) {
	t.Helper()
	leave, err := b.Join(node, h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(leave)
}

func closes(n int) cluster.Handler {
	return func(context.Context, cluster.Order) gateway.NodeReport { return gateway.NodeReport{LiveBefore: n} }
}

func publish(t *testing.T, b *redis.Bus, within time.Duration) ([]gateway.NodeReport, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	began := time.Now()
	r, err := b.Publish(ctx, "node-1", order(2))
	if over := time.Since(began) - within; over > 2*time.Second {
		t.Errorf("Publish returned %s after its time was up", over)
	}
	return r, err
}

// wantAnswer wants node-2's answer and no error.
func wantAnswer(t *testing.T, b *redis.Bus) {
	t.Helper()
	r, err := publish(t, b, bustest.Patience)
	if err != nil || len(r) != 1 || r[0].Node != "node-2" || !r[0].Answered || r[0].LiveBefore != 7 {
		t.Fatalf("reports %+v, error %v; want node-2's answer", r, err)
	}
}

func TestSingleServer(t *testing.T) {
	s := redistest.Start(t)
	bustest.Run(t, func(t *testing.T) cluster.Bus {
		s.Do("FLUSHALL")
		return startBus(t, at(s.Addr), newKeys(t))
	})
}

func TestTwoProcesses(t *testing.T) {
	s, keys := redistest.Start(t), newKeys(t)
	one, two := startBus(t, at(s.Addr), keys), startBus(t, at(s.Addr), keys)
	join(t, one, "node-1", nil)
	join(t, two, "node-2", closes(7))
	wantAnswer(t, one)
}
