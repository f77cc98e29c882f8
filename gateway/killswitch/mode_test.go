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
	"github.com/portcullis/portcullis/gateway/cluster"
	"github.com/portcullis/portcullis/gateway/killswitch"
)

var (
	yard = gateway.Scope{Kind: gateway.ScopeZone, Name: "yard"}
	all  = gateway.Scope{Kind: gateway.ScopeAll, Name: gateway.AllVendors}
)

// pair are two nodes over one store: the second hears nothing by the bus.
type pair struct {
	*world
	deaf        *world
	ana, ben    string // sessions of acme in the yard, on the first node
	far         string // a session of acme in the yard, on the second
	bob, farBob string // of another vendor elsewhere, one on each
	own         string // the operator's own, in the yard
}

func newPair(t *testing.T) *pair {
	t.Helper()
	w := newWorld(t)
	n := 0
	session := func(vendor, person, zone string) gateway.Session {
		n++
		return gateway.Session{ID: gateway.NewID("ses", time.Now().Add(time.Duration(n)*time.Second)), Vendor: vendor, Person: person, Target: "t-" + zone, Zone: zone, Protocol: gateway.KindSSH,
			Epochs: gateway.Epochs{Vendor: 1, Person: 1}}
	}
	mine := []gateway.Session{session("acme", "ana", "yard"), session("acme", "ana", "yard"), session("other", "bob", "hall"), {ID: gateway.NewID("ses", time.Now()), Person: "bob", Zone: "yard", Target: "t-yard", Epochs: gateway.Epochs{Person: 1}}}
	far := []gateway.Session{session("acme", "ana", "yard"), session("other", "bob", "hall")}
	w.ses.live = slices.Clone(mine)
	w.store.live = func() []gateway.Session { return slices.Concat(mine, far) }
	d := *w
	d.ses = &sessions{live: slices.Clone(far)}
	var err error
	d.k, err = killswitch.New(killswitch.Config{Store: w.store, Statements: w.store, Chain: w.chain, Sessions: d.ses, Bus: cluster.NewLocal(10*time.Second, nil), Floor: &floor{at: map[string]uint64{}}, Node: "node-2"})
	if err != nil {
		t.Fatal(err)
	}
	return &pair{world: w, deaf: &d, ana: mine[0].ID, ben: mine[1].ID, bob: mine[2].ID, own: mine[3].ID, far: far[0].ID, farBob: far[1].ID}
}

func (w *world) order(scope gateway.Scope, c gateway.Closing) gateway.Suspension {
	w.t.Helper()
	b, err := w.k.DraftSuspend(w.t.Context(), gateway.Person{}, scope, c, "breach in the news")
	if err != nil {
		w.t.Fatal(err)
	}
	sus, err := w.k.Suspend(w.t.Context(), w.by("rita", b))
	if err != nil {
		w.t.Fatal(err)
	}
	return sus
}

// stands is what became of a session on its node, in a word.
func (s *sessions) stands(id string) gateway.Fate {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.live, func(l gateway.Session) bool { return l.ID == id })
	switch {
	case i < 0:
		return gateway.FateClosed
	case !s.live[i].Frozen.IsZero():
		return gateway.FateFrozen
	case !s.shortened[id].IsZero():
		return gateway.FateDraining
	}
	return gateway.FateLeft
}

func (s *sessions) endsAt(id string) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shortened[id]
}

