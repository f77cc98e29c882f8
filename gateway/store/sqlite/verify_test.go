package sqlite_test

import (
	"bytes"
	"database/sql"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/store"
	"github.com/portcullis/portcullis/gateway/store/sqlite"
	"github.com/portcullis/portcullis/gateway/store/storetest"
)

// forge is a log of a few entries and the hand that changes its rows behind
// the gateway's back.
type forge struct {
	*testing.T
	db    *store.DB
	raw   *sql.DB
	path  string
	floor audit.Checkpoint // the last checkpoint that was handed out
}

func newForge(t *testing.T, commits ...int) *forge {
	t.Helper()
	f := &forge{T: t, path: storetest.Lay(t)}
	db, err := sqlite.Open(f.path, sqlite.Options{Sealer: storetest.Signer(t), Machine: storetest.Machine(), AfterCommit: func(cp audit.Checkpoint) { f.floor = cp }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	f.db = db
	n := 0
	for _, count := range commits {
		var events []audit.Event
		for range count {
			events = append(events, audit.Event{Name: audit.SessionEnded, At: time.UnixMicro(int64(1_800_000_000_000_000 + n)), Actor: "a", Vendor: "v", Session: fmt.Sprint("s", n)})
			n++
		}
		if err := db.Audit().Append(t.Context(), events...); err != nil {
			t.Fatal(err)
		}
	}
	if f.raw, err = sql.Open("sqlite", "file:"+f.path+"?_pragma=busy_timeout(5000)"); err != nil {
		t.Fatal(err)
	}
	f.raw.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = f.raw.Close() })
	return f
}

func (f *forge) edit(statements ...string) {
	f.Helper()
	for _, s := range statements {
		if _, err := f.raw.Exec(s); err != nil {
			f.Fatal(s, err)
		}
	}
}

// verify returns the faults as lines.
func (f *forge) verify(floor audit.Checkpoint) string {
	f.Helper()
	_, faults, err := audit.Verify(f.Context(), f.db.Audit(), storetest.Signer(f).Verifier(), floor)
	if err != nil {
		f.Fatal(err)
	}
	var b strings.Builder
	for _, fault := range faults {
		b.WriteString(fault.String() + "\n")
	}
	return b.String()
}

