package statement

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// Fresh is how long after its drawing up a statement may be signed (P2).
const Fresh = 60 * time.Second

// MaxBytes bounds a statement's canonical JSON.
const MaxBytes = 64 << 10

// Machine is the signer's name where the machine's own key signs for root at
// the local socket.
const Machine = "machine"

// Kind names what is stated.
type Kind string

// The closed list of kinds.
const (
	KindVendor    Kind = "vendor.admit"
	KindPerson    Kind = "person.admit"
	KindTarget    Kind = "target.define"
	KindInvite    Kind = "person.invite"
	KindEnrol     Kind = "authenticator.enrol"
	KindKeyRemove Kind = "authenticator.remove"
	KindSSHKey    Kind = "sshkey.add"
	KindSSHRemove Kind = "sshkey.remove"
	KindApprove   Kind = "request.approve"
	KindOpen      Kind = "session.open"
	KindSuspend   Kind = "suspend"
	KindRestore   Kind = "restore"
	KindAdvance   Kind = "restore.advance"
)

// Body is what is stated. Its JSON fields are the statement's body.
type Body interface {
	Kind() Kind
	// Subject names the record that the statement is about, as
	// "vendor:acme", "person:ana", "request:req_…".
	Subject() string
	// Sentence is the text on the screen: everything that matters in the
	// body, in words, no markup.
	Sentence() string
	// Check refuses a body that breaks the grammar of its fields.
	Check() error
}

// Statement is one statement before it is signed.
type Statement struct {
	Kind     Kind             `json:"kind"`
	Gateway  string           `json:"gateway"` // the gateway's URL, so that a statement for one is nothing to another
	Signer   string           `json:"signer"`  // person's name, or Machine
	At       time.Time        `json:"at"`      // when it was drawn up
	Nonce    string           `json:"nonce"`   // 16 random bytes, base64url
	By       []gateway.Digest `json:"by"`      // statements that entitle the signer, empty for Machine
	Sentence string           `json:"sentence"`
	Body     json.RawMessage  `json:"body"`
}

// Draft draws up a statement. by are the digests of the statements that
// entitle the signer: his admission, and the enrolment of the key that he
// will sign with (the first of any enrolments he may use).
func Draft(gatewayURL, signer string, at time.Time, by []gateway.Digest, body Body) (Statement, error) {
	if err := body.Check(); err != nil {
		return Statement{}, err
	}
	raw, err := Canonical(body)
	if err != nil {
		return Statement{}, err
	}
	nonce := make([]byte, 16)
	_, _ = rand.Read(nonce)
	if by == nil {
		by = []gateway.Digest{}
	}
	return Statement{
		Kind: body.Kind(), Gateway: gatewayURL, Signer: signer, At: gateway.Instant(at),
		Nonce: base64.RawURLEncoding.EncodeToString(nonce), By: by, Sentence: body.Sentence(), Body: raw,
	}, nil
}

// Bytes returns the canonical JSON: the exact bytes whose SHA-256 is signed.
func (s Statement) Bytes() ([]byte, error) { return Canonical(s) }

// Parse reads canonical statement bytes, strictly: unknown keys, another
// spelling of the same value, a body that breaks its grammar, or a sentence
// that does not say what the body says, are all refused.
func Parse(raw []byte) (Statement, Body, error) {
	var s Statement
	if len(raw) > MaxBytes {
		return s, nil, fmt.Errorf("statement has %d bytes, at most %d are allowed", len(raw), MaxBytes)
	}
	if err := strict(raw, &s); err != nil {
		return s, nil, fmt.Errorf("read statement: %w", err)
	}
	again, err := s.Bytes()
	if err != nil {
		return s, nil, fmt.Errorf("read statement: %w", err)
	}
	if !bytes.Equal(raw, again) {
		return s, nil, fmt.Errorf("statement is not in canonical form")
	}
	body, err := s.Open()
	if err != nil {
		return s, nil, err
	}
	return s, body, nil
}

// Open decodes the body and checks it against the kind and the sentence.
func (s Statement) Open() (Body, error) {
	fresh, ok := bodies[s.Kind]
	if !ok {
		return nil, fmt.Errorf("statement of unknown kind %s", gateway.Quote(string(s.Kind)))
	}
	body := fresh()
	if err := strict(s.Body, body); err != nil {
		return nil, fmt.Errorf("read %s statement: %w", s.Kind, err)
	}
	if err := body.Check(); err != nil {
		return nil, fmt.Errorf("read %s statement: %w", s.Kind, err)
	}
	if got := body.Sentence(); got != s.Sentence {
		return nil, fmt.Errorf("%s statement shows a sentence that its body does not say", s.Kind)
	}
	return body, nil
}
