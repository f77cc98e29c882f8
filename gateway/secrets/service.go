package secrets

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
)

// Bounds and times of the room.
const (
	// DefaultReach is how far back exposures are looked for: the time for which
	// suppliers have advised to review logs after a breach.
	DefaultReach = 45 * 24 * time.Hour
	MaxExposures = 50                 // that one secret is shown with
	maxSessions  = 20_000             // that one answer looks at
	maxEvents    = 5_000              // of the log, likewise
	longest      = 7 * 24 * time.Hour // a session that began earlier than this before the time asked about was over by then
	pageOf       = 200
)

// Targets lists what is on file, removed or not.
type Targets interface {
	Targets(ctx context.Context) ([]gateway.Target, error)
}

// SessionFilter narrows a page of sessions, newest first; empty fields do not.
type SessionFilter struct {
	Vendor, Person, Target string
	Before                 string
	Limit                  int
}

// Sessions lists sessions.
type Sessions func(ctx context.Context, f SessionFilter) ([]gateway.Session, error)

// Suspensions finds the orders.
type Suspensions interface {
	Suspension(ctx context.Context, id string) (gateway.Suspension, error)
	Suspensions(ctx context.Context) ([]gateway.Suspension, error)
}

// Rest is what a held secret's file tells.
type Rest struct {
	Changed time.Time
	Mark    string
}

// Files looks at the file of an account's secret on this node.
type Files func(target string, account gateway.Account) (Rest, error)

// Log reads and appends to the audit log; *audit.Log is one.
type Log interface {
	Search(ctx context.Context, q audit.Query) ([]audit.Entry, error)
	Append(ctx context.Context, events ...audit.Event) error
}

// Config is what the room needs; Now defaults to time.Now.
type Config struct {
	Targets     Targets
	Sessions    Sessions
	Suspensions Suspensions
	Files       Files
	Log         Log
	Now         func() time.Time
}

// Service is the room. Its methods may be called from many goroutines.
type Service struct{ c Config }

// New returns the room.
func New(c Config) (*Service, error) {
	if c.Targets == nil || c.Sessions == nil || c.Suspensions == nil || c.Files == nil || c.Log == nil {
		return nil, errors.New("secrets needs targets, sessions, suspensions, files and a log")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Service{c}, nil
}

// reach is the time asked about, or the default before now.
func (s *Service) reach(since time.Time) time.Time {
	if since.IsZero() {
		since = s.c.Now().Add(-DefaultReach)
	}
	return gateway.Instant(since)
}

// List tells of every secret that is on file, with the exposures since then;
// zero: of DefaultReach. A vendor leaves its own exposures and what it may
// reach or has had.
func (s *Service) List(ctx context.Context, vendor string, since time.Time) (List, error) {
	since = s.reach(since)
	orders, err := s.c.Suspensions.Suspensions(ctx)
	if err != nil {
		return List{}, err
	}
	b, err := s.book(ctx, SessionFilter{Vendor: vendor}, since)
	if err != nil {
		return List{}, err
	}
	list := List{Since: since, Items: []Secret{}, Cut: b.cut}
	for _, k := range b.keys() {
		if vendor == "" || b.reaches(k, vendor) {
			list.Items = append(list.Items, b.secret(k, b.used[k], ordered(orders)))
		}
	}
	return list, nil
}

// Exposed is the work-list of a scope: what its sessions since then had. Nil
// is whatever was ordered closed, of each order the sessions that began before
// it was lifted.
func (s *Service) Exposed(ctx context.Context, scope *gateway.Scope, since time.Time) (WorkList, error) {
	since = s.reach(since)
	f, suspect, err := s.suspects(ctx, scope)
	if err != nil {
		return WorkList{}, err
	}
	b, err := s.book(ctx, f, since)
	if err != nil {
		return WorkList{}, err
	}
	w := WorkList{List: List{Since: since, Items: []Secret{}, Cut: b.cut}, Scope: scope}
	for _, k := range b.keys() {
		had := only(b.used[k], suspect)
		if len(had) == 0 {
			continue
		}
		x := b.secret(k, had, suspect)
		switch x.Work {
		case WorkOpen:
			w.Open++
		case WorkDone:
			w.Done++
		}
		w.Items = append(w.Items, x)
	}
	slices.SortStableFunc(w.Items, func(a, b Secret) int { return cmp.Compare(rank(a), rank(b)) })
	return w, nil
}

// ExposedBy is the work-list of a suspension: of its scope, from DefaultReach
// before its order on unless another time is given.
func (s *Service) ExposedBy(ctx context.Context, suspension string, since time.Time) (WorkList, error) {
	x, err := s.c.Suspensions.Suspension(ctx, suspension)
	if err != nil {
		return WorkList{}, err
	}
	if since.IsZero() {
		since = x.Ordered.Add(-DefaultReach)
	}
	w, err := s.Exposed(ctx, &x.Scope, since)
	w.Suspension = x.ID
	return w, err
}

// rank puts what is still to be done first.
func rank(x Secret) int {
	switch x.Work {
	case WorkOpen:
		return 0
	case WorkGone:
		return 1
	}
	return 2
}

// suspects picks the sessions under a scope, with the part of it that the store
// can choose by.
func (s *Service) suspects(ctx context.Context, scope *gateway.Scope) (SessionFilter, func(gateway.Session) bool, error) {
	if scope != nil {
		return filterOf(*scope), func(x gateway.Session) bool { return scope.Covers(x.Reach()) }, nil
	}
	orders, err := s.c.Suspensions.Suspensions(ctx)
	return SessionFilter{}, ordered(orders), err
}

// filterOf is the part of a scope that the store can choose by.
func filterOf(scope gateway.Scope) (f SessionFilter) {
	switch scope.Kind {
	case gateway.ScopeVendor:
		f.Vendor = scope.Name
	case gateway.ScopePerson:
		f.Person = scope.Name
	case gateway.ScopeTarget:
		f.Target = scope.Name
	}
	return f
}

// ordered picks the sessions that an order has put under suspicion: those it
// covers that began before it was lifted.
func ordered(orders []gateway.Suspension) func(gateway.Session) bool {
	return func(x gateway.Session) bool {
		for _, o := range orders {
			if o.Scope.Covers(x.Reach()) && (o.Lifted.IsZero() || x.Started.Before(o.Lifted)) {
				return true
			}
		}
		return false
	}
}

func only(list []gateway.Session, pick func(gateway.Session) bool) []gateway.Session {
	var out []gateway.Session
	for _, x := range list {
		if pick(x) {
			out = append(out, x)
		}
	}
	return out
}
