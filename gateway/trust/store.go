package trust

import (
	"context"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// Store is what the chain is read from. Nothing that it answers is believed
// before it is verified. gateway.ErrNotFound means not there.
type Store interface {
	Statement(ctx context.Context, digest gateway.Digest) (statement.Signed, error)
	Vendor(ctx context.Context, name string) (gateway.Vendor, error)
	Person(ctx context.Context, name string) (gateway.Person, error)
	Target(ctx context.Context, name string) (gateway.Target, error)
	Authenticator(ctx context.Context, credential string) (gateway.Authenticator, error)
	SSHKey(ctx context.Context, fingerprint string) (gateway.SSHKey, error)
	Invitation(ctx context.Context, id string) (gateway.Invitation, error)
	// ScopeStatements lists the digests of the suspend, restore and advance
	// statements of a scope, oldest first.
	ScopeStatements(ctx context.Context, scope gateway.Scope) ([]gateway.Digest, error)
}
