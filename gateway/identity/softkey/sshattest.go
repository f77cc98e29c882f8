package softkey

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"math/big"
	"slices"
	"time"

	"github.com/go-webauthn/webauthn/protocol/webauthncbor"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"golang.org/x/crypto/ssh"
)

// Attestation is how a key attests itself when it is made, as the file of
// `ssh-keygen -O write-attestation` holds it. A test changes what it likes
// before Blob.
type Attestation struct {
	Application string
	Flags       byte // 1 touched, 4 verified, 64 about a key, 128 with extensions
	AAGUID      [16]byte
	CredProtect int  // 0: the key says nothing
	Self        bool // by the key itself and no maker
	Challenge   []byte

	key *SSHKey
}

// Attest begins an attestation of a key made with `-O verify-required` for
// that challenge.
func (k *SSHKey) Attest(challenge []byte) *Attestation {
	return &Attestation{Application: k.Application, Flags: 1 | 4 | 64 | 128, AAGUID: [16]byte{0x2f, 0xc0, 0x57, 0x9f}, CredProtect: 3, Challenge: challenge, key: k}
}

// AuthData is the authenticator data of the attestation.
func (a *Attestation) AuthData() ([]byte, error) {
	cose, err := a.key.cose()
	if err != nil {
		return nil, err
	}
	app := sha256.Sum256([]byte(a.Application))
	id := make([]byte, 64)
	raw := slices.Concat(app[:], []byte{a.Flags}, binary.BigEndian.AppendUint32(nil, 1), a.AAGUID[:], binary.BigEndian.AppendUint16(nil, uint16(len(id))), id, cose)
	if a.Flags&128 == 0 {
		return raw, nil
	}
	ext := map[string]any{}
	if a.CredProtect != 0 {
		ext["credProtect"] = a.CredProtect
	}
	more, err := webauthncbor.Marshal(ext)
	return append(raw, more...), err
}

// Blob signs the attestation.
func (a *Attestation) Blob() ([]byte, error) {
	raw, err := a.AuthData()
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256(a.Challenge)
	cert, sig, err := a.sign(append(slices.Clone(raw), hash[:]...))
	if err != nil {
		return nil, err
	}
	wrapped, err := webauthncbor.Marshal(raw)
	return ssh.Marshal(struct {
		Magic                       string
		Certificate, Signature, Raw []byte
		Flags                       uint32
		Reserved                    string
	}{"ssh-sk-attest-v01", cert, sig, wrapped, 0, ""}), err
}

func (a *Attestation) sign(msg []byte) (cert, sig []byte, err error) {
	d := sha256.Sum256(msg)
	switch {
	case a.Self && a.key.nist != nil:
		sig, err = ecdsa.SignASN1(rand.Reader, a.key.nist, d[:])
		return nil, sig, err
	case a.Self:
		return nil, ed25519.Sign(a.key.edwards, msg), nil
	}
	maker, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{Country: []string{"ES"}, Organization: []string{"Softkey"}, OrganizationalUnit: []string{"Authenticator Attestation"}, CommonName: "softkey"},
		NotBefore: time.Unix(1, 0), NotAfter: time.Unix(1<<32, 0), BasicConstraintsValid: true,
	}
	if cert, err = x509.CreateCertificate(rand.Reader, t, t, &maker.PublicKey, maker); err != nil {
		return nil, nil, err
	}
	sig, err = ecdsa.SignASN1(rand.Reader, maker, d[:])
	return cert, sig, err
}

// cose is the public half as an authenticator tells it (RFC 9053).
func (k *SSHKey) cose() ([]byte, error) {
	if k.nist == nil {
		return webauthncbor.Marshal(webauthncose.OKPPublicKeyData{
			PublicKeyData: webauthncose.PublicKeyData{KeyType: int64(webauthncose.OctetKey), Algorithm: int64(webauthncose.AlgEdDSA)},
			Curve:         int64(webauthncose.Ed25519), XCoord: k.edwards[ed25519.SeedSize:],
		})
	}
	point, err := k.nist.PublicKey.Bytes()
	if err != nil {
		return nil, err
	}
	return webauthncbor.Marshal(webauthncose.EC2PublicKeyData{
		PublicKeyData: webauthncose.PublicKeyData{KeyType: int64(webauthncose.EllipticKey), Algorithm: int64(webauthncose.AlgES256)},
		Curve:         int64(webauthncose.P256), XCoord: point[1:33], YCoord: point[33:65],
	})
}
