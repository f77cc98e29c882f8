package sshproxy_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
)

// certify gives ana a certificate and has identity know it as hers.
func (w *world) certify(change func(*ssh.Certificate)) *ssh.Certificate {
	w.t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	ca, err := ssh.NewSignerFromKey(private)
	if err != nil {
		w.t.Fatal(err)
	}
	cert := &ssh.Certificate{Key: w.user.PublicKey(), CertType: ssh.UserCert, ValidPrincipals: []string{"ana"}, ValidBefore: uint64(time.Now().Add(time.Hour).Unix())}
	if change != nil {
		change(cert)
	}
	if err := cert.SignCert(rand.Reader, ca); err != nil {
		w.t.Fatal(err)
	}
	if w.user, err = ssh.NewCertSigner(cert, w.user); err != nil {
		w.t.Fatal(err)
	}
	return cert
}

// try offers one signer to the gateway.
func (w *world) try(s ssh.Signer) (banner string, err error) {
	w.t.Helper()
	c, err := ssh.Dial("tcp", w.addr, &ssh.ClientConfig{
		User: "root+pump-7", Auth: []ssh.AuthMethod{ssh.PublicKeys(s)}, HostKeyCallback: ssh.FixedHostKey(w.host), Timeout: patience,
		BannerCallback: func(m string) error { banner += m; return nil },
	})
	if err == nil {
		w.t.Cleanup(func() { _ = c.Close() })
	}
	return banner, err
}

// stolen shows a certificate without its key.
type stolen struct {
	cert *ssh.Certificate
	own  ssh.Signer
}

func (s stolen) PublicKey() ssh.PublicKey { return s.cert }

func (s stolen) Sign(r io.Reader, data []byte) (*ssh.Signature, error) { return s.own.Sign(r, data) }

// V-01: a certificate without its key says nobody.
func TestCertificateFileWithoutItsKey(t *testing.T) {
	w := newWorld(t)
	cert := w.certify(nil)
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	own, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	if banner, err := w.try(stolen{cert, own}); err == nil || banner != "" {
		t.Errorf("let in or told something: %v, %q", err, banner)
	}
	select {
	case wt := <-w.id.waiting:
		t.Errorf("put up for a touch: %+v", wt.Waiting)
	default:
	}
}

// A certificate is held to its source-address, and to no other critical option.
func TestCertificateIsHeldToItsNetworks(t *testing.T) {
	for _, tc := range []struct {
		name    string
		options map[string]string
		says    string // empty: let in
	}{
		{"none", nil, ""},
		{"this network", map[string]string{"source-address": "192.0.2.0/24,127.0.0.0/8"}, ""},
		{"another network", map[string]string{"source-address": "192.0.2.0/24"}, "not good from"},
		{"no network", map[string]string{"source-address": ""}, "not good from"},
		{"an option that nobody knows", map[string]string{"verify-required": ""}, "not understood"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.sshd()
			cert := w.certify(func(c *ssh.Certificate) { c.CriticalOptions = tc.options })
			banner, err := w.try(w.user)
			if tc.says == "" {
				if err != nil {
					t.Fatalf("%v, %q", err, banner)
				}
				return
			}
			if err == nil || !strings.Contains(banner, tc.says) {
				t.Errorf("%v, %q; want it refused as %q", err, banner, tc.says)
			}
			if !bytes.Equal(cert.Marshal(), w.user.PublicKey().Marshal()) {
				t.Error("another certificate was shown")
			}
		})
	}
}

// a session that began with a certificate ends when the certificate does,
// and says why; one that began with a key goes on.
func TestSessionEndsWithItsCertificate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.sshd()
	w.mustClient()
	byKey := w.lastLive()
	until := time.Now().Add(2 * time.Second).Truncate(time.Second).Add(time.Second)
	w.certify(func(c *ssh.Certificate) { c.ValidBefore = uint64(until.Unix()) })
	w.mustClient()
	l := w.lastLive()
	e := w.done(l)
	if e.Reason != gateway.EndWindow || !strings.Contains(e.Detail, "certificate") {
		t.Errorf("the session ended as %v", e)
	}
	if late := time.Since(until); late < 0 || late > time.Second {
		t.Errorf("it ended %s after its certificate", late)
	}
	if byKey.Context().Err() != nil {
		t.Error("a session that began with a key ended too")
	}
}
