package access_test

import (
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/access"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/trust"
	"github.com/portcullis/portcullis/gateway/trust/trusttest"
	"github.com/portcullis/portcullis/policy"
)

// stay is the shortest in each stage of this file.
const stay = 10 * time.Minute

// comeBack suspends a scope, restores it as far as watch-only, and has the
// engineer enrol anew where that is needed.
func (w *world) comeBack(scope gateway.Scope) {
	w.t.Helper()
	r := w.Restoration(scope, w.suspend(scope))
	r.Epoch = w.epoch(scope) + 1
	r.WatchOnly, r.Supervised = int64(stay/time.Second), int64(stay/time.Second)
	w.Do(trusttest.Responder, r)
	w.Do(trusttest.Approver, r)
	w.mirror()
	if !scope.Wide() {
		w.Enrol(trusttest.Engineer)
	}
	w.mirror()
	w.Advance(2 * statement.Fresh)
}

func (w *world) epoch(scope gateway.Scope) uint64 {
	w.t.Helper()
	st, err := w.chain.Standing(w.t.Context(), scope)
	w.ok(err)
	return st.Epoch
}

// next signs the next stage when its stay is over.
func (w *world) next(scope gateway.Scope) {
	w.t.Helper()
	st, err := w.chain.Standing(w.t.Context(), scope)
	w.ok(err)
	x := st.Ladder
	w.Advance(x.Earliest.Sub(w.Now()))
	w.Do(trusttest.Responder, &statement.Advance{Suspension: x.Suspension, Scope: scope, Epoch: x.Epoch, To: x.Next, Previous: x.Began, Reason: "nothing was seen"})
	w.mirror()
}

// In watch-only people ask and others agree, and nothing opens, by whichever
// scope came back; supervised says so to the session; normal is as before.
func TestStagesOfARestoration(t *testing.T) {
	for _, scope := range []gateway.Scope{
		{Kind: gateway.ScopeVendor, Name: trusttest.Vendor}, {Kind: gateway.ScopePerson, Name: trusttest.Engineer}, {Kind: gateway.ScopeTarget, Name: trusttest.Target},
		{Kind: gateway.ScopeProtocol, Name: "ssh"}, {Kind: gateway.ScopeAll, Name: gateway.AllVendors},
	} {
		t.Run(string(scope.Kind), func(t *testing.T) {
			w := newWorld(t)
			w.comeBack(scope)
			told := func() string {
				t.Helper()
				p, err := w.svc.Preview(t.Context(), w.p(trusttest.Engineer), in(func(i *access.AskInput) {
					i.Length, i.From, i.To = 0, w.Now().Add(12*time.Hour), w.Now().Add(13*time.Hour)
				}))
				w.ok(err)
				if p.Verdict.Effect != policy.NeedsApproval {
					t.Errorf("asking: %+v", p.Verdict)
				}
				return p.Verdict.Reasons[len(p.Verdict.Reasons)-1].Text
			}
			if s := told(); !strings.Contains(s, "watch-only") {
				t.Errorf("whoever asks is told %q", s)
			}
			g := w.granted(func(i *access.AskInput) { i.Length = 6 * time.Hour })
			_, err := w.entitle(g.ID)
			refused(t, "watch-only", err, trust.StageRule)
			if _, _, err := w.svc.Usable(t.Context(), w.p(trusttest.Engineer), trusttest.Target, ""); gateway.AsError(err).Rule != trust.StageRule {
				t.Errorf("usable: %v", err)
			}
			w.next(scope)
			if e, err := w.entitle(g.ID); err != nil || !e.Supervised {
				t.Errorf("supervised: %t, %v", e.Supervised, err)
			}
			if s := told(); !strings.Contains(s, "only while somebody of the operator's staff watches") {
				t.Errorf("whoever asks is told %q", s)
			}
			w.next(scope)
			if e, err := w.entitle(g.ID); err != nil || e.Supervised {
				t.Errorf("normal: %t, %v", e.Supervised, err)
			}
			w.suspend(scope)
			if _, err := w.entitle(g.ID); err == nil {
				t.Error("suspended again, and it opens")
			}
		})
	}
}

// Rows hold no stage, and statements that are dropped or changed make it
// stricter or refuse.
func TestP5EditedRowsSkipNoStage(t *testing.T) {
	acme := gateway.Scope{Kind: gateway.ScopeVendor, Name: trusttest.Vendor}
	base := newWorld(t)
	base.comeBack(acme)
	g := base.granted(func(i *access.AskInput) { i.Length = 6 * time.Hour })
	base.next(acme)
	database := base.stop()
	for name, c := range map[string]struct{ edit, rule string }{
		"the step dropped":               {"DELETE FROM statements WHERE kind = 'restore.advance'", trust.StageRule},
		"the step says normal":           {`UPDATE statements SET bytes = CAST(replace(CAST(bytes AS TEXT), '"to":"supervised"', '"to":"normal"') AS BLOB) WHERE kind = 'restore.advance'`, trust.Rule},
		"shorter stays":                  {`UPDATE statements SET bytes = CAST(replace(CAST(bytes AS TEXT), '"supervised":600', '"supervised":1') AS BLOB) WHERE kind = 'restore'`, trust.Rule},
		"suspension and return dropped":  {"DELETE FROM statements WHERE kind IN ('suspend', 'restore', 'restore.advance')", trust.Rule},
		"the return dropped, row active": {"DELETE FROM statements WHERE kind IN ('restore', 'restore.advance')", trust.Rule},
		"the vendor as it was at first":  {"UPDATE vendors SET epoch = 1", trust.Rule},
	} {
		t.Run(name, func(t *testing.T) {
			w := base.fork(t, database) // with a chain that has proven nothing yet
			w.edit(c.edit)
			_, err := w.entitle(g.ID)
			refused(t, "a session in an edited stage", err, c.rule)
		})
	}
	if e, err := base.fork(t, database).entitle(g.ID); err != nil || !e.Supervised {
		t.Errorf("unedited: %+v, %v", e, err)
	}
}
