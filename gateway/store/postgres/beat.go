package postgres

import (
	"context"
	"database/sql"

	"github.com/portcullis/portcullis/gateway/store"
)

// clockText is the server's clock in microseconds.
const clockText = "extract(epoch FROM clock_timestamp()) * 1000000"

// beatText is one line of the roll, seen by the server's own clock.
const beatText = "INSERT INTO nodes (name, boot, seen, lease, version, leaving, gone) VALUES ($1, $2, (" + clockText + ")::bigint, $3, $4, $5, CASE WHEN $6 THEN (" + clockText + `)::bigint ELSE 0 END)
ON CONFLICT (name) DO UPDATE SET boot = excluded.boot, seen = excluded.seen, lease = excluded.lease, version = excluded.version, leaving = excluded.leaving, gone = excluded.gone`

// beat writes a line of the roll on a reading connection: it takes no turn
// among the writers. It does not wait for the disk either: what a crash of the
// server takes back is a beat of the last second, which the margin covers.
func beat(ctx context.Context, db *sql.DB, b store.Beat) error {
	c, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if _, err := c.ExecContext(ctx, "BEGIN READ WRITE; SET LOCAL synchronous_commit = off"); err != nil {
		return err
	}
	leaving := 0
	if b.Leaving {
		leaving = 1
	}
	_, err = c.ExecContext(ctx, beatText, b.Node, b.Boot, b.Lease.Microseconds(), b.Version, leaving, b.Gone)
	if err != nil {
		_, _ = c.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		return err
	}
	_, err = c.ExecContext(ctx, "COMMIT")
	return err
}
