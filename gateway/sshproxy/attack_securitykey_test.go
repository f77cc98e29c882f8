package sshproxy_test

import (
	"crypto/rand"
	"fmt"
	"io"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway/identity/softkey"
)

// token makes a signer of a security key.
type token struct{ key *softkey.SSHKey }

func (s token) PublicKey() ssh.PublicKey { return s.key.PublicKey() }

func (s token) Sign(_ io.Reader, data []byte) (*ssh.Signature, error) { return s.key.Sign(data) }

// V-28: in the handshake a security key that nobody touched says nobody, of
// either kind. A certificate that waives the touch is not taken at all: the
// library itself would act upon it.
func TestSecurityKeyIsTouched(t *testing.T) {
	const present, verified = 1, 4
	for _, algorithm := range []string{ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256} {
		for _, waived := range []bool{false, true} {
			for flags, ok := range map[byte]bool{0: false, verified: false, present: true, present | verified: true} {
				t.Run(fmt.Sprintf("%s, flags %d, waived %t", algorithm, flags, waived), func(t *testing.T) {
					w := newWorld(t)
					w.fake(signer(t), exits(0))
					key, err := softkey.NewSSHKey(algorithm)
					if err != nil {
						t.Fatal(err)
					}
					key.Flags = flags
					w.user = token{key}
					if waived {
						cert := &ssh.Certificate{Key: key.PublicKey(), CertType: ssh.UserCert, ValidPrincipals: []string{"ana"}, ValidBefore: uint64(time.Now().Add(time.Hour).Unix())}
						cert.Extensions = map[string]string{"no-touch-required": ""}
						if err := cert.SignCert(rand.Reader, signer(t)); err != nil {
							t.Fatal(err)
						}
						if w.user, err = ssh.NewCertSigner(cert, w.user); err != nil {
							t.Fatal(err)
						}
					}
					ok := ok && !waived
					if _, err := w.try(w.user); (err == nil) != ok {
						t.Errorf("let in: %v", err)
					}
					if !ok && len(w.opened) != 0 {
						t.Error("a session was opened")
					}
				})
			}
		}
	}
}

// V-01: a certificate whose signing key is itself a certificate is none on the
// wire, whoever signed that one: nothing is looked up for it.
func TestNestedCertificate(t *testing.T) {
	w := newWorld(t)
	w.fake(signer(t), exits(0))
	plain, ca := w.user, signer(t)
	outer := &ssh.Certificate{Key: ca.PublicKey(), CertType: ssh.UserCert, ValidPrincipals: []string{"ana"}, ValidBefore: ssh.CertTimeInfinity}
	if err := outer.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	inner := &ssh.Certificate{Nonce: make([]byte, 32), Key: plain.PublicKey(), CertType: ssh.UserCert, ValidPrincipals: []string{"ana"}, ValidBefore: ssh.CertTimeInfinity, SignatureKey: outer}
	signed := inner.Marshal()
	sig, err := ca.Sign(rand.Reader, signed[:len(signed)-4]) // all but the empty signature
	if err != nil {
		t.Fatal(err)
	}
	inner.Signature = sig
	if _, err := ssh.ParsePublicKey(inner.Marshal()); err == nil {
		t.Error("it was read")
	}
	w.user = forger{pub: inner, Signer: plain} // identity takes it for ana's, if it is asked
	if banner, err := w.try(w.user); err == nil || banner != "" {
		t.Errorf("%v, %q", err, banner)
	}
	if len(w.opened) != 0 {
		t.Error("a session was opened")
	}
}
