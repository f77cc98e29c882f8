package session

import (
	"context"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
)

// Recover ends the rows that this node left open when it stopped without
// warning, and returns how many. Call it before the first Open.
func (m *Manager) Recover(ctx context.Context) (int, error) {
	n, before := 0, ""
	for {
		rows, err := m.store.Sessions(ctx, Filter{Live: true, Before: before})
		if err != nil {
			return n, err
		}
		if len(rows) == 0 {
			return n, nil
		}
		for _, row := range rows {
			before = row.ID
			if _, live := m.Get(row.ID); live || row.Node != m.node {
				continue
			}
			if err := m.crashed(ctx, row); err != nil {
				return n, err
			}
			n++
		}
	}
}

func (m *Manager) crashed(ctx context.Context, row gateway.Session) error {
	row.State, row.Ended, row.Reason = gateway.SessionEnded, gateway.Instant(m.now()), gateway.EndCrashed
	return m.store.Update(ctx, func(tx Tx) error {
		if err := tx.PutSession(row); err != nil {
			return err
		}
		return tx.Append(audit.Event{
			Name: audit.SessionEnded, At: row.Ended, Actor: "gateway", Vendor: row.Vendor, Person: row.Person, Target: row.Target, Account: row.Account,
			Request: row.Request, Grant: row.Grant, Session: row.ID, Source: row.Source, Statement: row.Touch, Outcome: audit.Failed, Reason: string(row.Reason),
		})
	})
}
