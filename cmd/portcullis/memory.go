package main

import (
	"context"
	"os"
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
// Under load it comes by itself, and is left alone.
const (
	tidyEvery = 2 * time.Second
	tidyFrom  = 2 << 20  // bytes allocated since the last time, at least
	tidyUpTo  = 64 << 20 // bytes allocated in one tidyEvery, at most: more is load

	// Garbage is held down while sessions open one after another: of 256 KiB
	// that one cost with the usual 100, 214 were left with 50. A bulk transfer
	// would pay for it (9.6 instead of 7.9 CPU seconds a GiB), so it does not.
	quietPercent = 50
	loadPercent  = 100
)

// keepTidy gives memory back to the system until ctx is done. GOGC, if set, is
// the operator's word and stands.
func keepTidy(ctx context.Context) error {
	percent := 0
	collectAt := func(p int) {
		if p != percent && os.Getenv("GOGC") == "" {
			debug.SetGCPercent(p)
			percent = p
		}
	}
	collectAt(quietPercent)
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	tidied := allocated()
	last := tidied
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now := allocated()
		switch {
		case now-last >= tidyUpTo:
			collectAt(loadPercent)
		case now-tidied >= tidyFrom:
			collectAt(quietPercent)
			debug.FreeOSMemory()
			tidied = now
		}
		last = now
	}
}

// allocated is how many bytes the process has allocated on the heap, ever.
func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
