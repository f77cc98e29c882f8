package killswitch_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/cluster"
	"github.com/portcullis/portcullis/gateway/killswitch"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/trust"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var acme = gateway.Scope{Kind: gateway.ScopeVendor, Name: "acme"}

// memStore keeps one test's orders: a transaction at a time, all or nothing.
type memStore struct {
	slow time.Duration // of each reading
	deaf bool          // it does not hear that nobody waits any more

	mu         sync.Mutex
	standings  killswitch.Standings
	orders     map[string]gateway.Suspension
	halves     map[string][]killswitch.Restoration
	statements map[gateway.Digest]statement.Signed
	filed      map[gateway.Scope][]gateway.Digest // of them, what closes and restores
	events     []audit.Event
	cancelled  int
	down       error
	hang       bool
	live       func() []gateway.Session // the rows; nil: one of acme
	failAfter  int                      // Updates that succeed before all fail; negative: never
}

func newMemStore() *memStore {
	return &memStore{
		standings: killswitch.Standings{acme: {State: gateway.Active, Epoch: 1}, {Kind: gateway.ScopeVendor, Name: "other"}: {State: gateway.Active, Epoch: 1},
			{Kind: gateway.ScopePerson, Name: "ana"}: {State: gateway.Active, Epoch: 1}, {Kind: gateway.ScopePerson, Name: "bob"}: {State: gateway.Active, Epoch: 1}},
		orders: map[string]gateway.Suspension{}, halves: map[string][]killswitch.Restoration{}, statements: map[gateway.Digest]statement.Signed{}, filed: map[gateway.Scope][]gateway.Digest{}, failAfter: -1,
	}
}

func (s *memStore) Suspension(_ context.Context, id string) (gateway.Suspension, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.orders[id]
	if !ok {
		return o, gateway.ErrNotFound
	}
	return o, nil
}

func (s *memStore) Suspensions(context.Context) ([]gateway.Suspension, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := slices.Collect(maps.Values(s.orders))
	slices.SortFunc(list, func(a, b gateway.Suspension) int { return strings.Compare(b.ID, a.ID) })
	return list, nil
}

func (s *memStore) Standings(ctx context.Context) (killswitch.Standings, error) {
	s.mu.Lock()
	down, hang, slow, deaf := s.down, s.hang, s.slow, s.deaf
	defer s.mu.Unlock()
	if slow > 0 {
		s.mu.Unlock()
		wait := time.NewTimer(slow)
		select {
		case <-wait.C:
		case <-ctx.Done():
			if deaf {
				<-wait.C
			}
		}
		s.mu.Lock()
	}
	if hang {
		s.mu.Unlock()
		<-ctx.Done()
		s.mu.Lock()
		return nil, ctx.Err()
	}
	return maps.Clone(s.standings), down
}

func (s *memStore) Statement(_ context.Context, d gateway.Digest) (statement.Signed, error) {
	st, ok := s.statements[d]
	if !ok {
		return st, gateway.ErrNotFound
	}
	return st, nil
}

// Update copies the whole store, so that an error leaves it as it was.
func (s *memStore) Update(_ context.Context, f func(killswitch.Tx) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return s.down
	}
	if s.failAfter == 0 {
		return errors.New("disk full")
	}
	if s.failAfter > 0 {
		s.failAfter--
	}
	t := &memTx{standings: maps.Clone(s.standings), orders: maps.Clone(s.orders), halves: maps.Clone(s.halves), statements: maps.Clone(s.statements), filed: maps.Clone(s.filed), cancelled: s.cancelled, live: s.live}
	if err := f(t); err != nil {
		return err
	}
	s.standings, s.orders, s.halves, s.statements, s.filed, s.cancelled = t.standings, t.orders, t.halves, t.statements, t.filed, t.cancelled
	s.events = append(s.events, t.events...)
	return nil
}

type memTx struct {
	standings  killswitch.Standings
	orders     map[string]gateway.Suspension
	halves     map[string][]killswitch.Restoration
	statements map[gateway.Digest]statement.Signed
	filed      map[gateway.Scope][]gateway.Digest // of them, what closes and restores
	events     []audit.Event
	cancelled  int
	live       func() []gateway.Session
}

