package access_test

import (
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/access"
	"github.com/portcullis/portcullis/gateway/trust/trusttest"
)

// a node that may not grant agrees to nothing, not even with a signature
// that was given before, and opens no grant; it does again when it may.
func TestR10NothingIsGrantedByAWrongClock(t *testing.T) {
	var off error
	w := newWorld(t, func(c *access.Config) { c.Granting = func() error { return off } })
	from := w.Now().Add(time.Hour).Truncate(time.Second)
	g := w.granted(func(i *access.AskInput) { i.Length, i.From, i.To = 0, from, from.Add(time.Hour) })
	r := w.ask(func(i *access.AskInput) { i.Target = core })
	signed := w.approval(trusttest.Approver, r.ID, nil)
	off = &gateway.Error{Code: gateway.CodeUnavailable, Rule: "clock", Text: "off"}

	_, err := w.svc.DraftApprove(t.Context(), w.p(trusttest.Second), r.ID, nil)
	refused(t, "an approval is drawn up", err, "clock")
	_, _, err = w.svc.CommitApprove(t.Context(), signed)
	refused(t, "an approval signed before", err, "clock")
	w.Advance(from.Sub(w.Now()))
	w.svc.Turn(t.Context())
	_, _, err = w.svc.Usable(t.Context(), w.p(trusttest.Engineer), trusttest.Target, "")
	refused(t, "a grant whose window opens", err, "clock")
	if g, err := w.svc.Grant(t.Context(), g.ID); err != nil || g.State != gateway.GrantPlanned {
		t.Errorf("grant %+v, %v", g, err)
	}

	off = nil
	w.svc.Turn(t.Context())
	if _, _, err := w.svc.Usable(t.Context(), w.p(trusttest.Engineer), trusttest.Target, ""); err != nil {
		t.Errorf("mended: %v", err)
	}
	if _, err := w.svc.DraftApprove(t.Context(), w.p(trusttest.Second), r.ID, nil); err != nil {
		t.Errorf("mended: %v", err)
	}
}
