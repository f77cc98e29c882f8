package identity_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/identity"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/trust/trusttest"
)

// memory keeps identity's rows beside the world's, for one goroutine.
type memory struct {
	*trusttest.Store
	logins   map[gateway.Digest]gateway.Login
	subjects map[string]string
	events   []audit.Event
}

func newMemory(s *trusttest.Store) *memory {
	return &memory{Store: s, logins: map[gateway.Digest]gateway.Login{}, subjects: map[string]string{}}
}

func listed[V any](m map[string]V, keep func(V) bool) []V {
	var out []V
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if keep(m[k]) {
			out = append(out, m[k])
		}
	}
	return out
}

func (m *memory) Authenticators(_ context.Context, person string) ([]gateway.Authenticator, error) {
	return listed(m.Store.Authenticators, func(a gateway.Authenticator) bool { return a.Person == person }), m.Down
}

func (m *memory) SSHKeys(_ context.Context, person string) ([]gateway.SSHKey, error) {
	return listed(m.Store.SSHKeys, func(k gateway.SSHKey) bool { return k.Person == person }), m.Down
}

func (m *memory) InvitationByKey(_ context.Context, public []byte) (gateway.Invitation, error) {
	for _, i := range m.Invitations {
		if slices.Equal(i.PublicKey, public) {
			return i, m.Down
		}
	}
	return gateway.Invitation{}, gateway.ErrNotFound
}

func (m *memory) Login(_ context.Context, hash gateway.Digest) (gateway.Login, error) {
	l, ok := m.logins[hash]
	if !ok {
		return l, gateway.ErrNotFound
	}
	return l, m.Down
}

func (m *memory) Logins(_ context.Context, person string) ([]gateway.Login, error) {
	var out []gateway.Login
	for _, l := range m.logins {
		if l.Person == person {
			out = append(out, l)
		}
	}
	return out, m.Down
}

func (m *memory) Subject(_ context.Context, provider, subject string) (string, error) {
	p, ok := m.subjects[provider+"\x00"+subject]
	if !ok {
		return "", gateway.ErrNotFound
	}
	return p, m.Down
}

func (m *memory) PersonByEmail(_ context.Context, vendor, email string) (gateway.Person, error) {
	for _, p := range m.People {
		if p.Vendor == vendor && p.Email == email {
			return p, m.Down
		}
	}
	return gateway.Person{}, gateway.ErrNotFound
}

func (m *memory) SeenLogin(_ context.Context, hash gateway.Digest, at time.Time) error {
	l := m.logins[hash]
	l.Seen = at
	m.logins[hash] = l
	return m.Down
}

// Update runs f on a copy and keeps it if f agrees.
func (m *memory) Update(_ context.Context, f func(identity.Tx) error) error {
	if m.Down != nil {
		return m.Down
	}
	tx := &memoryTx{m: m}
	if err := f(tx); err != nil {
		return err
	}
	for _, do := range tx.do {
		do()
	}
	return nil
}

type memoryTx struct {
	m  *memory
	do []func()
}

func (t *memoryTx) then(f func()) error { t.do = append(t.do, f); return nil }

func (t *memoryTx) Append(e audit.Event) error {
	return t.then(func() { t.m.events = append(t.m.events, e) })
}

func (t *memoryTx) PutStatement(s statement.Signed) error {
	if _, ok := t.m.Statements[s.Digest]; ok {
		return gateway.ErrUsed
	}
	return t.then(func() { t.m.Statements[s.Digest] = s })
}

func (t *memoryTx) PutAuthenticator(a gateway.Authenticator) error {
	if _, ok := t.m.Store.Authenticators[a.ID]; ok {
		return gateway.ErrUsed
	}
	return t.then(func() { t.m.Store.Authenticators[a.ID] = a })
}

func (t *memoryTx) RemoveAuthenticator(id string, at time.Time) error {
	return t.then(func() {
		a := t.m.Store.Authenticators[id]
		a.Removed = at
		t.m.Store.Authenticators[id] = a
	})
}

func (t *memoryTx) SetCounter(id string, from, to uint32) error {
	a := t.m.Store.Authenticators[id]
	if a.Counter != from {
		return gateway.ErrStale
	}
	a.Counter = to
	return t.then(func() { t.m.Store.Authenticators[id] = a })
}

func (t *memoryTx) PutSSHKey(k gateway.SSHKey) error {
	if _, ok := t.m.Store.SSHKeys[k.Fingerprint]; ok {
		return gateway.ErrUsed
	}
	return t.then(func() { t.m.Store.SSHKeys[k.Fingerprint] = k })
}

func (t *memoryTx) RemoveSSHKey(fp string, at time.Time) error {
	return t.then(func() {
		k := t.m.Store.SSHKeys[fp]
		k.Removed = at
		t.m.Store.SSHKeys[fp] = k
	})
}

func (t *memoryTx) PutInvitation(i gateway.Invitation) error {
	return t.then(func() { t.m.Invitations[i.ID] = i })
}

func (t *memoryTx) UseInvitation(id string, at time.Time) error {
	i := t.m.Invitations[id]
	if !i.Used.IsZero() {
		return gateway.ErrUsed
	}
	i.Used = at
	return t.then(func() { t.m.Invitations[id] = i })
}

func (t *memoryTx) PutLogin(l gateway.Login) error {
	return t.then(func() { t.m.logins[l.Hash] = l })
}

func (t *memoryTx) DeleteLogin(hash gateway.Digest) error {
	return t.then(func() { delete(t.m.logins, hash) })
}

func (t *memoryTx) DeleteLogins(person string) (int, error) {
	return 0, t.then(func() {
		maps.DeleteFunc(t.m.logins, func(_ gateway.Digest, l gateway.Login) bool { return l.Person == person })
	})
}

func (t *memoryTx) BindSubject(provider, subject, person string) error {
	for k, p := range t.m.subjects {
		if pr, s, _ := strings.Cut(k, "\x00"); pr == provider && (s == subject || p == person) {
			return gateway.ErrUsed
		}
	}
	return t.then(func() { t.m.subjects[provider+"\x00"+subject] = person })
}
