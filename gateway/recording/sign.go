package recording

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/portcullis/portcullis/gateway/statement"
)

// Signer is the machine's key. Sign is an Ed25519 signature (RFC 8032) over
// msg as it stands; the domain is in msg already. Public is the base64
// (RFC 4648 clause 4) of the 32 bytes of the public key. Sign is called from
// several goroutines at once.
type Signer interface {
	Sign(msg []byte) (sig []byte)
	Public() string
}

// Domains keep a signature over one thing from being taken for another.
const (
	domainSegment  = "portcullis recording segment v1\x00"
	domainManifest = "portcullis recording manifest v1\x00"
	domainSeal     = "portcullis recording seal v1\x00"
)

// Key is a Signer that holds an Ed25519 private key in memory.
type Key struct{ private ed25519.PrivateKey }

// NewKey returns a Signer over private.
func NewKey(private ed25519.PrivateKey) *Key { return &Key{private: private} }

// Sign implements Signer.
func (k *Key) Sign(msg []byte) []byte { return ed25519.Sign(k.private, msg) }

// Public implements Signer.
func (k *Key) Public() string {
	return base64.StdEncoding.EncodeToString(k.private.Public().(ed25519.PublicKey))
}

// keyring is whose signatures are believed, by the text form of the key.
type keyring []string

func (r keyring) verify(key string, msg, sig []byte) error {
	if !slices.Contains(r, key) {
		return fmt.Errorf("it is signed by key %q, which is not trusted here", key)
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(key)
	if err != nil || len(raw) != ed25519.PublicKeySize {
		return fmt.Errorf("key %q is not an Ed25519 public key", key)
	}
	if !ed25519.Verify(raw, msg, sig) {
		return errors.New("the signature does not hold")
	}
	return nil
}

// envelope is a signed file: the canonical JSON of what is said, by whom.
type envelope struct {
	Key       string          `json:"key"`
	Said      json.RawMessage `json:"said"`
	Signature []byte          `json:"signature"`
}

// enclose returns the canonical JSON of v in a signed envelope.
func enclose(signer Signer, domain string, v any) ([]byte, error) {
	said, err := statement.Canonical(v)
	if err != nil {
		return nil, err
	}
	return statement.Canonical(envelope{Key: signer.Public(), Said: said, Signature: signer.Sign(append([]byte(domain), said...))})
}

// open reads what enclose wrote, strictly: another spelling of the same value
// is refused, so that no bit of the file can change unseen. It answers the key.
func (r keyring) open(raw []byte, domain string, v any) (string, error) {
	var e envelope
	if err := strict(raw, &e); err != nil {
		return "", err
	}
	if err := strict(e.Said, v); err != nil {
		return "", err
	}
	said, err := statement.Canonical(v)
	if err != nil {
		return "", err
	}
	e.Said = said
	again, err := statement.Canonical(e)
	if err != nil || !bytes.Equal(raw, again) {
		return "", errors.New("it is not in canonical form")
	}
	return e.Key, r.verify(e.Key, append([]byte(domain), said...), e.Signature)
}

func strict(raw []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	return dec.Decode(v)
}
