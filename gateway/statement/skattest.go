package statement

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncbor"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/google/uuid"
	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
)

// SSHAttestation is what a security key said of itself when an SSH key was
// made in it: the file of `ssh-keygen -O write-attestation` with the challenge
// that it was made for, and what the two prove. It is verified again whenever
// the statement is read.
type SSHAttestation struct {
	gateway.SSHAttested
	Challenge []byte `json:"challenge"`
	Blob      []byte `json:"blob"`
}

// Bounds of an attestation.
const (
	maxAttestation = 8 << 10 // the maker's certificate is most of it
	maxChallenge   = 1 << 10
)

// Verdicts, as for a FIDO2 key's attestation.
const (
	attestSelf       = "self"       // signed by the very key: it proves a ceremony, not a maker
	attestUnanchored = "unanchored" // signed by a maker whose root is not on file
)

const (
	attestMagic = "ssh-sk-attest-v01"
	credProtect = "credProtect" // CTAP 2.1 clause 12.1
	protectUV   = 3             // userVerificationRequired: what `-O verify-required` asks for
)

// oidAAGUID is id-fido-gen-ce-aaguid: the model that a maker's certificate is
// good for (W3C WebAuthn Level 3, clause 8.2.1).
var oidAAGUID = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 45724, 1, 1, 4}

// skAttest is the file (PROTOCOL.u2f, OpenSSH 8.5 and later).
type skAttest struct {
	Magic       string
	Certificate []byte // X.509 DER; empty where the key attests itself
	Signature   []byte
	AuthData    []byte // authenticator data inside a CBOR byte string
	Flags       uint32
	Reserved    string
}

// VerifySSHAttestation proves that the SSH security key was made in a FIDO2
// authenticator for that challenge, and says what the authenticator told of
// itself. The maker's certificate is anchored nowhere.
func VerifySSHAttestation(key ssh.PublicKey, blob, challenge []byte) (gateway.SSHAttested, error) {
	var none gateway.SSHAttested
	if len(blob) > maxAttestation || len(challenge) == 0 || len(challenge) > maxChallenge {
		return none, fmt.Errorf("the attestation has %d bytes and its challenge %d; at most %d and %d are taken, and some", len(blob), len(challenge), maxAttestation, maxChallenge)
	}
	app, err := application(key)
	if err != nil {
		return none, err
	}
	var file skAttest
	if err := ssh.Unmarshal(blob, &file); err != nil || file.Magic != attestMagic || file.Flags != 0 || file.Reserved != "" {
		return none, errors.New("the attestation is not the file that `ssh-keygen -O write-attestation` writes (OpenSSH 8.5 or later)")
	}
	var raw []byte
	if err := webauthncbor.Unmarshal(file.AuthData, &raw); err != nil {
		return none, errors.New("the attestation's authenticator data does not read")
	}
	auth, err := attestedData(raw, app)
	if err != nil {
		return none, err
	}
	public, err := sameKey(key, auth.AttData.CredentialPublicKey)
	if err != nil {
		return none, err
	}
	hash := sha256.Sum256(challenge)
	out := gateway.SSHAttested{Verified: auth.Flags.HasUserVerified()}
	if out.Verdict, err = signedBy(file, auth, public, slices.Concat(raw, hash[:]), u2fMessage(auth, hash[:], public)); err != nil {
		return none, err
	}
	model, err := uuid.FromBytes(auth.AttData.AAGUID)
	if err != nil {
		return none, errors.New("the attestation names no model")
	}
	out.AAGUID = model.String()
	if out.CredProtect, err = protection(auth); err != nil {
		return none, err
	}
	out.VerifyRequired = out.CredProtect == protectUV
	return out, nil
}

// attestedData reads authenticator data, to its last byte, of a key made by
// touch for that application.
func attestedData(raw []byte, app string) (*protocol.AuthenticatorData, error) {
	auth := new(protocol.AuthenticatorData)
	if err := auth.Unmarshal(raw); err != nil {
		return nil, errors.New("the attestation's authenticator data does not read")
	}
	want := sha256.Sum256([]byte(app))
	switch {
	case !bytes.Equal(auth.RPIDHash, want[:]):
		return nil, errors.New("the attestation is of a key made for another application")
	case !auth.Flags.HasUserPresent():
		return nil, errors.New("the attested key was made without a touch")
	case !auth.Flags.HasAttestedCredentialData():
		return nil, errors.New("the attestation is about no key")
	}
	return auth, nil
}

