package storetest

import (
	"testing"

	"github.com/portcullis/portcullis/gateway/store"
)

// Opener opens a fresh, empty store that lives as long as the test.
type Opener func(t *testing.T) *store.DB

// Run holds a store to everything that the rooms rely on.
func Run(t *testing.T, open Opener) {
	for _, story := range []struct {
		name string
		tell func(*testing.T, *store.DB)
	}{
		{"rows read back as they were written", rowsReadBack},
		{"versions are compared and swapped", versions},
		{"a put leaves the standing to the kill switch", standingStays},
		{"single-use things are used once by fifty at a time", usedOnce},
		{"a counter moves by compare-and-swap", counters},
		{"keys and invitations are taken for ever", takenForEver},
		{"lists are filtered, newest first, paged", lists},
		{"what is due and what is next", due},
		{"a suspension cancels what could let anybody back in", cancels},
		{"epochs are seen inside the transaction", epochs},
		{"a wide scope is closed and restored by compare-and-swap", wideStandings},
		{"an opening sees the wide scopes over it", wideReach},
		{"a wide suspension leaves the operator's own alone", wideCancels},
		{"wide rows read back as they were written", wideRows},
		{"restorations count people", restorations},
		{"a signed order is used once", signedOrders},
		{"a token is found by its hash", tokenRows},
		{"scope statements keep their order", scopeStatements},
		{"last-seen times are shown at once", lastSeen},
		{"an update is whole or not there", whole},
		{"a panic undoes its own update only", panics},
		{"a cancelled caller does not begin", cancelled},
		{"the log keeps the order of its commits", logOrder},
		{"the log is searched and followed", logRead},
		{"two hundred updates share their commits", groupCommit},
		{"what waited in a spool is written once", spooled},
		{"a closed store says so", closed},
	} {
		t.Run(story.name, func(t *testing.T) {
			t.Parallel() // most of it is waiting for the disk
			story.tell(t, open(t))
		})
	}
}
