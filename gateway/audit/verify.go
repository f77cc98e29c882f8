package audit

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/portcullis/portcullis/gateway"
)

const (
	verifyPage = 500  // rows read at a time
	maxFaults  = 1000 // faults that are told one by one; Result.Faults counts all
)

// Result is what Verify read.
type Result struct {
	Size        int64      // entries
	Root        tlog.Hash  // recomputed from their bodies
	Checkpoints int64      // signed heads that were checked
	Signed      Checkpoint // the newest of them
	Floor       int64      // size of the checkpoint kept outside the database; 0: there was none
	Faults      int        // all of them, also those not told one by one
}

// Fault is one thing that is not as it was written.
type Fault struct {
	Where string // "row 17", "hash row 35", "checkpoint at size 18", "floor checkpoint", "database"
	What  string
}

// String returns the fault as one line.
func (f Fault) String() string { return f.Where + ": " + f.What }

// Verify reads the whole log as it stood when it began, recomputes every leaf,
// every stored hash and every tree head from the bodies alone, opens every
// signed checkpoint, and names whatever does not agree. floor is the
// checkpoint kept outside the database, the zero value if there is none: a log
// that has lost its tail still agrees with itself, but not with that.
//
// An error means that not everything could be read; faults found until then
// are returned with it.
func Verify(ctx context.Context, src Source, verifier *Verifier, floor Checkpoint) (Result, []Fault, error) {
	w := &walk{src: src, verifier: verifier, whole: true}
	err := w.run(ctx, floor)
	return w.result, w.faults, err
}

// head is a signed tree head to be met on the way.
type head struct {
	where string
	size  int64
	root  tlog.Hash
}

// walk goes once along the rows, with the stored hashes and the signed heads
// beside it.
type walk struct {
	src      Source
	verifier *Verifier
	end      Head // nothing written after the start is looked at

	heads  []head // still to be met, by size
	hashes *pager[StoredHash]
	tree   Tree
	whole  bool  // false once a row is missing together with its hash: no root can be recomputed from there on
	good   int64 // size of the last signed head that agreed
	bad    bool  // a signed head did not agree, so none after it can

	result Result
	faults []Fault
}

func (w *walk) fault(where, format string, args ...any) {
	w.result.Faults++
	if len(w.faults) < maxFaults {
		w.faults = append(w.faults, Fault{where, fmt.Sprintf(format, args...)})
	}
}

func (w *walk) run(ctx context.Context, floor Checkpoint) (err error) {
	if w.end, err = w.src.Head(ctx); err != nil {
		return fmt.Errorf("read the head of the log: %w", err)
	}
	complaints, err := w.src.Inspect(ctx)
	if err != nil {
		return fmt.Errorf("examine the database: %w", err)
	}
	for _, c := range complaints {
		w.fault("database", "%s", c)
	}
	if err := w.readHeads(ctx); err != nil {
		return err
	}
	w.readFloor(floor)
	slices.SortStableFunc(w.heads, func(a, b head) int { return int(min(max(a.size-b.size, -1), 1)) })
	if err := w.readRows(ctx); err != nil {
		return err
	}
	w.result.Size, w.result.Root = w.tree.Size(), w.tree.Root()
	return nil
}

// readHeads opens every stored checkpoint.
func (w *walk) readHeads(ctx context.Context) error {
	p := &pager[StoredCheckpoint]{fetch: w.src.Checkpoints, key: func(c StoredCheckpoint) int64 { return c.N }, last: w.end.Checkpoint}
	for want, size := int64(0), int64(0); ; {
		c, ok, err := p.take(ctx)
		if err != nil {
			return fmt.Errorf("read checkpoint %d: %w", want, err)
		}
		if !ok {
			return nil
		}
		where := fmt.Sprintf("checkpoint at size %d", c.Size)
		switch {
		case c.N < want:
			w.fault(where, "its number %d was never given", c.N)
		case c.N > want:
			w.fault(where, "%s before it, after the one at size %d", missing("checkpoint", want, c.N-1), size)
		}
		want = max(want, c.N+1)
		n, root, err := w.verifier.Open(c.Note)
		switch {
		case err != nil:
			w.fault(where, "checkpoint %d does not verify: %v", c.N, err)
			continue
		case n != c.Size:
			w.fault(where, "checkpoint %d is filed under size %d, but was signed for size %d", c.N, c.Size, n)
		case n <= size:
			w.fault(where, "checkpoint %d does not go beyond the one before it at size %d", c.N, size)
		}
		size = max(size, n)
		w.heads = append(w.heads, head{fmt.Sprintf("checkpoint at size %d", n), n, root})
		w.result.Checkpoints++
		if n >= w.result.Signed.Size {
			w.result.Signed = Checkpoint{n, c.Note}
		}
	}
}