func (t *memTx) Append(e audit.Event) error { t.events = append(t.events, e); return nil }
func (t *memTx) PutStatement(s statement.Signed) error {
	if _, used := t.statements[s.Digest]; used {
		return gateway.ErrUsed
	}
	t.statements[s.Digest] = s
	_, body, err := s.Parse()
	switch b := body.(type) {
	case *statement.Suspend:
		t.filed[b.Scope] = append(slices.Clone(t.filed[b.Scope]), s.Digest)
	case *statement.Restore:
		t.filed[b.Scope] = append(slices.Clone(t.filed[b.Scope]), s.Digest)
	case *statement.Advance:
		t.filed[b.Scope] = append(slices.Clone(t.filed[b.Scope]), s.Digest)
	}
	return err
}
func (t *memTx) Standing(sc gateway.Scope) (killswitch.Standing, error) {
	st, ok := t.standings[sc]
	switch {
	case !ok && sc.Wide():
		return killswitch.Standing{State: gateway.Active, Epoch: 1}, nil
	case !ok:
		return st, gateway.ErrNotFound
	}
	return st, nil
}
func (t *memTx) SetStanding(sc gateway.Scope, from uint64, to killswitch.Standing, _ time.Time) error {
	if max(1, t.standings[sc].Epoch) != from {
		return gateway.ErrStale
	}
	t.standings[sc] = to
	return nil
}
func (t *memTx) Cancel(gateway.Scope, string, time.Time) (gateway.Cancelled, error) {
	t.cancelled++
	return gateway.Cancelled{Requests: 2, Grants: 1, Logins: 3}, nil
}
func (t *memTx) ScopeHead(sc gateway.Scope) (gateway.Digest, error) {
	if len(t.filed[sc]) == 0 {
		return gateway.Digest{}, gateway.ErrNotFound
	}
	return t.filed[sc][len(t.filed[sc])-1], nil
}
func (t *memTx) PutSuspension(s gateway.Suspension) error { t.orders[s.ID] = s; return nil }
func (t *memTx) LiveSessions(sc gateway.Scope) ([]gateway.Session, error) {
	if t.live != nil {
		return slices.DeleteFunc(t.live(), func(l gateway.Session) bool { return !sc.Covers(l.Reach()) }), nil
	}
	return []gateway.Session{{ID: "ses_1", Vendor: "acme"}}, nil
}
func (t *memTx) PutRestoration(id string, _ uint64, signer string, d gateway.Digest) ([]killswitch.Restoration, error) {
	for _, h := range t.halves[id] {
		if h.Signer == signer {
			return nil, gateway.ErrUsed
		}
	}
	t.halves[id] = append(slices.Clone(t.halves[id]), killswitch.Restoration{Signer: signer, Statement: d})
	return t.halves[id], nil
}

// chain believes whoever the statement says signed it, and reads the orders
// out of the store's statements.
type chain struct {
	err    error
	store  *memStore
	people map[string]gateway.Person // whoever is not there is active and of the staff
	ladder gateway.Ladder            // of acme
}

func (c *chain) Person(_ context.Context, name string) (gateway.Person, error) {
	if p, ok := c.people[name]; ok {
		return p, nil
	}
	return gateway.Person{Name: name, State: gateway.Active}, nil
}

func (c *chain) Standing(_ context.Context, scope gateway.Scope) (trust.Standing, error) {
	c.store.mu.Lock()
	defer c.store.mu.Unlock()
	row := c.store.standings[scope]
	st := trust.Standing{State: row.State, Epoch: row.Epoch, Ladder: c.ladder}
	for _, s := range c.store.statements {
		_, body, err := s.Parse()
		if err != nil {
			return st, err
		}
		if b, ok := body.(*statement.Suspend); ok && b.Scope == scope {
			st.Orders = append(st.Orders, trust.Order{ID: b.ID, Epoch: b.Epoch, Closing: b.Closing()})
		}
	}
	slices.SortFunc(st.Orders, func(a, b trust.Order) int { return int(a.Epoch) - int(b.Epoch) })
	return st, c.err
}

// DifferentRoles takes people to be of one role whose names begin alike.
func (c *chain) DifferentRoles(_ context.Context, first, second statement.Signed) error {
	a, _, err := first.Parse()
	b, _, again := second.Parse()
	if err == nil && again == nil && a.Signer[0] == b.Signer[0] {
		err = gateway.Refused("two-roles", "", "one role")
	}
	return errors.Join(err, again)
}

