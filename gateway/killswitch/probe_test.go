package killswitch_test

import (
	"context"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/killswitch"
)

// probing joins a probe to the world, as another room's.
func (w *world) probing(list ...gateway.Probed) {
	w.t.Helper()
	var err error
	w.k, err = killswitch.New(killswitch.Config{Store: w.store, Statements: w.store, Chain: w.chain, Sessions: w.ses, Bus: w.bus, Floor: w.floor, Node: "node-1",
		Probe: func(context.Context, gateway.Suspension) []gateway.Probed { return list }})
	if err != nil {
		w.t.Fatal(err)
	}
}

func results(r *gateway.Report) map[gateway.Path]gateway.Probed {
	out := map[gateway.Path]gateway.Probed{}
	for _, p := range r.Probes {
		out[p.Path] = p
	}
	return out
}

// This store goes on finding something to cancel: rows were left, and the
// report says so and fails.
func TestRowsThatWereLeftFailTheReport(t *testing.T) {
	w := newWorld(t)
	w.probing()
	sus, err := w.suspend("rita")
	if err != nil {
		t.Fatal(err)
	}
	got := results(sus.Report)
	if p := got[gateway.PathRows]; p.Result != gateway.ProbeOpen || p.Subject == "" || sus.Report.Verdict != gateway.Fail {
		t.Errorf("rows = %+v, verdict %s", p, sus.Report.Verdict)
	}
	if p := got[gateway.PathRestoration]; p.Result != gateway.ProbeRefused || p.Rule != "epoch" {
		t.Errorf("an old restoration: %+v", p)
	}
	if p := got[gateway.PathChannel]; p.Result != gateway.ProbeRefused {
		t.Errorf("a second channel: %+v", p)
	}
	if w.store.cancelled != 1 || len(w.store.halves) != 0 {
		t.Errorf("the probes were carried out: cancelled %d times, %d halves", w.store.cancelled, len(w.store.halves))
	}
}

func TestChannelOfALiveSessionIsSeen(t *testing.T) {
	w := newWorld(t)
	w.probing()
	w.ses.stuck = true
	sus, err := w.suspend("rita")
	if err != nil {
		t.Fatal(err)
	}
	if p := results(sus.Report)[gateway.PathChannel]; p.Result != gateway.ProbeOpen || p.Subject != "session ses_1 of ana" {
		t.Errorf("a second channel: %+v", p)
	}
}

func TestAnOpenPathOfAnotherRoomFailsTheReport(t *testing.T) {
	for result, want := range map[gateway.ProbeResult]gateway.Verdict{
		gateway.ProbeOpen: gateway.Fail, gateway.ProbeSilent: gateway.Pending, gateway.ProbeFinding: gateway.Pass, gateway.ProbeNotTried: gateway.Pass, gateway.ProbeRefused: gateway.Pass,
	} {
		if got := gateway.Pass.Judged([]gateway.Probed{{Result: result}}); got != want {
			t.Errorf("%s: %s, wants %s", result, got, want)
		}
	}
	w := newWorld(t)
	w.probing(gateway.Probed{Path: gateway.PathSSHKey, Result: gateway.ProbeOpen, At: time.Now()})
	sus, err := w.suspend("rita")
	if err != nil || sus.Report.Verdict != gateway.Fail {
		t.Errorf("%+v, %v", sus.Report, err)
	}
	if c := sus.Report.Nodes[0]; c.Clock.IsZero() || c.Sessions[0].Method != gateway.MethodSockets {
		t.Errorf("node = %+v", c)
	}
}
