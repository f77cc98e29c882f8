package statement

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
)

// RelyingParty is who a WebAuthn assertion must be made for.
type RelyingParty struct {
	ID      string   // RP ID: the host name of the gateway's URL
	Origins []string // exact origins, scheme://host[:port]
}

// Touch is what a WebAuthn assertion says beside its signature.
type Touch struct {
	Counter        uint32
	BackupEligible bool
	BackedUp       bool
}

// VerifyWebAuthn reports whether p is an assertion over s by the key (COSE_Key
// bytes), made for rp with user presence and user verification (W3C WebAuthn
// Level 3, clause 7.2, steps 10 to 21). The counter is returned, not judged:
// what it was before is for the caller to know.
func (s Signed) VerifyWebAuthn(p Proof, key []byte, rp RelyingParty) (Touch, error) {
	if p.Kind != WebAuthn {
		return Touch{}, errors.New("the proof is not a WebAuthn assertion")
	}
	var client struct {
		Type        string `json:"type"`
		Challenge   string `json:"challenge"`
		Origin      string `json:"origin"`
		CrossOrigin bool   `json:"crossOrigin"`
	}
	// Browsers may add members (Level 3, clause 5.8.1), so unknown ones pass.
	if err := json.Unmarshal(p.ClientData, &client); err != nil {
		return Touch{}, fmt.Errorf("read client data: %w", err)
	}
	challenge, err := base64.RawURLEncoding.DecodeString(client.Challenge)
	switch {
	case client.Type != string(protocol.AssertCeremony):
		return Touch{}, fmt.Errorf("the key was used for %q, not for signing in or agreeing", client.Type)
	case err != nil || subtle.ConstantTimeCompare(challenge, s.Digest[:]) != 1:
		return Touch{}, errors.New("the key signed another statement than this one")
	case !slices.Contains(rp.Origins, client.Origin):
		return Touch{}, fmt.Errorf("the key was touched on %q, which is not this gateway", client.Origin)
	case client.CrossOrigin:
		return Touch{}, errors.New("the key was touched inside a frame of another page")
	}
	var auth protocol.AuthenticatorData
	if err := auth.Unmarshal(p.AuthenticatorData); err != nil {
		return Touch{}, fmt.Errorf("read authenticator data: %w", err)
	}
	want := sha256.Sum256([]byte(rp.ID))
	switch {
	case subtle.ConstantTimeCompare(auth.RPIDHash, want[:]) != 1:
		return Touch{}, errors.New("the key answered for another site than this gateway")
	case !auth.Flags.HasUserPresent():
		return Touch{}, errors.New("the key was not touched")
	case !auth.Flags.HasUserVerified():
		return Touch{}, errors.New("the key did not verify its user: it needs its PIN or fingerprint")
	}
	pub, err := webauthncose.ParsePublicKey(key)
	if err != nil {
		return Touch{}, fmt.Errorf("read public key: %w", err)
	}
	hash := sha256.Sum256(p.ClientData)
	signed := append(slices.Clone(p.AuthenticatorData), hash[:]...)
	ok, err := webauthncose.VerifySignature(pub, signed, p.Signature)
	if err != nil || !ok {
		return Touch{}, errors.New("the signature is not by the enrolled key")
	}
	return Touch{Counter: auth.Counter, BackupEligible: auth.Flags.HasBackupEligible(), BackedUp: auth.Flags.HasBackupState()}, nil
}
