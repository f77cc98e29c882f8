package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis/portcullis/gateway/cluster"
	"github.com/portcullis/portcullis/gateway/cluster/bustest"
)

func TestLocalTally(t *testing.T) {
	bustest.RunTally(t, func(_ *testing.T, now func() time.Time) (a, b cluster.Tally) {
		tally := cluster.NewLocalTally(now)
		return tally, tally
	})
}

func TestLocalTallyIsBounded(t *testing.T) {
	c := bustest.NewClock()
	tally := cluster.NewLocalTally(c.Now)
	fill := func() (err error) {
		for i := range cluster.MaxTallied + 1 {
			if _, err = tally.Add(t.Context(), fmt.Sprint(i), time.Minute); err != nil {
				return fmt.Errorf("name %d: %w", i, err)
			}
		}
		return nil
	}
	for range 2 {
		if err := fill(); !errors.Is(err, cluster.ErrTallied) {
			t.Errorf("one name too many: %v", err)
		}
		c.Pass(time.Minute)
	}
}

// tallyFunc is a tally that may lie.
type tallyFunc func(ctx context.Context) (int, error)

func (f tallyFunc) Add(ctx context.Context, _ string, _ time.Duration) (int, error) { return f(ctx) }

const most = 12

func share(tally cluster.Tally, now func() time.Time) *cluster.Share {
	return cluster.NewShare(cluster.ShareConfig{Tally: tally, Most: most, Window: time.Minute, Nodes: 3, Now: now})
}

// TestTallyLies: whoever has the tally can bring a name down to its node's
// part of the limit in each window, and no further; what lies on the other
// side changes nothing, for each node's own limit stands beside this one.
func TestTallyLies(t *testing.T) {
	for name, c := range map[string]struct {
		says tallyFunc
		want int
	}{
		"far too many": {func(context.Context) (int, error) { return 1 << 60, nil }, most / 3},
		"none":         {func(context.Context) (int, error) { return 1, nil }, 5 * most},
		"less than 0":  {func(context.Context) (int, error) { return -1 << 60, nil }, 5 * most},
		"an error":     {func(context.Context) (int, error) { return 1 << 60, errors.New("OOM command not allowed") }, 5 * most},
	} {
		t.Run(name, func(t *testing.T) {
			clock := bustest.NewClock()
			s := share(c.says, clock.Now)
			for n := range 3 {
				let := 0
				for range 5 * most {
					if s.Allow(t.Context(), "a") {
						let++
					}
				}
				if let != c.want {
					t.Errorf("window %d: %d were let, want %d", n, let, c.want)
				}
				clock.Pass(time.Minute)
			}
		})
	}
}

// TestTallyOfManyNodes: where there are more nodes than the limit has parts,
// each name still has one.
func TestTallyOfManyNodes(t *testing.T) {
	liar := tallyFunc(func(context.Context) (int, error) { return 1 << 60, nil })
	s := cluster.NewShare(cluster.ShareConfig{Tally: liar, Most: 2, Window: time.Minute, Nodes: 7, Now: bustest.NewClock().Now})
	if !s.Allow(t.Context(), "a") || s.Allow(t.Context(), "a") {
		t.Error("a name has not one part")
	}
}

// TestTallyHangs: a tally that says nothing costs one call a moment, and is
// then left alone for a while.
func TestTallyHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		s := share(tallyFunc(func(ctx context.Context) (int, error) {
			asked++
			<-ctx.Done()
			return 0, ctx.Err()
		}), time.Now)
		begun := time.Now()
		for range 1000 {
			if !s.Allow(t.Context(), "a") {
				t.Fatal("a tally that hangs keeps somebody out")
			}
		}
		if took := time.Since(begun); asked != 1 || took > 200*time.Millisecond {
			t.Errorf("asked %d times in %s", asked, took)
		}
		time.Sleep(10 * time.Second)
		s.Allow(t.Context(), "a")
		if asked != 2 {
			t.Errorf("asked %d times after the pause", asked)
		}
	})
}

// TestTallyIsSparedManyNames: a flood of sources does not fill Redis, which
// carries the orders too.
func TestTallyIsSparedManyNames(t *testing.T) {
	asked := 0
	clock := bustest.NewClock()
	s := share(tallyFunc(func(context.Context) (int, error) { asked++; return 1, nil }), clock.Now)
	for i := range 2 * cluster.MaxTallied {
		if !s.Allow(t.Context(), fmt.Sprint(i)) {
			t.Fatalf("name %d is refused", i)
		}
	}
	if asked != cluster.MaxTallied {
		t.Errorf("%d names were counted, want %d", asked, cluster.MaxTallied)
	}
}
