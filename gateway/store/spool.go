package store

import (
	"context"

	"github.com/portcullis/portcullis/gateway/audit"
)

// Write writes what happened, all of it or none. What waited in a spool is
// looked for in the log first: it may have been written before a crash of the
// node, or by a commit whose answer was lost.
func (db *DB) Write(ctx context.Context, all ...audit.Happened) error {
	return db.update(ctx, func(tx *Tx) error {
		for _, h := range all {
			if h.Spooled != "" && len(h.Events) > 0 {
				if has, err := tx.has(h.Events[0]); err != nil || has {
					if err != nil {
						return err
					}
					continue
				}
			}
			if err := h.Put(tx); err != nil {
				return err
			}
		}
		return nil
	})
}

// has looks for an event in the log. Those of one thing are written together,
// so that the first speaks for all.
func (tx *Tx) has(e audit.Event) (found bool, err error) {
	var body looseText
	err = tx.c.each(tx.ctx(), []any{&body}, func() {
		old, err := audit.ParseEntry([]byte(body))
		found = found || err == nil && old.Same(e)
	}, "SELECT body FROM log_entries WHERE name = $1 AND session = $2 AND at = $3", string(e.Name), e.Session, micros(e.At))
	return found, err
}
