package main

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// What the process holds, beyond what its sessions need.
//
// A session opens with two key exchanges and then mostly waits. By itself the
// collector comes when the heap has doubled: hundreds of idle sessions would
// keep as much garbage again as they need, and goroutines the stacks that they
// grew for the key exchange. So it is called where little happens, which is
// where it costs nobody anything: some milliseconds at most each tidyEvery.
//
// A bulk transfer is the other way round: the SSH library makes garbage of
// each packet, and over a heap of a few MiB the collector would come hundreds
// of times a GiB, for more than a quarter of the CPU. Where it comes quickly
// again it is given room, until the load is over.
const (
	tidyEvery = 2 * time.Second
	tidyFrom  = 2 << 20  // bytes allocated since the last time, at least
	tidyUpTo  = 64 << 20 // bytes allocated in one tidyEvery, at most: more is load

	// Garbage is held down while sessions open one after another: of 256 KiB
	// that one cost with the usual 100, 214 were left with 50.
	quietPercent = 50
	loadPercent  = 100 // at least

	loadCycle = 250 * time.Millisecond // the collector comes sooner again: load
	loadRoom  = 64 << 20               // bytes of garbage between two of its turns under load
)

// tidier sets how often the collector comes. It is used by one goroutine.
type tidier struct {
	percent int
	cycle   time.Time // of its last turn
	tidied  uint64    // bytes allocated when memory was last given back
	last    uint64    // and at the last tick
}

// keepTidy gives memory back to the system until ctx is done. GOGC, if set, is
// the operator's word and stands.
func keepTidy(ctx context.Context) error {
	t := &tidier{tidied: measured(allocated), cycle: time.Now()}
	t.last = t.tidied
	t.collectAt(quietPercent)
	turns := make(chan struct{}, 1)
	tellTurns(ctx, turns)
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-turns:
			t.turn(time.Now())
		case <-tick.C:
			t.tick()
		}
	}
}

// turn looks at how soon the collector came again.
func (t *tidier) turn(now time.Time) {
	soon := now.Sub(t.cycle) < loadCycle
	t.cycle = now
	if soon && t.percent == quietPercent {
		t.collectAt(roomFor(measured(liveBytes)))
	}
}

// roomFor is the percentage that leaves loadRoom above a heap of that size.
func roomFor(live uint64) int {
	return max(loadPercent, int(loadRoom*100/max(live, 1<<20)))
}

// tick gives memory back where little was allocated.
func (t *tidier) tick() {
	now := measured(allocated)
	switch {
	case now-t.last >= tidyUpTo:
		t.collectAt(roomFor(measured(liveBytes)))
	case now-t.tidied >= tidyFrom:
		t.collectAt(quietPercent)
		debug.FreeOSMemory()
		t.tidied = now
	}
	t.last = now
}

func (t *tidier) collectAt(percent int) {
	if percent != t.percent && os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
		t.percent = percent
	}
}

// tellTurns rings after each turn of the collector until ctx is done: what
// nothing holds on to is found at the next one.
func tellTurns(ctx context.Context, bell chan<- struct{}) {
	if ctx.Err() != nil {
		return
	}
	found := new([32]byte) // large enough to lie alone
	runtime.AddCleanup(found, func(struct{}) {
		select {
		case bell <- struct{}{}:
		default:
		}
		tellTurns(ctx, bell)
	}, struct{}{})
}

// Bytes that the process has allocated on the heap, ever, and that the last
// turn of the collector found in use.
const (
	allocated = "/gc/heap/allocs:bytes"
	liveBytes = "/gc/heap/live:bytes"
)

func measured(name string) uint64 {
	s := []metrics.Sample{{Name: name}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
