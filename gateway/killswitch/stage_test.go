package killswitch_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/statement"
)

// comeBack suspends acme and restores it, as far as its first stage, since the
// given moment.
func (w *world) comeBack(since time.Time) gateway.Suspension {
	w.t.Helper()
	sus, err := w.suspend("rita")
	if err != nil {
		w.t.Fatal(err)
	}
	var last statement.Signed
	for _, signer := range []string{"rita", "omar"} {
		b, err := w.k.DraftRestore(w.t.Context(), gateway.Person{}, acme, gateway.DigestOf([]byte("report")), "clean")
		if err != nil {
			w.t.Fatal(err)
		}
		last = w.by(signer, b)
		if sus, err = w.k.Restore(w.t.Context(), last); err != nil {
			w.t.Fatal(err)
		}
	}
	w.chain.ladder = gateway.Ladder{Scope: acme, Suspension: sus.ID, Epoch: sus.Epoch + 1, Stage: gateway.StageWatchOnly, Next: gateway.StageSupervised,
		Since: since, Earliest: since.Add(gateway.DefaultWatchOnly), Began: last.Digest}
	return sus
}

// A restoration states the stages and their shortest stays, and none that is
// shorter or without them is taken.
func TestARestorationStatesItsStages(t *testing.T) {
	w := newWorld(t)
	sus, err := w.suspend("rita")
	if err != nil {
		t.Fatal(err)
	}
	b, err := w.k.DraftRestore(t.Context(), gateway.Person{}, acme, gateway.DigestOf([]byte("report")), "clean")
	if err != nil || b.Stays() != (gateway.Stays{WatchOnly: gateway.DefaultWatchOnly, Supervised: gateway.DefaultSupervised}) {
		t.Fatalf("drawn up: %+v, %v", b, err)
	}
	if !strings.Contains(b.Sentence(), "watch-only, for at least 1 day; then supervised, for at least 7 days; then normal") {
		t.Errorf("sentence: %s", b.Sentence())
	}
	for name, stays := range map[string][2]int64{"none": {0, 0}, "a shorter first": {86399, 7 * 86400}, "a shorter second": {86400, 7*86400 - 1}} {
		x := *b
		x.WatchOnly, x.Supervised = stays[0], stays[1]
		if _, err := w.k.Restore(t.Context(), w.by("omar", &x)); !gateway.IsCode(err, gateway.CodeRefused) || gateway.AsError(err).Rule != "stay" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if st := w.store.standings[acme]; st.State != gateway.Suspended || w.store.orders[sus.ID].Lifted != sus.Lifted {
		t.Errorf("standing %+v", st)
	}
	longer := *b
	longer.WatchOnly *= 2
	if _, err := w.k.Restore(t.Context(), w.by("omar", &longer)); err != nil {
		t.Errorf("a longer stay: %v", err)
	}
	if _, err := w.k.Restore(t.Context(), w.by("rita", b)); !gateway.IsCode(err, gateway.CodeRefused) || gateway.AsError(err).Rule != "stay" {
		t.Errorf("two halves with different stays: %v", err)
	}
	staff := gateway.Scope{Kind: gateway.ScopePerson, Name: "ana"} // whom this chain holds for staff
	order, err := w.k.DraftSuspend(t.Context(), gateway.Person{}, staff, gateway.Closing{}, "lost key")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.k.Suspend(t.Context(), w.by("rita", order)); err != nil {
		t.Fatal(err)
	}
	if own, err := w.k.DraftRestore(t.Context(), gateway.Person{}, staff, gateway.DigestOf([]byte("report")), "found"); err != nil || own.Staged() {
		t.Errorf("the operator's own: %+v, %v", own, err)
	}
}

// One step at a time, not before the stay is over, and never two of them.
func TestAdvance(t *testing.T) {
	w := newWorld(t)
	sus := w.comeBack(time.Now().Add(-time.Hour))
	if _, err := w.k.DraftAdvance(t.Context(), acme, "nothing was seen"); !gateway.IsCode(err, gateway.CodeRefused) || gateway.AsError(err).Rule != "stay" || !strings.Contains(err.Error(), "at the earliest") {
		t.Errorf("before the stay is over: %v", err)
	}
	w.chain.ladder.Earliest = time.Now().Add(-time.Minute)
	b, err := w.k.DraftAdvance(t.Context(), acme, "nothing was seen")
	if err != nil || b.To != gateway.StageSupervised || b.Suspension != sus.ID {
		t.Fatalf("drawn up: %+v, %v", b, err)
	}
	skip := *b
	skip.To = gateway.StageNormal
	if _, err := w.k.Advance(t.Context(), w.by("rita", &skip)); !gateway.IsCode(err, gateway.CodeConflict) {
		t.Errorf("a stage was skipped: %v", err)
	}
	if _, err := w.k.Advance(t.Context(), w.by("rita", b)); err != nil {
		t.Fatal(err)
	}
	// The fake chain still shows the old stage, as a chain does that was read before.
	if _, err := w.k.Advance(t.Context(), w.by("omar", b)); !gateway.IsCode(err, gateway.CodeConflict) {
		t.Errorf("the same step twice: %v", err)
	}
	names := w.names()
	if !slices.Equal(names[len(names)-2:], []audit.Name{audit.Restored, audit.StageBegun}) {
		t.Errorf("events %v", names)
	}
	if e := w.store.events[len(w.store.events)-1]; e.Detail["stage"] != "supervised" || e.Detail["from"] != "watch-only" || e.Vendor != "acme" || e.Suspension != sus.ID {
		t.Errorf("event %+v", e)
	}
}

// A suspension between the drawing up of a step and its signature wins; so
// does one that commits while the step is judged.
func TestASuspensionBeatsAStep(t *testing.T) {
	w := newWorld(t)
	w.comeBack(time.Now().Add(-gateway.DefaultWatchOnly - time.Hour))
	b, err := w.k.DraftAdvance(t.Context(), acme, "nothing was seen")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.suspend("rita"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.k.Advance(t.Context(), w.by("omar", b)); !gateway.IsCode(err, gateway.CodeConflict) {
		t.Errorf("a step over a suspension: %v", err)
	}
	if st := w.store.standings[acme]; st.State != gateway.Suspended {
		t.Errorf("standing %+v", st)
	}
	w.chain.ladder = gateway.Ladder{Scope: acme, Epoch: 4}
	if _, err := w.k.DraftAdvance(t.Context(), acme, "r"); !gateway.IsCode(err, gateway.CodeConflict) {
		t.Errorf("a step of what is closed: %v", err)
	}
}