func (w *walk) readFloor(floor Checkpoint) {
	if len(floor.Note) == 0 {
		return
	}
	size, root, err := w.verifier.Open(floor.Note)
	if err != nil {
		w.fault("floor checkpoint", "the checkpoint kept outside the database does not verify: %v", err)
		return
	}
	w.result.Floor = size
	w.heads = append(w.heads, head{"floor checkpoint", size, root})
	if size > w.result.Signed.Size {
		w.fault("floor checkpoint", "the log was cut: it once had %d entries, its newest checkpoint that verifies is at size %d", size, w.result.Signed.Size)
	}
}

// readRows goes along the rows up to the greatest signed size and beyond, to
// the last row there is.
func (w *walk) readRows(ctx context.Context) error {
	signed := w.result.Signed.Size
	expect := max(signed, w.result.Floor) // this many rows must be there
	w.hashes = &pager[StoredHash]{fetch: w.src.Hashes, key: func(h StoredHash) int64 { return h.Index }, last: w.end.Hash}
	rows := &pager[Row]{fetch: w.src.Rows, key: func(r Row) int64 { return r.Seq }, last: w.end.Row}
	next := int64(0)
	for {
		r, ok, err := rows.take(ctx)
		if err != nil {
			return fmt.Errorf("read row %d and those after it: %w", next, err)
		}
		upTo := expect
		if ok {
			upTo = min(r.Seq, expect)
		}
		if err := w.skip(ctx, next, upTo); err != nil {
			return err
		}
		next = max(next, upTo)
		switch {
		case !ok:
			return w.leftovers(ctx)
		case r.Seq != next:
			w.fault(fmt.Sprintf("row %d", r.Seq), "it stands where no entry was ever written")
			continue
		case r.Seq >= signed:
			w.fault(fmt.Sprintf("row %d", r.Seq), "no signed checkpoint covers it")
		}
		if err := w.row(ctx, r); err != nil {
			return err
		}
		next = r.Seq + 1
	}
}

// skip names the rows from up to below to as missing. The stored leaf hashes
// stand in for them, so that what comes after can still be judged.
func (w *walk) skip(ctx context.Context, from, to int64) error {
	if from >= to {
		return nil
	}
	if from+1 == to {
		w.fault(fmt.Sprintf("row %d", from), "it is missing")
	} else {
		w.fault(fmt.Sprintf("rows %d to %d", from, to-1), "they are missing")
	}
	for n := from; n < to && w.whole; n++ {
		stored, ok, err := w.storedHash(ctx, tlog.StoredHashIndex(0, n))
		if err != nil {
			return err
		}
		if !ok {
			w.whole = false
			break
		}
		if err := w.grow(ctx, n, stored); err != nil {
			return err
		}
	}
	return nil
}

// row judges one row. Its leaf hash is known three times over: recomputed from
// the body, in the row, and among the stored hashes. The one that stands alone
// was changed.
func (w *walk) row(ctx context.Context, r Row) error {
	where := fmt.Sprintf("row %d", r.Seq)
	index := tlog.StoredHashIndex(0, r.Seq)
	stored, ok, err := w.storedHash(ctx, index)
	if err != nil {
		return err
	}
	computed := LeafHash(r.Body)
	event, seq, parseErr := parse(r.Body)
	leaf := computed
	switch known := gateway.Digest(stored); {
	case ok && r.Leaf == known && computed != known:
		leaf = known
		w.fault(where, "its body was changed: it does not have the leaf hash that it was written with")
	case ok && computed == known && r.Leaf != known:
		w.fault(where, "its leaf hash was changed: the body has another, and so have the stored hashes")
	case computed != r.Leaf:
		w.fault(where, "neither its body, its leaf hash nor the stored hashes agree")
	case parseErr == nil && seq != r.Seq:
		leaf = pick(ok, known, computed)
		w.fault(where, "it holds entry %d: rows were reordered", seq)
	case !ok:
		w.fault(fmt.Sprintf("hash row %d", index), "the leaf hash of row %d is missing", r.Seq)
	case computed != known:
		leaf = w.elect(computed, known)
		w.fault(fmt.Sprintf("hash row %d", index), "it does not hold the leaf hash of row %d: one of the two was changed", r.Seq)
	case parseErr != nil:
		w.fault(where, "its body is not an event: %v", parseErr)
	}
	if parseErr == nil && computed == r.Leaf {
		w.columns(where, KeysOf(event), r.Keys)
	}
	return w.grow(ctx, r.Seq, tlog.Hash(leaf))
}

