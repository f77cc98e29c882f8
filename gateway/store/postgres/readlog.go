package postgres

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/store"
)

// OpenLog opens the log of a store for reading alone, while gateways run on it
// or not. It makes nothing, migrates nothing and writes nothing.
func OpenLog(ctx context.Context, address, passwordFile string) (src audit.Source, done func() error, err error) {
	a, err := parse(address, passwordFile)
	if err != nil {
		return nil, nil, err
	}
	pool := a.open(reading, readers)
	if err := pool.PingContext(ctx); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open log %s: %w", a, err), pool.Close())
	}
	db, err := store.New(store.Config{Writer: pool, Reader: pool, Sealer: noSealer{}, Dialect: store.Dialect{Begin: "BEGIN", Fault: fault, Inspect: inspect}})
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open log %s: %w", a, err), pool.Close())
	}
	return db.Audit(), db.Close, nil
}

// noSealer refuses to sign: whoever reads a log adds nothing to it.
type noSealer struct{}

func (noSealer) Seal(int64, tlog.Hash) ([]byte, error) {
	return nil, errors.New("this store is open for reading alone")
}
