package statement

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
)

// SSHSIG is a proof by an SSH security key: the armoured file that
// `ssh-keygen -Y sign` writes over the statement's bytes, kept as it came, so
// that `ssh-keygen -Y verify` takes it too. Proof.Key is the key's
// fingerprint. The chain takes it under a session.open and an order alone.
const SSHSIG ProofKind = "sshsig"

// MaxSSHSIG bounds the armoured signature; one by a security key has about
// 500 bytes.
const MaxSSHSIG = 4 << 10

// Of PROTOCOL.sshsig and PROTOCOL.u2f (OpenSSH 9.2).
const (
	armourBegin   = "-----BEGIN SSH SIGNATURE-----\n"
	armourEnd     = "-----END SSH SIGNATURE-----"
	armourLine    = 76
	sshsigVersion = 1
	skPrefix      = "ssh:" // of the application: nothing that a browser's site could have a key sign for
	skPresent     = 0x01
	skVerified    = 0x04
)

var sshsigMagic = [6]byte{'S', 'S', 'H', 'S', 'I', 'G'}

// OpenNamespace is the SSHSIG namespace of session.open statements of the
// gateway at that host. No other program has signatures made for it.
func OpenNamespace(host string) string { return "portcullis-open@" + host }

// OrderNamespace is that of signed orders: what was signed to open is nothing
// to what closes, and the other way round.
func OrderNamespace(host string) string { return "portcullis-order@" + host }

// SecurityKey reports whether an SSH key lives in a FIDO2 authenticator, so
// that its signatures carry presence, verification and a counter.
func SecurityKey(key ssh.PublicKey) bool {
	return key.Type() == ssh.KeyAlgoSKED25519 || key.Type() == ssh.KeyAlgoSKECDSA256
}

// sshsig is the signature under its armour. Magic is the preamble, and the
// field names are PROTOCOL.sshsig's.
type sshsig struct {
	Magic     [6]byte
	Version   uint32
	PublicKey []byte
	Namespace string
	Reserved  string
	Hash      string
	Signature []byte
}

// skSignature is what a security key adds to an SSH signature.
type skSignature struct {
	Format  string
	Blob    []byte
	Flags   byte
	Counter uint32
}

// VerifySSHSIG reports whether p is a signature over s by the SSH security
// key, made for that namespace with user presence and user verification. As
// with VerifyWebAuthn the counter is returned, not judged.
func (s Signed) VerifySSHSIG(p Proof, key ssh.PublicKey, namespace string) (Touch, error) {
	if p.Kind != SSHSIG || p.Key != ssh.FingerprintSHA256(key) {
		return Touch{}, errors.New("the proof is not a signature by this SSH key")
	}
	application, err := application(key)
	if err != nil {
		return Touch{}, err
	}
	sig, sk, err := parseSSHSIG(p.Signature)
	if err != nil {
		return Touch{}, err
	}
	switch {
	case !strings.HasPrefix(application, skPrefix):
		return Touch{}, fmt.Errorf("the key was made for %s, not for SSH", gateway.Quote(application))
	case !bytes.Equal(sig.PublicKey, key.Marshal()) || sk.Format != key.Type():
		return Touch{}, errors.New("the signature is by another key than the one that began")
	case sig.Namespace != namespace:
		return Touch{}, fmt.Errorf("the signature was made for the namespace %s, not for %s", gateway.Quote(sig.Namespace), gateway.Quote(namespace))
	case sk.Flags&skPresent == 0:
		return Touch{}, errors.New("the key was not touched")
	case sk.Flags&skVerified == 0:
		return Touch{}, errors.New("the key did not verify its user: it needs its PIN or fingerprint, which a key made with `-O verify-required` asks for")
	case sk.Flags != skPresent|skVerified:
		return Touch{}, fmt.Errorf("the key says more of itself (flags %#02x) than an SSH security key does", sk.Flags)
	}
	hash, err := digest(sig.Hash, s.Bytes)
	if err != nil {
		return Touch{}, err
	}
	msg := ssh.Marshal(struct {
		Magic                     [6]byte
		Namespace, Reserved, Hash string
		Digest                    []byte
	}{sshsigMagic, sig.Namespace, sig.Reserved, sig.Hash, hash})
	rest := ssh.Marshal(struct {
		Flags   byte
		Counter uint32
	}{sk.Flags, sk.Counter})
	if err := key.Verify(msg, &ssh.Signature{Format: sk.Format, Blob: sk.Blob, Rest: rest}); err != nil {
		return Touch{}, errors.New("the signature is not by the enrolled key over this very statement")
	}
	return Touch{Counter: sk.Counter}, nil
}

