package session

import (
	"context"
	"strconv"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/recording"
)

// Found looks up a recording; its error means that there is none to be read.
type Found func(session string) (recording.Info, error)

// Recover ends the rows that this node left open when it stopped without
// warning, and returns how many. Seal and byte counts come from the recording,
// which is sealed by then; find says how many bytes it tells of. Call it after the recordings were recovered and
// before the first Open.
func (m *Manager) Recover(ctx context.Context, find Found) (int, error) {
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
			if err := m.crashed(ctx, row, find); err != nil {
				return n, err
			}
			n++
		}
	}
}

func (m *Manager) crashed(ctx context.Context, row gateway.Session, find Found) error {
	detail := map[string]string{}
	if info, err := find(row.ID); err == nil {
		row.Seal, row.BytesIn, row.BytesOut = info.Digest, info.BytesIn, info.BytesOut
		detail["bytes_in"], detail["bytes_out"], detail["seal"] = strconv.FormatInt(info.BytesIn, 10), strconv.FormatInt(info.BytesOut, 10), info.Digest.String()
	} else {
		m.log.Error("the recording of a session that a crash cut short is not to be read", "session", row.ID, "error", err)
		detail["recording"] = "not to be read"
	}
	row.Frozen, row.FrozenBy = time.Time{}, ""
	row.State, row.Ended, row.Reason = gateway.SessionEnded, gateway.Instant(m.now()), gateway.EndCrashed
	return m.store.Update(ctx, func(tx Tx) error {
		if err := tx.PutSession(row); err != nil {
			return err
		}
		return tx.Append(audit.Event{
			Name: audit.SessionEnded, At: row.Ended, Actor: "gateway", Vendor: row.Vendor, Person: row.Person, Target: row.Target, Account: row.Account,
			Request: row.Request, Grant: row.Grant, Session: row.ID, Source: row.Source, Statement: row.Touch, Outcome: audit.Failed, Reason: string(row.Reason), Detail: detail,
		})
	})
}
