package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
)

// MaxBatch bounds how many updates share one transaction and its fsync.
const MaxBatch = 256

var (
	errClosed    = errors.New("the store is closed")
	errAbandoned = errors.New("the update did not return")
)

// job is one update on its way. The writer hands it the transaction (turn),
// takes it back (ran), and tells it how it went (done). The function itself
// runs in its caller's goroutine, so a panic in it unwinds where it belongs.
type job struct {
	ctx  context.Context
	turn chan *Tx
	ran  chan error
	done chan error
}

// update runs f in a savepoint of the transaction that is open, or of a new
// one. It returns when the transaction is on disk or f's part of it is undone.
// Until its turn comes it gives way to ctx; after that it waits for the truth.
// f must not wait for anything but tx: all other writers wait for it.
func (db *DB) update(ctx context.Context, f func(*Tx) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	j := &job{ctx: ctx, turn: make(chan *Tx), ran: make(chan error, 1), done: make(chan error, 1)}
	select {
	case db.queue <- j:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-db.closing:
		return gateway.Unavailable("store", errClosed)
	}
	select {
	case tx := <-j.turn:
		return j.run(tx, f)
	case err := <-j.done: // no transaction could be opened
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-db.closing:
		return gateway.Unavailable("store", errClosed)
	}
}

func (j *job) run(tx *Tx, f func(*Tx) error) error {
	returned := false
	defer func() {
		if !returned { // a panic, or a test's FailNow: undone before it goes on unwinding
			j.ran <- errAbandoned
			<-j.done //nolint:errcheck // the panic goes on unwinding
		}
	}()
	err := f(tx)
	returned = true
	j.ran <- err
	return <-j.done
}

// write is the writer's goroutine.
func (db *DB) write() {
	for {
		select {
		case j := <-db.queue:
			db.batch(j)
		case <-db.closing:
			return
		}
	}
}

// batch is one transaction and the updates that share it.
type batch struct {
	conn    *sql.Conn
	c       conn
	log     tail
	waiting []*job // have run, and wait for the commit
}

// batch runs first, and whoever else waits by then, in one transaction.
func (db *DB) batch(first *job) {
	b, err := db.begin()
	if err != nil {
		first.done <- err
		return
	}
	broken := db.serve(b, first)
	for n := 1; broken == nil && n < MaxBatch; n++ {
		select {
		case j := <-db.queue:
			broken = db.serve(b, j)
			continue
		default:
		}
		break
	}
	if broken == nil && len(b.waiting) > 0 {
		broken = db.commit(b)
	} else {
		db.abandon(b)
	}
	for _, j := range b.waiting {
		j.done <- broken
	}
}

// begin opens a transaction. A connection that the server has shut since the
// last one says so at its first use, when nothing is done yet: the next one is
// tried, once.
func (db *DB) begin() (*batch, error) {
	b, err := db.beginOnce()
	if errors.Is(err, driver.ErrBadConn) {
		b, err = db.beginOnce()
	}
	return b, err
}

func (db *DB) beginOnce() (*batch, error) {
	ctx := context.Background()
	c, err := db.cfg.Writer.Conn(ctx)
	if err != nil {
		return nil, db.cfg.Dialect.Fault(err)
	}
	b := &batch{conn: c, c: conn{q: c, fault: db.cfg.Dialect.Fault}}
	if _, err := b.c.exec(ctx, db.cfg.Dialect.Begin); err != nil {
		db.abandon(b)
		return nil, err
	}
	return b, nil
}

// serve gives j its turn inside a savepoint. An error means that the whole
// transaction is lost.
func (db *DB) serve(b *batch, j *job) error {
	ctx := context.Background()
	if _, err := b.c.exec(ctx, "SAVEPOINT job"); err != nil {
		j.done <- err
		return err
	}
	tx := &Tx{db: db, batch: b, c: conn{q: b.conn, fault: db.cfg.Dialect.Fault, inTx: true}}
	saved := b.log
	err := errAbandoned
	select {
	case j.turn <- tx:
		err = <-j.ran
		if err == nil {
			err = tx.c.stuck // an error of the database is not f's to forgive
		}
		tx.c.stuck = errors.New("the transaction is over")
	case <-j.ctx.Done():
	case <-db.closing:
	}
	if err == nil {
		if _, err := b.c.exec(ctx, "RELEASE SAVEPOINT job"); err != nil {
			j.done <- err
			return err
		}
		b.waiting = append(b.waiting, j)
		return nil
	}
	b.log = saved
	_, lost := b.c.exec(ctx, "ROLLBACK TO SAVEPOINT job")
	if lost == nil {
		_, lost = b.c.exec(ctx, "RELEASE SAVEPOINT job")
	}
	j.done <- err
	return lost
}

// commit signs the head of the log where it has grown, makes the transaction
// durable and announces it.
func (db *DB) commit(b *batch) error {
	ctx := context.Background()
	var seen map[gateway.Digest]time.Time
	cp, err := db.seal(ctx, b)
	if err == nil {
		seen, err = db.flushSeen(ctx, &b.c)
	}
	if err == nil {
		_, err = b.c.exec(ctx, db.cfg.Dialect.Commit)
	}
	if err != nil {
		db.end = tail{}
		db.cfg.Logger.Error("a transaction was taken back", "updates", len(b.waiting), "err", err)
		db.abandon(b)
		return err
	}
	if err := b.conn.Close(); err != nil {
		db.cfg.Logger.Warn("the writer's connection did not go back", "err", err)
	}
	db.forgetSeen(seen)
	if cp.Size > 0 {
		db.end = b.log
		db.cfg.AfterCommit(cp)
		db.announce()
	}
	return nil
}

// abandon rolls back and throws the connection away where that does not work.
func (db *DB) abandon(b *batch) {
	if _, err := b.conn.ExecContext(context.Background(), "ROLLBACK"); err != nil {
		_ = b.conn.Raw(func(any) error { return driver.ErrBadConn })
	}
	_ = b.conn.Close()
}

// seal signs the head and files the checkpoint.
func (db *DB) seal(ctx context.Context, b *batch) (audit.Checkpoint, error) {
	if !b.log.grown {
		return audit.Checkpoint{}, nil
	}
	size := b.log.tree.Size()
	note, err := db.cfg.Sealer.Seal(size, b.log.tree.Root())
	if err != nil {
		return audit.Checkpoint{}, gateway.Unavailable("log's signer", fmt.Errorf("sign checkpoint at size %d: %w", size, err))
	}
	b.log.n, b.log.note = b.log.n+1, note
	_, err = b.c.exec(ctx, "INSERT INTO log_checkpoints (n, size, note) VALUES ($1, $2, $3)", b.log.n, size, note)
	return audit.Checkpoint{Size: size, Note: note}, err
}
