package killswitch

import (
	"sync"

	"github.com/portcullis/portcullis/gateway"
)

// maxOwed bounds the scopes that the bus names between two readings; the
// scopes themselves stand in the store.
const maxOwed = 1024

// debt is what the floor is owed: scopes that the bus has named, until the
// store is read. What the bus says of their epoch is not believed: a floor
// that is too high shuts a scope out for ever.
type debt struct {
	named chan struct{} // cap 1: a scope was named

	mu     sync.Mutex // guards scopes
	scopes map[gateway.Scope]struct{}
}

func newDebt() *debt {
	return &debt{named: make(chan struct{}, 1), scopes: map[gateway.Scope]struct{}{}}
}

func (d *debt) owe(scope gateway.Scope) {
	d.mu.Lock()
	if len(d.scopes) < maxOwed {
		d.scopes[scope] = struct{}{}
	}
	d.mu.Unlock()
	select {
	case d.named <- struct{}{}:
	default: // a reading is due already
	}
}

// take hands out what was named until now; a reading that is asked for after
// it knows of that.
func (d *debt) take() []gateway.Scope {
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []gateway.Scope
	for scope := range d.scopes {
		list = append(list, scope)
	}
	clear(d.scopes)
	return list
}

// again puts back what no reading has answered; the next one is not hurried.
func (d *debt) again(scopes []gateway.Scope) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, scope := range scopes {
		d.scopes[scope] = struct{}{}
	}
}

// payFloor raises the floor of scopes to what a reading of the store says.
func (s *Service) payFloor(owed []gateway.Scope, all Standings) {
	for _, scope := range owed {
		st, ok := all[scope]
		if !ok {
			continue
		}
		if err := s.floor.Raise(epochSubject(scope), st.Epoch); err != nil {
			s.log.Error("floor not raised", "scope", scope.String(), "error", err)
		}
	}
}
