package evidence

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// The types that stand in a file (in-toto attestation framework, v1).
const (
	PayloadType    = "application/vnd.in-toto+json"
	StatementType  = "https://in-toto.io/Statement/v1"
	SuspensionType = "https://github.com/portcullis/portcullis/suspension/v1"
)

// Suspension is what a proof of a suspension states: the order, who signed it
// and by what right, what was measured closed, which ways back in were tried,
// and who tried since.
type Suspension struct {
	Verdict    gateway.Verdict    `json:"verdict"`
	Gateway    string             `json:"gateway"` // its URL
	Node       string             `json:"node"`    // that wrote this
	Written    time.Time          `json:"written"`
	Suspension gateway.Suspension `json:"suspension"` // with its report
	T0         time.Time          `json:"t0"`         // the order was durable: nothing may pass from then on
	FirstClose time.Duration      `json:"first_close_ns"`
	LastClose  time.Duration      `json:"last_close_ns"`
	Sessions   []Session          `json:"sessions"`
	Order      statement.Signed   `json:"order"`
	Authority  Authority          `json:"authority"`
	Previous   *Previous          `json:"previous,omitempty"` // nil: it is the first
	Attempts   Attempts           `json:"attempts"`
}

// Session is what the store knows of a session that the report names.
type Session struct {
	ID      string            `json:"id"`
	Vendor  string            `json:"vendor"`
	Account string            `json:"account"`
	Node    string            `json:"node"`
	Started time.Time         `json:"started"`
	Ended   time.Time         `json:"ended,omitzero"`
	Reason  gateway.EndReason `json:"reason,omitempty"`
	Seal    gateway.Digest    `json:"seal,omitzero"` // of its recording
}

// Authority is by whom and by what right the order was signed; all of it
// follows from the order itself.
type Authority struct {
	By        string              `json:"by"`
	Proof     statement.ProofKind `json:"proof"`
	Key       string              `json:"key"`
	Assertion gateway.Digest      `json:"assertion"` // SHA-256 of the proof's canonical JSON
	Basis     []gateway.Digest    `json:"basis"`     // the statements that entitle the signer; none for the machine
}

// Previous is the suspension before this one, whatever its scope: a chain in
// which a missing link is seen.
type Previous struct {
	ID        string         `json:"id"`
	Statement gateway.Digest `json:"statement"` // of its order
}

// Attempts are the refusals since T0, as the audit log has them.
type Attempts struct {
	Until time.Time `json:"until"` // looked up to then
	Count int       `json:"count"`
	More  bool      `json:"more,omitempty"` // and there are more than were counted
	Last  []Attempt `json:"last"`           // newest first, at most MaxAttempts
}

// MaxAttempts are the refusals that a proof tells one by one.
const MaxAttempts = 10

// Attempt is one line of the audit log.
type Attempt struct {
	Seq    int64     `json:"seq"`
	At     time.Time `json:"at"`
	Event  string    `json:"event"`
	Person string    `json:"person"`
	Vendor string    `json:"vendor,omitempty"`
	Target string    `json:"target,omitempty"`
	Source string    `json:"source,omitempty"`
	Rule   string    `json:"rule,omitempty"`
	Reason string    `json:"reason,omitempty"`
}

// attested is the in-toto statement.
type attested struct {
	Type          string     `json:"_type"`
	Subject       []subject  `json:"subject"`
	PredicateType string     `json:"predicateType"`
	Predicate     Suspension `json:"predicate"`
}

type subject struct {
	Name   string            `json:"name"`
	Digest map[string]string `json:"digest"`
}

// AuthorityOf reads by whom and by what right an order was signed.
func AuthorityOf(order statement.Signed) (Authority, error) {
	st, _, err := order.Parse()
	if err != nil {
		return Authority{}, err
	}
	if len(order.Proofs) != 1 {
		return Authority{}, fmt.Errorf("the order carries %d proofs instead of one", len(order.Proofs))
	}
	raw, err := statement.Canonical(order.Proofs[0])
	if err != nil {
		return Authority{}, err
	}
	return Authority{By: st.Signer, Proof: order.Proofs[0].Kind, Key: order.Proofs[0].Key, Assertion: gateway.DigestOf(raw), Basis: append([]gateway.Digest{}, st.By...)}, nil
}

