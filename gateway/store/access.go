package store

import (
	"context"
	"errors"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/access"
)

// Access answers to access.Store.
func (db *DB) Access() access.Store { return accessStore{db.names()} }

type accessStore struct{ names }

func (s accessStore) Request(ctx context.Context, id string) (gateway.Request, error) {
	return one(ctx, &s.db.reads, requests, "WHERE id = $1", id)
}

func (s accessStore) Requests(ctx context.Context, f access.Filter) ([]gateway.Request, error) {
	w := filtered(f)
	return many(ctx, &s.db.reads, requests, w.text, w.args...)
}

func (s accessStore) Approvals(ctx context.Context, request string) ([]gateway.Approval, error) {
	return many(ctx, &s.db.reads, approvals, "WHERE request = $1 ORDER BY seq", request)
}

func (s accessStore) Grant(ctx context.Context, id string) (gateway.Grant, error) {
	return one(ctx, &s.db.reads, grants, "WHERE id = $1", id)
}

func (s accessStore) GrantOf(ctx context.Context, request string) (gateway.Grant, error) {
	return one(ctx, &s.db.reads, grants, "WHERE request = $1", request)
}

func (s accessStore) Grants(ctx context.Context, f access.Filter) ([]gateway.Grant, error) {
	w := filtered(f)
	return many(ctx, &s.db.reads, grants, w.text, w.args...)
}

func (s accessStore) Usable(ctx context.Context, person, target string) ([]gateway.Grant, error) {
	return many(ctx, &s.db.reads, grants, usable, person, target, string(gateway.GrantClosed))
}

// filtered is the tail of a list of requests or grants.
func filtered(f access.Filter) where {
	var w where
	w.equal("vendor", f.Vendor)
	w.equal("person", f.Person)
	w.equal("target", f.Target)
	if len(f.States) > 0 {
		w.and("state IN (")
		glue := ""
		for _, state := range f.States {
			w.add(glue+"$?", state)
			glue = ", "
		}
		w.add(")")
	}
	w.page(f.Before, f.Limit, access.MaxPage)
	return w
}

// page ends a list: newest first, below the identifier before, at most limit.
func (w *where) page(before string, limit, most int) {
	if before != "" {
		w.and("id < $?", before)
	}
	if limit <= 0 || limit > most {
		limit = most
	}
	w.add(" ORDER BY id DESC LIMIT $?", limit)
}

// Due implements access.Store.
func (s accessStore) Due(ctx context.Context, now time.Time) ([]gateway.Request, []gateway.Grant, time.Time, error) {
	at := micros(now)
	waiting, planned, open := string(gateway.RequestWaiting), string(gateway.GrantPlanned), string(gateway.GrantOpen)
	late, err := many(ctx, &s.db.reads, requests, "WHERE state = $1 AND lapse <= $2 ORDER BY lapse, id", waiting, at)
	if err != nil {
		return nil, nil, time.Time{}, err
	}
	due, err := many(ctx, &s.db.reads, grants, "WHERE (state = $1 AND starts <= $2) OR (state = $3 AND ends <= $2) ORDER BY id", planned, at, open)
	if err != nil {
		return nil, nil, time.Time{}, err
	}
	var next time.Time
	for _, text := range []struct{ sql, state string }{
		{"SELECT MIN(lapse) FROM requests WHERE state = $1 AND lapse > $2", waiting},
		{"SELECT MIN(starts) FROM grants WHERE state = $1 AND starts > $2", planned},
		{"SELECT MIN(ends) FROM grants WHERE state = $1 AND ends > $2", open},
	} {
		n, err := number(ctx, &s.db.reads, text.sql, text.state, at)
		if err != nil {
			return nil, nil, time.Time{}, err
		}
		if t := time.UnixMicro(n).UTC(); n != 0 && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	return late, due, next, nil
}

func (s accessStore) Update(ctx context.Context, f func(access.Tx) error) error {
	return s.db.update(ctx, func(tx *Tx) error { return f(tx) })
}

// Request implements access.Tx.
func (tx *Tx) Request(id string) (gateway.Request, error) {
	return one(tx.ctx(), &tx.c, requests, "WHERE id = $1", id)
}

// Approvals implements access.Tx.
func (tx *Tx) Approvals(request string) ([]gateway.Approval, error) {
	return many(tx.ctx(), &tx.c, approvals, "WHERE request = $1 ORDER BY seq", request)
}

// Grant implements access.Tx.
func (tx *Tx) Grant(id string) (gateway.Grant, error) {
	return one(tx.ctx(), &tx.c, grants, "WHERE id = $1", id)
}

// usable is the tail of a person's grants at a target that are not closed.
const usable = "WHERE person = $1 AND target = $2 AND state <> $3 ORDER BY starts, id"

// Usable implements access.Tx.
func (tx *Tx) Usable(person, target string) ([]gateway.Grant, error) {
	return many(tx.ctx(), &tx.c, grants, usable, person, target, string(gateway.GrantClosed))
}

// Waiting implements access.Tx.
func (tx *Tx) Waiting(person string) ([]gateway.Request, error) {
	w := filtered(access.Filter{Person: person, States: []string{string(gateway.RequestWaiting)}, Limit: access.MaxWaiting})
	return many(tx.ctx(), &tx.c, requests, w.text, w.args...)
}

// PutRequest implements access.Tx.
func (tx *Tx) PutRequest(r gateway.Request) error { return swap(tx, requests, &r, r.Version) }

// PutApproval implements access.Tx.
func (tx *Tx) PutApproval(a gateway.Approval) error {
	return create(tx, approvals, &a, gateway.ErrUsed)
}

// PutGrant implements access.Tx.
func (tx *Tx) PutGrant(g gateway.Grant) error {
	err := swap(tx, grants, &g, g.Version)
	if g.Version > 1 || !errors.Is(err, gateway.ErrStale) {
		return err
	}
	// The insert met a row: of the same request, or of the same identifier.
	other, err := one(tx.ctx(), &tx.c, grants, "WHERE request = $1", g.Request)
	switch {
	case err == nil && other.ID != g.ID:
		return gateway.ErrUsed
	case err == nil, errors.Is(err, gateway.ErrNotFound):
		return gateway.ErrStale
	}
	return err
}

// PutTicket implements access.Tx.
func (tx *Tx) PutTicket(t access.Ticket) error { return create(tx, tickets, &t, gateway.ErrUsed) }

// TakeTicket implements access.Tx.
func (tx *Tx) TakeTicket(person, grant, via string, now time.Time) (access.Ticket, error) {
	t, err := one(tx.ctx(), &tx.c, tickets,
		"WHERE person = $1 AND grant_id = $2 AND expires > $3 AND ($4 = '' OR via = $4) ORDER BY seq LIMIT 1", person, grant, micros(now), via)
	if err != nil {
		return t, err
	}
	return t, tx.touch(gateway.ErrNotFound, "DELETE FROM tickets WHERE touch = $1", t.Touch.String())
}
