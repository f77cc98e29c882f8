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
// again it is given room, until the load is over. So it is while a browser, or
// many, ask for much: a request to a console makes 6 KiB of garbage, in the room
// that sessions are opened in a turn for each 1,600, a sixth of the CPU.
const (
	tidyEvery = 2 * time.Second
	tidyFrom  = 2 << 20  // bytes allocated since the last time, at least
	tidyUpTo  = 64 << 20 // bytes allocated in one tidyEvery, at most: more is load

	// Garbage is held down while sessions open one after another: what lasts is
	// strewn among it, and the holes stay. So the room for it does not grow with
	// the heap: 500 idle sessions cost 196 KiB each with half the heap, and at
	// times loadRoom; 180 with GOGC=35 and 169 with GOGC=20, without loadRoom.
	quietRoom    = 10 << 20
	quietPercent = 25  // at least
	smallPercent = 100 // at most, over a small heap
	percentStep  = 5   // a change by less is none

	loadPercent = 100                    // at least
	loadCycle   = 250 * time.Millisecond // the collector comes sooner again: perhaps load
	loadRate    = 56 << 20               // bytes allocated a second: load; 40 sessions opened in one are 40 MiB
	loadRoom    = 64 << 20               // bytes of garbage between two of its turns under load

	loadRequests = 1000 // to consoles a second: load
	fewRequests  = 500  // since the last turn: too few to say
)

// tidier sets how often the collector comes. It is used by one goroutine.
type tidier struct {
	percent  int
	requests func() uint64 // to consoles, ever
	asked    uint64        // of them at its last turn
	seen     uint64        // and at the last tick
	loaded   bool
	again    bool      // memory was given back at the last tick
	cycle    time.Time // of its last turn
	turned   uint64    // bytes allocated at its last turn
	tidied   uint64    // when memory was last given back
	last     uint64    // and at the last tick
}

// keepTidy gives memory back to the system until ctx is done. GOGC, if set, is
// the operator's word and stands.
func (g *gatewayd) keepTidy(ctx context.Context) error {
	now := measured(allocated)
	t := &tidier{tidied: now, turned: now, last: now, cycle: time.Now(), requests: func() uint64 { return 0 }}
	if g.consoles != nil {
		t.requests = g.consoles.Requests
	}
	t.quieten()
	turns := make(chan struct{}, 1)
	tellTurns(ctx, turns)
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-turns:
			t.turn(time.Now(), measured(allocated))
		case <-tick.C:
			t.tick()
		}
	}
}

// turn looks at how soon the collector came again, and for how much.
func (t *tidier) turn(now time.Time, bytes uint64) {
	took, made := now.Sub(t.cycle), bytes-t.turned
	t.cycle, t.turned = now, bytes
	asked := t.since(&t.asked)
	switch {
	case t.loaded:
	case took < loadCycle && float64(made) >= loadRate*took.Seconds(), asked >= fewRequests && float64(asked) >= loadRequests*took.Seconds():
		t.giveRoom()
	default:
		t.quieten()
	}
}

// since is how many requests there were since it was called for that mark.
func (t *tidier) since(mark *uint64) uint64 {
	now := t.requests()
	n := now - *mark
	*mark = now
	return n
}

func (t *tidier) giveRoom() {
	t.loaded = true
	t.collectAt(roomFor(measured(liveBytes)))
}

func (t *tidier) quieten() {
	t.loaded = false
	t.collectAt(quietFor(measured(liveBytes)))
}

// roomFor is the percentage that leaves loadRoom above a heap of that size,
// quietFor the one that leaves quietRoom.
func roomFor(live uint64) int {
	return max(loadPercent, int(loadRoom*100/max(live, 1<<20)))
}

func quietFor(live uint64) int {
	return min(smallPercent, max(quietPercent, int(quietRoom*100/max(live, 1<<20))))
}

// tick gives memory back where little was allocated. It does so twice: what
// the first time takes out of a pool is the pool's until the second.
func (t *tidier) tick() {
	now := measured(allocated)
	asked := t.since(&t.seen)
	switch {
	case now-t.last >= tidyUpTo, float64(asked) >= loadRequests*tidyEvery.Seconds():
		t.giveRoom()
	case now-t.tidied >= tidyFrom, t.again:
		t.again = now-t.tidied >= tidyFrom
		debug.FreeOSMemory()
		t.quieten()
		t.tidied = measured(allocated)
	}
	t.last = now
}

func (t *tidier) collectAt(percent int) {
	if near := percent - t.percent; (near >= percentStep || -near >= percentStep) && os.Getenv("GOGC") == "" {
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
		tellTurns(ctx, bell) // first: the next turn may come as soon as it has rung
		select {
		case bell <- struct{}{}:
		default:
		}
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
