package killswitch_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/cluster"
	"github.com/portcullis/portcullis/gateway/killswitch"
	"github.com/portcullis/portcullis/gateway/statement"
)

func TestSuspend(t *testing.T) {
	w := newWorld(t)
	sus, err := w.suspend("rita")
	if err != nil {
		t.Fatal(err)
	}
	r := sus.Report
	if r.Verdict != gateway.Pass || len(r.Nodes) != 1 || len(r.Nodes[0].Sessions) != 1 || r.Nodes[0].LiveBefore != 1 || r.Nodes[0].LiveAfter != 0 || r.Cancelled.Logins != 3 {
		t.Errorf("report = %+v", r)
	}
	if st := w.store.standings[acme]; st.State != gateway.Suspended || st.Epoch != 2 || w.floor.at["vendor-epoch:acme"] != 2 {
		t.Errorf("standing %+v, floor %v", st, w.floor.at)
	}
	if live := w.ses.Live(); len(live) != 1 || live[0].Vendor != "other" {
		t.Errorf("live = %+v; another vendor feels nothing", live)
	}
	if got := w.names(); !slices.Equal(got, []audit.Name{audit.Suspended, audit.SuspensionReport}) {
		t.Errorf("events = %v", got)
	}
	if !slices.Equal(w.ses.hushes, []int{1}) || w.ses.hushing != 0 {
		t.Errorf("hushed %v, %d still", w.ses.hushes, w.ses.hushing)
	}
	if kept, err := w.k.Suspension(t.Context(), sus.ID); err != nil || kept.Report == nil || kept.By != "rita" {
		t.Errorf("kept = %+v, %v", kept, err)
	}
	again, err := w.suspend("rita")
	if err != nil || again.Epoch != 3 {
		t.Errorf("a second order: %+v, %v", again, err)
	}
}

func TestSuspendRefuses(t *testing.T) {
	w := newWorld(t)
	draft, err := w.k.DraftSuspend(t.Context(), gateway.Person{}, acme, gateway.Closing{}, "r")
	if err != nil {
		t.Fatal(err)
	}
	signed := w.by("rita", draft)
	t.Run("chain does not hold", func(t *testing.T) {
		w.chain.err = gateway.Refused("chain", "", "no")
		if _, err := w.k.Suspend(t.Context(), signed); !errors.Is(err, w.chain.err) {
			t.Errorf("got %v", err)
		}
		w.chain.err = nil
	})
	t.Run("another kind of statement", func(t *testing.T) {
		if _, err := w.k.Suspend(t.Context(), w.by("rita", &statement.KeyRemove{Credential: "c", Person: "ana", Label: "l"})); err == nil {
			t.Error("accepted")
		}
	})
	t.Run("store down", func(t *testing.T) {
		w.store.down = errors.New("locked")
		if _, err := w.k.Suspend(t.Context(), signed); err == nil || len(w.ses.Live()) != 2 {
			t.Errorf("got %v; durable before it is loud", err)
		}
		if !slices.Equal(w.ses.hushes, []int{1}) || w.ses.hushing != 0 {
			t.Errorf("hushed %v, %d still", w.ses.hushes, w.ses.hushing)
		}
		w.store.down = nil
	})
	t.Run("unknown vendor", func(t *testing.T) {
		_, err := w.k.DraftSuspend(t.Context(), gateway.Person{}, gateway.Scope{Kind: gateway.ScopeVendor, Name: "nobody"}, gateway.Closing{}, "r")
		if !gateway.IsCode(err, gateway.CodeNotFound) {
			t.Errorf("got %v", err)
		}
	})
	if _, err := w.k.Suspend(t.Context(), signed); err != nil {
		t.Fatal(err)
	}
	t.Run("the same order twice", func(t *testing.T) {
		if _, err := w.k.Suspend(t.Context(), signed); !gateway.IsCode(err, gateway.CodeConflict) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("drawn up before another", func(t *testing.T) {
		old := &statement.Suspend{ID: gateway.NewID("sus", time.Now()), Scope: acme, Epoch: 2, Reason: "r"}
		if _, err := w.k.Suspend(t.Context(), w.by("rita", old)); !gateway.IsCode(err, gateway.CodeConflict) {
			t.Errorf("got %v", err)
		}
	})
}

// Of ten people who press at once each gets an order of his own or is told;
// the epochs rise one by one.
func TestManySuspendAtOnce(t *testing.T) {
	w := newWorld(t)
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() { _, _ = w.suspend("rita") })
	}
	wg.Wait()
	if st := w.store.standings[acme]; st.State != gateway.Suspended || st.Epoch != uint64(1+len(w.store.orders)) {
		t.Errorf("standing %+v after %d orders", st, len(w.store.orders))
	}
}

