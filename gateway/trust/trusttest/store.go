package trusttest

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/trust"
)

var _ trust.Store = (*Store)(nil)

// Store is a database of maps. A test edits the maps as it likes while no
// chain reads them.
type Store struct {
	mu             sync.Mutex
	Statements     map[gateway.Digest]statement.Signed
	Vendors        map[string]gateway.Vendor
	People         map[string]gateway.Person
	Targets        map[string]gateway.Target
	Authenticators map[string]gateway.Authenticator
	SSHKeys        map[string]gateway.SSHKey
	Invitations    map[string]gateway.Invitation
	Scopes         map[gateway.Scope][]gateway.Digest
	Wide           map[gateway.Scope]Standing // of the scopes that are no vendor's and no person's
	Down           error                      // what every read answers, if it is set
}

// Standing is the row of a wide scope. No chain reads it.
type Standing struct {
	State gateway.State
	Epoch uint64
}

// NewStore returns an empty store.
func NewStore() *Store {
	return &Store{
		Statements: make(map[gateway.Digest]statement.Signed), Vendors: make(map[string]gateway.Vendor), People: make(map[string]gateway.Person),
		Targets: make(map[string]gateway.Target), Authenticators: make(map[string]gateway.Authenticator), SSHKeys: make(map[string]gateway.SSHKey),
		Invitations: make(map[string]gateway.Invitation), Scopes: make(map[gateway.Scope][]gateway.Digest),
		Wide: make(map[gateway.Scope]Standing),
	}
}

// Statement implements trust.Store.
func (s *Store) Statement(_ context.Context, d gateway.Digest) (statement.Signed, error) {
	return find(s, s.Statements, d)
}

// Vendor implements trust.Store.
func (s *Store) Vendor(_ context.Context, name string) (gateway.Vendor, error) {
	return find(s, s.Vendors, name)
}

// Person implements trust.Store.
func (s *Store) Person(_ context.Context, name string) (gateway.Person, error) {
	return find(s, s.People, name)
}

// Target implements trust.Store.
func (s *Store) Target(_ context.Context, name string) (gateway.Target, error) {
	return find(s, s.Targets, name)
}

// Authenticator implements trust.Store.
func (s *Store) Authenticator(_ context.Context, credential string) (gateway.Authenticator, error) {
	return find(s, s.Authenticators, credential)
}

// SSHKey implements trust.Store.
func (s *Store) SSHKey(_ context.Context, fingerprint string) (gateway.SSHKey, error) {
	return find(s, s.SSHKeys, fingerprint)
}

// Invitation implements trust.Store.
func (s *Store) Invitation(_ context.Context, id string) (gateway.Invitation, error) {
	return find(s, s.Invitations, id)
}

// ScopeStatements implements trust.Store.
func (s *Store) ScopeStatements(_ context.Context, scope gateway.Scope) ([]gateway.Digest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.Scopes[scope]), s.Down
}

func find[K comparable, V any](s *Store, m map[K]V, k K) (V, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := m[k]
	switch {
	case s.Down != nil:
		return v, s.Down
	case !ok:
		return v, gateway.ErrNotFound
	}
	return v, nil
}

// Transact runs f with the store to itself; when f answers an error, the maps
// are as they were before.
func (s *Store) Transact(f func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := Store{
		Statements: maps.Clone(s.Statements), Vendors: maps.Clone(s.Vendors), People: maps.Clone(s.People), Targets: maps.Clone(s.Targets),
		Authenticators: maps.Clone(s.Authenticators), SSHKeys: maps.Clone(s.SSHKeys), Invitations: maps.Clone(s.Invitations), Scopes: maps.Clone(s.Scopes),
		Wide: maps.Clone(s.Wide),
	}
	err := s.Down
	if err == nil {
		err = f()
	}
	if err != nil {
		s.Statements, s.Vendors, s.People, s.Targets = old.Statements, old.Vendors, old.People, old.Targets
		s.Authenticators, s.SSHKeys, s.Invitations, s.Scopes, s.Wide = old.Authenticators, old.SSHKeys, old.Invitations, old.Scopes, old.Wide
	}
	return err
}