// Each mode does what it says, says what it did, and a node that heard nothing
// of it does the same within a second; other vendors and the operator's own
// feel nothing.
func TestEachModeOnBothNodes(t *testing.T) {
	for _, scope := range []gateway.Scope{acme, yard, all} {
		for mode, want := range map[gateway.Mode]struct {
			fate gateway.Fate
			left int
		}{
			gateway.ModeCut: {gateway.FateClosed, 0}, gateway.ModeFreeze: {gateway.FateFrozen, 0},
			gateway.ModeDrain: {gateway.FateDraining, 2}, gateway.ModeNoNew: {gateway.FateLeft, 2},
		} {
			t.Run(scope.String()+" "+string(mode), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newPair(t)
					stop := w.deaf.run()
					defer stop()
					synctest.Wait()
					c := gateway.Closing{Mode: mode}
					if mode == gateway.ModeDrain {
						c.Until = gateway.Instant(time.Now().Add(time.Minute))
					}
					sus := w.order(scope, c)
					r, covered, left := sus.Report, 2, want.left
					if scope == all {
						covered = 3
						left += left / 2
					}
					n := r.Nodes[0]
					if r.Verdict != gateway.Pass || n.LiveBefore != covered || n.LiveAfter != 0 || n.Left != left || len(n.Sessions) != covered || sus.Mode != mode {
						t.Errorf("%s: %+v", r.Verdict, n)
					}
					for _, s := range n.Sessions {
						if fate := s.Fate; fate != want.fate && !(s.Closed && want.fate == gateway.FateClosed) {
							t.Errorf("the report says %+v, want %s", s, want.fate)
						}
					}
					time.Sleep(killswitch.PollEvery + time.Millisecond) // the bubble's clock
					synctest.Wait()
					if got := []gateway.Fate{w.ses.stands(w.ana), w.ses.stands(w.ben), w.deaf.ses.stands(w.far)}; !slices.Equal(got, []gateway.Fate{want.fate, want.fate, want.fate}) {
						t.Errorf("they stand %v, want %s", got, want.fate)
					}
					if scope != all && (w.ses.stands(w.bob) != gateway.FateLeft || w.deaf.ses.stands(w.farBob) != gateway.FateLeft) || w.ses.stands(w.own) != gateway.FateLeft {
						t.Error("somebody else felt it")
					}
					if mode == gateway.ModeDrain && (!w.ses.endsAt(w.ana).Equal(c.Until) || !w.deaf.ses.endsAt(w.far).Equal(c.Until)) {
						t.Error("they drain until another time than was signed")
					}
				})
			})
		}
	}
}

// Of several orders over a session the strictest holds, whichever came first
// and whatever each closes.
func TestTheStrictestOrderHolds(t *testing.T) {
	drain := func(d time.Duration) gateway.Closing {
		return gateway.Closing{Mode: gateway.ModeDrain, Until: gateway.Instant(time.Now().Add(d))}
	}
	freeze, no, cut := gateway.Closing{Mode: gateway.ModeFreeze}, gateway.Closing{Mode: gateway.ModeNoNew}, gateway.Closing{Mode: gateway.ModeCut}
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]struct {
			first, second gateway.Closing
			want          gateway.Fate
			ends          time.Duration
		}{
			"cut after no-new":               {no, cut, gateway.FateClosed, 0},
			"no-new after cut":               {cut, no, gateway.FateClosed, 0},
			"freeze after drain":             {drain(time.Hour), freeze, gateway.FateFrozen, time.Hour},
			"no-new after freeze":            {freeze, no, gateway.FateFrozen, 0},
			"a longer drain after a shorter": {drain(time.Minute), drain(time.Hour), gateway.FateDraining, time.Minute},
			"a shorter drain after a longer": {drain(time.Hour), drain(time.Minute), gateway.FateDraining, time.Minute},
			"no-new after drain":             {drain(time.Minute), no, gateway.FateDraining, time.Minute},
		} {
			for _, scopes := range [][2]gateway.Scope{{acme, acme}, {acme, yard}, {all, acme}} {
				w := newPair(t)
				begun := time.Now()
				w.order(scopes[0], c.first)
				w.order(scopes[1], c.second)
				stop := w.deaf.run()
				synctest.Wait()
				stop()
				if got := w.deaf.ses.stands(w.far); got != c.want {
					t.Errorf("%s under %v: %s, want %s", name, scopes, got, c.want)
				}
				if at := w.deaf.ses.endsAt(w.far); c.want == gateway.FateDraining && at.Sub(begun).Round(time.Second) != c.ends {
					t.Errorf("%s under %v: it ends after %s, want %s", name, scopes, at.Sub(begun), c.ends)
				}
			}
		}
	})
}

