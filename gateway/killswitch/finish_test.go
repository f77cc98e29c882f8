package killswitch_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/cluster"
	"github.com/portcullis/portcullis/gateway/killswitch"
	"github.com/portcullis/portcullis/gateway/statement"
)

// silent joins a node that says nothing until the test is over.
func (w *world) silent(name string) (leave func()) {
	w.t.Helper()
	over := make(chan struct{})
	gone, err := w.bus.Join(name, func(context.Context, cluster.Order) gateway.NodeReport {
		<-over
		return gateway.NodeReport{}
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return func() { close(over); gone() }
}

func (w *world) filed(id string) gateway.Suspension {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	return w.store.orders[id]
}

// A report that names a silent node becomes PASS by itself when the lease that
// it names is over: not before, and it says why.
func TestPendingBecomesPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.silent("node-2")()
		stop := w.run()
		defer stop()
		synctest.Wait()
		sus, err := w.suspend("rita")
		if err != nil || sus.Report.Verdict != gateway.Pending || sus.Node != "node-1" {
			t.Fatalf("%+v, %v", sus.Report, err)
		}
		ends := sus.Report.Nodes[1].LeaseEnds
		time.Sleep(time.Until(ends))
		synctest.Wait()
		if v := w.filed(sus.ID).Report.Verdict; v != gateway.Pending {
			t.Errorf("%s before the lease and the margin are over", v)
		}
		time.Sleep(2 * killswitch.ClockMargin)
		synctest.Wait()
		r := w.filed(sus.ID).Report
		if r.Verdict != gateway.Pass || !strings.Contains(r.Note, "node-2 did not answer; the lease has ended") || r.Finished.Before(ends) {
			t.Errorf("report = %+v", r)
		}
		if sus.Report.Verdict != gateway.Pending {
			t.Error("the caller's own report was written over")
		}
	})
}

// The report of an order whose node never came back is finished by another
// node, after a while.
func TestAnotherNodeFinishesTheReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.store.standings[acme] = killswitch.Standing{State: gateway.Suspended, Epoch: 2}
		w.store.orders["sus_1"] = gateway.Suspension{ID: "sus_1", Scope: acme, Epoch: 2, Node: "node-2", Ordered: time.Now()}
		stop := w.run()
		defer stop()
		time.Sleep(killswitch.DefaultLease + killswitch.FinishGrace)
		if w.filed("sus_1").Report != nil {
			t.Error("finished while its own node may be at it")
		}
		time.Sleep(2 * killswitch.FinishEvery)
		if r := w.filed("sus_1").Report; r == nil || r.Verdict != gateway.Pass {
			t.Errorf("report = %+v", r)
		}
	})
}

// A node that comes back carries out its own orders that still stand, and
// nobody else's, and none that was lifted or overtaken since.
func TestRecoverCarriesOutItsOwnOnly(t *testing.T) {
	for _, tc := range []struct {
		name string
		sus  gateway.Suspension
		now  killswitch.Standing
		live int
	}{
		{"its own", gateway.Suspension{Node: "node-1", Epoch: 2}, killswitch.Standing{State: gateway.Suspended, Epoch: 2}, 1},
		{"from before orders named their node", gateway.Suspension{Epoch: 2}, killswitch.Standing{State: gateway.Suspended, Epoch: 2}, 1},
		{"another node's", gateway.Suspension{Node: "node-2", Epoch: 2}, killswitch.Standing{State: gateway.Suspended, Epoch: 2}, 2},
		{"lifted", gateway.Suspension{Node: "node-1", Epoch: 2, Lifted: time.Unix(1, 0)}, killswitch.Standing{State: gateway.Active, Epoch: 3}, 2},
		{"overtaken", gateway.Suspension{Node: "node-1", Epoch: 2}, killswitch.Standing{State: gateway.Active, Epoch: 5}, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			tc.sus.ID, tc.sus.Scope = "sus_1", acme
			w.store.orders["sus_1"], w.store.standings[acme] = tc.sus, tc.now
			if _, err := w.k.Recover(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := len(w.ses.Live()); n != tc.live {
				t.Errorf("%d live, want %d", n, tc.live)
			}
			if w.ses.until.IsZero() {
				t.Error("the first lease was not begun")
			}
		})
	}
}

// Nothing is restored while a node that has not answered may still hold a
// session of the old epoch; the sentence says until when.
func TestRestoreWaitsForTheLease(t *testing.T) {
	for name, lose := range map[string]func(*world, gateway.Suspension){
		"a silent node":  func(*world, gateway.Suspension) {},
		"without report": func(w *world, s gateway.Suspension) { s.Report = nil; w.store.orders[s.ID] = s },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				defer w.silent("node-2")()
				sus, err := w.suspend("rita")
				if err != nil {
					t.Fatal(err)
				}
				lose(w, sus)
				report := gateway.DigestOf([]byte("forensic report"))
				draft := func() error {
					_, err := w.k.DraftRestore(t.Context(), gateway.Person{}, acme, report, "clean")
					return err
				}
				time.Sleep(time.Until(sus.Report.Nodes[1].LeaseEnds))
				if err := draft(); !gateway.IsCode(err, gateway.CodeRefused) || !strings.Contains(err.Error(), "ends by 20") {
					t.Errorf("drafted: %v", err)
				}
				st := w.store.orders[sus.ID]
				b := w.by("rita", restoring(sus, report))
				if _, err := w.k.Restore(t.Context(), b); !gateway.IsCode(err, gateway.CodeRefused) || w.store.standings[acme].State != gateway.Suspended {
					t.Errorf("restored: %v, %+v", err, st)
				}
				time.Sleep(killswitch.CommitWait + killswitch.ClockMargin + time.Second)
				if err := draft(); err != nil {
					t.Errorf("after all leases: %v", err)
				}
				if _, err := w.k.Restore(t.Context(), w.by("omar", restoring(sus, report))); err != nil {
					t.Errorf("after all leases: %v", err)
				}
			})
		})
	}
}

func restoring(sus gateway.Suspension, report gateway.Digest) *statement.Restore {
	return &statement.Restore{Suspension: sus.ID, Scope: sus.Scope, Epoch: sus.Epoch + 1, Report: report, WatchOnly: 86400, Supervised: 7 * 86400, Reason: "clean"}
}
