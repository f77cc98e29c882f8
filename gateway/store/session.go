package store

import (
	"context"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/session"
)

// maxSessions bounds one page of sessions.
const maxSessions = 200

// Session answers to session.Store.
func (db *DB) Session() session.Store { return sessionStore{db} }

type sessionStore struct{ db *DB }

func (s sessionStore) Session(ctx context.Context, id string) (gateway.Session, error) {
	return one(ctx, &s.db.reads, sessions, "WHERE id = $1", id)
}

func (s sessionStore) Sessions(ctx context.Context, f session.Filter) ([]gateway.Session, error) {
	var w where
	w.equal("vendor", f.Vendor)
	w.equal("person", f.Person)
	w.equal("target", f.Target)
	w.equal("grant_id", f.Grant)
	if f.Live {
		w.and("state <> $?", string(gateway.SessionEnded))
	}
	w.page(f.Before, f.Limit, maxSessions)
	return many(ctx, &s.db.reads, sessions, w.text, w.args...)
}

func (s sessionStore) Passed(ctx context.Context, grant string) (in, out int64, err error) {
	err = s.db.reads.each(ctx, []any{&in, &out}, func() {}, "SELECT CAST(COALESCE(SUM(bytes_in), 0) AS BIGINT), CAST(COALESCE(SUM(bytes_out), 0) AS BIGINT) FROM sessions WHERE grant_id = $1 AND state = $2", grant, string(gateway.SessionEnded))
	return in, out, err
}

func (s sessionStore) Update(ctx context.Context, f func(session.Tx) error) error {
	return s.db.update(ctx, func(tx *Tx) error { return f(tx) })
}

// PutSession implements session.Tx.
func (tx *Tx) PutSession(s gateway.Session) error {
	_, err := tx.exec(sessions.upserted, sessions.fields(&s)...)
	return err
}