// An excepted session goes on until its exception ends, on every node, and is
// then ended, whatever the mode.
func TestAnExceptionEnds(t *testing.T) {
	for _, mode := range []gateway.Mode{gateway.ModeCut, gateway.ModeFreeze, gateway.ModeNoNew} {
		t.Run(string(mode), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newPair(t)
				stop, stopDeaf := w.run(), w.deaf.run()
				defer stop()
				defer stopDeaf()
				until := gateway.Instant(time.Now().Add(10 * time.Second))
				except := []gateway.Exception{{Session: w.ana, Owner: "olga", Reason: "firmware", Until: until}, {Session: w.far, Owner: "olga", Reason: "firmware", Until: until}}
				sus := w.order(acme, gateway.Closing{Mode: mode, Except: except})
				n := sus.Report.Nodes[0]
				if i := slices.IndexFunc(n.Sessions, func(s gateway.ClosedSession) bool { return s.Session == w.ana }); sus.Report.Verdict != gateway.Pass || i < 0 || n.Sessions[i].Fate != gateway.FateExcepted || n.Left == 0 {
					t.Errorf("%s: %+v", sus.Report.Verdict, n)
				}
				time.Sleep(8 * time.Second) // the bubble's clock
				if a, b := w.ses.stands(w.ana), w.deaf.ses.stands(w.far); a != gateway.FateDraining || b != gateway.FateDraining || !w.ses.endsAt(w.ana).Equal(until) || !w.deaf.ses.endsAt(w.far).Equal(until) {
					t.Errorf("before its end: %s and %s", a, b)
				}
				time.Sleep(4 * time.Second)
				if a, b := w.ses.stands(w.ana), w.deaf.ses.stands(w.far); a != gateway.FateClosed || b != gateway.FateClosed {
					t.Errorf("after its end: %s and %s", a, b)
				}
			})
		})
	}
}

// What was left by an order is ended by its restoration; what was opened after
// it stays.
func TestARestorationEndsWhatWasLeft(t *testing.T) {
	for _, scope := range []gateway.Scope{acme, yard} {
		synctest.Test(t, func(t *testing.T) {
			w := newPair(t)
			w.order(scope, gateway.Closing{Mode: gateway.ModeNoNew})
			w.store.standings[scope] = killswitch.Standing{State: gateway.Active, Epoch: 3}
			fresh := w.deaf.ses.live[0]
			fresh.ID, fresh.Wide = gateway.NewID("ses", time.Now()), gateway.WideEpochs{yard.String(): 3}
			if scope == acme {
				fresh.Epochs.Vendor = 3
			}
			w.deaf.ses.live = append(w.deaf.ses.live, fresh)
			stop := w.deaf.run()
			synctest.Wait()
			stop()
			if w.deaf.ses.stands(w.far) != gateway.FateClosed || w.deaf.ses.stands(fresh.ID) != gateway.FateLeft {
				t.Errorf("%s: the old one is %s, the new one %s", scope, w.deaf.ses.stands(w.far), w.deaf.ses.stands(fresh.ID))
			}
		})
	}
}

// A store's rows make no order milder: the mode is read from what was signed,
// and where that cannot be read everything ends.
func TestP5RowsMakeNoOrderMilder(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(w *pair)
		want gateway.Fate
	}{
		"mode edited": {func(w *pair) {
			for id, sus := range w.store.orders {
				sus.Mode, sus.Until = gateway.ModeNoNew, time.Time{}
				w.store.orders[id] = sus
			}
		}, gateway.FateFrozen},
		"order deleted":               {func(w *pair) { clear(w.store.orders) }, gateway.FateFrozen},
		"the statements do not hold":  {func(w *pair) { w.chain.err = errors.New("edited") }, gateway.FateClosed},
		"the statement is gone":       {func(w *pair) { clear(w.store.statements) }, gateway.FateClosed},
		"suspended by a row alone":    {func(w *pair) { w.store.standings[yard] = killswitch.Standing{State: gateway.Suspended, Epoch: 2} }, gateway.FateClosed},
		"its person is not there":     {func(w *pair) { delete(w.store.standings, gateway.Scope{Kind: gateway.ScopePerson, Name: "ana"}) }, gateway.FateClosed},
		"an exception written in row": {func(w *pair) { w.except() }, gateway.FateFrozen},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newPair(t)
				w.order(acme, gateway.Closing{Mode: gateway.ModeFreeze})
				c.edit(w)
				stop := w.deaf.run()
				synctest.Wait()
				stop()
				if got := w.deaf.ses.stands(w.far); got != c.want {
					t.Errorf("it stands %s, want %s", got, c.want)
				}
			})
		})
	}
}

