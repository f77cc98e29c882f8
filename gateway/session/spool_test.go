package session_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/recording"
	"github.com/portcullis/portcullis/gateway/session"
)

// keptBy makes the world's manager anew, with that keeper.
func (w *world) keptBy(k session.Keeper) {
	w.t.Helper()
	var err error
	w.m, err = session.New(session.Config{Store: w.store, Keeper: k, Access: w.access, Recorder: w.rec, Node: "node-1", Now: w.now})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) spool(dir string) *audit.Spool {
	w.t.Helper()
	s, err := audit.OpenSpool(audit.SpoolConfig{Dir: dir, Node: "node-1", Key: ed25519.NewKeyFromSeed(make([]byte, 32)), Write: func(ctx context.Context, all ...audit.Happened) error {
		return w.store.Update(ctx, func(tx session.Tx) error {
			for _, h := range all {
				if err := h.Put(tx); err != nil {
					return err
				}
			}
			return nil
		})
	}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = s.Close() })
	return s
}

// a session goes on over an outage of the store: a new channel begins, a
// refusal is told, the end is durable at once, and a node that is killed then
// tells all of it at its next start, in its order and for its own reason.
func TestR06SpooledOverAnOutage(t *testing.T) {
	w, dir := newWorld(t, time.Hour, nil), t.TempDir()
	w.keptBy(w.spool(dir))
	l, _ := w.up()
	before := len(w.store.names())
	w.store.setDown(gateway.Unavailable("store", errors.New("gone")))

	if _, err := l.Channel(t.Context(), gateway.Channel{Kind: gateway.ChannelShell}); err != nil {
		t.Errorf("a second channel: %v", err)
	}
	if _, err := l.Channel(t.Context(), gateway.Channel{Kind: gateway.ChannelSFTP}); !gateway.IsCode(err, gateway.CodeRefused) {
		t.Errorf("a channel that the grant does not let: %v", err)
	}
	if _, err := w.m.Open(t.Context(), w.opening()); !gateway.IsCode(err, gateway.CodeUnavailable) {
		t.Errorf("R-05: a session opened without the store: %v", err)
	}
	l.End(gateway.EndByStaff, "sam", "enough")
	select {
	case <-l.Done():
	case <-time.After(5 * time.Second):
		t.Fatal("the end waits for the store")
	}
	if len(w.store.names()) != before {
		t.Fatal("the store was not away")
	}

	back := time.Now()
	w.store.setDown(nil)
	again := w.spool(dir) // after kill -9
	w.keptBy(again)
	if err := again.Replay(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []audit.Name{audit.SessionChannel, audit.SessionChannel, audit.SessionRefused, audit.RecordingSealed, audit.SessionEnded}
	got := w.store.events[before:]
	for i, e := range got {
		if i >= len(want) || e.Name != want[i] || !strings.HasPrefix(e.Detail["spooled"], "spo_") || e.At.After(back) {
			t.Errorf("event %d: %+v", i, e)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d events, want %d", len(got), len(want))
	}
	n, err := w.m.Recover(t.Context(), func(string) (recording.Info, error) { return recording.Info{}, nil })
	if row := w.store.rows[l.ID()]; n != 0 || err != nil || row.Reason != gateway.EndByStaff || row.EndedBy != "sam" || row.Seal.IsZero() {
		t.Errorf("recovered %d, %v; row %+v", n, err, row)
	}
}

// fullKeeper has room for ends alone.
type fullKeeper struct{}

func (fullKeeper) Keep(_ context.Context, h audit.Happened) error {
	if h.Weight != audit.Final {
		return &gateway.Error{Code: gateway.CodeUnavailable, Rule: "spool", Text: "full", Cause: audit.ErrSpoolFull}
	}
	return nil
}

// Where nothing can be told any more, nothing new is done, and vendors do
// nothing at all. The operator's own work goes on.
func TestR06FullSpoolEndsVendors(t *testing.T) {
	w := newWorld(t, time.Hour, nil)
	w.keptBy(fullKeeper{})
	vendor := w.open()
	w.access.ent.Person.Vendor, w.access.ent.Grant.Vendor, w.access.ent.Vendor = "", "", gateway.Vendor{}
	staff := w.open()
	if _, err := staff.Channel(t.Context(), gateway.Channel{Kind: gateway.ChannelShell}); !gateway.IsCode(err, gateway.CodeUnavailable) {
		t.Errorf("a channel that nobody can be told of: %v", err)
	}
	<-vendor.Done()
	if got := ended(t, vendor).Reason; got != gateway.EndStore {
		t.Errorf("the vendor's session ended with %s", got)
	}
	if staff.Context().Err() != nil {
		t.Error("the operator's own session ended")
	}
	staff.Finish(gateway.EndClientLeft)
}
