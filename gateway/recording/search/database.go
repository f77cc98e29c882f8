package search

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/portcullis/portcullis/gateway/recording"
)

const (
	// version is of the tables and of how lines are made. A file of another
	// one is made anew.
	version = 1

	fileMode    = 0o600
	readers     = 4
	busyTimeout = 5 * time.Second

	// A block's number has that of its session, which grows with the time of
	// its beginning, and counts down within the session: so the newest session
	// comes first, and of each its beginning.
	blockBits = 20
	blockMask = 1<<blockBits - 1
)

const schema = `
CREATE TABLE session (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,
  vendor TEXT NOT NULL, person TEXT NOT NULL, target TEXT NOT NULL,
  begun INTEGER NOT NULL, cut INTEGER NOT NULL
) STRICT;
CREATE TABLE block (
  id INTEGER PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL, kinds INTEGER NOT NULL, packed BLOB NOT NULL
) STRICT;
CREATE VIRTUAL TABLE gram USING fts5(words, content='', contentless_delete=1, detail=none, tokenize='ascii');
`

// database is the file of the index, open.
type database struct{ write, read *sql.DB }

// openDatabase opens the file. One that is damaged, or of another version, is
// made anew: all of it can be derived again.
func openDatabase(path string) (*database, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	d, err := tryDatabase(path)
	if err == nil || !broken(err) && !errors.Is(err, errVersion) {
		return d, err
	}
	if err := removeDatabase(path); err != nil {
		return nil, err
	}
	return tryDatabase(path)
}

var errVersion = errors.New("the index is of another version")

func tryDatabase(path string) (_ *database, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, fileMode)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.Chmod(fileMode), f.Close()); err != nil {
		return nil, err
	}
	d := &database{}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	// A power cut may take the newest sessions out of the index; the next
	// start puts them in again.
	if d.write, err = dial(path, 1, "journal_mode(WAL)", "synchronous(NORMAL)"); err != nil {
		return nil, err
	}
	if err := d.prepare(); err != nil {
		return nil, err
	}
	d.read, err = dial(path, readers, "query_only(1)")
	return d, err
}

func dial(path string, conns int, pragmas ...string) (*sql.DB, error) {
	q := url.Values{"_pragma": append([]string{"busy_timeout(" + strconv.FormatInt(busyTimeout.Milliseconds(), 10) + ")", "trusted_schema(0)", "cell_size_check(1)"}, pragmas...)}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	if err := db.PingContext(context.Background()); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// prepare makes the tables in an empty file.
func (d *database) prepare() error {
	var have, tables int
	ctx := context.Background()
	if err := d.write.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&have); err != nil {
		return err
	}
	if err := d.write.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema`).Scan(&tables); err != nil {
		return err
	}
	if have == version {
		return nil
	}
	if have != 0 || tables != 0 {
		return errVersion
	}
	_, err := d.write.ExecContext(ctx, fmt.Sprintf("BEGIN; %s PRAGMA user_version = %d; COMMIT", schema, version))
	return err
}

func (d *database) close() error {
	var errs []error
	for _, db := range []*sql.DB{d.read, d.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

func removeDatabase(path string) error {
	for _, end := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(path + end); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// broken reports whether the file is damaged.
func broken(err error) bool {
	var e *sqlite.Error
	if errors.As(err, &e) {
		code := e.Code() & 0xff
		return code == sqlite3.SQLITE_CORRUPT || code == sqlite3.SQLITE_NOTADB
	}
	return errors.Is(err, errBlock)
}

// put writes one session, all or nothing; one that is there is replaced.
func (d *database) put(ctx context.Context, info recording.Info, p *packer) error {
	tx, err := d.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after Commit it does nothing
	if err := drop(ctx, tx, info.Session); err != nil {
		return err
	}
	id, err := place(ctx, tx, info.Begun)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO session (id, name, vendor, person, target, begun, cut) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		id, info.Session, info.Vendor, info.Person, info.Target, info.Begun.UnixMicro(), p.cut); err != nil {
		return err
	}
	// Backwards, so that the numbers grow: the index wants to flush wherever
	// they do not.
	for i := len(p.blocks) - 1; i >= 0; i-- {
		if err := putBlock(ctx, tx, id<<blockBits|int64(blockMask-i), p.blocks[i]); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func putBlock(ctx context.Context, tx *sql.Tx, id int64, b block) error {
	grams := gramSet{}
	if err := unpack(b.packed, func(l line) bool { grams.add(fold(l.text)); return true }); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO block (id, first, last, kinds, packed) VALUES (?, ?, ?, ?, ?)`,
		id, b.first.Microseconds(), b.last.Microseconds(), b.kinds, b.packed); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO gram (rowid, words) VALUES (?, ?)`, id, grams.words())
	return err
}

// place answers a free number for a session that began at a time.
func place(ctx context.Context, tx *sql.Tx, begun time.Time) (id int64, err error) {
	for id = max(1, begun.UnixMilli()); ; id++ {
		var one int
		err := tx.QueryRowContext(ctx, `SELECT 1 FROM session WHERE id = ?`, id).Scan(&one)
		if errors.Is(err, sql.ErrNoRows) {
			return id, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

func drop(ctx context.Context, tx *sql.Tx, session string) error {
	var id int64
	err := tx.QueryRowContext(ctx, `SELECT id FROM session WHERE name = ?`, session).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	from, to := id<<blockBits, id<<blockBits|blockMask
	for _, q := range []string{
		`DELETE FROM gram WHERE rowid IN (SELECT id FROM block WHERE id BETWEEN ? AND ?)`, `DELETE FROM block WHERE id BETWEEN ? AND ?`,
	} {
		if _, err := tx.ExecContext(ctx, q, from, to); err != nil {
			return err
		}
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM session WHERE id = ?`, id)
	return err
}

func (d *database) remove(ctx context.Context, session string) error {
	tx, err := d.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after Commit it does nothing
	if err := drop(ctx, tx, session); err != nil {
		return err
	}
	return tx.Commit()
}

// sessions answers the names of all that are indexed.
func (d *database) sessions(ctx context.Context) (map[string]bool, error) {
	rows, err := d.read.QueryContext(ctx, `SELECT name FROM session`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := map[string]bool{}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		all[name] = true
	}
	return all, rows.Err()
}
