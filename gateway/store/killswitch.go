package store

import (
	"context"
	"fmt"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/killswitch"
)

// maxSuspensions bounds the list of suspensions.
const maxSuspensions = 200

// KillSwitch answers to killswitch.Store.
func (db *DB) KillSwitch() killswitch.Store { return killStore{db} }

type killStore struct{ db *DB }

func (s killStore) Suspension(ctx context.Context, id string) (gateway.Suspension, error) {
	return one(ctx, &s.db.reads, suspensions, "WHERE id = $1", id)
}

func (s killStore) Suspensions(ctx context.Context) ([]gateway.Suspension, error) {
	return many(ctx, &s.db.reads, suspensions, "ORDER BY id DESC LIMIT $1", maxSuspensions)
}

// Epochs implements killswitch.Store, in one statement and so at one moment.
func (s killStore) Epochs(ctx context.Context) (vendors, people map[string]killswitch.Standing, err error) {
	vendors, people = map[string]killswitch.Standing{}, map[string]killswitch.Standing{}
	var kind, name string
	var st killswitch.Standing
	err = s.db.reads.each(ctx, []any{&kind, &name, &st.State, whole{&st.Epoch}}, func() {
		if kind == string(gateway.ScopeVendor) {
			vendors[name] = st
		} else {
			people[name] = st
		}
	}, "SELECT 'vendor', name, state, epoch FROM vendors UNION ALL SELECT 'person', name, state, epoch FROM people")
	if err != nil {
		return nil, nil, err
	}
	return vendors, people, nil
}

func (s killStore) Update(ctx context.Context, f func(killswitch.Tx) error) error {
	return s.db.update(ctx, func(tx *Tx) error { return f(tx) })
}

// scoped are the statements that differ between a vendor and a person.
type scoped struct {
	standing, move string
	column         string // of requests, grants and sessions
	whose          string // condition on a person column
}

var scopes = map[gateway.ScopeKind]scoped{
	gateway.ScopeVendor: {
		standing: "SELECT state, epoch FROM vendors WHERE name = $1",
		move:     "UPDATE vendors SET state = $1, epoch = $2, standing_since = $3 WHERE name = $4 AND epoch = $5",
		column:   "vendor", whose: "person IN (SELECT name FROM people WHERE vendor = $?)",
	},
	gateway.ScopePerson: {
		standing: "SELECT state, epoch FROM people WHERE name = $1",
		move:     "UPDATE people SET state = $1, epoch = $2, standing_since = $3 WHERE name = $4 AND epoch = $5",
		column:   "person", whose: "person = $?",
	},
}

func scopeOf(s gateway.Scope) (scoped, error) {
	sql, ok := scopes[s.Kind]
	if !ok || s.Name == "" {
		return sql, gateway.Internal(fmt.Errorf("scope %q of %q cannot be ordered", s.Kind, s.Name))
	}
	return sql, nil
}

// Standing implements killswitch.Tx.
func (tx *Tx) Standing(s gateway.Scope) (killswitch.Standing, error) {
	var st killswitch.Standing
	sql, err := scopeOf(s)
	if err != nil {
		return st, err
	}
	found := false
	err = tx.c.each(tx.ctx(), []any{&st.State, whole{&st.Epoch}}, func() { found = true }, sql.standing, s.Name)
	if err == nil && !found {
		err = gateway.ErrNotFound
	}
	return st, err
}

// SetStanding implements killswitch.Tx.
func (tx *Tx) SetStanding(s gateway.Scope, from uint64, to killswitch.Standing, at time.Time) error {
	sql, err := scopeOf(s)
	if err != nil {
		return err
	}
	err = tx.touch(gateway.ErrStale, sql.move, string(to.State), whole{&to.Epoch}, micros(at), s.Name, whole{&from})
	return tx.tell(err, gateway.ErrStale, "SELECT 1 FROM ("+sql.standing+") AS there", s.Name)
}

// Cancel implements killswitch.Tx.
func (tx *Tx) Cancel(s gateway.Scope, by string, at time.Time) (gateway.Cancelled, error) {
	sql, err := scopeOf(s)
	if err != nil {
		return gateway.Cancelled{}, err
	}
	var c gateway.Cancelled
	for _, step := range []struct {
		count *int
		text  string
		whose string
		args  []any
	}{
		{&c.Requests, "UPDATE requests SET state = $?, closed = $?, closed_by = $?, word = $?, version = version + 1 WHERE state = $? AND ", sql.column + " = $?",
			[]any{string(gateway.RequestCancelled), micros(at), by, string(gateway.EndSuspended), string(gateway.RequestWaiting)}},
		{&c.Grants, "UPDATE grants SET state = $?, closed = $?, closed_by = $?, why = $?, version = version + 1 WHERE state <> $? AND ", sql.column + " = $?",
			[]any{string(gateway.GrantClosed), micros(at), by, string(gateway.EndSuspended), string(gateway.GrantClosed)}},
		{&c.Logins, "DELETE FROM logins WHERE ", sql.whose, nil},
		{&c.Tickets, "DELETE FROM tickets WHERE ", sql.whose, nil},
		{&c.Invitations, "UPDATE invitations SET used = $? WHERE used = 0 AND ", sql.whose, []any{micros(at)}},
	} {
		var w where
		w.add(step.text, step.args...)
		w.add(step.whose, s.Name)
		n, err := tx.exec(w.text, w.args...)
		if err != nil {
			return gateway.Cancelled{}, err
		}
		*step.count = int(n)
	}
	return c, nil
}

// PutSuspension implements killswitch.Tx.
func (tx *Tx) PutSuspension(s gateway.Suspension) error {
	_, err := tx.exec(suspensions.upserted, suspensions.fields(&s)...)
	return err
}

// LiveSessions implements killswitch.Tx.
func (tx *Tx) LiveSessions(s gateway.Scope) ([]gateway.Session, error) {
	sql, err := scopeOf(s)
	if err != nil {
		return nil, err
	}
	return many(tx.ctx(), &tx.c, sessions, "WHERE "+sql.column+" = $1 AND state <> $2 ORDER BY id", s.Name, string(gateway.SessionEnded))
}

// PutRestoration implements killswitch.Tx. A person who signs twice counts
// once, with the first signature.
func (tx *Tx) PutRestoration(suspension string, epoch uint64, signer string, d gateway.Digest) ([]killswitch.Restoration, error) {
	if _, err := tx.exec("INSERT INTO restorations (suspension, epoch, signer, statement) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
		suspension, whole{&epoch}, signer, d.String()); err != nil {
		return nil, err
	}
	var list []killswitch.Restoration
	var r killswitch.Restoration
	err := tx.c.each(tx.ctx(), []any{&r.Signer, digest{&r.Statement}}, func() { list = append(list, r) },
		"SELECT signer, statement FROM restorations WHERE suspension = $1 AND epoch = $2 ORDER BY seq", suspension, whole{&epoch})
	return list, err
}
