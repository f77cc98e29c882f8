package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"

	"github.com/pressly/goose/v3"

	"github.com/portcullis/portcullis/gateway/store"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the tables up to date. One node does, the others wait for
// it; the lock goes with its connection.
func migrate(ctx context.Context, a *address) (err error) {
	db := a.open(mending, 2)
	defer func() { err = errors.Join(err, db.Close()) }()
	lock, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer lock.Close() //nolint:errcheck // the pool closes it for good
	if _, err := lock.ExecContext(ctx, "SELECT pg_advisory_lock($1)", int64(migrationLock)); err != nil {
		return fmt.Errorf("wait for the node that brings the tables up to date: %w", err)
	}
	return store.Migrate(ctx, goose.DialectPostgres, db, migrations)
}
