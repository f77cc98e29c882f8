package certs

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/netip"
	"time"
)

// MaxWeb is how long the web listener's certificate is valid; it is made anew
// at each start and, while the gateway runs, before half of its time is over.
const MaxWeb = 90 * 24 * time.Hour

// authorityUntil is when the internal web and client authorities end. They
// begin at a fixed day too, so that the authority that people imported once
// stays the same at every start.
var (
	authorityFrom  = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	authorityUntil = time.Date(2046, 1, 1, 0, 0, 0, 0, time.UTC)
)

// Web makes a certificate for the web listener under the gateway's internal
// authority, and returns that authority in PEM: what a closed network's
// browsers import once. It is an ECDSA P-256 authority, since browsers take no
// Ed25519 certificates; its key is derived from the vault's "web-ca" key.
// apps, where it is not empty, is the domain whose names the certificate is for
// as well, one label deep.
func (a *Authority) Web(host, apps string) (tls.Certificate, []byte, error) {
	caKey, err := derived(a.web, "web-ca", "portcullis web authority v1")
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Portcullis internal web authority"}, NotBefore: authorityFrom, NotAfter: authorityUntil,
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
		// A stolen key must not speak for the rest of the world.
		PermittedDNSDomainsCritical: true,
	}
	leaf := &x509.Certificate{
		SerialNumber: new(big.Int).SetUint64(serial()), Subject: pkix.Name{CommonName: host}, NotBefore: a.now().Add(-Leeway), NotAfter: a.now().Add(MaxWeb),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return tls.Certificate{}, nil, fmt.Errorf("web certificate: %q is an address; a host name is needed", host)
	}
	leaf.DNSNames, ca.PermittedDNSDomains = []string{host}, []string{host}
	if apps != "" {
		leaf.DNSNames, ca.PermittedDNSDomains = append(leaf.DNSNames, "*."+apps), append(ca.PermittedDNSDomains, apps)
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return tls.Certificate{}, nil, fmt.Errorf("make web authority: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, fmt.Errorf("make web key: %w", err)
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
	if err != nil {
		return tls.Certificate{}, nil, fmt.Errorf("make web certificate: %w", err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, nil, fmt.Errorf("read web certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der, caDER}, PrivateKey: key, Leaf: made}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER}), nil
}

// derived is the P-256 key of an authority whose seed rests in the vault under
// the name; use keeps authorities of one seed apart.
func derived(seed ed25519.PrivateKey, name, use string) (*ecdsa.PrivateKey, error) {
	raw, err := hkdf.Key(sha256.New, seed.Seed(), nil, use, 32)
	if err != nil {
		return nil, fmt.Errorf("derive authority %q: %w", name, err)
	}
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), raw)
	if err != nil { // one seed in 2^32 is no scalar of the curve
		return nil, fmt.Errorf("derive authority: %w; remove the key file %q so that another is made", err, name)
	}
	return key, nil
}
