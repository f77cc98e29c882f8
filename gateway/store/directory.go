package store

import (
	"context"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/directory"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/trust"
)

// Directory answers to directory.Store.
func (db *DB) Directory() directory.Store { return directoryStore{db.names()} }

// Trust answers to trust.Store.
func (db *DB) Trust() trust.Store { return trustStore{db.names()} }

// names are the reads that several rooms share.
type names struct{ db *DB }

func (db *DB) names() names { return names{db} }

func (s names) Vendor(ctx context.Context, name string) (gateway.Vendor, error) {
	return one(ctx, &s.db.reads, vendors, "WHERE name = $1", name)
}

func (s names) Person(ctx context.Context, name string) (gateway.Person, error) {
	return one(ctx, &s.db.reads, people, "WHERE name = $1", name)
}

func (s names) Target(ctx context.Context, name string) (gateway.Target, error) {
	return one(ctx, &s.db.reads, targets, "WHERE name = $1", name)
}

func (s names) Authenticator(ctx context.Context, credential string) (gateway.Authenticator, error) {
	return one(ctx, &s.db.reads, authenticators, "WHERE id = $1", credential)
}

func (s names) SSHKey(ctx context.Context, fingerprint string) (gateway.SSHKey, error) {
	return one(ctx, &s.db.reads, sshKeys, "WHERE fingerprint = $1", fingerprint)
}

func (s names) Invitation(ctx context.Context, id string) (gateway.Invitation, error) {
	return one(ctx, &s.db.reads, invitations, "WHERE id = $1", id)
}

func (s names) Statement(ctx context.Context, d gateway.Digest) (statement.Signed, error) {
	row, err := one(ctx, &s.db.reads, statements, "WHERE digest = $1", d.String())
	return row.Signed, err
}

type trustStore struct{ names }

// ofScope chooses what suspends, restores or advances a scope.
const ofScope = "FROM statements WHERE subject = $1 AND kind IN ('" +
	string(statement.KindSuspend) + "', '" + string(statement.KindRestore) + "', '" + string(statement.KindAdvance) + "')"

// ScopeStatements implements trust.Store.
func (s trustStore) ScopeStatements(ctx context.Context, scope gateway.Scope) ([]gateway.Digest, error) {
	var list []gateway.Digest
	var d gateway.Digest
	err := s.db.reads.each(ctx, []any{digest{&d}}, func() { list = append(list, d) }, "SELECT digest "+ofScope+" ORDER BY seq", string(scope.Kind)+":"+scope.Name)
	return list, err
}

// ScopeHead implements killswitch.Tx.
func (tx *Tx) ScopeHead(scope gateway.Scope) (head gateway.Digest, err error) {
	found := false
	err = tx.c.each(tx.ctx(), []any{digest{&head}}, func() { found = true }, "SELECT digest "+ofScope+" ORDER BY seq DESC LIMIT 1", string(scope.Kind)+":"+scope.Name)
	if err == nil && !found {
		err = gateway.ErrNotFound
	}
	return head, err
}

type directoryStore struct{ names }

func (s directoryStore) Vendors(ctx context.Context) ([]gateway.Vendor, error) {
	return many(ctx, &s.db.reads, vendors, "ORDER BY name")
}

func (s directoryStore) People(ctx context.Context) ([]gateway.Person, error) {
	return many(ctx, &s.db.reads, people, "ORDER BY name")
}

// Services implements directory.Store.
func (s names) Services(ctx context.Context) ([]gateway.Person, error) {
	return many(ctx, &s.db.reads, people, "WHERE service <> 'null' ORDER BY name")
}

func (s directoryStore) Targets(ctx context.Context) ([]gateway.Target, error) {
	return many(ctx, &s.db.reads, targets, "ORDER BY name")
}

func (s directoryStore) Update(ctx context.Context, f func(directory.Tx) error) error {
	return s.db.update(ctx, func(tx *Tx) error { return f(tx) })
}

// PutVendor implements directory.Tx. The one state that it may move an
// existing row to is Removed, which is for good; the others are the kill
// switch's.
func (tx *Tx) PutVendor(v gateway.Vendor) error {
	if err := swap(tx, vendors, &v, v.Version, "state", "epoch"); err != nil || v.State != gateway.Removed {
		return err
	}
	_, err := tx.exec("UPDATE vendors SET state = $1 WHERE name = $2", string(gateway.Removed), v.Name)
	return err
}

// PutPerson implements directory.Tx, as PutVendor does.
func (tx *Tx) PutPerson(p gateway.Person) error {
	if err := swap(tx, people, &p, p.Version, "state", "epoch"); err != nil || p.State != gateway.Removed {
		return err
	}
	_, err := tx.exec("UPDATE people SET state = $1 WHERE name = $2", string(gateway.Removed), p.Name)
	return err
}

// PutTarget implements directory.Tx.
func (tx *Tx) PutTarget(t gateway.Target) error { return swap(tx, targets, &t, t.Version) }
