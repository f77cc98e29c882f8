package vpn

import "testing"

// Every reason has a name of its own, and what is dropped is counted under it.
func TestStatsNameEveryDrop(t *testing.T) {
	w := newWorld(t)
	w.open()
	w.g.dropped(dropSpoofed)
	s := w.g.Stats()
	if s.Tunnels != 1 || s.Flows != 0 || len(s.Drops) != int(dropKinds)-1 || s.Drops[""] != 0 || s.Drops["spoofed"] != 1 {
		t.Errorf("%+v", s)
	}
}
