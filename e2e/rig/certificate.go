package rig

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
)

// Certificate is a self-signed server certificate: its PEM files, and its key's
// pin as a target's definition has it.
type Certificate struct{ Cert, Key, Pin string }

// NewCertificate writes one for names into dir.
func NewCertificate(dir string, names ...string) (Certificate, error) {
	c := Certificate{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	pair, pin, err := selfSigned(names...)
	if err != nil {
		return c, err
	}
	c.Pin = pin
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		return c, err
	}
	if err := os.WriteFile(c.Cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}), 0o600); err != nil {
		return c, err
	}
	return c, os.WriteFile(c.Key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}

// Roots are what a client believes it by.
func (c Certificate) Roots() (*x509.CertPool, error) {
	raw, err := os.ReadFile(c.Cert)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(raw) {
		return nil, fmt.Errorf("%s holds no certificate", c.Cert)
	}
	return roots, nil
}
