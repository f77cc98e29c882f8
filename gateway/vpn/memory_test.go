package vpn

import (
	"runtime"
	"testing"
)

// Idle tunnels cost at most 64 KiB each, with all of WireGuard's own.
func TestIdleTunnelsAreSmall(t *testing.T) {
	const tunnels, most = 1000, 64 << 10
	w := newWorld(t)
	w.open()
	inUse := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse
	}
	before := inUse()
	for range tunnels {
		w.open()
	}
	each := (inUse() - before) / tunnels
	t.Logf("%d bytes each", each)
	if each > most {
		t.Errorf("%d bytes each, of %d", each, most)
	}
}