// application is what a security key was made for: RP ID of the FIDO2
// credential, and part of the public key.
func application(key ssh.PublicKey) (string, error) {
	var err error
	switch key.Type() {
	case ssh.KeyAlgoSKED25519:
		var k struct {
			Name        string
			Key         []byte
			Application string
		}
		err = ssh.Unmarshal(key.Marshal(), &k)
		return k.Application, err
	case ssh.KeyAlgoSKECDSA256:
		var k struct {
			Name, Curve string
			Point       []byte
			Application string
		}
		err = ssh.Unmarshal(key.Marshal(), &k)
		return k.Application, err
	}
	return "", fmt.Errorf("a key of type %s is no security key: nobody can tell that it was touched", key.Type())
}

// digest is the hash that PROTOCOL.sshsig puts in the place of the message.
func digest(name string, msg []byte) ([]byte, error) {
	switch name {
	case "sha256":
		d := sha256.Sum256(msg)
		return d[:], nil
	case "sha512":
		d := sha512.Sum512(msg)
		return d[:], nil
	}
	return nil, fmt.Errorf("the signature uses the hash %s; sha256 and sha512 are taken", gateway.Quote(name))
}

// parseSSHSIG reads an armoured signature by a security key, to its last byte.
func parseSSHSIG(armoured []byte) (sshsig, skSignature, error) {
	var sig sshsig
	var sk skSignature
	raw, err := unarmour(armoured)
	if err != nil {
		return sig, sk, err
	}
	if err := ssh.Unmarshal(raw, &sig); err != nil {
		return sig, sk, errors.New("the signature is not in the SSHSIG format")
	}
	switch {
	case sig.Magic != sshsigMagic:
		return sig, sk, errors.New("the signature does not begin as an SSHSIG does")
	case sig.Version != sshsigVersion:
		return sig, sk, fmt.Errorf("the signature is of SSHSIG version %d; version %d is taken", sig.Version, sshsigVersion)
	case sig.Namespace == "":
		return sig, sk, errors.New("the signature names no namespace")
	case sig.Reserved != "":
		return sig, sk, errors.New("the signature fills in what SSHSIG reserves")
	}
	if err := ssh.Unmarshal(sig.Signature, &sk); err != nil {
		return sig, sk, errors.New("the signature is not one by a security key")
	}
	return sig, sk, nil
}

// unarmour takes the lines around the base64 off. It takes lines of one length
// (the last may be shorter), and no other byte than belongs there.
func unarmour(armoured []byte) ([]byte, error) {
	if len(armoured) > MaxSSHSIG {
		return nil, fmt.Errorf("the signature has %d bytes; at most %d are taken", len(armoured), MaxSSHSIG)
	}
	bad := errors.New("the signature is not the file that `ssh-keygen -Y sign` writes")
	text, begins := strings.CutPrefix(strings.TrimSuffix(string(armoured), "\n"), armourBegin)
	text, ends := strings.CutSuffix(text, "\n"+armourEnd)
	if !begins || !ends {
		return nil, bad
	}
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		last := i == len(lines)-1
		if l == "" || len(l) > armourLine || len(l) > len(lines[0]) || !last && len(l) != len(lines[0]) || strings.Contains(l, "\r") {
			return nil, bad
		}
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(strings.Join(lines, ""))
	if err != nil {
		return nil, bad
	}
	return raw, nil
}
