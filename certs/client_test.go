package certs_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/certs"
	"github.com/portcullis/portcullis/gateway"
)

const session = "ses_06fzt8v8r4000000000000000g"

// A console that trusts the published authority takes the certificate of the
// session, by a real handshake, and sees who and which session it is.
func TestClientCertificateIsTakenByAConsole(t *testing.T) {
	a, dir := open(t)
	ca, err := a.ClientCA()
	must(t, err)
	again, err := certs.Open(dir)
	must(t, err)
	if same, err := again.ClientCA(); err != nil || !bytes.Equal(ca, same) {
		t.Fatalf("the authority that consoles trust changes with a restart: %v", err)
	}
	from := time.Now()
	c, err := a.Client("svc@plant", session, from, from.Add(time.Hour))
	must(t, err)
	leaf := c.HTTP.Certificate.Leaf
	if leaf.Subject.CommonName != "svc@plant" || len(leaf.URIs) != 1 || leaf.URIs[0].String() != certs.SessionURI+session {
		t.Errorf("subject %s, URIs %v", leaf.Subject, leaf.URIs)
	}
	if leaf.NotAfter.After(from.Add(time.Hour+time.Second)) || leaf.NotBefore.Before(from.Add(-certs.Leeway-time.Second)) {
		t.Errorf("valid from %s to %s", leaf.NotBefore, leaf.NotAfter)
	}
	web, authority, err := a.Web("console.example", "")
	must(t, err)
	if err := handshake(t, ca, authority, web, *c.HTTP.Certificate); err != nil {
		t.Errorf("the console refuses it: %v", err)
	}
	other, err := certs.Open(filepath.Join(t.TempDir(), "keys"))
	must(t, err)
	foreign, err := other.Client("svc@plant", session, from, from.Add(time.Hour))
	must(t, err)
	if handshake(t, ca, authority, web, *foreign.HTTP.Certificate) == nil {
		t.Error("the console takes another gateway's certificate")
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}); err == nil {
		t.Error("the certificate is good for a server")
	}
}

func TestClientCertificateRefusals(t *testing.T) {
	a, _ := open(t)
	for name, c := range map[string]struct {
		login, id string
		from, to  time.Time
	}{
		"nobody":        {"", session, noon, noon.Add(time.Hour)},
		"two in one":    {"a:b", session, noon, noon.Add(time.Hour)},
		"line break":    {"a\nb", session, noon, noon.Add(time.Hour)},
		"no session":    {"op", "", noon, noon.Add(time.Hour)},
		"other session": {"op", "grt_1", noon, noon.Add(time.Hour)},
		"no time":       {"op", session, noon, noon},
		"zero times":    {"op", session, time.Time{}, time.Time{}},
	} {
		if _, err := a.Client(c.login, c.id, c.from, c.to); err == nil {
			t.Errorf("%s: a certificate was made", name)
		}
	}
	long, err := a.Client("op", session, noon, noon.Add(1000*time.Hour))
	must(t, err)
	if got := long.HTTP.Certificate.Leaf.NotAfter; got.After(noon.Add(certs.MaxUser + time.Second)) {
		t.Errorf("valid to %s, want at most %s", got, certs.MaxUser)
	}
}

