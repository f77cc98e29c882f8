package statement

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// ProofKind is how a statement was signed.
type ProofKind string

// The closed list of proofs.
const (
	WebAuthn ProofKind = "webauthn" // WebAuthn assertion, challenge = SHA-256 of the statement
	Ed25519  ProofKind = "ed25519"  // RFC 8032 signature over Context, then the SHA-256 of the statement
)

// Context separates our Ed25519 signatures from any other use of the key.
const Context = "portcullis statement v1\x00"

// Proof is one signature under a statement.
type Proof struct {
	Kind              ProofKind `json:"kind"`
	Key               string    `json:"key"`                          // credential id (base64url), or FormatRoot of the Ed25519 key
	ClientData        []byte    `json:"client_data,omitempty"`        // WebAuthn clientDataJSON
	AuthenticatorData []byte    `json:"authenticator_data,omitempty"` // WebAuthn authenticatorData
	Signature         []byte    `json:"signature"`
}

// Signed is a statement with its proofs, as it is kept for ever.
type Signed struct {
	Digest  gateway.Digest `json:"digest"` // SHA-256 of Bytes
	Bytes   []byte         `json:"bytes"`  // canonical JSON
	Proofs  []Proof        `json:"proofs"`
	Receipt Receipt        `json:"receipt,omitzero"` // set by the store that filed it
}

// Seal returns s with no proofs yet.
func Seal(s Statement) (Signed, error) {
	raw, err := s.Bytes()
	if err != nil {
		return Signed{}, err
	}
	return Signed{Digest: gateway.DigestOf(raw), Bytes: raw}, nil
}

// Parse checks the digest and reads the statement.
func (s Signed) Parse() (Statement, Body, error) {
	if !gateway.DigestOf(s.Bytes).Equal(s.Digest) {
		return Statement{}, nil, errors.New("statement does not have the digest it is filed under")
	}
	return Parse(s.Bytes)
}

// FormatRoot returns the text form of an Ed25519 public key, as it stands in
// roots[] of the configuration.
func FormatRoot(key ed25519.PublicKey) string {
	return "ed25519:" + base64.StdEncoding.EncodeToString(key)
}

// ParseRoot is the inverse of FormatRoot, strict.
func ParseRoot(s string) (ed25519.PublicKey, error) {
	rest, ok := strings.CutPrefix(s, "ed25519:")
	if !ok {
		return nil, fmt.Errorf("key %s does not begin with \"ed25519:\"", gateway.Quote(s))
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(rest)
	if err != nil || len(raw) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("key %s is not the base64 of %d bytes", gateway.Quote(s), ed25519.PublicKeySize)
	}
	return ed25519.PublicKey(raw), nil
}

// SignEd25519 adds a proof by an Ed25519 key.
func (s Signed) SignEd25519(key ed25519.PrivateKey) Signed {
	msg := append([]byte(Context), s.Digest[:]...)
	pub, _ := key.Public().(ed25519.PublicKey)
	s.Proofs = append(append([]Proof(nil), s.Proofs...), Proof{Kind: Ed25519, Key: FormatRoot(pub), Signature: ed25519.Sign(key, msg)})
	return s
}

// VerifyEd25519 reports whether p is key's signature under s.
func (s Signed) VerifyEd25519(p Proof, key ed25519.PublicKey) error {
	msg := append([]byte(Context), s.Digest[:]...)
	if p.Kind != Ed25519 || p.Key != FormatRoot(key) || !ed25519.Verify(key, msg, p.Signature) {
		return errors.New("the signature is not by the key that it names")
	}
	return nil
}

// MachineKey is the machine's own key: the Ed25519 private key of one node.
type MachineKey struct {
	Private ed25519.PrivateKey
	Gateway string // the gateway's URL
}

// Root is the text form of the public half.
func (m MachineKey) Root() string {
	pub, _ := m.Private.Public().(ed25519.PublicKey)
	return FormatRoot(pub)
}

// Sign draws up and signs a statement for root at the local socket.
func (m MachineKey) Sign(at time.Time, body Body) (Signed, error) {
	st, err := Draft(m.Gateway, Machine, at, nil, body)
	if err != nil {
		return Signed{}, err
	}
	s, err := Seal(st)
	if err != nil {
		return Signed{}, err
	}
	return s.SignEd25519(m.Private), nil
}
