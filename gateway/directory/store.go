package directory

import (
	"context"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/statement"
)

// Store keeps what is known of vendors, people and targets: rows that index
// the statements. Reads answer gateway.ErrNotFound for an unknown name; lists
// are ordered by name and include what was removed.
type Store interface {
	Vendor(ctx context.Context, name string) (gateway.Vendor, error)
	Vendors(ctx context.Context) ([]gateway.Vendor, error)
	Person(ctx context.Context, name string) (gateway.Person, error)
	People(ctx context.Context) ([]gateway.Person, error)
	Services(ctx context.Context) ([]gateway.Person, error) // the service accounts among the people
	Target(ctx context.Context, name string) (gateway.Target, error)
	Targets(ctx context.Context) ([]gateway.Target, error)
	// Update runs f in one transaction, durable when it returns nil.
	Update(ctx context.Context, f func(Tx) error) error
}

// Tx writes. A Put of version 1 creates and answers gateway.ErrStale if the
// name is taken; of version n > 1 replaces version n-1, or gateway.ErrStale.
// Puts leave State and Epoch of an existing row as they are: those are the
// kill switch's.
type Tx interface {
	audit.Tx
	PutStatement(s statement.Signed) error // gateway.ErrUsed if it was written before
	PutVendor(v gateway.Vendor) error
	PutPerson(p gateway.Person) error
	PutTarget(t gateway.Target) error
}