func (c *chain) CheckFresh(_ context.Context, s statement.Signed) (trust.Checked, error) {
	if c.err != nil {
		return trust.Checked{}, c.err
	}
	st, body, err := s.Parse()
	return trust.Checked{Statement: st, Body: body, Signer: gateway.Person{Name: st.Signer}}, err
}

// sessions is a registry of rows.
type sessions struct {
	until time.Time // the last ServeUntil, monotonic

	mu        sync.Mutex
	live      []gateway.Session
	stuck     bool
	hushes    []int // how many sessions each Hush was for
	hushing   int   // Hushes that were not released
	ends      []gateway.EndReason
	held      []string
	shortened map[string]time.Time
	ahead     time.Duration
}

func (s *sessions) HoldAll(_ context.Context, match func(gateway.Session) bool, by, _ string) []gateway.ClosedSession {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []gateway.ClosedSession
	for i, l := range s.live {
		if match(l) && !s.stuck {
			if l.Frozen.IsZero() {
				s.live[i].Frozen, s.live[i].FrozenBy = time.Now(), by
			}
			s.held = append(s.held, l.ID)
			out = append(out, gateway.ClosedSession{Session: l.ID, Fate: gateway.FateFrozen})
		}
	}
	return out
}

func (s *sessions) Shorten(id string, until time.Time, _ *gateway.Ended) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shortened == nil {
		s.shortened = map[string]time.Time{}
	}
	s.shortened[id] = until
}

func (s *sessions) Live() []gateway.Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.live)
}
func (s *sessions) ClockOff(by time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ahead = by
}
func (s *sessions) PutOff() func() { return func() {} }

func (s *sessions) Hush(match func(gateway.Session) bool) func() {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, l := range s.live {
		if match(l) {
			n++
		}
	}
	s.hushes, s.hushing = append(s.hushes, n), s.hushing+1
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.hushing--
	}
}

func (s *sessions) EndAll(match func(gateway.Session) bool, cause *gateway.Ended) []gateway.ClosedSession {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []gateway.ClosedSession
	s.live = slices.DeleteFunc(s.live, func(l gateway.Session) bool {
		if !match(l) {
			return false
		}
		out = append(out, gateway.ClosedSession{Session: l.ID, Closed: !s.stuck, After: time.Millisecond})
		s.ends = append(s.ends, cause.Reason)
		return !s.stuck
	})
	return out
}

type floor struct {
	mu sync.Mutex
	at map[string]uint64
}

func (f *floor) Raise(subject string, v uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at[subject] = max(f.at[subject], v)
	return nil
}

type world struct {
	t     *testing.T
	store *memStore
	chain *chain
	ses   *sessions
	bus   *cluster.Local
	floor *floor
	k     *killswitch.Service
	key   ed25519.PrivateKey
}

func newWorld(t *testing.T) *world {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, store: newMemStore(), bus: cluster.NewLocal(10*time.Second, nil), floor: &floor{at: map[string]uint64{}}, key: key}
	w.chain = &chain{store: w.store}
	w.ses = &sessions{live: []gateway.Session{
		{ID: "ses_1", Vendor: "acme", Person: "ana", Epochs: gateway.Epochs{Vendor: 1, Person: 1}},
		{ID: "ses_2", Vendor: "other", Person: "bob", Epochs: gateway.Epochs{Vendor: 1, Person: 1}},
	}}
	w.k, err = killswitch.New(killswitch.Config{Store: w.store, Statements: w.store, Chain: w.chain, Sessions: w.ses, Bus: w.bus, Floor: w.floor, Node: "node-1"})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// by signs a body in a person's name.
func (w *world) by(signer string, body statement.Body) statement.Signed {
	w.t.Helper()
	st, err := statement.Draft("http://localhost:8080", signer, time.Now(), nil, body)
	if err != nil {
		w.t.Fatal(err)
	}
	s, err := statement.Seal(st)
	if err != nil {
		w.t.Fatal(err)
	}
	return s.SignEd25519(w.key)
}

func (w *world) suspend(signer string) (gateway.Suspension, error) {
	w.t.Helper()
	b, err := w.k.DraftSuspend(w.t.Context(), gateway.Person{Name: signer}, acme, gateway.Closing{}, "breach in the news")
	if err != nil {
		w.t.Fatal(err)
	}
	return w.k.Suspend(w.t.Context(), w.by(signer, b))
}

func (w *world) names() []audit.Name {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	var n []audit.Name
	for _, e := range w.store.events {
		n = append(n, e.Name)
	}
	return n
}
