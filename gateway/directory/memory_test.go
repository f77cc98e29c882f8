package directory_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/directory"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/trust/trusttest"
)

// memory is a directory.Store over the maps of the world, so that the chain
// reads what the directory writes. The real one is held to the same promises
// by gateway/store/storetest.
type memory struct {
	*trusttest.Store
	machine statement.MachineKey // signs receipts

	mu     sync.Mutex
	events []audit.Event
}

func (m *memory) Vendors(context.Context) ([]gateway.Vendor, error) {
	return sorted(m, m.Store.Vendors, func(a, b gateway.Vendor) int { return strings.Compare(a.Name, b.Name) })
}

func (m *memory) People(context.Context) ([]gateway.Person, error) {
	return sorted(m, m.Store.People, func(a, b gateway.Person) int { return strings.Compare(a.Name, b.Name) })
}

func (m *memory) Services(ctx context.Context) ([]gateway.Person, error) {
	l, err := m.People(ctx)
	return slices.DeleteFunc(l, func(p gateway.Person) bool { return p.Service == nil }), err
}

func (m *memory) Targets(context.Context) ([]gateway.Target, error) {
	return sorted(m, m.Store.Targets, func(a, b gateway.Target) int { return strings.Compare(a.Name, b.Name) })
}

func sorted[V any](m *memory, from map[string]V, by func(a, b V) int) ([]V, error) {
	var l []V
	err := m.Transact(func() error {
		for _, v := range from {
			l = append(l, v)
		}
		return nil
	})
	slices.SortFunc(l, by)
	return l, err
}

func (m *memory) Update(_ context.Context, f func(directory.Tx) error) error {
	t := &tx{memory: m}
	err := m.Transact(func() error { return f(t) })
	if err == nil {
		m.mu.Lock()
		m.events = append(m.events, t.events...)
		m.mu.Unlock()
	}
	return err
}

// last is the newest event.
func (m *memory) last(t *testing.T) audit.Event {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.events) == 0 {
		t.Fatal("no event was written")
	}
	return m.events[len(m.events)-1]
}

type tx struct {
	*memory
	events []audit.Event
}

func (t *tx) Append(e audit.Event) error {
	t.events = append(t.events, e)
	return nil
}

func (t *tx) PutStatement(s statement.Signed) error {
	if _, ok := t.Statements[s.Digest]; ok {
		return gateway.ErrUsed
	}
	st, _, _ := s.Parse()
	s.Receipt = t.machine.Receive(s.Digest, st.At)
	t.Statements[s.Digest] = s
	return nil
}

func (t *tx) PutVendor(v gateway.Vendor) error {
	old := t.memory.Store.Vendors[v.Name]
	if old.Version != v.Version-1 {
		return gateway.ErrStale
	}
	if old.Version > 0 {
		v.State, v.Epoch = old.State, old.Epoch
	}
	t.memory.Store.Vendors[v.Name] = v
	return nil
}

func (t *tx) PutPerson(p gateway.Person) error {
	old := t.memory.Store.People[p.Name]
	if old.Version != p.Version-1 {
		return gateway.ErrStale
	}
	if old.Version > 0 {
		p.State, p.Epoch = old.State, old.Epoch
	}
	t.memory.Store.People[p.Name] = p
	return nil
}

func (t *tx) PutTarget(x gateway.Target) error {
	if t.memory.Store.Targets[x.Name].Version != x.Version-1 {
		return gateway.ErrStale
	}
	t.memory.Store.Targets[x.Name] = x
	return nil
}
