package store

import (
	"context"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/killswitch"
)

// Bounds of the lists.
const (
	maxOrders = 500
	maxTokens = 500
)

var orders = newTable("orders", "id statement scope_kind scope_name mode reason signer starts ends made used suspension withdrawn withdrawn_by", func(o *gateway.SignedOrder) []any {
	return []any{&o.ID, digest{&o.Statement}, &o.Scope.Kind, &o.Scope.Name, &o.Mode, &o.Reason, &o.Signer, instant{&o.From}, instant{&o.To}, instant{&o.Made},
		instant{&o.Used}, &o.Suspension, instant{&o.Withdrawn}, &o.WithdrawnBy}
})

var tokens = newTable("tokens", "id name hash scope_kind scope_name issued_by statement made expires removed", func(t *gateway.Token) []any {
	return []any{&t.ID, &t.Name, digest{&t.Hash}, &t.Scope.Kind, &t.Scope.Name, &t.By, digest{&t.Statement}, instant{&t.Made}, instant{&t.Expires}, instant{&t.Removed}}
})

// OutOfBand answers to killswitch.OrderStore.
func (db *DB) OutOfBand() killswitch.OrderStore { return killStore{db} }

func (s killStore) Order(ctx context.Context, id string) (gateway.SignedOrder, error) {
	return one(ctx, &s.db.reads, orders, "WHERE id = $1", id)
}

func (s killStore) Orders(ctx context.Context) ([]gateway.SignedOrder, error) {
	return many(ctx, &s.db.reads, orders, "ORDER BY id DESC LIMIT $1", maxOrders)
}

func (s killStore) TokenByHash(ctx context.Context, hash gateway.Digest) (gateway.Token, error) {
	return one(ctx, &s.db.reads, tokens, "WHERE hash = $1", hash.String())
}

func (s killStore) Token(ctx context.Context, id string) (gateway.Token, error) {
	return one(ctx, &s.db.reads, tokens, "WHERE id = $1", id)
}

func (s killStore) Tokens(ctx context.Context) ([]gateway.Token, error) {
	return many(ctx, &s.db.reads, tokens, "ORDER BY id DESC LIMIT $1", maxTokens)
}

// PutOrder implements killswitch.OrderTx.
func (tx *Tx) PutOrder(o gateway.SignedOrder) error { return create(tx, orders, &o, gateway.ErrUsed) }

// UseOrder implements killswitch.OrderTx.
func (tx *Tx) UseOrder(d gateway.Digest, suspension string, at time.Time) error {
	err := tx.touch(gateway.ErrUsed, "UPDATE orders SET used = $1, suspension = $2 WHERE statement = $3 AND used = 0 AND withdrawn = 0", micros(at), suspension, d.String())
	return tx.tell(err, gateway.ErrUsed, "SELECT 1 FROM orders WHERE statement = $1", d.String())
}

// WithdrawOrder implements killswitch.OrderTx.
func (tx *Tx) WithdrawOrder(id, by string, at time.Time) error {
	err := tx.touch(gateway.ErrUsed, "UPDATE orders SET withdrawn = $1, withdrawn_by = $2 WHERE id = $3 AND used = 0 AND withdrawn = 0", micros(at), by, id)
	return tx.tell(err, gateway.ErrUsed, "SELECT 1 FROM orders WHERE id = $1", id)
}

// PutToken implements killswitch.OrderTx.
func (tx *Tx) PutToken(t gateway.Token) error { return create(tx, tokens, &t, gateway.ErrUsed) }

// RemoveToken implements killswitch.OrderTx.
func (tx *Tx) RemoveToken(id string, at time.Time) error {
	err := tx.touch(gateway.ErrUsed, "UPDATE tokens SET removed = $1 WHERE id = $2 AND removed = 0", micros(at), id)
	return tx.tell(err, gateway.ErrUsed, "SELECT 1 FROM tokens WHERE id = $1", id)
}
