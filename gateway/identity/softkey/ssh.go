package softkey

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"math/big"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway/statement"
)

// SSHKey is an SSH security key (PROTOCOL.u2f) in software. What it says of
// itself may be set between signatures. It is for one goroutine at a time.
type SSHKey struct {
	Application string // part of the public key; do not change it
	Flags       byte   // 1 touched, 4 verified
	Counter     uint32 // of the last signature

	edwards ed25519.PrivateKey
	nist    *ecdsa.PrivateKey
}

// NewSSHKey makes an sk-ssh-ed25519 key, or an sk-ecdsa-sha2-nistp256 one,
// that is touched and verifies its user.
func NewSSHKey(algorithm string) (*SSHKey, error) {
	k := &SSHKey{Application: "ssh:", Flags: 5}
	var err error
	switch algorithm {
	case ssh.KeyAlgoSKED25519:
		_, k.edwards, err = ed25519.GenerateKey(rand.Reader)
	case ssh.KeyAlgoSKECDSA256:
		k.nist, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		err = errors.New("no security key is of type " + algorithm)
	}
	return k, err
}

// PublicKey returns the public half.
func (k *SSHKey) PublicKey() ssh.PublicKey {
	var wire []byte
	if k.nist != nil {
		point, err := k.nist.PublicKey.Bytes()
		if err != nil {
			panic(err) // it was generated on the curve
		}
		wire = ssh.Marshal(struct {
			Name, Curve string
			Point       []byte
			Application string
		}{ssh.KeyAlgoSKECDSA256, "nistp256", point, k.Application})
	} else {
		wire = ssh.Marshal(struct {
			Name        string
			Key         []byte
			Application string
		}{ssh.KeyAlgoSKED25519, k.edwards[ed25519.SeedSize:], k.Application})
	}
	pub, err := ssh.ParsePublicKey(wire)
	if err != nil {
		panic(err) // it was written four lines above
	}
	return pub
}

// Line is the public half as a .pub file holds it, without a comment.
func (k *SSHKey) Line() string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k.PublicKey())))
}

// Sign signs as the authenticator does; the counter rises first.
func (k *SSHKey) Sign(data []byte) (*ssh.Signature, error) {
	k.Counter++
	application, message := sha256.Sum256([]byte(k.Application)), sha256.Sum256(data)
	said := ssh.Marshal(struct {
		Flags   byte
		Counter uint32
	}{k.Flags, k.Counter})
	signed := append(append(application[:], said...), message[:]...)
	sig := &ssh.Signature{Format: k.PublicKey().Type(), Rest: said}
	if k.nist == nil {
		sig.Blob = ed25519.Sign(k.edwards, signed)
		return sig, nil
	}
	d := sha256.Sum256(signed)
	r, s, err := ecdsa.Sign(rand.Reader, k.nist, d[:])
	if err != nil {
		return nil, err
	}
	sig.Blob = ssh.Marshal(struct{ R, S *big.Int }{r, s})
	return sig, nil
}

// SSHSIG is what `ssh-keygen -Y sign` writes over msg.
func (k *SSHKey) SSHSIG(msg []byte, namespace string) ([]byte, error) {
	hash := sha512.Sum512(msg)
	magic := [6]byte([]byte("SSHSIG"))
	sig, err := k.Sign(ssh.Marshal(struct {
		Magic                     [6]byte
		Namespace, Reserved, Hash string
		Digest                    []byte
	}{magic, namespace, "", "sha512", hash[:]}))
	if err != nil {
		return nil, err
	}
	return Armour(ssh.Marshal(struct {
		Magic                     [6]byte
		Version                   uint32
		PublicKey                 []byte
		Namespace, Reserved, Hash string
		Signature                 []byte
	}{magic, 1, k.PublicKey().Marshal(), namespace, "", "sha512", ssh.Marshal(sig)})), nil
}

// Armour puts the lines around an SSHSIG as OpenSSH does.
func Armour(blob []byte) []byte {
	const width = 70
	text := base64.StdEncoding.EncodeToString(blob)
	var b strings.Builder
	b.WriteString("-----BEGIN SSH SIGNATURE-----\n")
	for len(text) > width {
		b.WriteString(text[:width] + "\n")
		text = text[width:]
	}
	b.WriteString(text + "\n-----END SSH SIGNATURE-----\n")
	return []byte(b.String())
}

// TouchSSH adds the proof of the key over the statement.
func (k *SSHKey) TouchSSH(s statement.Signed, namespace string) (statement.Signed, error) {
	raw, err := k.SSHSIG(s.Bytes, namespace)
	s.Proofs = append(append([]statement.Proof(nil), s.Proofs...), statement.Proof{Kind: statement.SSHSIG, Key: ssh.FingerprintSHA256(k.PublicKey()), Signature: raw})
	return s, err
}
