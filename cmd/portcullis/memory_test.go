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
	if low, high := quietFor(8<<20), quietFor(1<<30); low != smallPercent || high != quietPercent {
		t.Errorf("quiet over 8 MiB: %d %%, over 1 GiB: %d %%", low, high)
	}
	now, made := time.Now(), measured(allocated)
	requests := uint64(0)
	x := &tidier{cycle: now, turned: made, tidied: made, last: made, requests: func() uint64 { return requests }}
	x.quieten()
	quiet := x.percent
	x.turn(now.Add(loadCycle), made+loadRate)
	if x.loaded {
		t.Errorf("after a turn in its time: %d %%", x.percent)
	}
	x.turn(now.Add(loadCycle+loadCycle/2), made+loadRate+(1<<20))
	if x.loaded {
		t.Errorf("after a turn too soon, for sessions that open: %d %%", x.percent)
	}
	x.turn(now.Add(loadCycle*2), made+2*loadRate)
	if !x.loaded || x.percent < loadPercent {
		t.Errorf("after a turn too soon, under load: %d %%", x.percent)
	}
	requests += 2 * loadRequests
	if x.tick(); !x.loaded {
		t.Error("the load of requests is over before they are")
	}
	runtime.KeepAlive(make([]byte, tidyFrom+1))
	x.tick()
	if x.loaded || x.percent > max(quiet, smallPercent) || !x.again {
		t.Errorf("after the load: %d %%, again %v", x.percent, x.again)
	}
	if x.tick(); x.again {
		t.Error("memory is given back without end")
	}
	now = now.Add(time.Hour)
	x.turn(now, made) // what came before is told of
	requests += loadRequests - 1
	if x.turn(now.Add(time.Second), made); x.loaded {
		t.Error("a few requests are taken for load")
	}
	requests += loadRequests
	if x.turn(now.Add(2*time.Second), made); !x.loaded {
		t.Error("many requests are taken for none")
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
