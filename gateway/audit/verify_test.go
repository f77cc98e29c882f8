package audit

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// memory is a Source whose every bit can be flipped: the rows as a thief with
// the database sees them.
type memory struct {
	rows   []Row
	hashes []StoredHash
	notes  []StoredCheckpoint
}

func newMemory(t *testing.T, s *Signer, commits ...int) *memory {
	t.Helper()
	m := &memory{}
	var tree Tree
	for _, count := range commits {
		for range count {
			e := Event{Name: LoginEnded, At: noon.Add(time.Duration(tree.Size()) * time.Second), Actor: "a", Vendor: "v", Person: "p", Target: "t", Session: "s"}
			r, err := NewRow(e, tree.Size())
			if err != nil {
				t.Fatal(err)
			}
			first := tlog.StoredHashIndex(0, r.Seq)
			for i, h := range tree.Append(tlog.Hash(r.Leaf)) {
				m.hashes = append(m.hashes, StoredHash{first + int64(i), h})
			}
			m.rows = append(m.rows, r)
		}
		note, err := s.Seal(tree.Size(), tree.Root())
		if err != nil {
			t.Fatal(err)
		}
		m.notes = append(m.notes, StoredCheckpoint{int64(len(m.notes)), Checkpoint{tree.Size(), note}})
	}
	return m
}

func (m *memory) clone() *memory {
	c := &memory{slices.Clone(m.rows), slices.Clone(m.hashes), slices.Clone(m.notes)}
	for i := range c.rows {
		c.rows[i].Body = slices.Clone(c.rows[i].Body)
	}
	for i := range c.notes {
		c.notes[i].Note = slices.Clone(c.notes[i].Note)
	}
	return c
}

// table answers as an index would: by rising key. It is false where two rows
// have one key, which no database takes.
func table[T any](all []T, key func(T) int64, from int64, limit int) ([]T, bool) {
	list := slices.Clone(all)
	slices.SortFunc(list, func(a, b T) int { return cmp.Compare(key(a), key(b)) })
	for i := range list[1:] {
		if key(list[i]) == key(list[i+1]) {
			return nil, false
		}
	}
	list = slices.DeleteFunc(list, func(r T) bool { return key(r) < from })
	return list[:min(limit, len(list))], true
}

func rowKey(r Row) int64               { return r.Seq }
func hashKey(h StoredHash) int64       { return h.Index }
func noteKey(c StoredCheckpoint) int64 { return c.N }

func (m *memory) possible() bool {
	_, a := table(m.rows, rowKey, 0, 0)
	_, b := table(m.hashes, hashKey, 0, 0)
	_, c := table(m.notes, noteKey, 0, 0)
	return a && b && c
}

func (m *memory) Head(context.Context) (Head, error) {
	last := func(n int64, key int64) int64 { return max(n, key) }
	h := Head{-1, -1, -1}
	for _, r := range m.rows {
		h.Row = last(h.Row, r.Seq)
	}
	for _, r := range m.hashes {
		h.Hash = last(h.Hash, r.Index)
	}
	for _, r := range m.notes {
		h.Checkpoint = last(h.Checkpoint, r.N)
	}
	return h, nil
}

func (m *memory) Rows(_ context.Context, from int64, limit int) ([]Row, error) {
	l, _ := table(m.rows, rowKey, from, limit)
	return l, nil
}

func (m *memory) Hashes(_ context.Context, from int64, limit int) ([]StoredHash, error) {
	l, _ := table(m.hashes, hashKey, from, limit)
	return l, nil
}

func (m *memory) Checkpoints(_ context.Context, from int64, limit int) ([]StoredCheckpoint, error) {
	l, _ := table(m.notes, noteKey, from, limit)
	return l, nil
}

func (m *memory) Search(context.Context, Query) ([]Entry, error) { return nil, nil }
func (m *memory) Changed() <-chan struct{}                       { return nil }
func (m *memory) Inspect(context.Context) ([]string, error)      { return nil, nil }
func (m *memory) Append(context.Context, ...Event) error         { return nil }

