package killswitch

import (
	"context"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/statement"
)

// Store keeps suspensions and the epochs that they raise.
type Store interface {
	Suspension(ctx context.Context, id string) (gateway.Suspension, error)
	Suspensions(ctx context.Context) ([]gateway.Suspension, error) // newest first, at most 200
	// Standings reads the state and epoch of every vendor and person, and of
	// every wide scope that was ever closed: what each node reads each second.
	Standings(ctx context.Context) (Standings, error)
	Update(ctx context.Context, f func(Tx) error) error
}

// Standings is what stands of every scope. A wide scope that is not there was
// never closed.
type Standings map[gateway.Scope]Standing

// Standing is the state of a scope.
type Standing struct {
	State gateway.State
	Epoch uint64
}

// Tx writes.
type Tx interface {
	audit.Tx
	OrderTx
	PutStatement(s statement.Signed) error
	Standing(scope gateway.Scope) (Standing, error) // gateway.ErrNotFound
	// SetStanding moves a vendor or person to state and epoch by
	// compare-and-swap on the epoch; gateway.ErrStale if it is not from.
	SetStanding(scope gateway.Scope, from uint64, to Standing, at time.Time) error
	// Cancel closes everything of the scope that could let anybody back in:
	// waiting requests (cancelled), grants not closed (closed, suspended),
	// logins, tickets and unused invitations. It counts them.
	Cancel(scope gateway.Scope, by string, at time.Time) (gateway.Cancelled, error)
	PutSuspension(s gateway.Suspension) error // creates or replaces by ID
	// LiveSessions lists the sessions under the scope that are not ended.
	LiveSessions(scope gateway.Scope) ([]gateway.Session, error)
	// ScopeHead is the digest of the newest statement that suspends, restores or
	// advances the scope; gateway.ErrNotFound if there is none.
	ScopeHead(scope gateway.Scope) (gateway.Digest, error)
	// PutRestoration keeps one person's signed restoration of a suspension
	// and returns all of that suspension and epoch, oldest first.
	PutRestoration(suspension string, epoch uint64, signer string, digest gateway.Digest) ([]Restoration, error)
}

// Restoration is one person's signature under a restoration.
type Restoration struct {
	Signer    string
	Statement gateway.Digest
}
