package handover

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// certificateLife is long: what is believed is the key, and the key does not
// end. A node makes its certificate anew at each start.
const certificateLife = 10 * 365 * 24 * time.Hour

// certificate is this node's, signed by the machine key itself.
func certificate(node string, key ed25519.PrivateKey, now time.Time) (tls.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("draw a serial: %w", err)
	}
	t := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: node}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(certificateLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true,
	}
	raw, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make this node's certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}, nil
}

var errStranger = errors.New("the other side holds no machine key of this cluster")

// known believes a key of the cluster, and as client the name of the node that
// was meant: a wrong address in the configuration must not go unnoticed.
func (p *Peers) known(node string) func(tls.ConnectionState) error {
	return func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 {
			return errStranger
		}
		cert := s.PeerCertificates[0]
		key, ok := cert.PublicKey.(ed25519.PublicKey)
		if !ok {
			return errStranger
		}
		for _, k := range p.cfg.Trusted {
			if !bytes.Equal(k, key) {
				continue
			}
			if node != "" && cert.Subject.CommonName != node {
				return fmt.Errorf("node %q answers where %q is expected", cert.Subject.CommonName, node)
			}
			return nil
		}
		return errStranger
	}
}

// ServerTLS is what this node listens with for the others.
func (p *Peers) ServerTLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{p.own}, NextProtos: []string{"http/1.1"}, SessionTicketsDisabled: true,
		ClientAuth: tls.RequireAnyClientCert, VerifyConnection: p.known(""),
	}
}

func (p *Peers) clientTLS(node string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{p.own}, NextProtos: []string{"http/1.1"}, ServerName: node,
		InsecureSkipVerify: true, //nolint:gosec,forbidigo // G402: VerifyConnection holds the other side to the cluster's own keys
		VerifyConnection:   p.known(node),
	}
}
