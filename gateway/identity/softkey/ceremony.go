package softkey

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncbor"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"

	"github.com/portcullis/portcullis/gateway/statement"
)

type b64 = protocol.URLEncodedBase64

// options is what the two kinds of options have in common and more.
type options struct {
	Challenge b64    `json:"challenge"`
	RPID      string `json:"rpId"`
	RP        struct {
		ID string `json:"id"`
	} `json:"rp"`
	User struct {
		ID b64 `json:"id"`
	} `json:"user"`
	Allow []struct {
		ID b64 `json:"id"`
	} `json:"allowCredentials"`
	Exclude []struct {
		ID b64 `json:"id"`
	} `json:"excludeCredentials"`
}

// read takes the options as parseCreationOptionsFromJSON does, or wrapped in
// {"publicKey": …}.
func read(raw []byte) (options, error) {
	var wrapped struct {
		PublicKey json.RawMessage `json:"publicKey"`
	}
	var o options
	if err := json.Unmarshal(raw, &wrapped); err != nil {
		return o, fmt.Errorf("read options: %w", err)
	}
	if wrapped.PublicKey != nil {
		raw = wrapped.PublicKey
	}
	if err := json.Unmarshal(raw, &o); err != nil {
		return o, fmt.Errorf("read options: %w", err)
	}
	if len(o.Challenge) == 0 {
		return o, errors.New("the options hold no challenge")
	}
	return o, nil
}

type answer struct {
	ID         string   `json:"id"`
	RawID      string   `json:"rawId"`
	Type       string   `json:"type"`
	Attachment string   `json:"authenticatorAttachment"`
	Extensions struct{} `json:"clientExtensionResults"`
	Response   any      `json:"response"`
}

func answerOf(c *Credential, response any) ([]byte, error) {
	return json.Marshal(answer{ID: c.Text(), RawID: c.Text(), Type: "public-key", Attachment: "cross-platform", Response: response})
}

func (k *Key) clientData(kind protocol.CeremonyType, challenge []byte) ([]byte, error) {
	return json.Marshal(struct {
		Type        protocol.CeremonyType `json:"type"`
		Challenge   string                `json:"challenge"`
		Origin      string                `json:"origin"`
		CrossOrigin bool                  `json:"crossOrigin"`
	}{kind, base64.RawURLEncoding.EncodeToString(challenge), k.Origin, false})
}

// Create answers navigator.credentials.create: a new resident credential. A
// key that already holds one of excludeCredentials refuses, as real ones do.
func (k *Key) Create(creationOptions []byte) ([]byte, error) {
	o, err := read(creationOptions)
	if err != nil {
		return nil, err
	}
	for _, e := range o.Exclude {
		if _, err := k.find(o.RP.ID, [][]byte{e.ID}); err == nil {
			return nil, errors.New("the key is enrolled already")
		}
	}
	c, err := k.NewCredential(o.RP.ID, o.User.ID)
	if err != nil {
		return nil, err
	}
	client, err := k.clientData(protocol.CreateCeremony, o.Challenge)
	if err != nil {
		return nil, err
	}
	public, err := c.Public()
	if err != nil {
		return nil, err
	}
	attested := slices.Concat(k.Model[:], binary.BigEndian.AppendUint16(nil, uint16(len(c.ID))), c.ID, public)
	auth := k.authenticatorData(o.RP.ID, attested)
	object, err := k.attestation(c, auth, client)
	if err != nil {
		return nil, err
	}
	spki, err := x509.MarshalPKIXPublicKey(&c.private.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("encode public key: %w", err)
	}
	return answerOf(c, struct {
		ClientData b64      `json:"clientDataJSON"`
		Auth       b64      `json:"authenticatorData"`
		Object     b64      `json:"attestationObject"`
		Transports []string `json:"transports"`
		PublicKey  b64      `json:"publicKey"`
		Algorithm  int64    `json:"publicKeyAlgorithm"`
	}{client, auth, object, []string{"usb"}, spki, int64(webauthncose.AlgES256)})
}

func (k *Key) attestation(c *Credential, auth, client []byte) ([]byte, error) {
	format, stmt := "none", map[string]any{}
	if k.Attest {
		hash := sha256.Sum256(client)
		sig, err := c.sign(auth, hash[:])
		if err != nil {
			return nil, fmt.Errorf("sign attestation: %w", err)
		}
		format, stmt = "packed", map[string]any{"alg": int64(webauthncose.AlgES256), "sig": sig}
	}
	return webauthncbor.Marshal(map[string]any{"fmt": format, "attStmt": stmt, "authData": auth})
}

// Get answers navigator.credentials.get: an assertion by the newest allowed
// credential, or by the newest of the site where none is named.
func (k *Key) Get(requestOptions []byte) ([]byte, error) {
	o, err := read(requestOptions)
	if err != nil {
		return nil, err
	}
	var allowed [][]byte
	for _, a := range o.Allow {
		allowed = append(allowed, a.ID)
	}
	c, err := k.find(o.RPID, allowed)
	if err != nil {
		return nil, err
	}
	p, err := k.assert(c, o.Challenge)
	if err != nil {
		return nil, err
	}
	return answerOf(c, struct {
		ClientData b64 `json:"clientDataJSON"`
		Auth       b64 `json:"authenticatorData"`
		Signature  b64 `json:"signature"`
		UserHandle b64 `json:"userHandle"`
	}{p.ClientData, p.AuthenticatorData, p.Signature, c.UserHandle})
}

// Touch adds the credential's proof to a statement, without the way through a
// browser's JSON.
func (k *Key) Touch(c *Credential, s statement.Signed) (statement.Signed, error) {
	p, err := k.assert(c, s.Digest[:])
	if err != nil {
		return s, err
	}
	s.Proofs = append(slices.Clone(s.Proofs), p)
	return s, nil
}

func (k *Key) assert(c *Credential, challenge []byte) (statement.Proof, error) {
	client, err := k.clientData(protocol.AssertCeremony, challenge)
	if err != nil {
		return statement.Proof{}, err
	}
	auth := k.authenticatorData(c.RPID, nil)
	hash := sha256.Sum256(client)
	sig, err := c.sign(auth, hash[:])
	if err != nil {
		return statement.Proof{}, fmt.Errorf("sign assertion: %w", err)
	}
	return statement.Proof{Kind: statement.WebAuthn, Key: c.Text(), ClientData: client, AuthenticatorData: auth, Signature: sig}, nil
}