// TestForgedLogIsNamed tells what a thief with the database could try.
func TestForgedLogIsNamed(t *testing.T) {
	leafOf4 := audit.LeafHash([]byte("{}"))
	for _, c := range []struct {
		name  string
		edits []string
		want  []string // each stands in the faults
		only  bool     // and nothing else does
	}{
		{name: "body edited", edits: []string{`UPDATE log_entries SET body = replace(body, '"v"', '"w"') WHERE seq = 4`}, want: []string{"row 4: its body was changed"}, only: true},
		{name: "column edited", edits: []string{`UPDATE log_entries SET vendor = 'nobody' WHERE seq = 4`}, want: []string{`row 4: its column vendor was changed to "nobody"; the body says "v"`}, only: true},
		{name: "leaf edited", edits: []string{`UPDATE log_entries SET leaf = zeroblob(32) WHERE seq = 4`}, want: []string{"row 4: its leaf hash was changed"}, only: true},
		{name: "leaf cut", edits: []string{`UPDATE log_entries SET leaf = x'00' WHERE seq = 4`}, want: []string{"row 4: its leaf hash was changed"}, only: true},
		{name: "row dropped", edits: []string{`DELETE FROM log_entries WHERE seq = 4`}, want: []string{"row 4: it is missing"}, only: true},
		{name: "rows dropped with their hashes", edits: []string{`DELETE FROM log_entries WHERE seq IN (3, 4)`, `DELETE FROM log_hashes WHERE idx IN (4, 7)`},
			want: []string{"rows 3 to 4: they are missing", "checkpoint at size 5: it cannot be checked"}},
		{name: "rows reordered", edits: []string{`UPDATE log_entries SET seq = 100 WHERE seq = 4`, `UPDATE log_entries SET seq = 4 WHERE seq = 5`, `UPDATE log_entries SET seq = 5 WHERE seq = 100`},
			want: []string{"row 4: it holds entry 5: rows were reordered", "row 5: it holds entry 4: rows were reordered"}, only: true},
		{name: "row moved to the end", edits: []string{`UPDATE log_entries SET seq = 100 WHERE seq = 4`}, want: []string{"row 4: it is missing", "row 100: it stands where no entry was ever written"}, only: true},
		{name: "row made negative", edits: []string{`UPDATE log_entries SET seq = -4 WHERE seq = 4`}, want: []string{"row 4: it is missing", "row -4: it stands where"}, only: true},
		{name: "body replaced with all its hashes", edits: []string{fmt.Sprintf(`UPDATE log_entries SET body = '{}', leaf = x'%s' WHERE seq = 4`, leafOf4), fmt.Sprintf(`UPDATE log_hashes SET hash = x'%s' WHERE idx = 7`, leafOf4)},
			want: []string{"row 4: its body is not an event", "checkpoint at size 5: its signature is over another tree: one of rows 3 to 4 was changed after it was signed"}},
		{name: "leaf hash edited", edits: []string{`UPDATE log_hashes SET hash = zeroblob(32) WHERE idx = 7`}, want: []string{"hash row 7: it does not hold the leaf hash of row 4"}, only: true},
		{name: "inner hash edited", edits: []string{`UPDATE log_hashes SET hash = zeroblob(32) WHERE idx = 2`}, want: []string{"hash row 2: it is not the hash over rows 0 to 1"}, only: true},
		{name: "inner hash dropped", edits: []string{`DELETE FROM log_hashes WHERE idx = 2`}, want: []string{"hash row 2: the hash over rows 0 to 1 is missing"}, only: true},
		{name: "leaf hash dropped", edits: []string{`DELETE FROM log_hashes WHERE idx = 7`}, want: []string{"hash row 7: the leaf hash of row 4 is missing"}, only: true},
		{name: "hash added", edits: []string{`INSERT INTO log_hashes VALUES (500, zeroblob(32)), (-1, zeroblob(32))`}, want: []string{"hash row 500: it stands", "hash row -1: it stands"}, only: true},
		{name: "row added", edits: []string{`INSERT INTO log_entries SELECT 9, body, leaf, at, name, actor, vendor, person, target, session FROM log_entries WHERE seq = 8`}, want: []string{"row 9: no signed checkpoint covers it"}},
		{name: "checkpoint dropped", edits: []string{`DELETE FROM log_checkpoints WHERE n = 2`}, want: []string{"checkpoint at size 5: checkpoint 2 is missing before it, after the one at size 2"}, only: true},
		{name: "checkpoint resized", edits: []string{`UPDATE log_checkpoints SET size = 6 WHERE n = 3`}, want: []string{"checkpoint at size 6: checkpoint 3 is filed under size 6, but was signed for size 5"}, only: true},
		{name: "checkpoint twice", edits: []string{`INSERT INTO log_checkpoints SELECT 8, size, note FROM log_checkpoints WHERE n = 3`}, want: []string{"checkpoint 8 does not go beyond"}},
		{name: "last checkpoint dropped", edits: []string{`DELETE FROM log_checkpoints WHERE n = (SELECT MAX(n) FROM log_checkpoints)`}, want: []string{"row 8: no signed checkpoint covers it", "floor checkpoint: the log was cut"}},
		{name: "tail cut off cleanly", edits: []string{`DELETE FROM log_entries WHERE seq >= 5`, `DELETE FROM log_hashes WHERE idx >= 8`, `DELETE FROM log_checkpoints WHERE size > 5`},
			want: []string{"floor checkpoint: the log was cut: it once had 9 entries, its newest checkpoint that verifies is at size 5", "rows 5 to 8: they are missing"}},
		{name: "everything dropped", edits: []string{`DELETE FROM log_entries`, `DELETE FROM log_hashes`, `DELETE FROM log_checkpoints`}, want: []string{"floor checkpoint: the log was cut", "rows 0 to 8: they are missing"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newForge(t, 1, 1, 1, 2, 1, 1, 1, 1) // entries 0 to 8; 3 and 4 in one commit
			if before := f.verify(f.floor); before != "" {
				t.Fatal(before)
			}
			f.edit(c.edits...)
			got := f.verify(f.floor)
			for _, w := range c.want {
				if !strings.Contains(got, w) {
					t.Errorf("does not say %q:\n%s", w, got)
				}
			}
			if lines := strings.Count(got, "\n"); c.only && lines != len(c.want) {
				t.Errorf("says %d things instead of %d:\n%s", lines, len(c.want), got)
			}
		})
	}
}

