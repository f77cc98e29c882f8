package postgres_test

import (
	"os"
	"testing"

	"github.com/portcullis/portcullis/gateway/store"
	"github.com/portcullis/portcullis/gateway/store/postgres"
	"github.com/portcullis/portcullis/gateway/store/postgres/pgtest"
	"github.com/portcullis/portcullis/gateway/store/storetest"
)

var server *pgtest.Server

func TestMain(m *testing.M) { os.Exit(pgtest.Run(m, &server)) }

// open opens a node of the store at url, which lives as long as the test.
func open(t *testing.T, url string, change ...func(*postgres.Options)) *store.DB {
	t.Helper()
	opts := postgres.Options{Sealer: storetest.Signer(t), Machine: storetest.Machine(), Node: "node-1"}
	for _, c := range change {
		c(&opts)
	}
	db, err := postgres.Open(t.Context(), url, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) *store.DB { return open(t, server.Database(t)) })
}
