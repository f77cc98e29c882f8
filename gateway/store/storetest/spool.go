package storetest

import (
	"testing"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/store"
)

// spooled: what waited in a spool is written once, whether the commit before
// it went straight or through the spool; a thing is whole or not there.
func spooled(t *testing.T, db *store.DB) {
	at := gateway.Instant(began)
	row := gateway.Session{ID: "ses_spooled", State: gateway.SessionEnded, Started: at, Ended: at, Until: at, BytesOut: 7}
	mark := func(spool string, e audit.Event) audit.Event {
		e.Detail = map[string]string{"bytes_out": "7", "spooled": spool}
		return e
	}
	straight := audit.Event{Name: audit.SessionEnded, At: at, Actor: "gateway", Session: row.ID, Detail: map[string]string{"bytes_out": "7"}}
	channel := audit.Event{Name: audit.SessionChannel, At: at, Actor: "ana", Session: row.ID}
	first := audit.Happened{Spooled: "spo_1/1", Events: []audit.Event{mark("spo_1/1", channel)}}
	last := audit.Happened{Spooled: "spo_1/2", Session: &row, Events: []audit.Event{mark("spo_1/2", straight)}}

	if err := db.Write(t.Context(), audit.Happened{Session: &row, Events: []audit.Event{straight}}); err != nil {
		t.Fatal(err)
	}
	for range 3 { // each a start after a crash
		if err := db.Write(t.Context(), first, last); err != nil {
			t.Fatal(err)
		}
	}
	sound(t, db, 2)
	other := first
	other.Events = []audit.Event{mark("spo_1/3", channel), {Name: "no.such.name", At: at}}
	other.Events[0].Actor = "bob"
	if err := db.Write(t.Context(), other); err == nil {
		t.Error("half of a thing was written")
	}
	other.Events = other.Events[:1]
	if err := db.Write(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	sound(t, db, 3)
	if got, err := db.Session().Session(t.Context(), row.ID); err != nil || got.BytesOut != 7 || got.State != gateway.SessionEnded {
		t.Errorf("%+v, %v", got, err)
	}
}
