package trust_test

import (
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/trust"
	"github.com/portcullis/portcullis/gateway/trust/trusttest"
)

const (
	watchOnly  = 24 * time.Hour
	supervised = 3 * 24 * time.Hour
)

// comeBack suspends the scope and restores it, as far as its first stage.
func comeBack(w *trusttest.World, scope gateway.Scope) *statement.Suspend {
	w.T.Helper()
	b, _ := w.Suspend(trusttest.Responder, scope)
	r := w.Restoration(scope, b.ID)
	r.WatchOnly, r.Supervised = int64(watchOnly/time.Second), int64(supervised/time.Second)
	w.Do(trusttest.Responder, r)
	w.Do(trusttest.Approver, r)
	return b
}

func ladder(w *trusttest.World, scope gateway.Scope) gateway.Ladder {
	w.T.Helper()
	st, err := w.Chain.Standing(w.T.Context(), scope)
	if err != nil {
		w.T.Fatal(err)
	}
	return st.Ladder
}

// step is the body that would take the scope to its next stage.
func step(w *trusttest.World, scope gateway.Scope) *statement.Advance {
	w.T.Helper()
	x := ladder(w, scope)
	return &statement.Advance{Suspension: x.Suspension, Scope: scope, Epoch: x.Epoch, To: x.Next, Previous: x.Began, Reason: "nothing was seen"}
}

var acme = gateway.Scope{Kind: gateway.ScopeVendor, Name: trusttest.Vendor}

// Every scope comes back by the ladder, and what a vendor reaches is in the
// strictest stage of all that cover it. The operator's own people are in none.
func TestTheLadder(t *testing.T) {
	scopes := []gateway.Scope{acme, {Kind: gateway.ScopePerson, Name: trusttest.Engineer}}
	for _, c := range wide {
		scopes = append(scopes, c.scope)
	}
	for _, scope := range scopes {
		t.Run(string(scope.Kind), func(t *testing.T) {
			w := trusttest.New(t)
			at := func() gateway.Stage {
				t.Helper()
				x, err := w.Chain.Stage(t.Context(), relay)
				if err != nil {
					t.Fatal(err)
				}
				return x.Stage
			}
			if s := at(); s != gateway.StageNormal {
				t.Errorf("never suspended: %s", s)
			}
			b := comeBack(w, scope)
			x := ladder(w, scope)
			if x.Stage != gateway.StageWatchOnly || at() != gateway.StageWatchOnly || x.Next != gateway.StageSupervised || x.Suspension != b.ID || !x.Earliest.Equal(x.Since.Add(watchOnly)) || len(x.Steps) != 1 || len(x.Steps[0].By) != 2 {
				t.Errorf("restored: %+v, %s", x, at())
			}
			own := relay
			own.Vendor, own.Person = "", trusttest.Admin
			if x, err := w.Chain.Stage(t.Context(), own); err != nil || x.Stage != gateway.StageNormal {
				t.Errorf("the operator's own: %+v, %v", x, err)
			}
			w.Advance(watchOnly)
			w.Do(trusttest.Responder, step(w, scope))
			if x := ladder(w, scope); x.Stage != gateway.StageSupervised || at() != gateway.StageSupervised || !x.Earliest.Equal(x.Since.Add(supervised)) {
				t.Errorf("first step: %+v", x)
			}
			w.Advance(supervised)
			w.Do(statement.Machine, step(w, scope))
			if x := ladder(w, scope); x.Stage != gateway.StageNormal || at() != gateway.StageNormal || x.Next != "" || !x.Earliest.IsZero() || len(x.Steps) != 3 {
				t.Errorf("second step: %+v", x)
			}
			w.Suspend(trusttest.Responder, scope)
			if x := ladder(w, scope); x.Stage != "" || len(x.Steps) != 0 {
				t.Errorf("suspended again: %+v", x)
			}
		})
	}
}

// The strictest counts.
func TestTheStrictestStageCounts(t *testing.T) {
	w := trusttest.New(t)
	comeBack(w, acme)
	w.Advance(watchOnly)
	w.Do(trusttest.Responder, step(w, acme))
	comeBack(w, wide[0].scope)
	if x, err := w.Chain.Stage(t.Context(), relay); err != nil || x.Stage != gateway.StageWatchOnly || x.Scope != wide[0].scope {
		t.Errorf("%+v, %v", x, err)
	}
}

