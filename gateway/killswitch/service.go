package killswitch

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/cluster"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/trust"
)

// Times and bounds of the room.
const (
	PollEvery    = time.Second      // how often the epochs are read, at least
	PollWait     = 3 * time.Second  // for one reading
	AnswerWait   = 3 * time.Second  // for the other nodes
	CommitWait   = 10 * time.Second // for one transaction that must not be given up with its caller
	DefaultLease = 10 * time.Second
	CloseAhead   = 500 * time.Millisecond // before the end of the lease: what it takes to close everything
	maxWatchers  = 64                     // of one suspension's counter
)

// Chain verifies who signed; *trust.Chain is one.
type Chain interface {
	CheckFresh(ctx context.Context, s statement.Signed) (trust.Checked, error)
	// Standing replays a scope's signed orders: what a row says of them is not
	// believed.
	Standing(ctx context.Context, scope gateway.Scope) (trust.Standing, error)
	Person(ctx context.Context, name string) (gateway.Person, error)
	// DifferentRoles refuses two signers of a restoration who have one and the
	// same role.
	DifferentRoles(ctx context.Context, first, second statement.Signed) error
}

// Sessions is what the gate ends; *session.Manager is one. EndAll and HoldAll
// answer with what was measured. PutOff keeps the ends from being sealed and
// written until release is called; Hush holds what passes in consoles, for a
// second at most.
type Sessions interface {
	PutOff() (release func())
	Hush(match func(gateway.Session) bool) (release func())
	Live() []gateway.Session
	EndAll(match func(gateway.Session) bool, cause *gateway.Ended) []gateway.ClosedSession
	HoldAll(ctx context.Context, match func(gateway.Session) bool, by, word string) []gateway.ClosedSession
	Shorten(id string, until time.Time, cause *gateway.Ended)
	// ServeUntil has vendors' sessions pass nothing, and none open, from the
	// first of both moments on; until is monotonic, wall is not.
	ServeUntil(until, wall time.Time)
	// ClockOff hears how far this node's wall clock is ahead of the store's.
	ClockOff(by time.Duration)
}

// Floor remembers epochs outside the store; *trust.Floor is one.
type Floor interface {
	Raise(subject string, version uint64) error
}

// Statements finds a statement that was committed before; the first of the two
// under a restoration is read back through it.
type Statements interface {
	Statement(ctx context.Context, digest gateway.Digest) (statement.Signed, error)
}

// Config is what the room needs. All but Roll, Probe, Wake, Lease, Stays, Now and
// Logger must be set.
type Config struct {
	Store      Store
	Statements Statements
	Chain      Chain
	Sessions   Sessions
	Bus        cluster.Bus
	Floor      Floor
	Roll       Roll // the nodes that share the store; nil: this one alone
	// Probe, if set, tries the ways back in once an order is carried out; what
	// it answers stands in the report.
	Probe Probe
	// Wake, if set, has Run read the store at once: the bus was away, and what
	// was published meanwhile is lost.
	Wake <-chan struct{}
	// Clock, if set, asks the store for its time.
	Clock  func(ctx context.Context) (time.Time, error)
	Node   string
	Lease  time.Duration // how long this node serves without its store
	Stays  gateway.Stays // in the stages of a restoration; the defaults where zero
	Now    func() time.Time
	Logger *slog.Logger
}

// Service is the gate of one node.
type Service struct {
	store    Store
	stmts    Statements
	chain    Chain
	sessions Sessions
	bus      cluster.Bus
	floor    Floor
	wake     <-chan struct{}
	probe    Probe
	clock    func(ctx context.Context) (time.Time, error)
	node     string
	lease    time.Duration
	stays    gateway.Stays
	now      func() time.Time
	log      *slog.Logger
	debt     *debt

	roll       Roll          // nil: one node
	unfinished chan struct{} // cap 1: a report was filed that is not final

	mu       sync.Mutex // guards watchers
	watchers map[string]map[chan Progress]struct{}
}