func TestPreviewChangesNothing(t *testing.T) {
	w := newWorld(t)
	p, err := w.k.Preview(t.Context(), acme)
	if err != nil || p.Cancelled.Requests != 2 || len(p.Sessions) != 1 || p.Epoch != 1 {
		t.Errorf("preview = %+v, %v", p, err)
	}
	if w.store.cancelled != 0 || len(w.store.events) != 0 {
		t.Error("the preview was carried out")
	}
}

func TestReportIsFailWhenASocketStays(t *testing.T) {
	w := newWorld(t)
	w.ses.stuck = true
	sus, err := w.suspend("rita")
	if err != nil || sus.Report.Verdict != gateway.Fail || sus.Report.Nodes[0].LiveAfter != 1 {
		t.Errorf("report = %+v, %v", sus.Report, err)
	}
}

func TestReportNamesASilentNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		release := make(chan struct{})
		leave, err := w.bus.Join("node-2", func(context.Context, cluster.Order) gateway.NodeReport {
			<-release
			return gateway.NodeReport{}
		})
		if err != nil {
			t.Fatal(err)
		}
		sus, err := w.suspend("rita")
		if err != nil {
			t.Fatal(err)
		}
		n := sus.Report.Nodes
		if sus.Report.Verdict != gateway.Pending || len(n) != 2 || n[1].Node != "node-2" || n[1].Answered || n[1].LeaseEnds.IsZero() {
			t.Errorf("report = %+v", sus.Report)
		}
		close(release)
		leave()
	})
}

// The process dying after any step leaves the scope suspended, and the next
// start finishes the report.
func TestRecoverFinishesTheReport(t *testing.T) {
	w := newWorld(t)
	draft, err := w.k.DraftSuspend(t.Context(), gateway.Person{}, acme, gateway.Closing{}, "r")
	if err != nil {
		t.Fatal(err)
	}
	w.store.failAfter = 1 // the order is durable, the report is not
	sus, err := w.k.Suspend(t.Context(), w.by("rita", draft))
	if err != nil || !strings.Contains(sus.Report.Note, "could not be written") {
		t.Fatalf("%+v, %v", sus.Report, err)
	}
	if w.store.orders[sus.ID].Report != nil || w.store.standings[acme].State != gateway.Suspended {
		t.Fatal("the world is not as after a crash")
	}
	w.store.failAfter = -1
	if n, err := w.k.Recover(t.Context()); n != 1 || err != nil {
		t.Fatalf("recovered %d, %v", n, err)
	}
	if r := w.store.orders[sus.ID].Report; r == nil || r.Verdict != gateway.Pass {
		t.Errorf("report = %+v", r)
	}
	if n, _ := w.k.Recover(t.Context()); n != 0 {
		t.Error("recovered twice")
	}
}

func TestRestoreTakesTwoPeople(t *testing.T) {
	w := newWorld(t)
	if _, err := w.k.DraftRestore(t.Context(), gateway.Person{}, acme, gateway.DigestOf([]byte("r")), "done"); !gateway.IsCode(err, gateway.CodeConflict) {
		t.Errorf("restoring what is active: %v", err)
	}
	if _, err := w.suspend("rita"); err != nil {
		t.Fatal(err)
	}
	report := gateway.DigestOf([]byte("forensic report"))
	half := func(signer string, report gateway.Digest) (gateway.Suspension, error) {
		t.Helper()
		b, err := w.k.DraftRestore(t.Context(), gateway.Person{}, acme, report, "it is clean")
		if err != nil {
			t.Fatal(err)
		}
		return w.k.Restore(t.Context(), w.by(signer, b))
	}
	if _, err := half("rita", report); err != nil {
		t.Fatal(err)
	}
	if st := w.store.standings[acme]; st.State != gateway.Restoring || st.Epoch != 2 {
		t.Errorf("after one: %+v", st)
	}
	if _, err := half("rita", report); err == nil || !strings.Contains(err.Error(), "two people") {
		t.Errorf("the same person twice: %v", err)
	}
	if _, err := half("omar", gateway.DigestOf([]byte("another report"))); err == nil || !strings.Contains(err.Error(), "signed for the report") {
		t.Errorf("another report: %v", err)
	}
	if _, err := half("rob", report); err == nil || gateway.AsError(err).Rule != "two-roles" {
		t.Errorf("two of one role: %v", err)
	}
	sus, err := half("omar", report)
	if err != nil || sus.Lifted.IsZero() {
		t.Fatalf("%+v, %v", sus, err)
	}
	if st := w.store.standings[acme]; st.State != gateway.Active || st.Epoch != 3 || w.floor.at["vendor-epoch:acme"] != 3 {
		t.Errorf("after two: %+v, floor %v", st, w.floor.at)
	}
	if got := w.names(); !slices.Equal(got, []audit.Name{audit.Suspended, audit.SuspensionReport, audit.RestorationSigned, audit.Restored}) {
		t.Errorf("events = %v", got)
	}
}

