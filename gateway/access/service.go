package access

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/portcullis/portcullis/certs"
	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/trust"
	"github.com/portcullis/portcullis/policy"
)

// Chain answers what is true now, verified back to the roots; *trust.Chain is
// one. A broken link is a *gateway.Error of rule trust.Rule.
type Chain interface {
	Vendor(ctx context.Context, name string) (gateway.Vendor, error)
	Person(ctx context.Context, name string) (gateway.Person, error)
	// Service is a service account that may act now.
	Service(ctx context.Context, name string) (gateway.Person, error)
	Target(ctx context.Context, name string) (gateway.Target, error)
	Open(ctx context.Context, r gateway.Reach, since time.Time) error
	Stage(ctx context.Context, r gateway.Reach) (gateway.Ladder, error)
	Check(ctx context.Context, s statement.Signed) (trust.Checked, error)
	CheckFresh(ctx context.Context, s statement.Signed) (trust.Checked, error)
}

// Policy decides; *policy.Set is one.
type Policy interface {
	Decide(f policy.Facts) policy.Verdict
	MayApprove(a policy.Approval) *gateway.Error
}

// Certs gives credentials; *certs.Authority is one.
type Certs interface {
	User(login, keyID string, from, to time.Time, permits certs.Permits) (certs.Credential, error)
	Client(login, sessionID string, from, to time.Time) (certs.Credential, error)
	Held(kind gateway.TargetKind, account gateway.Account) (certs.Credential, error)
}

// Floor remembers outside the database what was closed; *trust.Floor is one.
type Floor interface {
	At(subject string) uint64
	Raise(subject string, version uint64) error
}

// Config is what the room needs. Now defaults to time.Now and Logger to none;
// OnGrantClosed is called after each close is durable and must not block for
// long: session ends what is live under the grant there.
type Config struct {
	Store         Store
	Chain         Chain
	Policy        Policy
	Certs         Certs
	Floor         Floor
	Now           func() time.Time
	Logger        *slog.Logger
	Node          string
	Gateway       string // the gateway's URL, for the next step of a refusal
	OnGrantClosed func(grantID string, why gateway.EndReason, by string)
	// Granting, if set, says why this node agrees to nothing and opens no grant
	// now, as when its clock is not the store's.
	Granting func() error
}

// Service is the room. Its methods may be called from many goroutines.
type Service struct {
	store  Store
	chain  Chain
	policy Policy
	certs  Certs
	floor  Floor
	clock  *clock
	log    *slog.Logger
	node   string
	url    string
	closed func(grantID string, why gateway.EndReason, by string)
	grants func() error

	wake  chan struct{} // tells Run that a boundary may have come nearer
	watch watchers
}

// New returns the room; all parts but Now, Logger, Node and OnGrantClosed are
// needed.
func New(c Config) (*Service, error) {
	if c.Store == nil || c.Chain == nil || c.Policy == nil || c.Certs == nil || c.Floor == nil {
		return nil, errors.New("access needs a store, a chain, a policy, certificates and a floor")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.OnGrantClosed == nil {
		c.OnGrantClosed = func(string, gateway.EndReason, string) {}
	}
	if c.Granting == nil {
		c.Granting = func() error { return nil }
	}
	return &Service{
		store: c.Store, chain: c.Chain, policy: c.Policy, certs: c.Certs, floor: c.Floor, clock: newClock(c.Now), log: c.Logger, node: c.Node, url: c.Gateway,
		closed: c.OnGrantClosed, grants: c.Granting, wake: make(chan struct{}, 1), watch: newWatchers(),
	}, nil
}

// recordFor bounds how long an event of a refusal may wait for the store
// after the one who was refused has gone.
const recordFor = 5 * time.Second

// record writes an event that goes with no other change. The refusal that it
// announces stands whether or not it can be written.
func (s *Service) record(ctx context.Context, e audit.Event) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordFor)
	defer cancel()
	if err := s.store.Update(ctx, func(tx Tx) error { return tx.Append(e) }); err != nil {
		s.log.Error("write event", "event", string(e.Name), "rule", e.Rule, "error", err)
	}
}

// tampered answers err, and where it is a broken link of the chain writes the
// event that tells the operator so.
func (s *Service) tampered(ctx context.Context, e audit.Event, err error) error {
	var no *gateway.Error
	if !errors.As(err, &no) || no.Code != gateway.CodeRefused || no.Rule != trust.Rule {
		return err
	}
	s.log.Error("chain broken", "request", e.Request, "grant", e.Grant, "reason", no.Text)
	e.Name, e.Outcome, e.Rule, e.Reason = audit.ChainBroken, audit.Refused, no.Rule, no.Text
	e.Detail = map[string]string{"node": s.node}
	s.record(ctx, e)
	return err
}

// broken says what does not fit the signed statements.
func broken(format string, args ...any) *gateway.Error {
	return gateway.Refused(trust.Rule, "ask anew; the operator's control room must look at the gateway's store", format, args...)
}

// missing is a record that something verified needs and the store does not
// have.
func missing(err error, what, name string) error {
	if errors.Is(err, gateway.ErrNotFound) || gateway.IsCode(err, gateway.CodeNotFound) {
		return broken("%s %s is not on file", what, name)
	}
	return err
}

// notFound answers for a record that somebody asked for by name.
func notFound(err error, what, name string) error {
	if errors.Is(err, gateway.ErrNotFound) {
		return gateway.NotFound(what, name)
	}
	return err
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

func (s *Service) page(path string) string { return fmt.Sprintf("%s%s", s.url, path) }
