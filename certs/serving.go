package certs

import (
	"crypto/tls"
	"crypto/x509"
	"time"
)

const (
	// ReloadEvery is how often files are looked at, at most.
	ReloadEvery = time.Second

	// ExpiryWarning is how long before its end a served certificate is
	// complained about.
	ExpiryWarning = 30 * 24 * time.Hour
)

// Serving has the certificates of a TLS listener, whatever brings them.
type Serving interface {
	// Config is for one listener; the certificate is chosen at each handshake.
	Config() *tls.Config
	// Soonest is the served certificate that ends first; false: none is known
	// yet.
	Soonest() (Served, bool)
}

// Served is one certificate of a listener.
type Served struct {
	Names []string
	Until time.Time
}

// Covers reports whether clients that ask for the name take the certificate.
func (s Served) Covers(name string) bool {
	return (&x509.Certificate{DNSNames: s.Names}).VerifyHostname(name) == nil
}

func servedOf(c *tls.Certificate) Served {
	return Served{Names: c.Leaf.DNSNames, Until: c.Leaf.NotAfter}
}

// listening is what every listener of ours speaks: TLS 1.3, HTTP/2 or 1.1.
func listening(get func(*tls.ClientHelloInfo) (*tls.Certificate, error)) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{"h2", "http/1.1"}, GetCertificate: get}
}
