package main

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// TestCollectorGetsRoomUnderLoad: where the collector comes quickly again it is
// given room, but no more than loadRoom over a small heap; when little is
// allocated it is held down again.
func TestCollectorGetsRoomUnderLoad(t *testing.T) {
	t.Setenv("GOGC", "")
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	if got := roomFor(8 << 20); got != 800 {
		t.Errorf("over 8 MiB: %d %%", got)
	}
	if got := roomFor(1 << 30); got != loadPercent {
		t.Errorf("over 1 GiB: %d %%", got)
	}
	now := time.Now()
	x := &tidier{cycle: now, tidied: measured(allocated), last: measured(allocated)}
	x.collectAt(quietPercent)
	x.turn(now.Add(loadCycle))
	if x.percent != quietPercent {
		t.Errorf("after a turn in its time: %d %%", x.percent)
	}
	x.turn(now.Add(loadCycle + loadCycle/2))
	if x.percent < loadPercent {
		t.Errorf("after a turn too soon: %d %%", x.percent)
	}
	runtime.KeepAlive(make([]byte, tidyFrom+1))
	x.tick()
	if x.percent != quietPercent || debug.SetGCPercent(quietPercent) != quietPercent {
		t.Errorf("after the load: %d %%", x.percent)
	}
}

// TestTurnsAreTold: each turn of the collector rings, not only the first.
func TestTurnsAreTold(t *testing.T) {
	bell := make(chan struct{}, 1)
	tellTurns(t.Context(), bell)
	for n := range 3 {
		runtime.GC()
		select {
		case <-bell:
		case <-time.After(10 * time.Second):
			t.Fatalf("turn %d was not told", n)
		}
	}
}