func (w *pair) except() {
	for id, sus := range w.store.orders {
		sus.Except = []gateway.Exception{{Session: w.far, Owner: "olga", Reason: "r", Until: time.Now().Add(time.Hour)}}
		w.store.orders[id] = sus
	}
}

// A session that a person had frozen before is held by the order too.
func TestAnOrderHoldsWhatWasFrozenBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPair(t)
		w.deaf.ses.live[0].Frozen, w.deaf.ses.live[0].FrozenBy = time.Now(), "sam"
		w.order(acme, gateway.Closing{Mode: gateway.ModeFreeze})
		stop := w.deaf.run()
		synctest.Wait()
		stop()
		if !slices.Contains(w.deaf.ses.held, w.far) {
			t.Error("a thaw would open it")
		}
	})
}

func TestReportIsFailWhenOneIsNotHeld(t *testing.T) {
	w := newPair(t)
	w.ses.stuck = true
	if sus := w.order(acme, gateway.Closing{Mode: gateway.ModeFreeze}); sus.Report.Verdict != gateway.Fail || sus.Report.Nodes[0].LiveAfter != 2 {
		t.Errorf("report %+v", sus.Report)
	}
}

// An exception is of a session that is live under the scope, and its owner is
// of the staff and active.
func TestExceptionsAreHeldToTheirOwners(t *testing.T) {
	w := newPair(t)
	w.chain.people = map[string]gateway.Person{
		"eve": {Name: "eve", Vendor: "acme", State: gateway.Active}, "sid": {Name: "sid", State: gateway.Suspended},
	}
	for _, c := range []struct{ name, session, owner, says string }{
		{"a session of another vendor", w.bob, "olga", "not live under vendor acme"},
		{"a session that is not there", gateway.NewID("ses", time.Now()), "olga", "not live under vendor acme"},
		{"an owner of a vendor", w.ana, "eve", "not an active person of the staff"},
		{"an owner who is suspended", w.ana, "sid", "not an active person of the staff"},
		{"one on another node", w.far, "olga", ""},
	} {
		_, err := w.k.DraftSuspend(t.Context(), gateway.Person{}, acme, gateway.Closing{Except: []gateway.Exception{{Session: c.session, Owner: c.owner, Reason: "r", Until: gateway.Instant(time.Now().Add(time.Hour))}}}, "r")
		if (err != nil) != (c.says != "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", c.name, err, c.says)
		}
	}
}

// Ten responders with orders of different modes at once, while both nodes
// poll: the strictest holds in the end.
func TestModesAtOnce(t *testing.T) {
	w := newPair(t)
	ctx, cancel := context.WithCancel(t.Context())
	var nodes, hands sync.WaitGroup
	for _, k := range []*killswitch.Service{w.k, w.deaf.k} {
		nodes.Go(func() { _ = k.Run(ctx) })
	}
	for i := range 10 {
		hands.Go(func() {
			scope := []gateway.Scope{acme, yard, all}[i%3]
			b, err := w.k.DraftSuspend(ctx, gateway.Person{}, scope, gateway.Closing{Mode: []gateway.Mode{gateway.ModeNoNew, gateway.ModeFreeze}[i%2]}, "r")
			if err != nil {
				t.Error(err)
				return
			}
			_, err = w.k.Suspend(ctx, w.by("rita", b))
			if err != nil && !gateway.IsCode(err, gateway.CodeConflict) {
				t.Error(err)
			}
		})
	}
	hands.Wait()
	cancel()
	nodes.Wait()
	if st := w.ses.stands(w.ana); st != gateway.FateFrozen {
		t.Errorf("it stands %s", st)
	}
}
