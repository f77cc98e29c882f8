package session

import (
	"sync"

	"github.com/portcullis/portcullis/gateway"
)

// bars is what a node keeps out by itself while its store does not answer. It
// adds to what the store says and takes nothing from it.
type bars struct {
	mu sync.RWMutex
	by map[string]gateway.Scope
}

// Bar keeps new sessions of the scope out until Unbar with the same key. Those
// that are being opened are refused at their second look, so that whoever ends
// what is registered after this call leaves none.
func (m *Manager) Bar(key string, scope gateway.Scope) {
	m.bars.mu.Lock()
	defer m.bars.mu.Unlock()
	if m.bars.by == nil {
		m.bars.by = map[string]gateway.Scope{}
	}
	m.bars.by[key] = scope
}

// Unbar takes one Bar back: the store has the order now.
func (m *Manager) Unbar(key string) {
	m.bars.mu.Lock()
	defer m.bars.mu.Unlock()
	delete(m.bars.by, key)
}

func (m *Manager) barred(r gateway.Reach) error {
	m.bars.mu.RLock()
	defer m.bars.mu.RUnlock()
	for _, s := range m.bars.by {
		if s.Covers(r) {
			return &gateway.Ended{Reason: gateway.EndSuspended}
		}
	}
	return nil
}
