package redistest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TLS is a certificate for 127.0.0.1 and redis.test, and its authority.
type TLS struct {
	CAFile, certFile, keyFile string
	pool                      *x509.CertPool
}

// NewTLS makes an authority and a server's certificate.
func NewTLS(t testing.TB) *TLS {
	t.Helper()
	dir := t.TempDir()
	x := &TLS{CAFile: filepath.Join(dir, "ca.pem"), certFile: filepath.Join(dir, "cert.pem"), keyFile: filepath.Join(dir, "key.pem"), pool: x509.NewCertPool()}
	ca, caKey := certificate(t, nil, nil)
	leaf, leafKey := certificate(t, ca, caKey)
	x.pool.AddCert(ca)
	key, err := x509.MarshalPKCS8PrivateKey(leafKey)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{x.CAFile: {Type: "CERTIFICATE", Bytes: ca.Raw}, x.certFile: {Type: "CERTIFICATE", Bytes: leaf.Raw}, x.keyFile: {Type: "PRIVATE KEY", Bytes: key}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return x
}

func certificate(t testing.TB, ca *x509.Certificate, caKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "redis.test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"redis.test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ca == nil {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
		ca, caKey = c, key
	}
	raw, err := x509.CreateCertificate(rand.Reader, c, ca, key.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(raw); err != nil {
		t.Fatal(err)
	}
	return c, key
}

// WithTLS has the server speak TLS alone.
func WithTLS(x *TLS) Option { return func(s *Server) { s.tls = x } }

func (x *TLS) conf() []string {
	return []string{"tls-cert-file " + x.certFile, "tls-key-file " + x.keyFile, "tls-ca-cert-file " + x.CAFile, "tls-auth-clients no"}
}

func (x *TLS) client() *tls.Config {
	return &tls.Config{RootCAs: x.pool, MinVersion: tls.VersionTLS12}
}
