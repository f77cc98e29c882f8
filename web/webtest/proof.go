package webtest

import (
	"context"
	"encoding/json"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/evidence"
)

type proofs struct{ *World }

func (p proofs) Proof(_ context.Context, id string) (evidence.Suspension, error) {
	x, err := find(p.World.Suspensions, func(s gateway.Suspension) bool { return s.ID == id }, "suspension", id)
	if err != nil {
		return evidence.Suspension{}, err
	}
	s := evidence.Suspension{Verdict: gateway.Pending, Gateway: "https://gateway.example", Node: "node-1", Written: p.Now, Suspension: x, T0: x.Ordered,
		Authority: evidence.Authority{By: x.By, Proof: "webauthn", Key: "q6urq6urq6urq6ur", Assertion: digest("assertion"), Basis: []gateway.Digest{digest("admission"), digest("enrolment")}},
		Attempts: evidence.Attempts{Until: p.Now, Count: 2, Last: []evidence.Attempt{
			{Seq: 9, At: p.ago(time.Hour), Event: "session.refused", Person: "carl", Vendor: "cobalt", Target: "rtu-7", Source: "198.51.100.7:40022", Rule: "chain", Reason: "vendor cobalt is suspended; call the operator's control room"},
			{Seq: 4, At: p.ago(140 * time.Minute), Event: "login.refused", Person: "carl", Vendor: "cobalt", Source: "198.51.100.7:50111", Rule: "suspended", Reason: "vendor cobalt is suspended; call the operator's control room"},
		}},
	}
	if x.Report != nil {
		s.Verdict, s.T0 = x.Report.Verdict, x.Report.Durable
		s.FirstClose, s.LastClose = x.Report.Closes()
	}
	return s, p.did("proof")
}

func (p proofs) Sealed(ctx context.Context, id string) ([]byte, error) {
	s, err := p.Proof(ctx, id)
	if err != nil {
		return nil, err
	}
	return json.Marshal(s)
}

// probed are the ways back in as the report of the sample tells them.
func probed(at time.Time) []gateway.Probed {
	refused := func(path gateway.Path, tried int, took time.Duration, rule, said string) gateway.Probed {
		return gateway.Probed{Path: path, Result: gateway.ProbeRefused, Tried: tried, At: at, Took: took, Rule: rule, Sentence: said}
	}
	const shut = "vendor cobalt is suspended; call the operator's control room"
	return []gateway.Probed{
		refused(gateway.PathSSHKey, 4, 900*time.Microsecond, "chain", shut),
		{Path: gateway.PathSSHTouch, Result: gateway.ProbeNothing, At: at, Sentence: "no SSH security key is on file"},
		refused(gateway.PathGrant, 3, 700*time.Microsecond, "suspended", shut), refused(gateway.PathGrantRow, 3, 800*time.Microsecond, "suspended", shut),
		refused(gateway.PathRows, 1, 300*time.Microsecond, "cancelled", "no request, grant, login, ticket or invitation of before is left"),
		{Path: gateway.PathOtherVendor, Result: gateway.ProbeFinding, Tried: 3, At: at, Subject: "carla of acme", Sentence: "the same mail address stands under another vendor, which is not closed by this order"},
		{Path: gateway.PathWireGuard, Result: gateway.ProbeNotTried, At: at, Sentence: "protocol not carried: this gateway has no WireGuard tunnels"},
	}
}
