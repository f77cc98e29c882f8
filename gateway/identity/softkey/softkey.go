package softkey

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncbor"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
)

// AAGUID is the model that a Key claims to be, as bytes; ModelName is its
// text form. No maker has it.
var AAGUID = [16]byte{0x70, 0x6f, 0x72, 0x74, 0x63, 0x75, 0x4c, 0x6c, 0x89, 0x73, 0x6f, 0x66, 0x74, 0x6b, 0x65, 0x79}

// ModelName is the text form of AAGUID.
const ModelName = "706f7274-6375-4c6c-8973-6f66746b6579"

// Key is one authenticator. New makes one that behaves; the exported fields
// make it lie, and are set between calls, never during one.
type Key struct {
	Origin       string // of the page that it believes to be on
	RPID         string // answers for this site; empty means the one that is asked for
	Model        [16]byte
	Attest       bool // packed self attestation; false means none
	Present      bool // UP
	Verified     bool // UV
	BackupAble   bool // BE: the key could be copied to other devices
	BackedUp     bool // BS
	Counter      uint32
	CounterFixed bool // the counter stays where it is, as synced keys do

	mu    sync.Mutex
	creds []*Credential
}

// Credential is one key pair that a Key holds for one site and user.
type Credential struct {
	ID         []byte
	RPID       string
	UserHandle []byte

	private *ecdsa.PrivateKey
}

// New returns a key plugged into a browser that shows a page of that origin.
func New(origin string) *Key {
	return &Key{Origin: origin, Model: AAGUID, Attest: true, Present: true, Verified: true}
}

// NewCredential makes a key pair for a site and user, as Create does.
func (k *Key) NewCredential(rpID string, userHandle []byte) (*Credential, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key pair: %w", err)
	}
	c := &Credential{ID: make([]byte, 32), RPID: rpID, UserHandle: slices.Clone(userHandle), private: private}
	_, _ = rand.Read(c.ID)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.creds = append(k.creds, c)
	return c, nil
}

// Last returns the credential that was made last, nil if there is none.
func (k *Key) Last() *Credential {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.creds) == 0 {
		return nil
	}
	return k.creds[len(k.creds)-1]
}

// Text is the credential's id as it is filed: base64url without padding.
func (c *Credential) Text() string { return base64.RawURLEncoding.EncodeToString(c.ID) }

// Public returns the COSE_Key (RFC 9052 clause 7) of the public half.
func (c *Credential) Public() ([]byte, error) {
	point, err := c.private.PublicKey.Bytes() // 0x04, X, Y
	if err != nil {
		return nil, fmt.Errorf("encode public key: %w", err)
	}
	return webauthncbor.Marshal(webauthncose.EC2PublicKeyData{
		PublicKeyData: webauthncose.PublicKeyData{KeyType: int64(webauthncose.EllipticKey), Algorithm: int64(webauthncose.AlgES256)},
		Curve:         int64(webauthncose.P256), XCoord: point[1:33], YCoord: point[33:65],
	})
}

func (c *Credential) sign(data ...[]byte) ([]byte, error) {
	h := sha256.New()
	for _, d := range data {
		h.Write(d)
	}
	return ecdsa.SignASN1(rand.Reader, c.private, h.Sum(nil))
}

// find picks the credential for a site: the first that is allowed, or with no
// list the newest.
func (k *Key) find(rpID string, allowed [][]byte) (*Credential, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range slices.Backward(k.creds) {
		if c.RPID != rpID {
			continue
		}
		if len(allowed) == 0 || slices.ContainsFunc(allowed, func(id []byte) bool { return slices.Equal(id, c.ID) }) {
			return c, nil
		}
	}
	return nil, fmt.Errorf("the key holds no credential for %q that is asked for", rpID)
}

// authenticatorData is the structure of WebAuthn clause 6.1. Each call counts
// one up unless the counter is fixed. attested is appended where a credential
// is made.
func (k *Key) authenticatorData(rpID string, attested []byte) []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.CounterFixed {
		k.Counter++
	}
	if k.RPID != "" {
		rpID = k.RPID
	}
	var flags protocol.AuthenticatorFlags
	for _, f := range []struct {
		on  bool
		bit protocol.AuthenticatorFlags
	}{
		{k.Present, protocol.FlagUserPresent},
		{k.Verified, protocol.FlagUserVerified},
		{k.BackupAble, protocol.FlagBackupEligible},
		{k.BackedUp, protocol.FlagBackupState},
		{attested != nil, protocol.FlagAttestedCredentialData},
	} {
		if f.on {
			flags |= f.bit
		}
	}
	site := sha256.Sum256([]byte(rpID))
	data := append(site[:], byte(flags))
	data = binary.BigEndian.AppendUint32(data, k.Counter)
	return append(data, attested...)
}
