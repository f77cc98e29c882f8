package evidence_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/evidence"
	"github.com/portcullis/portcullis/gateway/statement"
)

const url = "https://gateway.example"

var at = time.Date(2026, 4, 13, 6, 12, 0, 0, time.UTC)

// proof is a proof of a suspension that root ordered at the local socket.
func proof(t testing.TB) evidence.Suspension {
	t.Helper()
	b := &statement.Suspend{ID: gateway.NewID("sus", at), Scope: gateway.Scope{Kind: gateway.ScopeVendor, Name: "acme"}, Epoch: 2, Reason: "breach notice of 06:12"}
	order, err := statement.MachineKey{Private: rfcKey(t), Gateway: url}.Sign(at, b)
	if err != nil {
		t.Fatal(err)
	}
	return evidence.Suspension{
		Gateway: url, Node: "node-1", Written: at.Add(time.Minute), Order: order,
		Suspension: gateway.Suspension{
			ID: b.ID, Scope: b.Scope, Epoch: b.Epoch, Closing: b.Closing(), Reason: b.Reason, By: statement.Machine, Statement: order.Digest, Ordered: at,
			Report: &gateway.Report{
				Verdict: gateway.Pass, Ordered: at, Durable: at.Add(3 * time.Millisecond), Finished: at.Add(50 * time.Millisecond),
				Nodes: []gateway.NodeReport{{Node: "node-1", Answered: true, Clock: at, LiveBefore: 2, Sessions: []gateway.ClosedSession{
					{Session: "ses_1", Person: "ana", Target: "pump", Protocol: gateway.KindSSH, Closed: true, Method: gateway.MethodSockets, After: 4 * time.Millisecond},
					{Session: "ses_2", Person: "ana", Target: "pump", Protocol: gateway.KindSSH, Closed: true, Method: gateway.MethodSockets, After: 9 * time.Millisecond},
				}}},
				Probes: []gateway.Probed{{Path: gateway.PathSSHKey, Result: gateway.ProbeRefused, Tried: 1, At: at, Took: time.Millisecond, Rule: "suspended", Sentence: "vendor acme is suspended"}},
			},
		},
		Attempts: evidence.Attempts{Until: at.Add(time.Minute), Count: 1, Last: []evidence.Attempt{{Seq: 7, At: at, Event: "session.refused", Person: "ana"}}},
	}
}

func sealed(t testing.TB, change func(*evidence.Suspension)) []byte {
	t.Helper()
	p := proof(t)
	if change != nil {
		change(&p)
	}
	raw, err := evidence.SealSuspension(rfcKey(t), p)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestProofHolds(t *testing.T) {
	p, err := evidence.VerifySuspension(sealed(t, nil), rfcRoots(t))
	if err != nil {
		t.Fatal(err)
	}
	if p.Verdict != gateway.Pass || p.Key != rfcRoot || p.Touched || p.FirstClose != 4*time.Millisecond || p.LastClose != 9*time.Millisecond || !p.T0.Equal(at.Add(3*time.Millisecond)) {
		t.Errorf("proof = %+v", p)
	}
	if a := p.Authority; a.By != statement.Machine || a.Key != rfcRoot || a.Proof != statement.Ed25519 || a.Assertion.IsZero() {
		t.Errorf("authority = %+v", a)
	}
	pending, err := evidence.VerifySuspension(sealed(t, func(s *evidence.Suspension) { s.Suspension.Report = nil }), rfcRoots(t))
	if err != nil || pending.Verdict != gateway.Pending {
		t.Errorf("without a report: %+v, %v", pending.Verdict, err)
	}
	lapsed := sealed(t, func(s *evidence.Suspension) {
		s.Suspension.Report.Nodes = append(s.Suspension.Report.Nodes, gateway.NodeReport{Node: "node-2", LeaseEnds: at.Add(10 * time.Second)})
	})
	if _, err := evidence.VerifySuspension(lapsed, rfcRoots(t)); err != nil {
		t.Errorf("a node whose lease is over is closed: %v", err)
	}
}

// A proof that says more than its figures is refused by whoever would sign it.
func TestProofSaysNoMoreThanItsFigures(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*evidence.Suspension)
		rule   string
	}{
		"a path in was open":     {func(s *evidence.Suspension) { s.Suspension.Report.Probes[0].Result = gateway.ProbeOpen }, "verdict"},
		"a path did not answer":  {func(s *evidence.Suspension) { s.Suspension.Report.Probes[0].Result = gateway.ProbeSilent }, "verdict"},
		"a session is live":      {func(s *evidence.Suspension) { s.Suspension.Report.Nodes[0].LiveAfter = 1 }, "verdict"},
		"a session is not shut":  {func(s *evidence.Suspension) { s.Suspension.Report.Nodes[0].Sessions[1].Closed = false }, "verdict"},
		"a node is silent":       {func(s *evidence.Suspension) { s.Suspension.Report.Nodes[0].Answered = false }, "verdict"},
		"no such verdict":        {func(s *evidence.Suspension) { s.Suspension.Report.Verdict = "GREAT" }, "verdict"},
		"another scope":          {func(s *evidence.Suspension) { s.Suspension.Scope.Name = "other" }, "order"},
		"another epoch":          {func(s *evidence.Suspension) { s.Suspension.Epoch = 3 }, "order"},
		"another signer":         {func(s *evidence.Suspension) { s.Suspension.By = "rita" }, "order"},
		"a milder mode":          {func(s *evidence.Suspension) { s.Suspension.Mode = gateway.ModeNoNew }, "order"},
		"another gateway":        {func(s *evidence.Suspension) { s.Gateway = "https://other.example" }, "order"},
		"the order was changed":  {func(s *evidence.Suspension) { s.Order.Bytes = append(s.Order.Bytes, ' ') }, "internal"},
		"the order has no proof": {func(s *evidence.Suspension) { s.Order.Proofs = nil }, "internal"},
	} {
		p := proof(t)
		c.change(&p)
		_, err := evidence.SealSuspension(rfcKey(t), p)
		if e := gateway.AsError(err); err == nil || e.Rule != c.rule {
			t.Errorf("%s: %v, wants rule %q", name, err, c.rule)
		}
	}
}

