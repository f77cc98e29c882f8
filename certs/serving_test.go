package certs_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/certs"
)

// pair writes a self-signed certificate and its key, and returns what a client
// is to trust.
func pair(t *testing.T, dir string, until time.Time, names ...string) (certs.Pair, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names, NotBefore: until.Add(-90 * 24 * time.Hour), NotAfter: until,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, x, x, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	p := certs.Pair{Certificate: filepath.Join(dir, names[0]+".pem"), Key: filepath.Join(dir, names[0]+".key")}
	for path, raw := range map[string][]byte{p.Certificate: certPEM, p.Key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})} {
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	return p, pool
}

// greet makes a handshake over a socket, and says what the client thought of it.
func greet(t *testing.T, s certs.Serving, name string, roots *x509.CertPool) (*x509.Certificate, error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	served := make(chan struct{})
	go func() {
		defer close(served)
		c, err := l.Accept()
		if err == nil {
			_ = tls.Server(c, s.Config()).HandshakeContext(t.Context())
			c.Close()
		}
	}()
	defer func() { l.Close(); <-served }()
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", l.Addr().String(), &tls.Config{ServerName: name, RootCAs: roots})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0], nil
}

// a certificate that was renewed on disk is served without a restart; half a
// renewal is not.
func TestFilesAreTakenWithoutARestart(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	soon, later := now.Add(20*24*time.Hour).Truncate(time.Second), now.Add(80*24*time.Hour).Truncate(time.Second)
	gate, _ := pair(t, dir, later, "gate.example")
	apps, old := pair(t, dir, soon, "*.apps.example")
	var said bytes.Buffer
	s, err := certs.ServeFiles([]certs.Pair{gate, apps}, func() time.Time { return now }, slog.New(slog.NewTextHandler(&said, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if c, err := greet(t, s, "hmi-1.apps.example", old); err != nil || !c.NotAfter.Equal(soon.UTC()) {
		t.Fatalf("a console's name: %v", err)
	}
	if v, ok := s.Soonest(); !ok || !v.Until.Equal(soon) || !v.Covers("hmi-1.apps.example") || v.Covers("gate.example") || v.Covers("a.b.apps.example") {
		t.Errorf("the first to end is %+v", v)
	}

	if err := os.WriteFile(apps.Certificate, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	now = now.Add(certs.ReloadEvery)
	if _, err := greet(t, s, "hmi-1.apps.example", old); err != nil {
		t.Errorf("in the middle of a renewal: %v", err)
	}
	if !strings.Contains(said.String(), "served on") {
		t.Errorf("nobody was told: %s", said.String())
	}

	_, renewed := pair(t, dir, later, "*.apps.example")
	now = now.Add(certs.ReloadEvery)
	if c, err := greet(t, s, "hmi-1.apps.example", renewed); err != nil || !c.NotAfter.Equal(later.UTC()) {
		t.Errorf("after the renewal: %v", err)
	}
	if v, _ := s.Soonest(); !v.Until.Equal(later) {
		t.Errorf("the first to end is %+v", v)
	}
}

func TestFilesThatEndedAreRefused(t *testing.T) {
	dir := t.TempDir()
	p, _ := pair(t, dir, time.Now().Add(-time.Hour), "gate.example")
	for name, pairs := range map[string][]certs.Pair{"ended": {p}, "missing": {{Certificate: dir + "/no", Key: p.Key}}, "none": nil} {
		if _, err := certs.ServeFiles(pairs, time.Now, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%s: was taken", name)
		}
	}
}

// The internal authority's certificate is for the gateway and its consoles, and
// is made anew before it ends.
func TestInternalCertificateIsRenewed(t *testing.T) {
	a, err := certs.Open(t.TempDir() + "/keys")
	if err != nil {
		t.Fatal(err)
	}
	s, authority, err := a.ServeInternal("gate.example", "apps.example")
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	first, err := greet(t, s, "gate.example", roots)
	if err != nil {
		t.Fatal(err)
	}
	same, err := greet(t, s, "hmi-1.apps.example", roots)
	if err != nil || same.SerialNumber.Cmp(first.SerialNumber) != 0 {
		t.Errorf("a console's name: %v", err)
	}
	if _, err := greet(t, s, "evil.example", roots); err == nil {
		t.Error("the certificate is good for another host")
	}
	a.SetNow(func() time.Time { return time.Now().Add(certs.MaxWeb - certs.ExpiryWarning + time.Hour) })
	if v, ok := s.Soonest(); !ok || !v.Until.After(first.NotAfter) {
		t.Errorf("a month before its end the certificate is still %+v", v)
	}
}
