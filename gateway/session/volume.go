package session

import (
	"context"
	"sync"

	"github.com/portcullis/portcullis/gateway"
)

// volume is what the sessions of one grant have let pass: those that have
// ended, as the store had it, and those on this node, as they pass it. So two
// at once get no more than two in turn.
type volume struct {
	sessions int // guarded by volumes.mu

	mu          sync.Mutex // guards what follows; by direction: to the target, and from it
	limit       way        // 0: none
	ended, here way
}

type way [2]int64

// volumes are of the grants that have a session here and bound what it lets
// pass.
type volumes struct {
	mu    sync.Mutex // guards what follows
	of    map[string]*volume
	ended uint64 // sessions that were counted out
}

// counted is how many were counted out by now.
func (a *volumes) counted() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ended
}

// join counts a session in, and answers with what is left to it and its like.
// What crashed sessions have let pass is counted once they are recovered.
func (m *Manager) join(ctx context.Context, e Entitlement) (*volume, gateway.Abilities, error) {
	a := e.Abilities
	if a.VolumeIn == 0 && a.VolumeOut == 0 {
		return nil, a, nil
	}
	for {
		counted := m.volumes.counted()
		in, out, err := m.store.Passed(ctx, e.Grant.ID)
		if err != nil {
			return nil, a, err
		}
		v, left := m.volumes.enter(e, way{in, out}, counted)
		switch {
		case v == nil: // a session has ended meanwhile, which the store may have known of or not
			continue
		case left == way{}:
			return nil, a, &gateway.Ended{Reason: gateway.EndVolume}
		}
		a.VolumeIn, a.VolumeOut = left[0], left[1]
		return v, a, nil
	}
}

// enter counts a session in, unless others were counted out since, or nothing
// is left to it.
func (a *volumes) enter(e Entitlement, ended way, counted uint64) (v *volume, left way) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended != counted {
		return nil, way{}
	}
	if v = a.of[e.Grant.ID]; v == nil {
		v = &volume{limit: way{e.Abilities.VolumeIn, e.Abilities.VolumeOut}}
	}
	left, ok := v.begin(ended)
	if !ok {
		return v, way{}
	}
	v.sessions++
	a.of[e.Grant.ID] = v
	return v, left
}

// begin takes what the store knows, and answers with what is left; false: it is
// nothing in a direction that is bounded.
func (v *volume) begin(ended way) (left way, ok bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.ended, ok = ended, true
	for i, limit := range v.limit {
		left[i] = max(0, limit-v.ended[i]-v.here[i])
		ok = ok && (limit == 0 || left[i] > 0)
	}
	return left, ok
}

// leave counts a session out, once its end is written.
func (l *Live) leave() {
	v, all := l.volume, &l.m.volumes
	if v == nil {
		return
	}
	all.mu.Lock()
	defer all.mu.Unlock()
	all.ended++
	if v.sessions--; v.sessions == 0 {
		delete(all.of, l.row.Grant)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for i, n := range l.spent {
		v.here[i], v.ended[i] = v.here[i]-n, v.ended[i]+n
	}
}

// Spend takes n bytes that are about to pass, to the target or from it, off the
// volume of the grant, which all its sessions on this node share. Where used is
// above the limit nothing was taken, and none of them may pass; a limit of 0 is
// none.
func (l *Live) Spend(in bool, n int) (used, limit int64) {
	v, i := l.volume, 1
	if v == nil {
		return 0, 0
	}
	if in {
		i = 0
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	used, limit = v.ended[i]+v.here[i]+int64(n), v.limit[i]
	if used <= limit {
		v.here[i], l.spent[i] = v.here[i]+int64(n), l.spent[i]+int64(n)
	}
	return used, limit
}
