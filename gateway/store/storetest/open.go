package storetest

import (
	"crypto/ed25519"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/store"
	"github.com/portcullis/portcullis/gateway/store/sqlite"
)

// Origin is the log's name in the stores that tests open.
const Origin = "gateway.test/portcullis-log"

// Signer returns a log signer whose key is the same in every test.
func Signer(tb testing.TB) *audit.Signer {
	tb.Helper()
	s, err := audit.NewSigner(Origin, ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// tables is the file of an empty store.
var tables = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "storetest-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "portcullis.db")
	log, err := audit.NewSigner(Origin, ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	if err != nil {
		return nil, err
	}
	db, err := sqlite.Open(path, sqlite.Options{Sealer: log, Machine: Machine()})
	if err != nil {
		return nil, err
	}
	if err := db.Close(); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// Empty returns the file of a store that has its tables and nothing in them:
// they take longer to make than most tests to run.
func Empty(tb testing.TB) []byte {
	tb.Helper()
	raw, err := tables()
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}

// Lay writes an empty store's file to a folder of the test's own.
func Lay(tb testing.TB) (path string) {
	tb.Helper()
	path = filepath.Join(tb.TempDir(), "portcullis.db")
	if err := os.WriteFile(path, Empty(tb), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

// Open returns a real, empty store that lives as long as the test, with any
// options that the test changes.
func Open(tb testing.TB, change ...func(*sqlite.Options)) *store.DB {
	tb.Helper()
	opts := sqlite.Options{Sealer: Signer(tb), Machine: Machine()}
	for _, c := range change {
		c(&opts)
	}
	db, err := sqlite.Open(Lay(tb), opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	})
	return db
}

// Machine is the key that the tests' receipts are signed with.
func Machine() statement.MachineKey {
	return statement.MachineKey{Private: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)), Gateway: Origin}
}
