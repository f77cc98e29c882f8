package httpsproxy

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/gateway"
)

// pinError says which key a target showed instead of the one on file.
type pinError struct{ shown string }

func (e *pinError) Error() string {
	return "its certificate has the key " + e.shown + ", which is not on file"
}

// trust is how the session's target is believed.
func (c *console) trust() (*tls.Config, error) {
	cfg, err := Trust(c.live.Target(), c.p.c.Roots)
	if err != nil {
		return nil, err
	}
	cfg.ServerName, cfg.ClientSessionCache = c.names.serverName(), tls.NewLRUClientSessionCache(4)
	return cfg, nil
}

// Trust is how a target's certificate is held to its definition; roots are the
// machine's own where they are nil.
func Trust(t gateway.Target, roots *x509.CertPool) (*tls.Config, error) {
	var h gateway.HTTPS
	if t.HTTPS != nil {
		h = *t.HTTPS
	}
	host, _, err := net.SplitHostPort(t.Address)
	if err != nil {
		return nil, err
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: cmp.Or(h.ServerName, host), RootCAs: roots}
	switch h.Trust {
	case gateway.TrustSystem, "":
	case gateway.TrustCA:
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM([]byte(h.CA)) {
			return nil, errors.New("its definition names no certificate that can be read")
		}
	case gateway.TrustPin:
		cfg.InsecureSkipVerify = true //nolint:forbidigo // the key itself is checked by VerifyConnection, at every handshake and every resumption
		cfg.VerifyConnection = func(s tls.ConnectionState) error { return pinned(s, h.Pins) }
	default:
		return nil, fmt.Errorf("its definition names trust %q, which is not known", h.Trust)
	}
	return cfg, nil
}

// pinned looks for the leaf's key among the pins (RFC 7469 clause 2.4).
func pinned(s tls.ConnectionState, pins []string) error {
	if len(s.PeerCertificates) == 0 {
		return &pinError{"of no certificate"}
	}
	sum := sha256.Sum256(s.PeerCertificates[0].RawSubjectPublicKeyInfo)
	shown := "sha256:" + hex.EncodeToString(sum[:])
	if !slices.Contains(pins, shown) {
		return &pinError{shown}
	}
	return nil
}

// dialRaw opens a connection that ends with the session.
func (c *console) dialRaw(ctx context.Context, network, address string) (net.Conn, error) {
	nc, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return c.targets.add(nc)
}

// dialTLS opens a connection to the target and proves its name.
func (c *console) dialTLS(ctx context.Context, protocols ...string) (*tls.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, DialTime)
	defer cancel()
	defer context.AfterFunc(c.live.Context(), cancel)()
	raw, err := c.dialRaw(ctx, "tcp", c.live.Target().Address)
	if err != nil {
		return nil, err
	}
	cfg := c.proof.tls.Clone()
	cfg.NextProtos = protocols
	conn := tls.Client(raw, cfg)
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, err
	}
	return conn, nil
}

// unreachable words why the target was not reached, for the engineer.
func unreachable(err error) *gateway.Ended {
	var (
		pin       *pinError
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		invalid   x509.CertificateInvalidError
		timeout   net.Error
		alert     tls.AlertError
		record    tls.RecordHeaderError
	)
	word := "it refused the connection"
	switch {
	case errors.As(err, &pin):
		return &gateway.Ended{Reason: gateway.EndHostKey, Detail: pin.Error()}
	case errors.As(err, &authority):
		word = "its certificate is not signed by an authority on file"
	case errors.As(err, &name):
		word = "its certificate is for another name"
	case errors.As(err, &invalid):
		word = "its certificate does not hold: it has expired, or may not be used for this"
	case errors.As(err, &alert):
		word = "it broke off the TLS handshake"
	case errors.As(err, &record):
		word = "it does not speak TLS"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		word = fmt.Sprintf("it did not answer within %s", DialTime)
	case strings.Contains(err.Error(), "tls:"):
		word = "no TLS version or cipher suite is common"
	}
	return &gateway.Ended{Reason: gateway.EndTarget, Detail: word}
}