// Whatever is changed in a file is refused, and the refusal names what.
func TestTamperedProof(t *testing.T) {
	raw := sealed(t, nil)
	_, stranger, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	inside := func(was, is string) func([]byte) []byte {
		return func(raw []byte) []byte {
			return rewrap(t, raw, nil, func(p []byte) []byte {
				if !bytes.Contains(p, []byte(was)) {
					t.Fatalf("%q does not stand in the payload", was)
				}
				return bytes.Replace(p, []byte(was), []byte(is), 1)
			})
		}
	}
	again := func(key ed25519.PrivateKey, was, is string) func([]byte) []byte { // signed anew, so that the content must say it
		return func(raw []byte) []byte {
			return rewrap(t, raw, key, func(p []byte) []byte { return bytes.Replace(p, []byte(was), []byte(is), 1) })
		}
	}
	for name, c := range map[string]struct {
		change func([]byte) []byte
		rule   string
	}{
		"the verdict":              {inside(`"verdict":"PASS"`, `"verdict":"FAIL"`), "signature"},
		"a probe":                  {inside(`"result":"refused"`, `"result":"nothing"`), "signature"},
		"the attempts":             {inside(`"count":1`, `"count":0`), "signature"},
		"a blank more":             {inside(`{`, `{ `), "signature"},
		"another type":             {func(b []byte) []byte { return bytes.Replace(b, []byte("in-toto"), []byte("other"), 1) }, "kind"},
		"another key's signature":  {again(stranger, "", ""), "signature"},
		"signed, with a blank":     {again(rfcKey(t), `{`, `{ `), "payload"},
		"signed, a name more":      {again(rfcKey(t), `{`, `{"a":1,`), "payload"},
		"signed, another kind":     {again(rfcKey(t), "suspension/v1", "bundle/v1"), "kind"},
		"signed, another order":    {again(rfcKey(t), `"sha256":"`, `"sha256":"0`), "subject"},
		"signed, another basis":    {again(rfcKey(t), `"basis":[]`, `"basis":["`+gateway.DigestOf(nil).String()+`"]`), "authority"},
		"signed, a faster close":   {again(rfcKey(t), `"last_close_ns":9000000`, `"last_close_ns":5000000`), "report"},
		"signed, another T0":       {again(rfcKey(t), `"t0":"2026-04-13T06:12:00.003Z"`, `"t0":"2026-04-13T06:12:00Z"`), "report"},
		"signed, a better verdict": {again(rfcKey(t), `"live_after":0`, `"live_after":4`), "verdict"},
		"signed, no statement":     {rewrapped(t, rfcKey(t), []byte("[]")), "payload"},
		"signed, no JSON":          {rewrapped(t, rfcKey(t), []byte("{")), "payload"},
	} {
		_, err := evidence.VerifySuspension(c.change(raw), rfcRoots(t))
		if e := gateway.AsError(err); err == nil || e.Rule != c.rule {
			t.Errorf("%s: %v, wants rule %q", name, err, c.rule)
		}
	}
	if _, err := evidence.VerifySuspension(raw, nil); err == nil {
		t.Error("without roots a file holds")
	}
}

// With a byte flipped anywhere, a file holds no more, but for the hint that nobody
// signs.
func TestFlippedByte(t *testing.T) {
	raw := sealed(t, nil)
	from, to := bytes.Index(raw, []byte(`"keyid"`)), bytes.Index(raw, []byte(`"sig"`))
	for i := 0; i < len(raw); i += 7 {
		if i >= from && i < to || strings.ContainsRune(" \n", rune(raw[i])) {
			continue
		}
		bad := bytes.Clone(raw)
		bad[i] ^= 1
		if _, err := evidence.VerifySuspension(bad, rfcRoots(t)); err == nil {
			t.Fatalf("byte %d (%q) flipped, and the file holds", i, raw[i])
		}
	}
}

func rewrapped(t testing.TB, key ed25519.PrivateKey, payload []byte) func([]byte) []byte {
	return func(raw []byte) []byte { return rewrap(t, raw, key, func([]byte) []byte { return payload }) }
}

// rewrap changes the payload of a file; with a key it is signed anew.
func rewrap(t testing.TB, raw []byte, key ed25519.PrivateKey, change func([]byte) []byte) []byte {
	t.Helper()
	var w map[string]any
	if err := json.Unmarshal(raw, &w); err != nil {
		t.Fatal(err)
	}
	payload, err := base64.StdEncoding.DecodeString(w["payload"].(string))
	if err != nil {
		t.Fatal(err)
	}
	payload = change(payload)
	if key != nil {
		if raw, err = evidence.Seal(key, evidence.PayloadType, payload); err != nil {
			t.Fatal(err)
		}
		return raw
	}
	w["payload"] = base64.StdEncoding.EncodeToString(payload)
	if raw, err = json.Marshal(w); err != nil {
		t.Fatal(err)
	}
	return raw
}

func FuzzProof(f *testing.F) {
	f.Add(sealed(f, nil))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, err := evidence.VerifySuspension(raw, rfcRoots(t)); err == nil && !bytes.Contains(raw, []byte("payload")) {
			t.Errorf("%q holds", raw)
		}
	})
}
