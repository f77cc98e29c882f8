// Package bustest holds every driver of the bus to one promise. A driver's
// test calls Run; nothing else imports it.
package bustest

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/cluster"
)

// Patience bounds every wait of the suite.
const Patience = 5 * time.Second

// Run runs the suite; fresh makes an empty bus for each test.
func Run(t *testing.T, fresh func(t *testing.T) cluster.Bus) {
	t.Run("EveryOtherNodeAnswers", func(t *testing.T) { everyOther(t, fresh(t)) })
	t.Run("AloneThereIsNobodyToAsk", func(t *testing.T) { alone(t, fresh(t)) })
	t.Run("SilentNodeIsNamedWithItsLease", func(t *testing.T) { silent(t, fresh(t)) })
	t.Run("NameIsTakenOnce", func(t *testing.T) { taken(t, fresh(t)) })
	t.Run("LeftNodeHearsNothing", func(t *testing.T) { left(t, fresh(t)) })
	t.Run("ManyOrdersAtOnce", func(t *testing.T) { many(t, fresh(t)) })
}

func order(epoch uint64) cluster.Order {
	return cluster.Order{Suspension: "sus_1", Scope: gateway.Scope{Kind: gateway.ScopeVendor, Name: "acme"}, Epoch: epoch, Ordered: gateway.Instant(time.Unix(1, 0))}
}

func join(t *testing.T, b cluster.Bus, node string, h cluster.Handler) func() {
	t.Helper()
	leave, err := b.Join(node, h)
	if err != nil {
		t.Fatalf("join %s: %v", node, err)
	}
	t.Cleanup(leave)
	return leave
}

func publish(t *testing.T, b cluster.Bus, from string, o cluster.Order, d time.Duration) []gateway.NodeReport {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	r, err := b.Publish(ctx, from, o)
	if err != nil {
		t.Fatalf("publish: %v", err)
	}
	return r
}

func everyOther(t *testing.T, b cluster.Bus) {
	var mu sync.Mutex
	heard := map[string]cluster.Order{}
	for _, n := range []string{"node-1", "node-3", "node-2"} {
		join(t, b, n, func(_ context.Context, o cluster.Order) gateway.NodeReport {
			mu.Lock()
			defer mu.Unlock()
			heard[n] = o
			return gateway.NodeReport{LiveBefore: 7}
		})
	}
	r := publish(t, b, "node-1", order(2), Patience)
	if len(r) != 2 || r[0].Node != "node-2" || r[1].Node != "node-3" || !r[0].Answered || r[0].LiveBefore != 7 {
		t.Errorf("reports = %+v", r)
	}
	if len(heard) != 2 || !reflect.DeepEqual(heard["node-2"], order(2)) {
		t.Errorf("heard = %+v", heard)
	}
}

func alone(t *testing.T, b cluster.Bus) {
	join(t, b, "node-1", func(context.Context, cluster.Order) gateway.NodeReport {
		t.Error("the asking node was asked")
		return gateway.NodeReport{}
	})
	if r := publish(t, b, "node-1", order(2), Patience); len(r) != 0 {
		t.Errorf("reports = %+v", r)
	}
}

func silent(t *testing.T, b cluster.Bus) {
	release := make(chan struct{})
	join(t, b, "node-1", nil)
	join(t, b, "node-2", func(context.Context, cluster.Order) gateway.NodeReport { <-release; return gateway.NodeReport{} })
	t.Cleanup(func() { close(release) })
	r := publish(t, b, "node-1", order(2), time.Second) // in which the order itself is sent
	if len(r) != 1 || r[0].Answered || r[0].LeaseEnds.IsZero() {
		t.Errorf("reports = %+v, want node-2 not answered with the end of its lease", r)
	}
}

func taken(t *testing.T, b cluster.Bus) {
	leave := join(t, b, "node-1", nil)
	if _, err := b.Join("node-1", nil); !errors.Is(err, cluster.ErrNodeName) {
		t.Errorf("second join: %v", err)
	}
	leave()
	leave()
	join(t, b, "node-1", nil)
}

func left(t *testing.T, b cluster.Bus) {
	join(t, b, "node-1", nil)
	join(t, b, "node-2", func(context.Context, cluster.Order) gateway.NodeReport {
		t.Error("a node that left was asked")
		return gateway.NodeReport{}
	})()
	if r := publish(t, b, "node-1", order(2), Patience); len(r) != 0 {
		t.Errorf("reports = %+v", r)
	}
}

func many(t *testing.T, b cluster.Bus) {
	join(t, b, "node-1", nil)
	join(t, b, "node-2", func(_ context.Context, o cluster.Order) gateway.NodeReport {
		return gateway.NodeReport{LiveBefore: int(o.Epoch)}
	})
	var wg sync.WaitGroup
	for e := range uint64(50) {
		wg.Go(func() {
			if r := publish(t, b, "node-1", order(e), Patience); len(r) != 1 || r[0].LiveBefore != int(e) {
				t.Errorf("order of epoch %d got the answer %+v", e, r)
			}
		})
	}
	wg.Wait()
}
