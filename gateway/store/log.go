package store

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
)

// tail is the end of the log as the open transaction sees it.
type tail struct {
	tree   audit.Tree
	n      int64  // of the last checkpoint, -1 before the first
	note   []byte // of the same
	loaded bool
	grown  bool
}

// load reads the end of the log once in a transaction. kept is the end as this
// process committed it last: where its checkpoint is still the last, it is the
// end, for the note is signed over the size and the root of all before it.
func (t *tail) load(ctx context.Context, c *conn, kept *tail) error {
	if t.loaded {
		return nil
	}
	var last, n int64
	var note []byte
	err := c.each(ctx, []any{&last, &n, &note}, func() {}, "SELECT (SELECT COALESCE(MAX(seq), -1) FROM log_entries), "+
		"(SELECT COALESCE(MAX(n), -1) FROM log_checkpoints), (SELECT note FROM log_checkpoints ORDER BY n DESC LIMIT 1)")
	if err != nil {
		return err
	}
	if kept.loaded && kept.n == n && kept.tree.Size() == last+1 && bytes.Equal(kept.note, note) {
		t.tree, t.n, t.loaded = kept.tree, n, true
		return nil
	}
	t.n = n
	return t.loadEdge(ctx, c, last)
}

// loadEdge reads the edge of the tree whose last entry is given.
func (t *tail) loadEdge(ctx context.Context, c *conn, last int64) error {
	var edge []tlog.Hash
	for _, i := range audit.EdgeIndexes(last + 1) {
		var h looseHash
		err := c.each(ctx, []any{&h}, func() { edge = append(edge, tlog.Hash(h)) }, "SELECT hash FROM log_hashes WHERE idx = $1", i)
		if err != nil {
			return err
		}
	}
	tree, err := audit.NewTree(last+1, edge)
	if err != nil {
		return gateway.Unavailable("audit log", err)
	}
	t.tree, t.loaded = tree, true
	return nil
}

// Append implements audit.Tx. An event that cannot be written fails the
// transaction, whatever the caller makes of the error.
func (tx *Tx) Append(e audit.Event) error {
	if tx.c.stuck != nil {
		return tx.c.stuck
	}
	if e.At.IsZero() {
		e.At = tx.db.cfg.Now()
	}
	if err := tx.append(e); err != nil {
		tx.c.stuck = err
		return err
	}
	return nil
}

func (tx *Tx) append(e audit.Event) error {
	log := &tx.batch.log
	if err := log.load(tx.ctx(), &tx.c, &tx.db.end); err != nil {
		return err
	}
	r, err := audit.NewRow(e, log.tree.Size())
	if err != nil {
		return gateway.Internal(err)
	}
	k := r.Keys
	_, err = tx.exec("INSERT INTO log_entries (seq, body, leaf, at, name, actor, vendor, person, target, session) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
		r.Seq, string(r.Body), r.Leaf[:], k.At, k.Name, k.Actor, k.Vendor, k.Person, k.Target, k.Session)
	if err != nil {
		return err
	}
	index := tlog.StoredHashIndex(0, r.Seq)
	for i, h := range log.tree.Append(tlog.Hash(r.Leaf)) {
		if _, err := tx.exec("INSERT INTO log_hashes (idx, hash) VALUES ($1, $2)", index+int64(i), h[:]); err != nil {
			return err
		}
	}
	log.grown = true
	return nil
}

// Audit returns the log's rows.
func (db *DB) Audit() audit.Source { return auditSource{db} }

type auditSource struct{ db *DB }

// Append implements audit.Source.
func (s auditSource) Append(ctx context.Context, events ...audit.Event) error {
	return s.db.update(ctx, func(tx *Tx) error {
		for _, e := range events {
			if err := tx.Append(e); err != nil {
				return err
			}
		}
		return nil
	})
}

// Changed implements audit.Source.
func (s auditSource) Changed() <-chan struct{} {
	s.db.mu.Lock()
	defer s.db.mu.Unlock()
	return s.db.changed
}

// Inspect implements audit.Source.
func (s auditSource) Inspect(ctx context.Context) ([]string, error) {
	return s.db.cfg.Dialect.Inspect(ctx, s.db.cfg.Reader)
}

// Head implements audit.Source, in one statement and so at one moment.
func (s auditSource) Head(ctx context.Context) (audit.Head, error) {
	h := audit.Head{}
	err := s.db.reads.each(ctx, []any{&h.Row, &h.Hash, &h.Checkpoint}, func() {},
		"SELECT (SELECT COALESCE(MAX(seq), -1) FROM log_entries), (SELECT COALESCE(MAX(idx), -1) FROM log_hashes), (SELECT COALESCE(MAX(n), -1) FROM log_checkpoints)")
	return h, err
}

