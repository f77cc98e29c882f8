package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/portcullis/portcullis/gateway"
)

// querier is what *sql.DB and *sql.Conn have in common.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// conn runs statements and words their errors. Inside a transaction it sticks
// to the first error: a database may have taken the transaction back by
// itself, and what ran after that would be a transaction of its own.
type conn struct {
	q     querier
	fault func(error) error
	inTx  bool
	stuck error // in a transaction only
}

// word turns a driver's error into ours, and remembers it.
func (c *conn) word(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
	default:
		err = c.fault(err)
	}
	if c.inTx && c.stuck == nil {
		c.stuck = err
	}
	return err
}

// exec returns how many rows it touched.
func (c *conn) exec(ctx context.Context, text string, args ...any) (int64, error) {
	if c.stuck != nil {
		return 0, c.stuck
	}
	r, err := c.q.ExecContext(ctx, text, args...)
	if err != nil {
		return 0, c.word(err)
	}
	n, err := r.RowsAffected()
	return n, c.word(err)
}

// each scans every row into what into returns, then calls next.
func (c *conn) each(ctx context.Context, into []any, next func(), text string, args ...any) error {
	if c.stuck != nil {
		return c.stuck
	}
	rows, err := c.q.QueryContext(ctx, text, args...)
	if err != nil {
		return c.word(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return c.word(err)
		}
		next()
	}
	return c.word(rows.Err())
}

// many lists the rows of t that the tail of the statement selects.
func many[T any](ctx context.Context, c *conn, t table[T], tail string, args ...any) ([]T, error) {
	list := []T{}
	var row T
	keep := func() { list, row = append(list, row), *new(T) }
	err := c.each(ctx, t.fields(&row), keep, t.selected+" "+tail, args...)
	if err != nil {
		return nil, err
	}
	return list, nil
}

// one returns the first row, or gateway.ErrNotFound.
func one[T any](ctx context.Context, c *conn, t table[T], tail string, args ...any) (T, error) {
	list, err := many(ctx, c, t, tail, args...)
	switch {
	case err != nil:
		return *new(T), err
	case len(list) == 0:
		return *new(T), gateway.ErrNotFound
	}
	return list[0], nil
}

// number returns the one number that text selects, 0 for NULL, or
// gateway.ErrNotFound.
func number(ctx context.Context, c *conn, text string, args ...any) (int64, error) {
	var n sql.NullInt64
	found := false
	err := c.each(ctx, []any{&n}, func() { found = true }, text, args...)
	if err == nil && !found {
		err = gateway.ErrNotFound
	}
	return n.Int64, err
}