// sameKey holds the attested credential to the SSH key.
func sameKey(key ssh.PublicKey, cose []byte) (any, error) {
	other := errors.New("the attestation is of another key than this one")
	parsed, err := webauthncose.ParsePublicKey(cose)
	if err != nil {
		return nil, errors.New("the attested public key does not read")
	}
	c, ok := key.(ssh.CryptoPublicKey)
	if !ok {
		return nil, other
	}
	switch mine := c.CryptoPublicKey().(type) {
	case ed25519.PublicKey:
		if k, ok := parsed.(webauthncose.OKPPublicKeyData); ok && bytes.Equal(k.XCoord, mine) {
			return mine, nil
		}
	case *ecdsa.PublicKey:
		point, err := mine.Bytes()
		if k, ok := parsed.(webauthncose.EC2PublicKeyData); ok && err == nil && bytes.Equal(slices.Concat([]byte{4}, k.XCoord, k.YCoord), point) {
			return mine, nil
		}
	}
	return nil, other
}

// u2fMessage is what a U2F key signs instead (FIDO U2F Raw Message Formats
// 1.2, clause 4.3); nil for a key of another kind.
func u2fMessage(auth *protocol.AuthenticatorData, hash []byte, public any) []byte {
	k, ok := public.(*ecdsa.PublicKey)
	if !ok || !bytes.Equal(auth.AttData.AAGUID, make([]byte, 16)) {
		return nil
	}
	point, err := k.Bytes()
	if err != nil {
		return nil
	}
	return slices.Concat([]byte{0}, auth.RPIDHash, hash, auth.AttData.CredentialID, point)
}

// signedBy verifies the signature and words whose it is.
func signedBy(file skAttest, auth *protocol.AuthenticatorData, own any, msg, u2f []byte) (string, error) {
	bad := errors.New("the attestation's signature does not hold for this key and challenge")
	if len(file.Certificate) == 0 {
		if !holds(own, msg, file.Signature) {
			return "", bad
		}
		return attestSelf, nil
	}
	cert, err := x509.ParseCertificate(file.Certificate)
	if err != nil {
		return "", errors.New("the attestation's certificate does not read")
	}
	if cert.IsCA || cert.Version != 3 {
		return "", errors.New("the attestation's certificate is not one for attestation")
	}
	for _, e := range cert.Extensions {
		if !e.Id.Equal(oidAAGUID) {
			continue
		}
		var model []byte
		if rest, err := asn1.Unmarshal(e.Value, &model); err != nil || len(rest) > 0 || !bytes.Equal(model, auth.AttData.AAGUID) {
			return "", errors.New("the attestation's certificate is for another model")
		}
	}
	if !holds(cert.PublicKey, msg, file.Signature) && (u2f == nil || !holds(cert.PublicKey, u2f, file.Signature)) {
		return "", bad
	}
	return attestUnanchored, nil
}

func holds(key any, msg, sig []byte) bool {
	algorithm := x509.UnknownSignatureAlgorithm
	switch k := key.(type) {
	case ed25519.PublicKey:
		algorithm = x509.PureEd25519
	case *ecdsa.PublicKey:
		algorithm = x509.ECDSAWithSHA256
	case *rsa.PublicKey:
		if k.N.BitLen() < 2048 {
			return false
		}
		algorithm = x509.SHA256WithRSA
	}
	return (&x509.Certificate{PublicKey: key}).CheckSignature(algorithm, msg, sig) == nil
}

// protection is the credProtect level that the authenticator confirmed; 0 for
// none.
func protection(auth *protocol.AuthenticatorData) (uint8, error) {
	if !auth.Flags.HasExtensions() {
		return 0, nil
	}
	var ext map[string]any
	if err := webauthncbor.Unmarshal(auth.ExtData, &ext); err != nil {
		return 0, errors.New("the attestation's extensions do not read")
	}
	said, there := ext[credProtect]
	if !there {
		return 0, nil
	}
	level, ok := said.(uint64)
	if !ok || level < 1 || level > protectUV {
		return 0, errors.New("the attestation tells an unknown level of protection")
	}
	return uint8(level), nil
}

// check verifies the attestation again and holds what is stated to what it
// proves: nothing is stated that the kept file does not show.
func (a *SSHAttestation) check(line string) error {
	if a == nil {
		return nil
	}
	key, err := ParseSSHKey(line)
	if err != nil {
		return err
	}
	proven, err := VerifySSHAttestation(key, a.Blob, a.Challenge)
	if err != nil {
		return gateway.Invalid("attestation", "%s", err)
	}
	if proven != a.SSHAttested {
		return gateway.Invalid("attestation", "the attestation says something else than what is stated of it")
	}
	return nil
}

// words are the attestation in a sentence.
func (a *SSHAttestation) words() string {
	if a == nil {
		return ""
	}
	pin := "without its PIN"
	if a.VerifyRequired {
		pin = "never without its PIN or fingerprint"
	}
	return fmt.Sprintf(" Attested (%s) by a key of model %s, which signs %s.", a.Verdict, a.AAGUID, pin)
}