// Rows implements audit.Source.
func (s auditSource) Rows(ctx context.Context, from int64, limit int) ([]audit.Row, error) {
	var list []audit.Row
	var r looseRow
	err := s.db.reads.each(ctx, []any{&r.seq, &r.body, &r.leaf, &r.at, &r.name, &r.actor, &r.vendor, &r.person, &r.target, &r.session},
		func() { list = append(list, r.row()) },
		"SELECT seq, body, leaf, at, name, actor, vendor, person, target, session FROM log_entries WHERE seq >= $1 ORDER BY seq LIMIT $2", from, limit)
	return list, err
}

// Hashes implements audit.Source.
func (s auditSource) Hashes(ctx context.Context, from int64, limit int) ([]audit.StoredHash, error) {
	var list []audit.StoredHash
	var i looseInt
	var h looseHash
	err := s.db.reads.each(ctx, []any{&i, &h}, func() { list = append(list, audit.StoredHash{Index: int64(i), Hash: tlog.Hash(h)}) },
		"SELECT idx, hash FROM log_hashes WHERE idx >= $1 ORDER BY idx LIMIT $2", from, limit)
	return list, err
}

// Checkpoints implements audit.Source.
func (s auditSource) Checkpoints(ctx context.Context, from int64, limit int) ([]audit.StoredCheckpoint, error) {
	var list []audit.StoredCheckpoint
	var n, size looseInt
	var note looseText
	err := s.db.reads.each(ctx, []any{&n, &size, &note}, func() {
		list = append(list, audit.StoredCheckpoint{N: int64(n), Checkpoint: audit.Checkpoint{Size: int64(size), Note: []byte(note)}})
	}, "SELECT n, size, note FROM log_checkpoints WHERE n >= $1 ORDER BY n LIMIT $2", from, limit)
	return list, err
}

// Search implements audit.Source.
func (s auditSource) Search(ctx context.Context, q audit.Query) ([]audit.Entry, error) {
	var w where
	w.equal("name", string(q.Name))
	w.equal("vendor", q.Vendor)
	w.equal("target", q.Target)
	w.equal("session", q.Session)
	if q.Person != "" {
		w.and("(person = $? OR actor = $?)", q.Person, q.Person)
	}
	if !q.From.IsZero() {
		w.and("at >= $?", micros(q.From))
	}
	if !q.To.IsZero() {
		w.and("at < $?", micros(q.To))
	}
	if q.Before > 0 {
		w.and("seq < $?", q.Before)
	}
	w.add(" ORDER BY seq DESC LIMIT $?", q.Limit)
	var list []audit.Entry
	var r looseRow
	err := s.db.reads.each(ctx, []any{&r.seq, &r.body, &r.leaf}, func() { list = append(list, r.row().Entry) },
		"SELECT seq, body, leaf FROM log_entries "+w.text, w.args...)
	return list, err
}

// The loose types take whatever a column holds: in a row that was tampered
// with it may be of another type or length than the one that was written.
type (
	looseInt  int64
	looseText string
	looseHash [tlog.HashSize]byte
	looseRow  struct {
		seq, at                                            looseInt
		body, name, actor, vendor, person, target, session looseText
		leaf                                               looseHash
	}
)

func (r *looseRow) row() audit.Row {
	return audit.Row{
		Entry: audit.Entry{Seq: int64(r.seq), Body: []byte(r.body), Leaf: gateway.Digest(r.leaf)},
		Keys: audit.Keys{At: int64(r.at), Name: string(r.name), Actor: string(r.actor), Vendor: string(r.vendor), Person: string(r.person),
			Target: string(r.target), Session: string(r.session)},
	}
}

// Scan implements sql.Scanner.
func (i *looseInt) Scan(v any) error {
	n, ok := v.(int64)
	if !ok {
		n = math.MinInt64
	}
	*i = looseInt(n)
	return nil
}

// Scan implements sql.Scanner.
func (t *looseText) Scan(v any) error {
	s, err := text(v)
	if err != nil {
		s = fmt.Sprint(v)
	}
	*t = looseText(strings.Clone(s))
	return nil
}

// Scan implements sql.Scanner.
func (h *looseHash) Scan(v any) error {
	*h = looseHash{}
	if s, err := text(v); err == nil && len(s) == len(h) {
		copy(h[:], s)
	}
	return nil
}
