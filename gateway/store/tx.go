package store

import (
	"context"
	"crypto/ed25519"
	"errors"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// Tx is one update's part of a transaction. It serves every room's Tx
// interface, is good until the update's function returns, and belongs to one
// goroutine.
type Tx struct {
	db    *DB
	batch *batch
	c     conn
}

// ctx is that of the transaction: an update that has begun is seen through.
func (tx *Tx) ctx() context.Context { return context.Background() }

func (tx *Tx) exec(text string, args ...any) (int64, error) {
	return tx.c.exec(tx.ctx(), text, args...)
}

// create inserts v, or answers taken where a unique column of it is taken.
func create[T any](tx *Tx, t table[T], v *T, taken error) error {
	n, err := tx.exec(t.created, t.fields(v)...)
	if err == nil && n == 0 {
		err = taken
	}
	return err
}

// swap is compare-and-swap: version 1 creates, version n replaces n-1;
// gateway.ErrStale if it is not there in that version.
func swap[T any](tx *Tx, t table[T], v *T, version uint64, except ...string) error {
	if version <= 1 {
		return create(tx, t, v, gateway.ErrStale)
	}
	text, args := t.replaced(v, version, except...)
	return tx.touch(gateway.ErrStale, text, args...)
}

// touch runs a statement that must touch a row, or answers otherwise.
func (tx *Tx) touch(otherwise error, text string, args ...any) error {
	n, err := tx.exec(text, args...)
	if err == nil && n == 0 {
		err = otherwise
	}
	return err
}

// tell turns otherwise into gateway.ErrNotFound where text selects nothing: a
// row that is not there was not used either.
func (tx *Tx) tell(err, otherwise error, text string, args ...any) error {
	if !errors.Is(err, otherwise) {
		return err
	}
	if _, missing := number(tx.ctx(), &tx.c, text, args...); missing != nil {
		return missing
	}
	return err
}

// PutStatement keeps a signed statement for ever; gateway.ErrUsed if it was
// written before. It is filed with the machine's receipt of this moment. A
// statement that does not parse is refused: nothing could ever find it.
func (tx *Tx) PutStatement(s statement.Signed) error {
	parsed, body, err := s.Parse()
	if err != nil {
		return gateway.Internal(err)
	}
	if len(tx.db.cfg.Machine.Private) != ed25519.PrivateKeySize {
		return gateway.Internal(errors.New("this store has no key for receipts, and a statement without one is believed by nobody"))
	}
	s.Receipt = tx.db.cfg.Machine.Receive(s.Digest, tx.db.cfg.Now())
	row := signedRow{Signed: s, kind: string(parsed.Kind), subject: body.Subject()}
	return create(tx, statements, &row, gateway.ErrUsed)
}

// UseTouch marks a kept touch as used; gateway.ErrUsed if it was, and
// gateway.ErrNotFound if no such statement is kept.
func (tx *Tx) UseTouch(d gateway.Digest) error {
	err := tx.touch(gateway.ErrUsed, "INSERT INTO touches_used (digest) SELECT digest FROM statements WHERE digest = $1 ON CONFLICT DO NOTHING", d.String())
	return tx.tell(err, gateway.ErrUsed, "SELECT 1 FROM statements WHERE digest = $1", d.String())
}

// UsePeer marks a WireGuard key as used by a kept touch; gateway.ErrUsed if any
// touch has used it, and gateway.ErrNotFound if no such statement is kept.
func (tx *Tx) UsePeer(key string, d gateway.Digest) error {
	err := tx.touch(gateway.ErrUsed, "INSERT INTO peer_keys_used (key, digest) SELECT $1, digest FROM statements WHERE digest = $2 ON CONFLICT DO NOTHING", key, d.String())
	return tx.tell(err, gateway.ErrUsed, "SELECT 1 FROM statements WHERE digest = $1", d.String())
}

// Epochs reads the state and epochs of a vendor and a person as this
// transaction sees them. Staff have no vendor: epoch 0, active.
func (tx *Tx) Epochs(vendor, person string) (e gateway.Epochs, vendorActive, personActive bool, err error) {
	vendorActive = true
	if vendor != "" {
		v, err := one(tx.ctx(), &tx.c, vendors, "WHERE name = $1", vendor)
		if err != nil {
			return e, false, false, err
		}
		e.Vendor, vendorActive = v.Epoch, v.State == gateway.Active
	}
	p, err := one(tx.ctx(), &tx.c, people, "WHERE name = $1", person)
	if err != nil {
		return e, false, false, err
	}
	e.Person = p.Epoch
	return e, vendorActive, p.State == gateway.Active, nil
}