// columns compares what a row is found by with what its body says.
func (w *walk) columns(where string, body, row Keys) {
	for _, c := range []struct{ name, body, row string }{
		{"name", body.Name, row.Name}, {"actor", body.Actor, row.Actor}, {"vendor", body.Vendor, row.Vendor}, {"person", body.Person, row.Person},
		{"target", body.Target, row.Target}, {"session", body.Session, row.Session}, {"at", fmt.Sprint(body.At), fmt.Sprint(row.At)},
	} {
		if c.body != c.row {
			w.fault(where, "its column %s was changed to %s; the body says %s", c.name, gateway.Quote(c.row), gateway.Quote(c.body))
		}
	}
}

// elect says which of two leaf hashes for the next row agrees with the signed
// head right above it, where there is one; else the recomputed one is taken.
func (w *walk) elect(computed, stored gateway.Digest) gateway.Digest {
	if len(w.heads) == 0 || w.heads[0].size != w.tree.Size()+1 {
		return computed
	}
	t := w.tree
	t.Append(tlog.Hash(stored))
	if t.Root() == w.heads[0].root {
		return stored
	}
	return computed
}

// grow adds the leaf of entry n, compares the hashes of the subtrees that it
// completes with the stored ones, and meets the signed heads of that size.
func (w *walk) grow(ctx context.Context, n int64, leaf tlog.Hash) error {
	if !w.whole {
		return nil
	}
	first := tlog.StoredHashIndex(0, n)
	for i, want := range w.tree.Append(leaf) {
		if i == 0 {
			continue // judged with the row
		}
		where := fmt.Sprintf("hash row %d", first+int64(i))
		span := fmt.Sprintf("rows %d to %d", n+1-int64(1)<<i, n)
		got, ok, err := w.storedHash(ctx, first+int64(i))
		switch {
		case err != nil:
			return err
		case !ok:
			w.fault(where, "the hash over %s is missing", span)
		case got != want:
			w.fault(where, "it is not the hash over %s: it or they were changed", span)
		}
	}
	for len(w.heads) > 0 && w.heads[0].size <= w.tree.Size() {
		w.meet(w.heads[0])
		w.heads = w.heads[1:]
	}
	return nil
}

// meet compares a signed head with the tree of its size.
func (w *walk) meet(h head) {
	switch {
	case h.size != w.tree.Size() || w.bad:
	case h.root == w.tree.Root():
		w.good = h.size
	case w.good+1 == h.size:
		w.bad = true
		w.fault(h.where, "its signature is over another tree: row %d was changed after it was signed; no later checkpoint can agree", w.good)
	default:
		w.bad = true
		w.fault(h.where, "its signature is over another tree: one of rows %d to %d was changed after it was signed; no later checkpoint can agree", w.good, h.size-1)
	}
}

// storedHash returns the stored hash of that index. Whatever is stored before
// it and was not asked for does not belong there.
func (w *walk) storedHash(ctx context.Context, index int64) (tlog.Hash, bool, error) {
	for {
		h, ok, err := w.hashes.peek(ctx)
		if err != nil {
			return tlog.Hash{}, false, fmt.Errorf("read hash row %d and those after it: %w", index, err)
		}
		if !ok || h.Index > index {
			return tlog.Hash{}, false, nil
		}
		w.hashes.drop()
		if h.Index == index {
			return h.Hash, true, nil
		}
		if w.whole {
			w.fault(fmt.Sprintf("hash row %d", h.Index), "it stands where no hash was ever written")
		}
	}
}

// leftovers judges what remains when the rows are at their end.
func (w *walk) leftovers(ctx context.Context) error {
	if !w.whole {
		for _, h := range w.heads {
			w.fault(h.where, "it cannot be checked: entries below it are missing, and so are their hashes")
		}
		return nil
	}
	for {
		h, ok, err := w.hashes.take(ctx)
		if err != nil {
			return fmt.Errorf("read hash rows: %w", err)
		}
		if !ok {
			return nil
		}
		w.fault(fmt.Sprintf("hash row %d", h.Index), "it stands where no hash was ever written")
	}
}

func pick(ok bool, a, b gateway.Digest) gateway.Digest {
	if ok {
		return a
	}
	return b
}

func missing(what string, from, to int64) string {
	if from == to {
		return fmt.Sprintf("%s %d is missing", what, from)
	}
	return fmt.Sprintf("%ss %d to %d are missing", what, from, to)
}
