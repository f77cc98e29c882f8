package gateway

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"net/netip"
	"strings"
)

// ServiceAccount is the one role of a service account: a name of a vendor
// behind which no person sits.
const ServiceAccount Role = "service"

// ServicePrefix begins the host at which service accounts reach a console,
// svc-TARGET.APPS: there alone the gateway asks for client certificates.
const ServicePrefix = "svc-"

// Service is what a service account has instead of a FIDO2 key. Whatever else is
// true of a person is true of it: it is of one vendor, and is listed, suspended
// and restored by its name.
type Service struct {
	Owner    string         `json:"owner"`              // person of the staff or of the vendor who answers for it and asks in its name
	Key      string         `json:"key"`                // ParseServiceKey
	Networks []netip.Prefix `json:"networks,omitempty"` // source networks, within the vendor's; empty means those
	Epochs   Epochs         `json:"epochs"`             // at the enrolment of Key: after a restoration another key is enrolled
}

// Forms of a service account's key.
const (
	pinForm  = "sha256:" // SHA-256 of a SubjectPublicKeyInfo, hexadecimal: a client certificate's (RFC 7469 clause 2.4)
	spkiForm = "spki:"   // the SubjectPublicKeyInfo itself, base64: for tokens, and for client certificates too
)

// ServiceKey is the public key by which a service account proves itself.
type ServiceKey struct {
	Pin    string           // "sha256:HEX" of the SubjectPublicKeyInfo
	Public crypto.PublicKey // Ed25519 or P-256; nil: the pin alone is on file, which proves no token
}

// ParseServiceKey reads the one spelling of either form.
func ParseServiceKey(s string) (ServiceKey, error) {
	if rest, ok := strings.CutPrefix(s, pinForm); ok {
		if raw, err := hex.DecodeString(rest); err == nil && len(raw) == sha256.Size && hex.EncodeToString(raw) == rest {
			return ServiceKey{Pin: s}, nil
		}
		return ServiceKey{}, badServiceKey()
	}
	rest, ok := strings.CutPrefix(s, spkiForm)
	der, err := base64.StdEncoding.Strict().DecodeString(rest)
	if !ok || err != nil || base64.StdEncoding.EncodeToString(der) != rest {
		return ServiceKey{}, badServiceKey()
	}
	k, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return ServiceKey{}, badServiceKey()
	}
	switch k := k.(type) {
	case ed25519.PublicKey:
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() {
			return ServiceKey{}, badServiceKey()
		}
	default:
		return ServiceKey{}, badServiceKey()
	}
	if again, err := x509.MarshalPKIXPublicKey(k); err != nil || string(again) != string(der) {
		return ServiceKey{}, badServiceKey()
	}
	return ServiceKey{Pin: PinOf(der), Public: k}, nil
}

// PinOf is the pin of a SubjectPublicKeyInfo in DER.
func PinOf(der []byte) string {
	sum := sha256.Sum256(der)
	return pinForm + hex.EncodeToString(sum[:])
}

// SpellServiceKey is a key as it is kept, of one that was handed in as PEM, as
// openssl prints it. Anything else comes back as it is, without blanks around.
func SpellServiceKey(s string) string {
	s = strings.TrimSpace(s)
	if block, rest := pem.Decode([]byte(s)); block != nil && block.Type == "PUBLIC KEY" && strings.TrimSpace(string(rest)) == "" {
		return spkiForm + base64.StdEncoding.EncodeToString(block.Bytes)
	}
	return s
}

func badServiceKey() error {
	return Invalid("key", "the key of a service account is %sHEX of its client certificate's public key, or %sBASE64 or PEM of an Ed25519 or P-256 public key", pinForm, spkiForm)
}

// Pin is the pin of the key; empty if it does not read.
func (s Service) Pin() string {
	k, err := ParseServiceKey(s.Key)
	if err != nil {
		return ""
	}
	return k.Pin
}
