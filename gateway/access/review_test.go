package access_test

import (
	"testing"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/access"
	"github.com/portcullis/portcullis/gateway/trust/trusttest"
)

// who is live under a grant loses it with what it stood on, and with
// nothing else. Two agreed to it, and policy wants two.
func TestReview(t *testing.T) {
	vendor := gateway.Scope{Kind: gateway.ScopeVendor, Name: trusttest.Vendor}
	for name, c := range map[string]struct {
		change func(w *world)
		voids  bool
	}{
		"nothing changed":         {func(*world) {}, false},
		"an approver is removed":  {func(w *world) { w.leaves(trusttest.Second) }, true},
		"an approver's role went": {func(w *world) { w.Admit(trusttest.Approver, "", gateway.Auditor); w.mirror() }, true},
		"an approver is suspended": {func(w *world) {
			w.suspend(gateway.Scope{Kind: gateway.ScopePerson, Name: trusttest.Second})
		}, true},
		"an approver has another role beside": {func(w *world) {
			w.Admit(trusttest.Approver, "", gateway.Approver, gateway.Auditor)
			w.mirror()
		}, false},
		"another approver is removed":  {func(w *world) { w.Admit("zita", "", gateway.Approver); w.mirror(); w.leaves("zita") }, false},
		"the engineer's role went":     {func(w *world) { w.Admit(trusttest.Engineer, trusttest.Vendor, gateway.Nominator); w.mirror() }, true},
		"the target is described anew": {func(w *world) { w.define(core, gateway.High, trusttest.Vendor) }, false},
		"the target is taken away":     {func(w *world) { w.define(core, gateway.High) }, true},
		"the row was edited":           {func(w *world) { w.edit("UPDATE grants SET account = 'root'") }, true},
		"the vendor is suspended, and the grant's row put back": {func(w *world) {
			w.suspend(vendor)
			w.edit("UPDATE grants SET state = 'open', why = '', closed = 0, closed_by = ''")
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			r := w.ask(func(i *access.AskInput) { i.Target = core })
			w.approve(trusttest.Approver, r.ID, nil)
			_, g := w.approve(trusttest.Second, r.ID, nil)
			c.change(w)
			got, err := w.svc.Review(t.Context(), g.ID)
			w.ok(err)
			if !c.voids {
				if got.State != gateway.GrantOpen || len(w.ended) != 0 {
					t.Errorf("%+v, told %v", got, w.ended)
				}
				return
			}
			if got.State != gateway.GrantClosed || got.Why != gateway.EndNotGranted || len(w.ended) != 1 {
				t.Errorf("%+v, told %v", got, w.ended)
			}
			if e := w.events("grant.closed"); len(e) != 1 || e[0].Detail["word"] == "" {
				t.Errorf("events %+v", e)
			}
			if _, err := w.entitle(g.ID); err == nil {
				t.Error("it opens a session")
			}
			if again, err := w.svc.Review(t.Context(), g.ID); err != nil || again.State != gateway.GrantClosed {
				t.Errorf("looked at again: %+v, %v", again, err)
			}
		})
	}
}

// A store that does not answer takes no grant back: the lease ends what hangs
// on it.
func TestReviewWithoutAStore(t *testing.T) {
	w := newWorld(t)
	g := w.granted(nil)
	w.ok(w.db.Close())
	if _, err := w.svc.Review(t.Context(), g.ID); !gateway.IsCode(err, gateway.CodeUnavailable) || len(w.ended) != 0 {
		t.Errorf("%v, told %v", err, w.ended)
	}
}

// leaves removes a person for good.
func (w *world) leaves(name string) {
	w.t.Helper()
	body := w.Person(name, "", gateway.Approver)
	body.Removed = true
	w.Commit(w.Sign(trusttest.Admin, body))
	w.mirror()
}
