package storetest

import (
	"crypto/ed25519"
	"path/filepath"
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

// Open returns a real, empty store that lives as long as the test, with any
// options that the test changes.
func Open(tb testing.TB, change ...func(*sqlite.Options)) *store.DB {
	tb.Helper()
	opts := sqlite.Options{Sealer: Signer(tb), Machine: Machine()}
	for _, c := range change {
		c(&opts)
	}
	db, err := sqlite.Open(filepath.Join(tb.TempDir(), "portcullis.db"), opts)
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