// What a console's account is proven by is read from its file, and nothing of
// it is printed.
func TestHeldForConsoles(t *testing.T) {
	dir := t.TempDir()
	write := func(text string, mode os.FileMode) string {
		path := filepath.Join(dir, fmt.Sprint(time.Now().UnixNano()))
		must(t, os.WriteFile(path, []byte(text), 0o600))
		must(t, os.Chmod(path, mode))
		return path
	}
	a, _ := open(t)
	web, _, err := a.Web("console.example", "")
	must(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(web.PrivateKey)
	must(t, err)
	pair := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate[0]})) + string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	for name, c := range map[string]struct {
		account gateway.Account
		secret  string // "" refused
	}{
		"password":            {gateway.Account{Login: "svc@plant", Proof: gateway.ProofPassword, SecretFile: write("hunter2 ü\r\n", 0o600)}, "hunter2 ü"},
		"header":              {gateway.Account{Proof: gateway.ProofHeader, SecretFile: write("Token hunter2\n", 0o600)}, "Token hunter2"},
		"bearer":              {gateway.Account{Proof: gateway.ProofBearer, SecretFile: write("hunter2", 0o600)}, "hunter2"},
		"oauth2":              {gateway.Account{Login: "id", Proof: gateway.ProofOAuth2, SecretFile: write("hunter2", 0o600)}, "hunter2"},
		"form":                {gateway.Account{Login: "svc", Proof: gateway.ProofForm, SecretFile: write("hunter2", 0o600)}, "hunter2"},
		"key":                 {gateway.Account{Proof: gateway.ProofKey, SecretFile: write(pair, 0o600)}, "certificate"},
		"none":                {gateway.Account{Proof: gateway.ProofNone}, "nothing"},
		"open to others":      {gateway.Account{Proof: gateway.ProofBearer, SecretFile: write("hunter2", 0o640)}, ""},
		"header with a break": {gateway.Account{Proof: gateway.ProofHeader, SecretFile: write("hunter2\r\nX: y", 0o600)}, ""},
		"header not ASCII":    {gateway.Account{Proof: gateway.ProofHeader, SecretFile: write("hunter2ü", 0o600)}, ""},
		"bearer with a tab":   {gateway.Account{Proof: gateway.ProofBearer, SecretFile: write("hunter2\t", 0o600)}, ""},
		"too long":            {gateway.Account{Proof: gateway.ProofBearer, SecretFile: write("hunter2"+strings.Repeat("a", 5000), 0o600)}, ""},
		"key alone":           {gateway.Account{Proof: gateway.ProofKey, SecretFile: write(pair[strings.Index(pair, "-----BEGIN PRIV"):]+"hunter2", 0o600)}, ""},
		"by certificate":      {gateway.Account{Proof: gateway.ProofCertificate, SecretFile: write("hunter2", 0o600)}, ""},
	} {
		got, err := certs.Held(gateway.KindHTTPS, c.account)
		switch {
		case c.secret == "":
			if err == nil || strings.Contains(err.Error(), "hunter2") || strings.Contains(gateway.AsError(err).Sentence(), dir) {
				t.Errorf("%s: error %v", name, err)
			}
			continue
		case err != nil:
			t.Errorf("%s: %v", name, err)
			continue
		case c.secret == "certificate":
			if got.HTTP.Certificate == nil || got.HTTP.Certificate.Leaf == nil || got.HTTP.Secret != "" {
				t.Errorf("%s: %+v", name, got.HTTP)
			}
		case c.secret == "nothing":
			if *got.HTTP != (gateway.HTTPCredential{Proof: gateway.ProofNone}) {
				t.Errorf("%s: holds something", name)
			}
		case got.HTTP.Secret != c.secret || got.HTTP.Login != c.account.Login || got.Auth != nil:
			t.Errorf("%s: secret %q, login %q", name, got.HTTP.Secret, got.HTTP.Login)
		}
		raw, err := json.Marshal(got.HTTP)
		must(t, err)
		if printed := fmt.Sprintf("%v %+v %#v %s %q %s", got.HTTP, *got.HTTP, *got.HTTP, got.HTTP, got.HTTP, raw); strings.Contains(printed, "hunter2") {
			t.Errorf("%s: printed as %s", name, printed)
		}
	}
}

// handshake runs one over a pipe: the server asks for a client certificate.
func handshake(t *testing.T, ca, authority []byte, web, client tls.Certificate) error {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	near, far := net.Pipe()
	defer func() { _, _ = near.Close(), far.Close() }()
	done := make(chan error, 1)
	go func() {
		done <- tls.Server(far, &tls.Config{Certificates: []tls.Certificate{web}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}).HandshakeContext(t.Context())
	}()
	conn := tls.Client(near, &tls.Config{RootCAs: roots, ServerName: "console.example", GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &client, nil }}) // whom it trusts is not what is tested
	if err := conn.HandshakeContext(t.Context()); err != nil {
		return err
	}
	go func() { _, _ = conn.Read(make([]byte, 1)) }() // takes the server's tickets or its alert
	return <-done
}