// TestRewrittenPastIsNamed gives the thief everything but the signing key: an
// old body is replaced, and every hash above it recomputed.
func TestRewrittenPastIsNamed(t *testing.T) {
	f := newForge(t, 1, 1, 1, 1, 1)
	rows, err := f.db.Audit().Rows(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	var tree audit.Tree
	for _, r := range rows {
		if r.Seq == 2 {
			e, err := r.Event()
			if err != nil {
				t.Fatal(err)
			}
			e.Actor = "somebody-else"
			if r, err = audit.NewRow(e, 2); err != nil {
				t.Fatal(err)
			}
			f.exec("UPDATE log_entries SET body = $1, leaf = $2, actor = $3 WHERE seq = 2", string(r.Body), r.Leaf[:], e.Actor)
		}
		first := tlog.StoredHashIndex(0, r.Seq)
		for i, h := range tree.Append(tlog.Hash(r.Leaf)) {
			f.exec("UPDATE log_hashes SET hash = $1 WHERE idx = $2", h[:], first+int64(i))
		}
	}
	got := f.verify(f.floor)
	if want := "checkpoint at size 3: its signature is over another tree: row 2 was changed after it was signed; no later checkpoint can agree\n"; got != want {
		t.Errorf("says %q", got)
	}
}

// TestFlippedFileIsNoticed flips single bits of the database file itself.
// Whatever a flip does to the pages: either the log reads as before, or
// opening, reading or verifying it says that it does not.
func TestFlippedFileIsNoticed(t *testing.T) {
	f := newForge(t, 1, 2, 1)
	want := f.dump(f.db)
	if err := f.db.Close(); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(f.path)
	if err != nil {
		t.Fatal(err)
	}
	const page, rounds = 4096, 40
	var pages []int // that hold entries or checkpoints
	for at := 0; at < len(good); at += page {
		if p := good[at:min(at+page, len(good))]; bytes.Contains(p, []byte(`"unmapped"`)) || bytes.Contains(p, []byte(storetest.Origin)) {
			pages = append(pages, at)
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	changed := 0
	for i := range rounds {
		at := pages[i%len(pages)]*8 + random.IntN(page*8)
		bad := slices.Clone(good)
		bad[at/8] ^= 1 << (at % 8)
		path := filepath.Join(t.TempDir(), "flipped.db")
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		db, err := sqlite.Open(path, sqlite.Options{Sealer: storetest.Signer(t), Machine: storetest.Machine()})
		if err != nil {
			changed++
			continue
		}
		if f.dump(db) != want {
			changed++
			_, faults, err := audit.Verify(t.Context(), db.Audit(), storetest.Signer(t).Verifier(), f.floor)
			if err == nil && len(faults) == 0 {
				t.Errorf("bit %d of byte %d changed the log, and nobody noticed", at%8, at/8)
			}
		}
		_ = db.Close()
	}
	if t.Logf("%d of %d flips changed what is read", changed, rounds); changed == 0 {
		t.Error("no flip met the log")
	}
}

func (f *forge) exec(text string, args ...any) {
	f.Helper()
	if _, err := f.raw.Exec(text, args...); err != nil {
		f.Fatal(err)
	}
}

// dump reads the whole log as one text.
func (f *forge) dump(db *store.DB) string {
	src, ctx := db.Audit(), f.Context()
	rows, err1 := src.Rows(ctx, math.MinInt64, 1000)
	hashes, err2 := src.Hashes(ctx, math.MinInt64, 1000)
	notes, err3 := src.Checkpoints(ctx, math.MinInt64, 1000)
	return fmt.Sprint(rows, hashes, notes, err1, err2, err3)
}
