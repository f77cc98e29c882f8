package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/url"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// SessionURI begins the URI in the subject's alternative names of a client
// certificate; the session's identifier follows, so that the console's own log
// leads back to the recording.
const SessionURI = sessionScheme + ":session:"

const sessionScheme = "portcullis"

// ClientCA is what a console trusts for client certificates, in PEM: an ECDSA
// P-256 authority, since few consoles take Ed25519. Its key is derived from the
// vault's "https-client-ca" key, and its bytes are the same at every start.
func (a *Authority) ClientCA() ([]byte, error) {
	_, _, der, err := a.clientAuthority()
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

func (a *Authority) clientAuthority() (*x509.Certificate, *ecdsa.PrivateKey, []byte, error) {
	key, err := derived(a.client, "https-client-ca", "portcullis https client authority v1")
	if err != nil {
		return nil, nil, nil, err
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Portcullis client authority"}, NotBefore: authorityFrom, NotAfter: authorityUntil,
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, // a stolen key must not speak for a server
	}
	der, err := x509.CreateCertificate(nil, ca, ca, key.Public(), key) // without randomness: RFC 6979, the same each time
	if err != nil {
		return nil, nil, nil, fmt.Errorf("make client authority: %w", err)
	}
	return ca, key, der, nil
}

// Client makes a fresh key and a client certificate for it, of the login and
// for the session alone. It is valid from Leeway before from until to, and at
// most MaxUser.
func (a *Authority) Client(login, sessionID string, from, to time.Time) (Credential, error) {
	if err := gateway.CheckUser(login); err != nil {
		return Credential{}, err
	}
	if err := gateway.CheckID("ses", sessionID); err != nil {
		return Credential{}, err
	}
	if limit := from.Add(MaxUser); to.After(limit) {
		to = limit
	}
	if from.Before(authorityFrom) || !to.After(from) {
		return Credential{}, fmt.Errorf("client certificate from %s to %s has no time to be valid in", from, to)
	}
	ca, caKey, _, err := a.clientAuthority()
	if err != nil {
		return Credential{}, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Credential{}, fmt.Errorf("make client key: %w", err)
	}
	leaf := &x509.Certificate{
		SerialNumber: new(big.Int).SetUint64(serial()), Subject: pkix.Name{CommonName: login},
		NotBefore: from.Add(-Leeway), NotAfter: to.Add(time.Second - 1), // whole seconds, the last one included
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true,
		URIs: []*url.URL{{Scheme: sessionScheme, Opaque: "session:" + sessionID}},
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
	if err != nil {
		return Credential{}, fmt.Errorf("sign client certificate: %w", err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return Credential{}, fmt.Errorf("read client certificate: %w", err)
	}
	return Credential{Login: login, HTTP: &gateway.HTTPCredential{
		Proof: gateway.ProofCertificate, Login: login, Certificate: &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: parsed},
	}}, nil
}
