package session

import (
	"context"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/statement"
)

// Filter narrows a list; empty fields do not. Newest first.
type Filter struct {
	Vendor, Person, Target, Grant string
	Live                          bool   // not ended only
	Before                        string // page on below this identifier
	Limit                         int    // 1 to 200; 0 means 200
}

// Store keeps sessions.
type Store interface {
	Session(ctx context.Context, id string) (gateway.Session, error)
	Sessions(ctx context.Context, f Filter) ([]gateway.Session, error)
	// Passed adds up the bytes of the sessions under a grant that have ended.
	Passed(ctx context.Context, grant string) (in, out int64, err error)
	Update(ctx context.Context, f func(Tx) error) error
}

// Tx writes.
type Tx interface {
	audit.Tx
	// PutStatement consumes a touch: gateway.ErrUsed if it was used before.
	PutStatement(s statement.Signed) error
	// UseTouch marks the touch of a ticket as used; gateway.ErrUsed if it was.
	UseTouch(digest gateway.Digest) error
	// UsePeer marks a WireGuard key as used by a touch that is kept;
	// gateway.ErrUsed if any touch has used it.
	UsePeer(key string, touch gateway.Digest) error
	PutSession(s gateway.Session) error // creates or replaces by ID
	// Epochs reads the current state and epochs inside the transaction.
	Epochs(vendor, person string) (e gateway.Epochs, vendorActive, personActive bool, err error)
	// Wide reads, inside the transaction, the epochs of the wide scopes that
	// cover the reach, of those ever closed, and whether all are open.
	Wide(r gateway.Reach) (epochs gateway.WideEpochs, open bool, err error)
}
