package killswitch

import (
	"context"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// OrderStore keeps orders that were signed ahead, and tokens. Lists are newest
// first and bounded; gateway.ErrNotFound means not there.
type OrderStore interface {
	Order(ctx context.Context, id string) (gateway.SignedOrder, error)
	Orders(ctx context.Context) ([]gateway.SignedOrder, error)
	Token(ctx context.Context, id string) (gateway.Token, error)
	TokenByHash(ctx context.Context, hash gateway.Digest) (gateway.Token, error)
	Tokens(ctx context.Context) ([]gateway.Token, error)
}

// OrderTx writes them. gateway.ErrUsed answers what was there, used, withdrawn
// or removed before.
type OrderTx interface {
	PutOrder(o gateway.SignedOrder) error
	UseOrder(statement gateway.Digest, suspension string, at time.Time) error
	WithdrawOrder(id, by string, at time.Time) error
	PutToken(t gateway.Token) error
	RemoveToken(id string, at time.Time) error
}
