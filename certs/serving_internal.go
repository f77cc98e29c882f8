package certs

import (
	"crypto/tls"
	"fmt"
	"sync"
)

// InternalServing serves certificates of the internal authority, and makes the
// next one in time: a closed plant's gateway runs for years without a restart.
type InternalServing struct {
	a          *Authority
	host, apps string

	mu   sync.Mutex
	cert *tls.Certificate
}

// ServeInternal makes the first certificate, and returns the authority in PEM
// as Web does.
func (a *Authority) ServeInternal(host, apps string) (*InternalServing, []byte, error) {
	c, authority, err := a.Web(host, apps)
	if err != nil {
		return nil, nil, err
	}
	return &InternalServing{a: a, host: host, apps: apps, cert: &c}, authority, nil
}

// Config implements Serving.
func (s *InternalServing) Config() *tls.Config {
	return listening(func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.current() })
}

// Soonest implements Serving.
func (s *InternalServing) Soonest() (Served, bool) {
	c, err := s.current()
	if err != nil {
		return Served{}, false
	}
	return servedOf(c), true
}

// current makes the next certificate a month before the end of this one.
func (s *InternalServing) current() (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.a.now().Add(ExpiryWarning).Before(s.cert.Leaf.NotAfter) {
		return s.cert, nil
	}
	c, _, err := s.a.Web(s.host, s.apps)
	if err != nil {
		return nil, fmt.Errorf("renew the web certificate: %w", err)
	}
	s.cert = &c
	return s.cert, nil
}
