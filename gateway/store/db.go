package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/statement"
)

// Dialect is what differs from one database to the other.
type Dialect struct {
	// Begin opens a transaction that may write, and keeps every other writer
	// of the same database out until its end.
	Begin string
	// Commit makes it durable, and tells other nodes; empty: COMMIT.
	Commit string
	// Fault words a driver's error: gateway.Unavailable where the database is
	// locked, full, broken or gone, gateway.Internal where we asked wrongly.
	Fault func(error) error
	// Inspect examines the database's own files; it returns what is wrong.
	Inspect func(ctx context.Context, db *sql.DB) ([]string, error)
	// Warnings says what makes the database less than it should be; nil: nothing.
	Warnings func(ctx context.Context, db *sql.DB, now func() time.Time) ([]string, error)
	// Listen calls heard when another node may have appended to the log, or
	// after a missed message, until ctx is done; nil where there is one node.
	Listen func(ctx context.Context, heard func())
	// Beat writes this node's line of the roll, without the writers' turn; nil
	// where there is one node. Clock is the store's clock in microseconds.
	Beat  func(ctx context.Context, reader *sql.DB, b Beat) error
	Clock string
}

// Config is what a DB is made of. Writer must allow one connection only.
type Config struct {
	Writer, Reader *sql.DB
	Dialect        Dialect
	Node           string // whose row of health this is, where several nodes share one database
	Sealer         audit.Sealer
	Machine        statement.MachineKey   // signs the receipt of each statement; without it none is filed
	Now            func() time.Time       // nil: time.Now
	AfterCommit    func(audit.Checkpoint) // called in order, after each commit that appended; must not block
	Logger         *slog.Logger           // nil: no log
}

// DB is an open store. It owns the writer's goroutine and at most one probe's;
// Close waits for both.
type DB struct {
	cfg   Config
	reads conn

	queue   chan *job
	closing chan struct{}
	once    sync.Once
	owned   sync.WaitGroup
	probing chan struct{} // holds one token while a probe is under way
	end     tail          // of the log as this process committed it last; of whose turn it is to write

	mu      sync.Mutex // guards what follows
	changed chan struct{}
	seen    map[gateway.Digest]time.Time // logins' last-seen times that no commit has carried yet
}

// New starts a DB over databases that are open and migrated. It closes them
// in Close.
func New(cfg Config) (*DB, error) {
	if cfg.Sealer == nil {
		return nil, errors.New("a store needs a sealer: no entry of the log may be without a signed head above it")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.AfterCommit == nil {
		cfg.AfterCommit = func(audit.Checkpoint) {}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	db := &DB{
		cfg: cfg, reads: conn{q: cfg.Reader, fault: cfg.Dialect.Fault},
		queue: make(chan *job), closing: make(chan struct{}), probing: make(chan struct{}, 1),
		changed: make(chan struct{}), seen: map[gateway.Digest]time.Time{},
	}
	if db.cfg.Dialect.Commit == "" {
		db.cfg.Dialect.Commit = "COMMIT"
	}
	db.owned.Go(db.write)
	db.owned.Go(db.listen)
	return db, nil
}

// listen hears of other nodes' appends until the store closes.
func (db *DB) listen() {
	if db.cfg.Dialect.Listen == nil {
		return
	}
	ctx, stop := context.WithCancelCause(context.Background())
	defer stop(nil)
	go func() {
		select {
		case <-db.closing:
			stop(errClosed)
		case <-ctx.Done():
		}
	}()
	db.cfg.Dialect.Listen(ctx, db.announce)
}

// Warnings says, in sentences for the operator, what makes the database less
// than a store should be: no second copy, a clock that is off, an old version.
func (db *DB) Warnings(ctx context.Context) ([]string, error) {
	if db.cfg.Dialect.Warnings == nil {
		return nil, nil
	}
	list, err := db.cfg.Dialect.Warnings(ctx, db.cfg.Reader, db.cfg.Now)
	if err != nil {
		return nil, db.reads.word(err)
	}
	return list, nil
}

// Close lets the transaction that is open finish, refuses what has not begun,
// and closes the database.
func (db *DB) Close() error {
	var err error
	db.once.Do(func() {
		close(db.closing)
		db.owned.Wait()
		db.probing <- struct{}{} // the last probe has ended; no other begins
		err = errors.Join(db.saveSeen(), db.cfg.Reader.Close(), db.cfg.Writer.Close())
	})
	return err
}

// Healthy writes a row, durably, and reads it back. It answers when ctx is
// done even where the disk does not; a probe that hangs holds up the next.
func (db *DB) Healthy(ctx context.Context) error {
	select {
	case db.probing <- struct{}{}:
	case <-ctx.Done():
		return gateway.Unavailable("store", context.Cause(ctx))
	case <-db.closing:
		return gateway.Unavailable("store", errClosed)
	}
	answer := make(chan error, 1)
	go func() { // Close waits for its token; a hanging disk holds on to both
		defer func() { <-db.probing }()
		answer <- db.probe(ctx)
	}()
	select {
	case err := <-answer:
		if err != nil && !gateway.IsCode(err, gateway.CodeUnavailable) {
			err = gateway.Unavailable("store", err)
		}
		return err
	case <-ctx.Done():
		return gateway.Unavailable("store", context.Cause(ctx))
	}
}

func (db *DB) probe(ctx context.Context) error {
	beat, row := db.cfg.Now().UnixNano(), healthRow(db.cfg.Node)
	err := db.update(ctx, func(tx *Tx) error {
		_, err := tx.exec("INSERT INTO health (id, beat) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET beat = excluded.beat", row, beat)
		return err
	})
	if err != nil {
		return err
	}
	got, err := number(ctx, &db.reads, "SELECT beat FROM health WHERE id = $1", row)
	if err == nil && got != beat {
		return fmt.Errorf("probe read %d back, wrote %d", got, beat)
	}
	return err
}

// healthRow is the key of a node's own row: two nodes that probe at once must
// not read each other's beat.
func healthRow(node string) int64 {
	if node == "" {
		return 1
	}
	d := gateway.DigestOf([]byte(node))
	return int64(binary.BigEndian.Uint64(d[:8]) >> 1)
}

// announce wakes who follows the log.
func (db *DB) announce() {
	db.mu.Lock()
	defer db.mu.Unlock()
	close(db.changed)
	db.changed = make(chan struct{})
}

// saveSeen writes what SeenLogin left waiting, at the end.
func (db *DB) saveSeen() error {
	if len(db.seen) == 0 {
		return nil
	}
	b, err := db.begin()
	if err != nil {
		return err
	}
	return db.commit(b)
}
