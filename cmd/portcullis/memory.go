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

	// gcPercent holds garbage down while sessions open one after another: of
	// 256 KiB that a session cost with the usual 100, 214 were left with it.
	gcPercent = 50
)

// keepTidy gives memory back to the system until ctx is done. GOGC, if set, is
// the operator's word and stands.
func keepTidy(ctx context.Context) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
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
		if now-last < tidyUpTo && now-tidied >= tidyFrom {
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