// A half that was signed is void when the scope is suspended anew.
func TestRestoreOfAnOlderSuspension(t *testing.T) {
	w := newWorld(t)
	if _, err := w.suspend("rita"); err != nil {
		t.Fatal(err)
	}
	b, err := w.k.DraftRestore(t.Context(), gateway.Person{}, acme, gateway.DigestOf([]byte("r")), "clean")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.suspend("rita"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.k.Restore(t.Context(), w.by("omar", b)); !gateway.IsCode(err, gateway.CodeConflict) {
		t.Errorf("got %v", err)
	}
}

// Run reads the store whatever the bus says.
func TestRunEndsWhatTheEpochsForbid(t *testing.T) {
	for _, tc := range []struct {
		name string
		edit func(*memStore)
	}{
		{"vendor suspended", func(s *memStore) { s.standings[acme] = killswitch.Standing{State: gateway.Suspended, Epoch: 2} }},
		{"vendor of a newer epoch", func(s *memStore) { s.standings[acme] = killswitch.Standing{State: gateway.Active, Epoch: 3} }},
		{"person restoring", func(s *memStore) {
			s.standings[gateway.Scope{Kind: gateway.ScopePerson, Name: "ana"}] = killswitch.Standing{State: gateway.Restoring, Epoch: 1}
		}},
		{"person not there", func(s *memStore) { delete(s.standings, gateway.Scope{Kind: gateway.ScopePerson, Name: "ana"}) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				stop := w.run()
				time.Sleep(1500 * time.Millisecond) // the bubble's clock
				if len(w.ses.Live()) != 2 {
					t.Fatal("ended without a reason")
				}
				w.store.mu.Lock()
				tc.edit(w.store)
				w.store.mu.Unlock()
				time.Sleep(killswitch.PollEvery)
				if live := w.ses.Live(); len(live) != 1 || live[0].ID != "ses_2" || w.ses.ends[0] != gateway.EndSuspended {
					t.Errorf("live %+v", live)
				}
				stop()
			})
		})
	}
}

// run starts Run and returns what stops it.
func (w *world) run() func() {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = w.k.Run(ctx) })
	return func() { cancel(); wg.Wait() }
}

// A store that is away, or hangs, ends everything at the lease: not before,
// and not a second later.
func TestStoreLost(t *testing.T) {
	for name, lose := range map[string]func(*memStore){
		"away":  func(s *memStore) { s.down = errors.New("no such file") },
		"hangs": func(s *memStore) { s.hang = true },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				stop := w.run()
				time.Sleep(time.Millisecond)
				w.store.mu.Lock()
				lose(w.store)
				w.store.mu.Unlock()
				time.Sleep(killswitch.DefaultLease - killswitch.CloseAhead - 10*time.Millisecond)
				if len(w.ses.Live()) != 2 {
					t.Error("ended before the lease")
				}
				time.Sleep(killswitch.CloseAhead)
				synctest.Wait()
				if len(w.ses.Live()) != 0 || w.ses.ends[0] != gateway.EndStore {
					t.Errorf("live %d after the lease", len(w.ses.Live()))
				}
				w.store.mu.Lock()
				w.store.down, w.store.hang = nil, false
				w.store.mu.Unlock()
				time.Sleep(5 * time.Second)
				if !slices.Contains(w.names(), audit.StoreLost) {
					t.Errorf("events = %v", w.names())
				}
				stop()
			})
		})
	}
}

func TestOrderFromAnotherNode(t *testing.T) {
	w := newWorld(t)
	w.store.standings[acme] = killswitch.Standing{State: gateway.Active, Epoch: 2}
	w.ses.live[0].Epochs.Vendor = 2
	stop := w.run()
	defer stop()
	var r []gateway.NodeReport
	for len(r) == 0 { // until Run has joined
		var err error
		if r, err = w.bus.Publish(t.Context(), "node-2", cluster.Order{Suspension: "sus_1", Scope: acme, Epoch: 2}); err != nil {
			t.Fatal(err)
		}
	}
	if r[0].Node != "node-1" || len(r[0].Sessions) != 1 || r[0].LiveAfter != 0 {
		t.Errorf("answer = %+v", r)
	}
}

func TestWatchSeesTheEnd(t *testing.T) {
	w := newWorld(t)
	b, err := w.k.DraftSuspend(t.Context(), gateway.Person{}, acme, gateway.Closing{}, "r")
	if err != nil {
		t.Fatal(err)
	}
	progress, cancel := w.k.Watch(b.ID)
	defer cancel()
	if _, err := w.k.Suspend(t.Context(), w.by("rita", b)); err != nil {
		t.Fatal(err)
	}
	p := <-progress
	if !p.Done || p.Verdict != gateway.Pass || p.Closed != 1 || p.Live != 0 {
		t.Errorf("progress = %+v", p)
	}
}
