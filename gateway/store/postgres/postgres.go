package postgres

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/store"
)

// The locks of a database that all nodes know. Each is taken for nothing else.
const (
	writerLock    = 0x706f7274_77726974 // the one writer, until its transaction ends
	migrationLock = 0x706f7274_6d696772 // whoever brings the tables up to date
)

// channel is where each commit is announced.
const channel = "portcullis_commit"

const (
	idleLimit      = 2 * time.Second  // a writer that says nothing inside a transaction loses it
	lockLimit      = 5 * time.Second  // how long to wait for the other writers
	statementLimit = 5 * time.Second  // the server's bound on one statement
	silenceLimit   = 7 * time.Second  // ours, where the server does not answer at all
	pingLimit      = 2 * time.Second  // for a connection that has rested to say that it lives
	dialLimit      = 5 * time.Second  // to connect to one host
	tcpLimit       = 5 * time.Second  // what is sent and not acknowledged breaks the connection
	keepIdle       = 2 * time.Second  // silence before the first probe of a connection at rest
	keepInterval   = 1 * time.Second  // between probes
	keepCount      = 3                // unanswered probes that break it
	vanishedLimit  = 1 * time.Second  // how soon the server misses a client that waits for the lock
	readerLife     = 60 * time.Second // a reading connection is made anew after that, and held to the rules again
	listenEvery    = 500 * time.Millisecond
	readers        = 8 // connections that read
)

// Options are what Open takes beside the URL.
type Options struct {
	PasswordFile string                 // read at each connection; empty: the server asks for none
	Node         string                 // name of this node, unlike all others'
	Sealer       audit.Sealer           // signs the log's head in each transaction that appends; needed
	Machine      statement.MachineKey   // signs the receipt of each statement; needed
	Now          func() time.Time       // nil: time.Now
	AfterCommit  func(audit.Checkpoint) // called in order after each commit of this node that appended; must not block
	Logger       *slog.Logger           // nil: no log
}

// Open opens the database that address names, brings its tables up to date and
// logs what is less than it should be. It gives way to ctx while it does.
func Open(ctx context.Context, address string, opts Options) (*store.DB, error) {
	if len(opts.Machine.Private) != ed25519.PrivateKeySize {
		return nil, errors.New("open store: it needs the machine's key for its receipts")
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	a, err := parse(address, opts.PasswordFile)
	if err != nil {
		return nil, err
	}
	if err := migrate(ctx, a); err != nil {
		return nil, fmt.Errorf("open store %s: %w", a, err)
	}
	writer, reader := a.open(writing, 1), a.open(reading, readers)
	reader.SetConnMaxLifetime(readerLife)
	db, err := store.New(store.Config{
		Writer: writer, Reader: reader, Sealer: opts.Sealer, Machine: opts.Machine, Now: opts.Now, AfterCommit: opts.AfterCommit, Logger: opts.Logger,
		Node: opts.Node, Dialect: a.dialect(),
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open store %s: %w", a, err), reader.Close(), writer.Close())
	}
	warnings, err := db.Warnings(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open store %s: %w", a, err), db.Close())
	}
	for _, w := range warnings {
		opts.Logger.Warn("the database is less than a store should be", "why", w)
	}
	return db, nil
}

// dialect is what package store needs to know of PostgreSQL. Text without
// arguments goes to the server as it stands, so two statements are one trip.
func (a *address) dialect() store.Dialect {
	return store.Dialect{
		Begin:  "BEGIN; SELECT pg_advisory_xact_lock(" + strconv.Itoa(writerLock) + ")",
		Commit: commitText,
		Fault:  fault, Inspect: inspect, Warnings: a.warnings, Listen: a.listen, Beat: beat, Clock: "(" + clockText + ")::bigint",
	}
}

// open returns a pool of connections of that role. None is made yet.
func (a *address) open(r role, conns int) *sql.DB {
	db := sql.OpenDB(&connector{address: a, role: r})
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db
}
