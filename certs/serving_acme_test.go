package certs_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/portcullis/portcullis/certs"
)

// TestACME has certificates from a real ACME server: one for each name that is
// ours, at its first handshake, and none for a stranger's.
func TestACME(t *testing.T) {
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	authority := startPebble(t, dir, l.Addr().(*net.TCPAddr).Port)
	folder := filepath.Join(dir, "acme")
	config := certs.ACME{Directory: authority.url + "/dir", Email: "ops@example.org", Roots: authority.ca, Folder: folder, Names: func(_ context.Context, name string) error {
		if name == "gate.example" || name == "hmi-1.apps.example" {
			return nil
		}
		return errors.New("no console of that name")
	}}
	s, err := certs.ServeACME(config)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, l, s.Config())
	issuer := authority.issuer(t)
	for _, name := range []string{"gate.example", "hmi-1.apps.example"} {
		c, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{ServerName: name, RootCAs: issuer})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		c.Close()
	}
	if c, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{ServerName: "evil.example", RootCAs: issuer}); err == nil {
		c.Close()
		t.Error("a certificate was had for a name that is not ours")
	}
	if v, ok := s.Soonest(); !ok || time.Until(v.Until) < certs.ExpiryWarning {
		t.Errorf("the first to end is %+v", v)
	}
	info, err := os.Stat(folder)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder of keys: %v, %v", info.Mode(), err)
	}
}

// serve answers handshakes until the test ends.
func serve(t *testing.T, l net.Listener, c *tls.Config) {
	srv := &http.Server{Handler: http.NotFoundHandler(), TLSConfig: c, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.ServeTLS(l, "", "") }()
	t.Cleanup(func() { srv.Close(); <-done })
}

// pebble is an ACME server for tests.
type pebble struct {
	url, management string
	ca              string // file of the authority of its own TLS
}

// startPebble starts one that looks at names on our port.
func startPebble(t *testing.T, dir string, port int) pebble {
	t.Helper()
	own, _ := pair(t, dir, time.Now().Add(48*time.Hour), "localhost")
	addr, management := freePort(t), freePort(t)
	raw, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": addr, "managementListenAddress": management, "certificate": own.Certificate, "privateKey": own.Key, "httpPort": 1, "tlsPort": port,
	}})
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "pebble.json")
	if err := os.WriteFile(config, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "pebble", "-config", config, "-dnsserver", nameServer(t))
	cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0")
	if err := cmd.Start(); err != nil {
		t.Fatalf("start pebble (Debian's package pebble): %v", err)
	}
	t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	p := pebble{url: "https://localhost:" + portOf(addr), management: "https://localhost:" + portOf(management), ca: own.Certificate}
	client := trusting(t, own.Certificate)
	for end := time.Now().Add(10 * time.Second); ; {
		r, err := client.Get(p.url + "/dir")
		if err == nil {
			r.Body.Close()
			break
		}
		if time.Now().After(end) {
			t.Fatalf("pebble does not answer: %v", err)
		}
	}
	return p
}

func portOf(addr string) string { _, p, _ := net.SplitHostPort(addr); return p }

// issuer is what clients of its certificates trust.
func (p pebble) issuer(t *testing.T) *x509.CertPool {
	t.Helper()
	r, err := trusting(t, p.ca).Get(p.management + "/roots/0")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(raw) {
		t.Fatalf("pebble's root is %q", raw)
	}
	return pool
}

func trusting(t *testing.T, ca string) *http.Client {
	t.Helper()
	raw, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(raw)
	return &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// nameServer answers every question with this machine.
func nameServer(t *testing.T) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { c.Close(); <-done })
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			if out, err := loopbackFor(buf[:n]); err == nil {
				_, _ = c.WriteTo(out, from)
			}
		}
	}()
	return c.LocalAddr().String()
}

func loopbackFor(question []byte) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(question); err != nil {
		return nil, err
	}
	if len(m.Questions) != 1 {
		return nil, fmt.Errorf("%d questions", len(m.Questions))
	}
	m.Response, m.RecursionAvailable = true, true
	m.Additionals = nil
	if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 1}, Body: &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}},
		}}
	}
	return m.Pack()
}
