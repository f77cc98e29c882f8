package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"strings"

	"modernc.org/sqlite"
)

// maxKept bounds the statements that one connection keeps. There are as many
// texts as the store has functions; what comes beyond is compiled each time.
const maxKept = 256

// connector opens connections that keep their statements compiled: compiling
// takes SQLite longer than most of what the store asks.
type connector struct{ name string }

// Connect implements driver.Connector.
func (c connector) Connect(context.Context) (driver.Conn, error) {
	raw, err := c.Driver().Open(c.name)
	if err != nil {
		return nil, err
	}
	full, ok := raw.(fullConn)
	if !ok {
		return nil, errors.Join(errors.New("the driver's connection lacks what database/sql may use"), raw.Close())
	}
	return &keeper{fullConn: full, kept: map[string]fullStmt{}}, nil
}

// Driver implements driver.Connector.
func (c connector) Driver() driver.Driver { return &sqlite.Driver{} }

// fullConn is what database/sql looks for in a connection.
type fullConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

type fullStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// keeper is a connection, used by one goroutine at a time, with the statements
// that are not at work.
type keeper struct {
	fullConn
	kept map[string]fullStmt
}

// take returns the statement of that text, or nil where it is not to be kept:
// a text of several statements is compiled piece by piece.
func (k *keeper) take(ctx context.Context, text string) (fullStmt, error) {
	if s, ok := k.kept[text]; ok {
		delete(k.kept, text) // its rows may still be read when the same is asked again
		return s, nil
	}
	if len(k.kept) >= maxKept || strings.Contains(text, ";") {
		return nil, nil
	}
	s, err := k.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	full, ok := s.(fullStmt)
	if !ok {
		return nil, s.Close()
	}
	return full, nil
}

// give puts a statement back. One that failed is not used again.
func (k *keeper) give(text string, s fullStmt, failed error) error {
	if _, twice := k.kept[text]; twice || failed != nil || k.kept == nil {
		return s.Close()
	}
	k.kept[text] = s
	return nil
}

// ExecContext implements driver.ExecerContext.
func (k *keeper) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	s, err := k.take(ctx, text)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return k.fullConn.ExecContext(ctx, text, args)
	}
	r, err := s.ExecContext(ctx, args)
	return r, errors.Join(err, k.give(text, s, err))
}

// QueryContext implements driver.QueryerContext.
func (k *keeper) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	s, err := k.take(ctx, text)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return k.fullConn.QueryContext(ctx, text, args)
	}
	rows, err := s.QueryContext(ctx, args)
	if err != nil {
		return nil, errors.Join(err, k.give(text, s, err))
	}
	return &keptRows{Rows: rows, k: k, text: text, s: s}, nil
}

// Close implements driver.Conn.
func (k *keeper) Close() error {
	var errs []error
	for _, s := range k.kept {
		errs = append(errs, s.Close())
	}
	k.kept = nil
	return errors.Join(append(errs, k.fullConn.Close())...)
}

// keptRows gives its statement back when it is closed, which database/sql does
// once.
type keptRows struct {
	driver.Rows
	k    *keeper
	text string
	s    fullStmt
}

// Close implements driver.Rows.
func (r *keptRows) Close() error {
	err := r.Rows.Close()
	return errors.Join(err, r.k.give(r.text, r.s, err))
}
