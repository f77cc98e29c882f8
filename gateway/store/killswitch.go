package store

import (
	"context"
	"errors"
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

// Standings implements killswitch.Store, in one statement and so at one
// moment.
func (s killStore) Standings(ctx context.Context) (killswitch.Standings, error) {
	all := killswitch.Standings{}
	var scope gateway.Scope
	var st killswitch.Standing
	err := s.db.reads.each(ctx, []any{&scope.Kind, &scope.Name, &st.State, whole{&st.Epoch}}, func() { all[scope] = st },
		"SELECT 'vendor', name, state, epoch FROM vendors UNION ALL SELECT 'person', name, state, epoch FROM people UNION ALL SELECT kind, name, state, epoch FROM closures")
	if err != nil {
		return nil, err
	}
	return all, nil
}

func (s killStore) Update(ctx context.Context, f func(killswitch.Tx) error) error {
	return s.db.update(ctx, func(tx *Tx) error { return f(tx) })
}

// scoped are the statements that differ between the kinds of scope. Each
// condition takes the scope's name.
type scoped struct {
	standing, move string
	asked          string // condition on requests and grants
	live           string // condition on sessions
	whose          string // condition on a person column; empty: people are not closed
}

const (
	ofVendors = "vendor <> '' AND "
	standing  = "SELECT state, epoch FROM closures WHERE kind = $1 AND name = $2"
)

var scopes = map[gateway.ScopeKind]scoped{
	gateway.ScopeVendor: {
		standing: "SELECT state, epoch FROM vendors WHERE name = $1",
		move:     "UPDATE vendors SET state = $1, epoch = $2, standing_since = $3 WHERE name = $4 AND epoch = $5",
		asked:    "vendor = $?", live: "vendor = $?", whose: "person IN (SELECT name FROM people WHERE vendor = $?)",
	},
	gateway.ScopePerson: {
		standing: "SELECT state, epoch FROM people WHERE name = $1",
		move:     "UPDATE people SET state = $1, epoch = $2, standing_since = $3 WHERE name = $4 AND epoch = $5",
		asked:    "person = $?", live: "person = $?", whose: "person = $?",
	},
	gateway.ScopeTarget:   {asked: ofVendors + "target = $?", live: ofVendors + "target = $?"},
	gateway.ScopeZone:     {asked: ofVendors + "target IN (SELECT name FROM targets WHERE zone = $?)", live: ofVendors + "zone = $?"},
	gateway.ScopeProtocol: {asked: ofVendors + "target IN (SELECT name FROM targets WHERE kind = $?)", live: ofVendors + "protocol = $?"},
	gateway.ScopeAll: {
		asked: ofVendors + "'" + gateway.AllVendors + "' = $?", live: ofVendors + "'" + gateway.AllVendors + "' = $?",
		whose: "person IN (SELECT name FROM people WHERE vendor <> '' AND '" + gateway.AllVendors + "' = $?)",
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
	sql, err := scopeOf(s)
	if err != nil {
		return killswitch.Standing{}, err
	}
	if s.Wide() {
		return tx.wideStanding(s)
	}
	return tx.readStanding(sql.standing, s.Name)
}

func (tx *Tx) readStanding(text string, args ...any) (st killswitch.Standing, err error) {
	found := false
	err = tx.c.each(tx.ctx(), []any{&st.State, whole{&st.Epoch}}, func() { found = true }, text, args...)
	if err == nil && !found {
		err = gateway.ErrNotFound
	}
	return st, err
}

// wideStanding is that of a scope that has no row of its own until it is first
// closed.
func (tx *Tx) wideStanding(s gateway.Scope) (killswitch.Standing, error) {
	st, err := tx.readStanding(standing, string(s.Kind), s.Name)
	if !errors.Is(err, gateway.ErrNotFound) {
		return st, err
	}
	switch s.Kind {
	case gateway.ScopeTarget:
		_, err = number(tx.ctx(), &tx.c, "SELECT 1 FROM targets WHERE name = $1", s.Name)
	case gateway.ScopeZone:
		_, err = number(tx.ctx(), &tx.c, "SELECT 1 FROM targets WHERE zone = $1 LIMIT 1", s.Name)
	default:
		err = nil
	}
	return killswitch.Standing{State: gateway.Active, Epoch: 1}, err
}

// SetStanding implements killswitch.Tx.
func (tx *Tx) SetStanding(s gateway.Scope, from uint64, to killswitch.Standing, at time.Time) error {
	sql, err := scopeOf(s)
	if err != nil {
		return err
	}
	if s.Wide() {
		return tx.setWide(s, from, to, at)
	}
	err = tx.touch(gateway.ErrStale, sql.move, string(to.State), whole{&to.Epoch}, micros(at), s.Name, whole{&from})
	return tx.tell(err, gateway.ErrStale, "SELECT 1 FROM ("+sql.standing+") AS there", s.Name)
}

func (tx *Tx) setWide(s gateway.Scope, from uint64, to killswitch.Standing, at time.Time) error {
	if from <= 1 {
		return tx.touch(gateway.ErrStale, "INSERT INTO closures (kind, name, state, epoch, since) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
			string(s.Kind), s.Name, string(to.State), whole{&to.Epoch}, micros(at))
	}
	return tx.touch(gateway.ErrStale, "UPDATE closures SET state = $1, epoch = $2, since = $3 WHERE kind = $4 AND name = $5 AND epoch = $6",
		string(to.State), whole{&to.Epoch}, micros(at), string(s.Kind), s.Name, whole{&from})
}

// Wide implements session.Tx. The table is small: it has a row for each wide
// scope that was ever closed.
func (tx *Tx) Wide(r gateway.Reach) (epochs gateway.WideEpochs, open bool, err error) {
	open = true
	var scope gateway.Scope
	var st killswitch.Standing
	err = tx.c.each(tx.ctx(), []any{&scope.Kind, &scope.Name, &st.State, whole{&st.Epoch}}, func() {
		if !scope.Covers(r) {
			return
		}
		if epochs == nil {
			epochs = gateway.WideEpochs{}
		}
		epochs[scope.String()] = st.Epoch
		open = open && st.State == gateway.Active
	}, "SELECT kind, name, state, epoch FROM closures")
	return epochs, open, err
}

// Cancel implements killswitch.Tx.
func (tx *Tx) Cancel(s gateway.Scope, by string, at time.Time) (gateway.Cancelled, error) {
	sql, err := scopeOf(s)
	if err != nil {
		return gateway.Cancelled{}, err
	}
	tickets := sql.whose
	if tickets == "" {
		tickets = "grant_id IN (SELECT id FROM grants WHERE " + sql.asked + ")"
	}
	var c gateway.Cancelled
	for _, step := range []struct {
		count *int
		text  string
		whose string
		args  []any
	}{
		{&c.Requests, "UPDATE requests SET state = $?, closed = $?, closed_by = $?, word = $?, version = version + 1 WHERE state = $? AND ", sql.asked,
			[]any{string(gateway.RequestCancelled), micros(at), by, string(gateway.EndSuspended), string(gateway.RequestWaiting)}},
		{&c.Grants, "UPDATE grants SET state = $?, closed = $?, closed_by = $?, why = $?, version = version + 1 WHERE state <> $? AND ", sql.asked,
			[]any{string(gateway.GrantClosed), micros(at), by, string(gateway.EndSuspended), string(gateway.GrantClosed)}},
		{&c.Tickets, "DELETE FROM tickets WHERE ", tickets, nil},
		{&c.Logins, "DELETE FROM logins WHERE ", sql.whose, nil},
		{&c.Invitations, "UPDATE invitations SET used = $? WHERE used = 0 AND ", sql.whose, []any{micros(at)}},
	} {
		if step.whose == "" {
			continue
		}
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
	var w where
	w.and(sql.live, s.Name)
	w.and("state <> $?", string(gateway.SessionEnded))
	w.add(" ORDER BY id")
	return many(tx.ctx(), &tx.c, sessions, w.text, w.args...)
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
