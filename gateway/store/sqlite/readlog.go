package sqlite

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/store"
)

// OpenLog opens the log of a store for reading alone, while a gateway runs on
// it or not. It makes nothing, migrates nothing and writes nothing.
func OpenLog(path string) (src audit.Source, done func() error, err error) {
	if _, err := os.Stat(path); err != nil {
		return nil, nil, fmt.Errorf("open log: %w", err)
	}
	pool, err := open(path, readers, "query_only(1)")
	if err != nil {
		return nil, nil, fmt.Errorf("open log %q: %w", path, err)
	}
	db, err := store.New(store.Config{Writer: pool, Reader: pool, Sealer: noSealer{}, Dialect: store.Dialect{Begin: "BEGIN", Fault: fault, Inspect: inspect}})
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open log %q: %w", path, err), pool.Close())
	}
	return db.Audit(), db.Close, nil
}

// noSealer refuses to sign: whoever reads a log adds nothing to it.
type noSealer struct{}

func (noSealer) Seal(int64, tlog.Hash) ([]byte, error) {
	return nil, errors.New("this store is open for reading alone")
}
