package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

const (
	// acmeRenew leaves a month and more between the first try to renew and the
	// warning, and of a certificate for 90 days two months of use.
	acmeRenew   = ExpiryWarning + 5*24*time.Hour
	acmeTimeout = time.Minute
	maxServed   = 4096 // names remembered for Soonest
)

// ACME is where certificates are asked for (RFC 8555).
type ACME struct {
	Directory string // URL of the authority's directory; Let's Encrypt's by default
	Email     string // whom the authority writes to; may be empty
	Roots     string // PEM file of authorities for the directory's own TLS; the system's by default
	Folder    string // where account and certificates rest, mode 0700
	// Names says whether a certificate may be asked for: the gateway's own host
	// and the consoles that there are. Strangers name whatever they like in SNI,
	// and every order counts against the authority's limits.
	Names func(ctx context.Context, name string) error
}

// ACMEServing serves certificates that an authority gave over ACME, each asked
// for at the first handshake that needs it, proven over the listener itself
// (tls-alpn-01, RFC 8737), and renewed in time.
type ACMEServing struct {
	manager *autocert.Manager

	mu     sync.Mutex
	served map[string]Served
}

// ServeACME asks for nothing yet.
func ServeACME(c ACME) (*ACMEServing, error) {
	if err := os.MkdirAll(c.Folder, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of certificates: %w", err)
	}
	client := &acme.Client{DirectoryURL: c.Directory, UserAgent: "portcullis", HTTPClient: &http.Client{Timeout: acmeTimeout}}
	if c.Directory == "" {
		client.DirectoryURL = autocert.DefaultACMEDirectory
	}
	if c.Roots != "" {
		raw, err := os.ReadFile(c.Roots)
		if err != nil {
			return nil, fmt.Errorf("authorities of the ACME directory: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(raw) {
			return nil, fmt.Errorf("authorities of the ACME directory: %q holds no PEM certificate", c.Roots)
		}
		client.HTTPClient.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}
	}
	return &ACMEServing{served: map[string]Served{}, manager: &autocert.Manager{
		Prompt: autocert.AcceptTOS, Cache: autocert.DirCache(filepath.Clean(c.Folder)), HostPolicy: c.Names, Email: c.Email, RenewBefore: acmeRenew, Client: client,
	}}, nil
}

// Config implements Serving.
func (s *ACMEServing) Config() *tls.Config {
	c := listening(s.get)
	c.NextProtos = append(c.NextProtos, acme.ALPNProto)
	return c
}

func (s *ACMEServing) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if hello.ServerName == "" {
		return nil, errors.New("the client asked for no name, and a certificate is had for names alone")
	}
	c, err := s.manager.GetCertificate(hello)
	if err != nil || c.Leaf == nil || isChallenge(hello) {
		return c, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.served) < maxServed || !s.served[hello.ServerName].Until.IsZero() {
		s.served[hello.ServerName] = servedOf(c)
	}
	return c, nil
}

// isChallenge reports whether the authority is looking (RFC 8737 clause 3).
func isChallenge(hello *tls.ClientHelloInfo) bool {
	return len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == acme.ALPNProto
}

// Soonest implements Serving, of what was asked for since the start.
func (s *ACMEServing) Soonest() (Served, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var first Served
	for _, v := range s.served {
		if first.Until.IsZero() || v.Until.Before(first.Until) {
			first = v
		}
	}
	return first, !first.Until.IsZero()
}
