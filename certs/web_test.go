package certs

import (
	"bytes"
	"crypto/x509"
	"testing"
)

func TestWebCertificateHoldsForItsHostAlone(t *testing.T) {
	dir := t.TempDir() + "/keys"
	a, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	cert, pem, err := a.Web("gate.example", "apps.example")
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		t.Fatal("the authority is not PEM")
	}
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "gate.example"}); err != nil {
		t.Errorf("for its own host: %v", err)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "hmi-1.apps.example"}); err != nil {
		t.Errorf("for a console: %v", err)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "evil.example"}); err == nil {
		t.Error("the certificate is good for another host")
	}
	again, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	second, _, err := again.Web("gate.example", "apps.example")
	if err != nil {
		t.Fatal(err)
	}
	later, err := x509.ParseCertificate(second.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := later.Verify(x509.VerifyOptions{Roots: roots, DNSName: "gate.example"}); err != nil {
		t.Errorf("after a restart the imported authority does not hold any more: %v", err)
	}
	if bytes.Equal(cert.Certificate[0], second.Certificate[0]) {
		t.Error("the certificate was not made anew")
	}
	if _, _, err := a.Web("10.0.0.7", ""); err == nil {
		t.Error("a certificate for an address was made")
	}
}
