package certs

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
)

// sourceAddress is the one critical option that a login certificate may carry
// (PROTOCOL.certkeys); its value is a list of networks.
const sourceAddress = "source-address"

// LoginCA is the authority of engineers' login certificates. It is another
// than UserCA: what says who somebody is to the gateway opens no target, and
// what opens a target says nothing to the gateway.
func (a *Authority) LoginCA() ssh.PublicKey { return a.login.PublicKey() }

// Login signs the certificate that c describes. Whether c may be issued is
// for the caller, who holds the signed statement that c names.
func (a *Authority) Login(c gateway.SSHCertificate) (*ssh.Certificate, error) {
	cert, err := loginTerms(c)
	if err != nil {
		return nil, err
	}
	cert.Serial = serial()
	if err := cert.SignCert(rand.Reader, a.login); err != nil {
		return nil, fmt.Errorf("sign login certificate: %w", err)
	}
	return cert, nil
}

// CheckLogin reports whether cert was signed by the login authority and says
// what c says, no word more and none less: another principal, a longer life, a
// critical option that c does not explain, or any extension (no-touch-required
// would waive presence) is refused. It does not look at the clock.
func (a *Authority) CheckLogin(cert *ssh.Certificate, c gateway.SSHCertificate) error {
	want, err := loginTerms(c)
	switch {
	case err != nil:
		return err
	case cert.SignatureKey == nil || cert.Key == nil || !bytes.Equal(cert.SignatureKey.Marshal(), a.LoginCA().Marshal()):
		return errors.New("the certificate is signed by another authority")
	case cert.CertType != want.CertType || cert.KeyId != want.KeyId || !bytes.Equal(cert.Key.Marshal(), want.Key.Marshal()),
		!slices.Equal(cert.ValidPrincipals, want.ValidPrincipals), cert.ValidAfter != want.ValidAfter, cert.ValidBefore != want.ValidBefore,
		!maps.Equal(cert.CriticalOptions, want.CriticalOptions), len(cert.Extensions) > 0, len(cert.Reserved) > 0:
		return errors.New("the certificate says something else than what was signed for")
	}
	checker := ssh.CertChecker{SupportedCriticalOptions: []string{sourceAddress}, Clock: func() time.Time { return c.From }}
	if err := checker.CheckCert(c.Person, cert); err != nil {
		return fmt.Errorf("check login certificate: %w", err)
	}
	return nil
}

// loginTerms is the certificate for c but for serial, nonce and signature.
func loginTerms(c gateway.SSHCertificate) (*ssh.Certificate, error) {
	if err := gateway.CheckName("person", c.Person); err != nil {
		return nil, err // an empty principal would be good for everybody
	}
	if c.Statement.IsZero() || !c.To.After(c.From) {
		return nil, errors.New("a login certificate needs a statement and a time to be valid in")
	}
	key, _, _, rest, err := ssh.ParseAuthorizedKey([]byte(c.Key))
	if err != nil || len(rest) > 0 {
		return nil, errors.New("the key to certify does not read")
	}
	if _, nested := key.(*ssh.Certificate); nested {
		return nil, errors.New("the key to certify is a certificate")
	}
	cert := &ssh.Certificate{
		Key: key, CertType: ssh.UserCert, KeyId: c.KeyID(), ValidPrincipals: []string{c.Person},
		ValidAfter: unix(c.From.Add(-Leeway)), ValidBefore: unix(c.To), // whole seconds, the begun one left out
	}
	if len(c.Networks) > 0 {
		var list []string
		for _, n := range c.Networks {
			list = append(list, n.String())
		}
		cert.CriticalOptions = map[string]string{sourceAddress: strings.Join(list, ",")}
	}
	return cert, nil
}
