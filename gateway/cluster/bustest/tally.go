package bustest

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway/cluster"
)

// window is the suite's; the clock that is handed to a driver stands still
// until a test moves it.
const window = time.Minute

// Clock is a clock that stands still.
type Clock struct{ at atomic.Int64 }

// NewClock returns one that stands at the middle of a window.
func NewClock() *Clock {
	c := &Clock{}
	c.at.Store(int64(1_000_000*window + window/2))
	return c
}

// Now is the time on it.
func (c *Clock) Now() time.Time { return time.Unix(0, c.at.Load()).UTC() }

// Pass moves it.
func (c *Clock) Pass(d time.Duration) { c.at.Add(int64(d)) }

// RunTally runs the suite of the tally; fresh makes an empty one, as two nodes
// have it whose clocks are the same.
func RunTally(t *testing.T, fresh func(t *testing.T, now func() time.Time) (a, b cluster.Tally)) {
	made := func(t *testing.T) (a, b cluster.Tally, c *Clock) {
		t.Helper()
		c = NewClock()
		a, b = fresh(t, c.Now)
		return a, b, c
	}
	t.Run("NodesCountTogether", func(t *testing.T) {
		a, b, _ := made(t)
		for want, node := range []cluster.Tally{a, b, b, a} {
			add(t, node, "192.0.2.7/32", want+1)
		}
	})
	t.Run("NamesAreApart", func(t *testing.T) {
		a, b, _ := made(t)
		for _, name := range []string{"a", "b", "", "a:b", "a b\r\n", strings.Repeat("x", 4096), "\xff\x00"} {
			add(t, a, name, 1)
			add(t, b, name, 2)
		}
	})
	t.Run("AWindowEnds", func(t *testing.T) {
		a, b, c := made(t)
		add(t, a, "a", 1)
		c.Pass(window/2 - 1)
		add(t, b, "a", 2)
		c.Pass(1)
		add(t, b, "a", 1)
		add(t, a, "a", 2)
	})
	t.Run("NothingIsLostAtOnce", func(t *testing.T) {
		a, b, _ := made(t)
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				if _, err := []cluster.Tally{a, b}[i%2].Add(t.Context(), "a", window); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		add(t, a, "a", 51)
	})
	t.Run("SharedBetweenNodes", func(t *testing.T) { shared(t, made) })
}

func add(t *testing.T, tally cluster.Tally, name string, want int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	if got, err := tally.Add(ctx, name, window); err != nil || got != want {
		t.Errorf("%.20q is counted %d, %v; want %d", name, got, err, want)
	}
}

// shared: two nodes that share a limit let together what one of them lets.
func shared(t *testing.T, made func(*testing.T) (a, b cluster.Tally, c *Clock)) {
	const most = 10
	a, b, c := made(t)
	var nodes []*cluster.Share
	for _, tally := range []cluster.Tally{a, b} {
		nodes = append(nodes, cluster.NewShare(cluster.ShareConfig{Tally: tally, Most: most, Window: window, Nodes: 2, Now: c.Now}))
	}
	for range 2 {
		let := [2]int{}
		for i := range 6 * most {
			if n := min(i/(4*most), 1); nodes[n].Allow(t.Context(), "a") { // first all at one node, then at the other
				let[n]++
			}
		}
		// The second node's own part is its own whatever the first has let.
		if let != [2]int{most, most / 2} {
			t.Errorf("let %v of a limit of %d", let, most)
		}
		c.Pass(window)
	}
}
