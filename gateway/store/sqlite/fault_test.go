package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/directory"
	"github.com/portcullis/portcullis/gateway/store"
	"github.com/portcullis/portcullis/gateway/store/sqlite"
	"github.com/portcullis/portcullis/gateway/store/storetest"
)

func admit(ctx context.Context, db *store.DB, name string) error {
	return db.Directory().Update(ctx, func(tx directory.Tx) error {
		return errors.Join(tx.PutVendor(gateway.Vendor{Name: name, State: gateway.Active, Epoch: 1, Version: 1}), tx.Append(audit.Event{Name: audit.VendorAdmitted, Vendor: name}))
	})
}

func TestFilesAreTheGatewaysAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "odd ?name%20#1.db")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	db, err := sqlite.Open(path, sqlite.Options{Sealer: storetest.Signer(t), Machine: storetest.Machine()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := admit(t.Context(), db, "acme"); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	if err != nil || len(files) != 3 {
		t.Fatalf("%v %v, want the database, its -wal and its -shm", files, err)
	}
	for _, f := range files {
		if info, err := os.Stat(f); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v: %v", f, info.Mode(), err)
		}
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage.db")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("not a database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	newer := newForge(t)
	newer.edit(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`)
	for what, c := range map[string]struct {
		path, want string
		sealer     audit.Sealer
	}{
		"no folder":      {filepath.Join(dir, "none", "x.db"), "no such file", storetest.Signer(t)},
		"not a database": {garbage, "not a database", storetest.Signer(t)},
		"newer tables":   {newer.path, "start the newer program", storetest.Signer(t)},
		"no sealer":      {filepath.Join(dir, "x.db"), "needs a sealer", nil},
	} {
		db, err := sqlite.Open(c.path, sqlite.Options{Sealer: c.sealer, Machine: storetest.Machine()})
		if err == nil {
			_ = db.Close()
			t.Errorf("%s: opened", what)
		} else if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", what, err, c.want)
		}
	}
}

// TestFullDatabaseTakesBackWholeUpdates lets the file grow no further. SQLite
// may then take the transaction back by itself; nothing of an update may stay.
func TestFullDatabaseTakesBackWholeUpdates(t *testing.T) {
	f := newForge(t, 1)
	if err := f.db.Close(); err != nil {
		t.Fatal(err)
	}
	writer, err := sql.Open("sqlite", "file:"+f.path+"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	writer.SetMaxOpenConns(1)
	if _, err := writer.Exec("PRAGMA max_page_count = 1"); err != nil { // as many as it has, no more
		t.Fatal(err)
	}
	db := f.reopen(writer)
	var full error
	for i := 0; full == nil && i < 2000; i++ {
		full = admit(t.Context(), db, "v"+strings.Repeat("x", 50)+string(rune('a'+i%26))+strings.Repeat("y", i/26))
	}
	if !gateway.IsCode(full, gateway.CodeUnavailable) || !strings.Contains(full.Error(), "full") {
		t.Fatalf("a full database says %v", full)
	}
	vendors, err := db.Directory().Vendors(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r, faults, err := audit.Verify(t.Context(), db.Audit(), storetest.Signer(t).Verifier(), audit.Checkpoint{})
	if err != nil || len(faults) > 0 || r.Size != int64(len(vendors))+1 {
		t.Errorf("%d vendors, %d entries: %v %v", len(vendors), r.Size, faults, err)
	}
	if _, err := writer.Exec("PRAGMA max_page_count = 100000"); err != nil {
		t.Fatal(err)
	}
	if err := admit(t.Context(), db, "room-again"); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

// reopen starts a store over a writer of the test's own.
func (f *forge) reopen(writer *sql.DB) *store.DB {
	f.Helper()
	reader, err := sql.Open("sqlite", "file:"+f.path+"?_pragma=busy_timeout(5000)")
	if err != nil {
		f.Fatal(err)
	}
	db, err := store.New(store.Config{Writer: writer, Reader: reader, Sealer: storetest.Signer(f), Machine: storetest.Machine(), Dialect: sqlite.Dialect()})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = db.Close() })
	return db
}

// TestLockedDatabaseIsUnavailable holds the write lock as another process
// would.
func TestLockedDatabaseIsUnavailable(t *testing.T) {
	f := newForge(t, 1)
	writer, err := sql.Open("sqlite", "file:"+f.path+"?_pragma=busy_timeout(10)")
	if err != nil {
		t.Fatal(err)
	}
	writer.SetMaxOpenConns(1)
	db := f.reopen(writer)
	f.edit("BEGIN IMMEDIATE")
	for what, err := range map[string]error{"update": admit(t.Context(), db, "acme"), "health": db.Healthy(t.Context())} {
		if !gateway.IsCode(err, gateway.CodeUnavailable) {
			t.Errorf("%s of a locked database: %v", what, err)
		}
	}
	if _, err := db.Directory().Vendors(t.Context()); err != nil {
		t.Errorf("reading waits for nobody: %v", err)
	}
	f.edit("ROLLBACK")
	if err := admit(t.Context(), db, "acme"); err != nil {
		t.Errorf("let go: %v", err)
	}
}

type moody struct {
	audit.Sealer
	out bool
}

func (m *moody) Seal(size int64, root tlog.Hash) ([]byte, error) {
	if m.out {
		return nil, errors.New("the key's token was pulled out")
	}
	return m.Sealer.Seal(size, root)
}

// TestNoSignatureNoAct takes the signer away.
func TestNoSignatureNoAct(t *testing.T) {
	sealer := &moody{Sealer: storetest.Signer(t)}
	db := storetest.Open(t, func(o *sqlite.Options) { o.Sealer = sealer })
	sealer.out = true
	if err := admit(t.Context(), db, "acme"); !gateway.IsCode(err, gateway.CodeUnavailable) {
		t.Errorf("without a signature: %v", err)
	}
	if v, err := db.Directory().Vendors(t.Context()); err != nil || len(v) != 0 {
		t.Errorf("%d vendors stayed: %v", len(v), err)
	}
	sealer.out = false
	if err := admit(t.Context(), db, "acme"); err != nil {
		t.Error(err)
	}
}

// TestTwoProcessesAppendInTurn has two writers over one file append in turn, as
// the gateway and a command beside it do: neither takes the end of the log that
// it wrote itself for the end, also where the other has failed in between.
func TestTwoProcessesAppendInTurn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "portcullis.db")
	sealer := &moody{Sealer: storetest.Signer(t)}
	var dbs []*store.DB
	for range 2 {
		db, err := sqlite.Open(path, sqlite.Options{Sealer: sealer, Machine: storetest.Machine()})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		dbs = append(dbs, db)
	}
	wrote := int64(0)
	for i, turn := range []int{0, 0, 1, 0, 1, 1, 1, 0, 0, 1} {
		sealer.out = i%4 == 3
		err := admit(t.Context(), dbs[turn], fmt.Sprint("v", i))
		if (err != nil) != sealer.out {
			t.Fatalf("append %d: %v", i, err)
		}
		if err == nil {
			wrote++
		}
	}
	r, faults, err := audit.Verify(t.Context(), dbs[0].Audit(), storetest.Signer(t).Verifier(), audit.Checkpoint{})
	if err != nil || len(faults) > 0 || r.Size != wrote {
		t.Errorf("the log has %d entries, want %d: %v %v", r.Size, wrote, faults, err)
	}
}
