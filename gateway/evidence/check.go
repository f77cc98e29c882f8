package evidence

import (
	"crypto/ed25519"
	"slices"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// check holds a proof to itself: the order says what the report is about, and
// the word on top is no better than the figures below it.
func (s Suspension) check() error {
	x := s.Suspension
	st, body, err := s.Order.Parse()
	if err != nil {
		return no("order", "the order does not read: %s", err)
	}
	b, ok := body.(*statement.Suspend)
	switch {
	case !ok:
		return no("order", "the order is a statement of kind %s", gateway.Quote(string(st.Kind)))
	case b.ID != x.ID || !s.Order.Digest.Equal(x.Statement):
		return no("order", "the order is of another suspension than %s", x.ID)
	case b.Scope != x.Scope || b.Epoch != x.Epoch || b.Reason != x.Reason || orderer(st, b) != x.By || st.Gateway != s.Gateway:
		return no("order", "the order says something else than the report: scope, epoch, reason, signer or gateway")
	case b.Closing().Mode != x.Mode || !b.Until.Equal(x.Until) || !slices.Equal(b.Except, x.Except):
		return no("order", "the order says something else than the report: mode or exceptions")
	}
	a, err := AuthorityOf(s.Order)
	if err != nil {
		return no("authority", "the order's proof does not read: %s", err)
	}
	if a.By != s.Authority.By || a.Proof != s.Authority.Proof || a.Key != s.Authority.Key || !a.Assertion.Equal(s.Authority.Assertion) || !slices.Equal(a.Basis, s.Authority.Basis) {
		return no("authority", "who signed the order is not who the file says")
	}
	return s.checkReport()
}

func (s Suspension) checkReport() error {
	r := s.Suspension.Report
	if r == nil {
		if s.Verdict != gateway.Pending || !s.T0.IsZero() || s.FirstClose != 0 || s.LastClose != 0 {
			return no("report", "there is no report, and the file says %s", gateway.Quote(string(s.Verdict)))
		}
		return nil
	}
	first, last := r.Closes()
	switch {
	case s.Verdict != r.Verdict:
		return no("verdict", "the word on top is %s and the report's is %s", s.Verdict, r.Verdict)
	case !s.T0.Equal(r.Durable) || s.FirstClose != first || s.LastClose != last:
		return no("report", "the times on top are not the report's")
	case r.Verdict != gateway.Fail && r.Verdict != gateway.Pending && r.Verdict != gateway.Pass:
		return no("verdict", "%s is no verdict", gateway.Quote(string(r.Verdict)))
	}
	return s.earned(*r)
}

// earned refuses a PASS that the figures do not bear out. A node that has not
// answered is closed when its lease is over.
func (s Suspension) earned(r gateway.Report) error {
	if r.Verdict != gateway.Pass {
		return nil
	}
	for _, n := range r.Nodes {
		if !n.Answered && (n.LeaseEnds.IsZero() || n.LeaseEnds.After(latest(r.Finished, s.Written))) {
			return no("verdict", "the report says PASS, and node %s has neither answered nor come to the end of its lease", n.Node)
		}
		if n.LiveAfter > 0 {
			return no("verdict", "the report says PASS, and %d sessions were live on node %s", n.LiveAfter, n.Node)
		}
		for _, c := range n.Sessions {
			if !c.Closed && c.Fate == "" {
				return no("verdict", "the report says PASS, and session %s was not measured closed", c.Session)
			}
		}
	}
	if r.Verdict.Judged(r.Probes) != gateway.Pass {
		return no("verdict", "the report says PASS, and a way back in was open or did not answer")
	}
	return nil
}

// orderer is whom a report names: the signer, or for whom the machine took an
// order that was signed ahead or came with a token.
func orderer(st statement.Statement, b *statement.Suspend) string {
	if st.Signer == statement.Machine && b.For != "" {
		return b.For
	}
	return st.Signer
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// orderHolds verifies the machine's signature under an order; that of a person
// is for the gateway's chain, and of it only who and when are told.
func orderHolds(order statement.Signed, roots []ed25519.PublicKey) (touched bool, err error) {
	st, _, err := order.Parse()
	if err != nil {
		return false, no("order", "the order does not read: %s", err)
	}
	if st.Signer != statement.Machine {
		return true, nil
	}
	for _, root := range roots {
		if order.Proofs[0].Key == statement.FormatRoot(root) {
			if err := order.VerifyEd25519(order.Proofs[0], root); err != nil {
				return false, no("order", "the machine's signature under the order does not hold")
			}
			return false, nil
		}
	}
	return false, no("order", "the machine key that signed the order is not among the roots")
}
