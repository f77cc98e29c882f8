package postgres

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// commitText tells the other nodes in the same transaction, and ends it.
const commitText = "NOTIFY " + channel + "; COMMIT"

// maxParameter bounds one argument in bytes; what is longer is our mistake,
// and is refused before it meets the wire.
const maxParameter = 64 << 20

var (
	errSilent = errors.New("the database does not answer")
	errUndone = errors.New("the database took the transaction back at its end")
)

// connector makes connections that are what their role asks for.
type connector struct {
	address *address
	role    role
}

// Driver implements driver.Connector.
func (c *connector) Driver() driver.Driver { return stdlib.GetDefaultDriver() }

// Connect implements driver.Connector: it dials, settles and examines, or
// leaves nothing open.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	cfg, err := c.address.config(ctx)
	if err != nil {
		return nil, err
	}
	l := &link{limit: c.role.silence}
	cfg.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { l.notice(n) }
	ctx, cancel := context.WithTimeoutCause(ctx, c.role.silence, errSilent)
	defer cancel()
	raw, err := stdlib.GetConnector(*cfg).Connect(ctx)
	if err != nil {
		return nil, unnamed(err)
	}
	l.Conn = raw.(*stdlib.Conn) // stdlib's connector makes no other
	if err := c.role.settle(ctx, l.Conn.Conn()); err != nil {
		return nil, errors.Join(err, l.Conn.Close())
	}
	return l, nil
}

// unnamed drops the sentence around the cause of a failed connection: it
// repeats who wanted in.
func unnamed(err error) error {
	var c *pgconn.ConnectError
	if errors.As(err, &c) {
		if cause := c.Unwrap(); cause != nil {
			return fmt.Errorf("connect: %w", cause)
		}
	}
	return err
}

// link is a connection, used by one goroutine at a time, that waits for no
// answer without end.
type link struct {
	*stdlib.Conn
	limit  time.Duration
	warned *pgconn.Notice // by the statement that runs
	broken bool           // goes back to no pool
}

func (l *link) notice(n *pgconn.Notice) {
	if n.SeverityUnlocalized == "WARNING" {
		l.warned = n
	}
}

// ExecContext implements driver.ExecerContext.
func (l *link) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	bound, cancel := context.WithTimeoutCause(ctx, l.limit, errSilent)
	defer cancel()
	if text == commitText {
		return driver.RowsAffected(0), l.judge(ctx, bound, l.commit(bound))
	}
	r, err := l.Conn.ExecContext(bound, text, args)
	return r, l.judge(ctx, bound, err)
}

// commit believes nothing but a COMMIT without a warning: PostgreSQL answers
// ROLLBACK to a transaction that has failed, and warns where it gave up
// waiting for a standby.
func (l *link) commit(ctx context.Context) error {
	l.warned = nil
	tag, err := l.Conn.Conn().Exec(ctx, commitText)
	switch {
	case err != nil:
		return err
	case tag.String() != "COMMIT":
		return fmt.Errorf("%w: it answers %q", errUndone, tag.String())
	case l.warned != nil:
		l.broken = true
		return fmt.Errorf("commit: %s", l.warned.Message)
	}
	return nil
}

// QueryContext implements driver.QueryerContext.
func (l *link) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	bound, cancel := context.WithTimeoutCause(ctx, l.limit, errSilent)
	rows, err := l.Conn.QueryContext(bound, text, args)
	if err != nil {
		defer cancel()
		return nil, l.judge(ctx, bound, err)
	}
	return &answer{Rows: rows, l: l, asked: ctx, bound: bound, cancel: cancel}, nil
}

// answer is what came of a query; its limit ends with it.
type answer struct {
	driver.Rows
	l            *link
	asked, bound context.Context
	cancel       context.CancelFunc
}

// Next implements driver.Rows.
func (a *answer) Next(dest []driver.Value) error {
	return a.l.judge(a.asked, a.bound, a.Rows.Next(dest))
}

// Close implements driver.Rows.
func (a *answer) Close() error {
	defer a.cancel()
	return a.Rows.Close()
}

// judge tells our own patience from the caller's, and marks a connection that
// leads to a server which is none of ours any more.
func (l *link) judge(asked, bound context.Context, err error) error {
	if err == nil {
		return nil
	}
	if asked.Err() == nil && bound.Err() != nil {
		err = fmt.Errorf("%w within %s", errSilent, l.limit)
	}
	l.broken = l.broken || leave(err)
	return err
}

// ResetSession implements driver.SessionResetter. The driver asks a connection
// that has rested whether it lives, and would wait for that without end.
func (l *link) ResetSession(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, pingLimit, errSilent)
	defer cancel()
	return l.Conn.ResetSession(ctx)
}

// IsValid implements driver.Validator.
func (l *link) IsValid() bool { return !l.broken && !l.Conn.Conn().IsClosed() }

// CheckNamedValue implements driver.NamedValueChecker. Values become what
// SQLite would see. A text that PostgreSQL would refuse (a zero byte, or none
// of Unicode's) is written with the replacement character, as JSON writes it:
// a stranger's odd name must not keep an event out of the log.
func (l *link) CheckNamedValue(v *driver.NamedValue) error {
	value, err := driver.DefaultParameterConverter.ConvertValue(v.Value)
	if err != nil {
		return err
	}
	size := 0
	switch x := value.(type) {
	case string:
		size = len(x)
		value = strings.ReplaceAll(strings.ToValidUTF8(x, "\ufffd"), "\x00", "\ufffd")
	case []byte:
		size = len(x)
	}
	if size > maxParameter {
		return fmt.Errorf("an argument has %d bytes, at most %d are allowed", size, maxParameter)
	}
	v.Value = value
	return nil
}