// TestEverySingleBitIsNamed flips each bit of each column of the rows of a
// small log, one at a time, and wants the row it stands in to be named.
func TestEverySingleBitIsNamed(t *testing.T) {
	s := testSigner(t)
	flips := 0
	good := newMemory(t, s, 2)
	if r, faults, err := Verify(t.Context(), good, s.Verifier(), Checkpoint{}); err != nil || len(faults) > 0 || r.Size != 2 || r.Checkpoints != 1 {
		t.Fatalf("as it was written: %+v %v %v", r, faults, err)
	}
	try := func(what, name string, bits int, flip func(m *memory, bit int)) {
		for bit := range bits {
			m := good.clone()
			if flip(m, bit); !m.possible() {
				continue
			}
			flips++
			_, faults, err := Verify(t.Context(), m, s.Verifier(), Checkpoint{})
			if err != nil || !slices.ContainsFunc(faults, func(f Fault) bool { return strings.HasPrefix(f.Where, name) }) {
				t.Errorf("bit %d of %s: %s is not named: %v %v", bit, what, name, faults, err)
			}
		}
	}
	for i, r := range good.rows {
		name := fmt.Sprintf("row %d", r.Seq)
		if i == 0 { // one body in full; the columns of both
			try("body", name, len(r.Body)*8, func(m *memory, b int) { m.rows[i].Body[b/8] ^= 1 << (b % 8) })
		}
		try("leaf", name, len(r.Leaf)*8, func(m *memory, b int) { m.rows[i].Leaf[b/8] ^= 1 << (b % 8) })
		try("seq", name, 64, func(m *memory, b int) { m.rows[i].Seq ^= 1 << b })
		try("at", name, 64, func(m *memory, b int) { m.rows[i].Keys.At ^= 1 << b })
		for column, at := range map[string]func(*Keys) *string{
			"name": func(k *Keys) *string { return &k.Name }, "actor": func(k *Keys) *string { return &k.Actor }, "vendor": func(k *Keys) *string { return &k.Vendor },
			"person": func(k *Keys) *string { return &k.Person }, "target": func(k *Keys) *string { return &k.Target }, "session": func(k *Keys) *string { return &k.Session },
		} {
			try("column "+column, name, len(*at(&r.Keys))*8, func(m *memory, b int) {
				raw := []byte(*at(&m.rows[i].Keys))
				raw[b/8] ^= 1 << (b % 8)
				*at(&m.rows[i].Keys) = string(raw)
			})
		}
	}
	for i, h := range good.hashes {
		name := fmt.Sprintf("hash row %d", h.Index)
		try("hash", name, len(h.Hash)*8, func(m *memory, b int) { m.hashes[i].Hash[b/8] ^= 1 << (b % 8) })
		try("idx", name, 64, func(m *memory, b int) { m.hashes[i].Index ^= 1 << b })
	}
	good = newMemory(t, s, 1, 1)
	for i, c := range good.notes[1:] {
		i++
		name := fmt.Sprintf("checkpoint at size %d", c.Size)
		try("note", name, len(c.Note)*8, func(m *memory, b int) { m.notes[i].Note[b/8] ^= 1 << (b % 8) })
		try("checkpoint number", name, 64, func(m *memory, b int) { m.notes[i].N ^= 1 << b })
		try("checkpoint size", "checkpoint at size", 64, func(m *memory, b int) { m.notes[i].Size ^= 1 << b })
	}
	t.Logf("%d flips", flips)
}

// TestFloorOfAnotherLogIsNamed compares the log with checkpoints that it never
// had.
func TestFloorOfAnotherLogIsNamed(t *testing.T) {
	s := testSigner(t)
	m := newMemory(t, s, 2, 2)
	other, err := s.Seal(3, tlog.RecordHash([]byte("another history")))
	if err != nil {
		t.Fatal(err)
	}
	for want, floor := range map[string]Checkpoint{
		"floor checkpoint: its signature is over another tree": {3, other},
		"floor checkpoint: the checkpoint kept outside":        {4, []byte("garbage\n4\n")},
	} {
		_, faults, err := Verify(t.Context(), m, s.Verifier(), floor)
		if err != nil || len(faults) == 0 || !strings.HasPrefix(faults[0].String(), want) {
			t.Errorf("want %q: %v %v", want, faults, err)
		}
	}
}