// What a thief with the database, or with one key, does to skip a stage.
func TestP5NoStageIsSkipped(t *testing.T) {
	for name, c := range map[string]struct {
		file func(w *trusttest.World)
		says string
	}{
		"a step before its time": {func(w *trusttest.World) {
			w.Advance(watchOnly - time.Minute)
			w.Do(trusttest.Responder, step(w, acme))
		}, "had to stay watch-only until"},
		"a step over a stage": {func(w *trusttest.World) {
			w.Advance(watchOnly)
			b := step(w, acme)
			b.To = gateway.StageNormal
			w.Do(trusttest.Responder, b)
		}, "the next stage is another"},
		"the second step at once": {func(w *trusttest.World) {
			w.Advance(watchOnly)
			w.Do(trusttest.Responder, step(w, acme))
			w.Do(trusttest.Responder, step(w, acme))
		}, "had to stay supervised until"},
		"one step twice": {func(w *trusttest.World) {
			w.Advance(watchOnly)
			b := step(w, acme)
			w.Do(trusttest.Responder, b)
			w.Do(trusttest.Approver, b)
		}, "goes on from a stage that vendor acme was not in"},
		"a step of an earlier restoration": {func(w *trusttest.World) {
			w.Advance(watchOnly)
			old := step(w, acme)
			comeBack(w, acme)
			w.Advance(watchOnly)
			w.Do(trusttest.Responder, old)
		}, "goes on from a stage that vendor acme was not in"},
		"a step after a suspension": {func(w *trusttest.World) {
			w.Advance(watchOnly)
			b := step(w, acme)
			w.Suspend(trusttest.Responder, acme)
			w.Do(trusttest.Responder, b)
		}, "goes on from a stage that vendor acme was not in"},
		"a step by an administrator": {func(w *trusttest.World) {
			w.Advance(watchOnly)
			w.Do(trusttest.Admin, step(w, acme))
		}, "may sign it"},
		"a step by the vendor": {func(w *trusttest.World) {
			w.Advance(watchOnly)
			w.Enrol(trusttest.Engineer)
			w.Do(trusttest.Engineer, step(w, acme))
		}, "may sign it"},
		"a step of another scope": {func(w *trusttest.World) {
			w.Advance(watchOnly)
			b := step(w, acme)
			b.Scope.Name = "nova"
			s := w.Do(trusttest.Responder, b)
			w.Store.Scopes[acme] = append(w.Store.Scopes[acme], s.Digest)
		}, "filed with the suspensions of vendor acme"},
		"a step that was never signed": {func(w *trusttest.World) {
			w.Advance(watchOnly)
			s := w.Store.Statements[w.Do(trusttest.Responder, step(w, acme)).Digest]
			s.Proofs[0].Signature = append([]byte(nil), s.Proofs[0].Signature...)
			s.Proofs[0].Signature[8] ^= 1
			w.Store.Statements[s.Digest] = s
		}, "touch"},
		"a step back-dated, without its receipt": {func(w *trusttest.World) {
			w.Advance(watchOnly)
			s := w.Store.Statements[w.Do(trusttest.Responder, step(w, acme)).Digest]
			s.Receipt.At = s.Receipt.At.Add(-watchOnly)
			w.Store.Statements[s.Digest] = s
		}, "receipt"},
	} {
		t.Run(name, func(t *testing.T) {
			w := trusttest.New(t)
			comeBack(w, acme)
			c.file(w)
			_, err := w.Chain.Stage(t.Context(), relay)
			if !gateway.IsCode(err, gateway.CodeRefused) || gateway.AsError(err).Rule != trust.Rule || !strings.Contains(err.Error(), c.says) {
				t.Errorf("stage: %v", err)
			}
			if _, err := w.Chain.Vendor(t.Context(), trusttest.Vendor); err == nil {
				t.Error("the vendor's row holds")
			}
		})
	}
}

// A step that the store has forgotten only makes the stage stricter.
func TestAForgottenStepIsStricter(t *testing.T) {
	w := trusttest.New(t)
	comeBack(w, acme)
	w.Advance(watchOnly)
	w.Do(trusttest.Responder, step(w, acme))
	w.Store.Scopes[acme] = w.Store.Scopes[acme][:len(w.Store.Scopes[acme])-1]
	if x, err := w.Chain.Stage(t.Context(), relay); err != nil || x.Stage != gateway.StageWatchOnly {
		t.Errorf("%+v, %v", x, err)
	}
}

// A restoration takes two people of different roles, and both sign for the
// same stages.
func TestARestorationTakesTwoRoles(t *testing.T) {
	for name, c := range map[string]struct {
		second gateway.Role
		stay   int64
		says   string // empty: it holds
	}{
		"responder and approver":  {gateway.Approver, 86400, ""},
		"responder and responder": {gateway.Responder, 86400, "one and the same role"},
		"another stay":            {gateway.Approver, 86401, "different shortest stays"},
	} {
		t.Run(name, func(t *testing.T) {
			w := trusttest.New(t)
			w.Admit("omar", "", c.second)
			w.Enrol("omar")
			b, _ := w.Suspend(trusttest.Responder, acme)
			r := w.Restoration(acme, b.ID)
			r.WatchOnly, r.Supervised = 86400, 86400
			first := w.Do(trusttest.Responder, r)
			again := *r
			again.WatchOnly = c.stay
			second := w.Do("omar", &again)
			err := w.Chain.DifferentRoles(t.Context(), first, second)
			if (err != nil) != (c.second == gateway.Responder) {
				t.Errorf("asked before: %v", err)
			}
			_, err = w.Chain.Vendor(t.Context(), trusttest.Vendor)
			if (err != nil) != (c.says != "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("the vendor: %v", err)
			}
		})
	}
}
