package rig

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Flags of authenticator data (W3C WebAuthn Level 3, clause 6.1).
const (
	FlagPresent    = 0x01
	FlagVerified   = 0x04
	FlagBackupAble = 0x08
	FlagAttested   = 0x40
)

// Key is a FIDO2 key in software with one resident credential: ES256, no
// attestation. Its fields may be set to make it lie.
type Key struct {
	Origin  string
	RPID    string
	Flags   byte
	Counter uint32

	mu      sync.Mutex
	id      []byte
	user    []byte
	private *ecdsa.PrivateKey
}

// NewKey makes a key that behaves, for the site at origin.
func NewKey(origin, rpID string) *Key {
	return &Key{Origin: origin, RPID: rpID, Flags: FlagPresent | FlagVerified}
}

type webauthnOptions struct {
	Challenge string `json:"challenge"`
	User      struct {
		ID string `json:"id"`
	} `json:"user"`
}

func (k *Key) clientData(kind string, options []byte) ([]byte, webauthnOptions, error) {
	var wrapped struct {
		PublicKey json.RawMessage `json:"publicKey"`
	}
	var o webauthnOptions
	if err := json.Unmarshal(options, &wrapped); err != nil {
		return nil, o, fmt.Errorf("read WebAuthn options: %w", err)
	}
	if wrapped.PublicKey != nil {
		options = wrapped.PublicKey
	}
	if err := json.Unmarshal(options, &o); err != nil || o.Challenge == "" {
		return nil, o, fmt.Errorf("WebAuthn options without a challenge: %.200s", options)
	}
	data, err := json.Marshal(map[string]any{"type": kind, "challenge": o.Challenge, "origin": k.Origin, "crossOrigin": false})
	return data, o, err
}

// Create answers creation options as navigator.credentials.create and toJSON
// would.
func (k *Key) Create(options []byte) (json.RawMessage, error) {
	client, o, err := k.clientData("webauthn.create", options)
	if err != nil {
		return nil, err
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	public, err := private.PublicKey.Bytes() // 04 || x || y
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.private, k.id = private, make([]byte, 32)
	_, _ = rand.Read(k.id)
	if k.user, err = base64.RawURLEncoding.DecodeString(o.User.ID); err != nil {
		return nil, fmt.Errorf("read user id: %w", err)
	}
	// COSE_Key (RFC 9053, clause 7.1): EC2, ES256, P-256, x, y.
	cose := slices.Concat([]byte{0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32}, public[1:33], []byte{0x22, 0x58, 32}, public[33:])
	auth := slices.Concat(k.authData(FlagAttested), make([]byte, 16), binary.BigEndian.AppendUint16(nil, uint16(len(k.id))), k.id, cose)
	object := slices.Concat([]byte("\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x59"), binary.BigEndian.AppendUint16(nil, uint16(len(auth))), auth)
	return k.answer(map[string]any{"clientDataJSON": b64(client), "attestationObject": b64(object), "authenticatorData": b64(auth), "transports": []string{"usb"}})
}

// Get answers request options as navigator.credentials.get and toJSON would.
func (k *Key) Get(options []byte) (json.RawMessage, error) {
	client, _, err := k.clientData("webauthn.get", options)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.private == nil {
		return nil, errors.New("the key holds no credential")
	}
	k.Counter++
	auth, hash := k.authData(0), sha256.Sum256(client)
	digest := sha256.Sum256(slices.Concat(auth, hash[:]))
	sig, err := ecdsa.SignASN1(rand.Reader, k.private, digest[:])
	if err != nil {
		return nil, err
	}
	return k.answer(map[string]any{"clientDataJSON": b64(client), "authenticatorData": b64(auth), "signature": b64(sig), "userHandle": b64(k.user)})
}

func (k *Key) authData(extra byte) []byte {
	rp := sha256.Sum256([]byte(k.RPID))
	return binary.BigEndian.AppendUint32(append(rp[:], k.Flags|extra), k.Counter)
}

func (k *Key) answer(response map[string]any) (json.RawMessage, error) {
	return json.Marshal(map[string]any{
		"id": b64(k.id), "rawId": b64(k.id), "type": "public-key", "authenticatorAttachment": "cross-platform",
		"clientExtensionResults": map[string]any{}, "response": response,
	})
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