// SealSuspension fills in what follows from the rest, holds the whole to what
// VerifySuspension will ask, and signs it.
func SealSuspension(key ed25519.PrivateKey, s Suspension) ([]byte, error) {
	var err error
	if s.Authority, err = AuthorityOf(s.Order); err != nil {
		return nil, fmt.Errorf("read the order of %s: %w", s.Suspension.ID, err)
	}
	s.Verdict = gateway.Pending
	if r := s.Suspension.Report; r != nil {
		s.Verdict, s.T0 = r.Verdict, r.Durable
		s.FirstClose, s.LastClose = r.Closes()
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	payload, err := statement.Canonical(attested{
		Type: StatementType, PredicateType: SuspensionType, Predicate: s,
		Subject: []subject{{Name: "suspension/" + s.Suspension.ID, Digest: map[string]string{"sha256": s.Order.Digest.String()}}},
	})
	if err != nil {
		return nil, err
	}
	return Seal(key, PayloadType, payload)
}

// Proven is a file that holds.
type Proven struct {
	Suspension
	Key string // the root that signed it
	// Touched reports that the order was signed by a person's key: that
	// signature needs the person's enrolment, which is not in the file.
	Touched bool
}

// VerifySuspension verifies a proof of a suspension against the roots. Each
// refusal names what does not hold.
func VerifySuspension(raw []byte, roots []ed25519.PublicKey) (Proven, error) {
	e, err := ParseEnvelope(raw)
	if err != nil {
		return Proven{}, err
	}
	if e.Type != PayloadType {
		return Proven{}, unknownKind("an envelope of " + gateway.Quote(e.Type))
	}
	key, err := e.SignedBy(roots)
	if err != nil {
		return Proven{}, err
	}
	a, err := parseAttested(e.Payload)
	if err != nil {
		return Proven{}, err
	}
	p := Proven{Suspension: a.Predicate, Key: statement.FormatRoot(key)}
	if err := p.check(); err != nil {
		return Proven{}, err
	}
	if want := a.Predicate.Order.Digest.String(); len(a.Subject) != 1 || a.Subject[0].Name != "suspension/"+p.Suspension.Suspension.ID || a.Subject[0].Digest["sha256"] != want {
		return Proven{}, no("subject", "the file's subject is not the order that it is about")
	}
	p.Touched, err = orderHolds(p.Order, roots)
	return p, err
}

func unknownKind(what string) error {
	return gateway.Refused("kind", "hand it the proof of a suspension, as `portcullis suspension show ID --dsse FILE` writes it", "this is %s; what can be verified is the proof of a suspension (%s)", what, SuspensionType)
}

func no(rule, format string, args ...any) error {
	return gateway.Refused(rule, "believe nothing of this file, and ask for another", format, args...)
}

// parseAttested reads the signed bytes: the kind first, so that another one is
// called by its name.
func parseAttested(payload []byte) (attested, error) {
	var kind struct {
		Type          string `json:"_type"`
		PredicateType string `json:"predicateType"`
	}
	var a attested
	if err := json.Unmarshal(payload, &kind); err != nil {
		return a, no("payload", "what was signed is not JSON: %s", err)
	}
	if kind.Type != StatementType || kind.PredicateType != SuspensionType {
		return a, unknownKind("a statement about " + gateway.Quote(kind.PredicateType))
	}
	if err := json.Unmarshal(payload, &a); err != nil {
		return a, no("payload", "what was signed is not the proof of a suspension: %s", err)
	}
	again, err := statement.Canonical(a)
	if err != nil || !slices.Equal(again, payload) {
		return a, no("payload", "what was signed is not the proof of a suspension as this version knows it")
	}
	return a, nil
}