// New wires the room. It starts nothing.
func New(c Config) (*Service, error) {
	if c.Store == nil || c.Statements == nil || c.Chain == nil || c.Sessions == nil || c.Bus == nil || c.Floor == nil || c.Node == "" {
		return nil, errors.New("killswitch: store, statements, chain, sessions, bus, floor and node must be set")
	}
	if c.Lease <= 0 {
		c.Lease = DefaultLease
	}
	if c.Stays.WatchOnly <= 0 {
		c.Stays.WatchOnly = gateway.DefaultWatchOnly
	}
	if c.Stays.Supervised <= 0 {
		c.Stays.Supervised = gateway.DefaultSupervised
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Service{
		store: c.Store, stmts: c.Statements, chain: c.Chain, sessions: c.Sessions, bus: c.Bus, floor: c.Floor, wake: c.Wake, probe: c.Probe, clock: c.Clock,
		node: c.Node, lease: c.Lease, stays: c.Stays, now: c.Now, log: c.Logger, watchers: map[string]map[chan Progress]struct{}{}, debt: newDebt(),
		roll: c.Roll, unfinished: make(chan struct{}, 1),
	}, nil
}

// Suspensions lists the orders, newest first.
func (s *Service) Suspensions(ctx context.Context) ([]gateway.Suspension, error) {
	return s.store.Suspensions(ctx)
}

// Suspension finds one order with its report.
func (s *Service) Suspension(ctx context.Context, id string) (gateway.Suspension, error) {
	sus, err := s.store.Suspension(ctx, id)
	if errors.Is(err, gateway.ErrNotFound) {
		return sus, gateway.NotFound("suspension", id)
	}
	return sus, err
}

// Preview is what an order would close, as of now.
type Preview struct {
	Scope     gateway.Scope     `json:"scope"`
	State     gateway.State     `json:"state"`
	Epoch     uint64            `json:"epoch"`
	Sessions  []gateway.Session `json:"sessions"`
	Cancelled gateway.Cancelled `json:"cancelled"`
}

// errRollBack ends a transaction that was only to look.
var errRollBack = errors.New("killswitch: preview")

// Preview counts what an order would close. It does what the order would do,
// in a transaction that is rolled back, so it counts the same.
func (s *Service) Preview(ctx context.Context, scope gateway.Scope) (Preview, error) {
	p := Preview{Scope: scope}
	err := s.store.Update(ctx, func(tx Tx) error {
		st, err := tx.Standing(scope)
		if err != nil {
			return err
		}
		p.State, p.Epoch = st.State, st.Epoch
		if p.Sessions, err = tx.LiveSessions(scope); err != nil {
			return err
		}
		if p.Cancelled, err = tx.Cancel(scope, "preview", gateway.Instant(s.now())); err != nil {
			return err
		}
		return errRollBack
	})
	if !errors.Is(err, errRollBack) {
		return Preview{}, known(scope, err)
	}
	return p, nil
}

func known(scope gateway.Scope, err error) error {
	if errors.Is(err, gateway.ErrNotFound) {
		return gateway.NotFound(string(scope.Kind), scope.Name)
	}
	return err
}

func (s *Service) standing(ctx context.Context, scope gateway.Scope) (st Standing, err error) {
	err = s.store.Update(ctx, func(tx Tx) error {
		st, err = tx.Standing(scope)
		return err
	})
	return st, known(scope, err)
}

// epochSubject is the floor's name for a scope's epoch.
func epochSubject(scope gateway.Scope) string { return string(scope.Kind) + "-epoch:" + scope.Name }

func (s *Service) event(name audit.Name, by string, scope gateway.Scope) audit.Event {
	e := audit.Event{Name: name, At: gateway.Instant(s.now()), Actor: by}
	switch scope.Kind {
	case gateway.ScopeVendor:
		e.Vendor = scope.Name
	case gateway.ScopePerson:
		e.Person = scope.Name
	case gateway.ScopeTarget:
		e.Target = scope.Name
	}
	return e
}
