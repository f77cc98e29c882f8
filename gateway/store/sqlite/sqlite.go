package sqlite

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/store"
)

const (
	busyTimeout = 5 * time.Second // how long to wait for another process (a backup, the command line)
	readers     = 4               // connections that read
	fileMode    = 0o600
)

//go:embed migrations/*.sql
var migrations embed.FS

// Options are what Open takes beside the path.
type Options struct {
	Sealer      audit.Sealer           // signs the log's head in each transaction that appends; needed
	Machine     statement.MachineKey   // signs the receipt of each statement; needed
	Now         func() time.Time       // nil: time.Now
	AfterCommit func(audit.Checkpoint) // called in order after each commit that appended; must not block
	Logger      *slog.Logger           // nil: no log
}

// Open opens the database at path, creates it where there is none, and brings
// its tables up to date.
func Open(path string, opts Options) (*store.DB, error) {
	if len(opts.Machine.Private) != ed25519.PrivateKeySize {
		return nil, errors.New("open store: it needs the machine's key for its receipts")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := private(path); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	writer, err := open(path, 1, "synchronous(FULL)", "journal_mode(WAL)", "foreign_keys(1)")
	if err != nil {
		return nil, fmt.Errorf("open store %q: %w", path, err)
	}
	if err := store.Migrate(context.Background(), goose.DialectSQLite3, writer, migrations); err != nil {
		return nil, errors.Join(fmt.Errorf("open store %q: %w", path, err), writer.Close())
	}
	reader, err := open(path, readers, "query_only(1)")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open store %q: %w", path, err), writer.Close())
	}
	db, err := store.New(store.Config{
		Writer: writer, Reader: reader, Sealer: opts.Sealer, Machine: opts.Machine, Now: opts.Now, AfterCommit: opts.AfterCommit, Logger: opts.Logger,
		Dialect: Dialect(),
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open store %q: %w", path, err), reader.Close(), writer.Close())
	}
	return db, nil
}

// Dialect is what store.New needs to know of SQLite.
func Dialect() store.Dialect {
	return store.Dialect{Begin: "BEGIN IMMEDIATE", Fault: fault, Inspect: inspect}
}

// private makes sure that the file is there and is the gateway's alone. SQLite
// gives its -wal and -shm files the same mode.
func private(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, fileMode)
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(fileMode), f.Close())
}

// open returns a pool of connections, each with those pragmas.
func open(path string, conns int, pragmas ...string) (*sql.DB, error) {
	q := url.Values{"_pragma": append([]string{"busy_timeout(" + strconv.FormatInt(busyTimeout.Milliseconds(), 10) + ")", "trusted_schema(0)", "cell_size_check(1)"}, pragmas...)}
	name := (&url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: q.Encode()}).String()
	db := sql.OpenDB(connector{name})
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	if err := db.PingContext(context.Background()); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// fault words an error of the driver. What is not plainly our own mistake
// means that the store cannot be relied on.
func fault(err error) error {
	var e *sqlite.Error
	if errors.As(err, &e) {
		switch e.Code() & 0xff {
		case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_MISUSE, sqlite3.SQLITE_RANGE, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_ERROR:
			return gateway.Internal(fmt.Errorf("store: %w", err))
		}
	}
	return gateway.Unavailable("store", err)
}

// inspect runs SQLite's own examination of its pages and indexes.
func inspect(ctx context.Context, db *sql.DB) ([]string, error) {
	rows, err := db.QueryContext(ctx, "PRAGMA integrity_check")
	if err != nil {
		return complaint(ctx, err)
	}
	defer rows.Close()
	var list []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return nil, err
		}
		if line != "ok" {
			list = append(list, line)
		}
	}
	if err := rows.Err(); err != nil {
		more, err := complaint(ctx, err)
		return append(list, more...), err
	}
	return list, nil
}

// complaint makes a finding of the error that a broken file gives.
func complaint(ctx context.Context, err error) ([]string, error) {
	var e *sqlite.Error
	if ctx.Err() == nil && errors.As(err, &e) && (e.Code()&0xff == sqlite3.SQLITE_CORRUPT || e.Code()&0xff == sqlite3.SQLITE_NOTADB) {
		return []string{err.Error()}, nil
	}
	return nil, fault(err)
}
