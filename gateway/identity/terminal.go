package identity

import (
	"context"
	"encoding/base64"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// Certified is the answer to a terminal that waits for an SSH certificate.
type Certified struct {
	Certificate gateway.SSHCertificate
	Line        string // as a -cert.pub file holds it
}

// BeginSSHCertificate puts a machine up for a certificate of the key whose .pub
// line is given. It asks nothing of who calls and tells nothing.
func (s *Service) BeginSSHCertificate(ctx context.Context, line, client, source string) (TerminalBegun, error) {
	if s.seal == nil || s.grants == nil {
		return TerminalBegun{}, errNoCertificates()
	}
	key, err := statement.ParseSSHKey(line)
	if err != nil {
		return TerminalBegun{}, err
	}
	fingerprint := ssh.FingerprintSHA256(key)
	if err := s.unknownKey(ctx, fingerprint); err != nil {
		return TerminalBegun{}, err
	}
	b, err := s.terminals.add(fingerprint, canonicalLine(key), client, source)
	return s.homedTerminal(b), err
}

// homedTerminal names this node in what leads back to it.
func (s *Service) homedTerminal(b TerminalBegun) TerminalBegun {
	if b.Link != "" {
		b.Link, b.Ticket = s.homed(b.Link), s.homed(b.Ticket)
	}
	return b
}

// SSHTerminal is the machine that waits behind a link.
func (s *Service) SSHTerminal(link string) (Terminal, error) {
	t, err := s.terminals.find(s.bare(link))
	if err != nil {
		return Terminal{}, err
	}
	return t.Terminal, nil
}

// RefuseSSHTerminal sends the machine behind a link away.
func (s *Service) RefuseSSHTerminal(link string) error {
	return s.terminals.refuse(s.bare(link), "the certificate was refused in the browser")
}

// AwaitSSHCertificate waits for the answer to a terminal until ctx is done;
// false means that there is none yet and it may be asked again.
func (s *Service) AwaitSSHCertificate(ctx context.Context, ticket string) (Certified, bool, error) {
	return s.terminals.await(ctx.Done(), s.bare(ticket))
}

// Tunnelled is the answer to a terminal that waits for a tunnel: what opened
// it, in its own words, for the terminal alone.
type Tunnelled any

// peerKeySize is the length of a WireGuard key, bytes.
const peerKeySize = 32

// BeginTunnel puts a machine up for a tunnel to a target: its peer has that
// public key, of which the machine holds the private half. It asks nothing of
// who calls and tells nothing.
func (s *Service) BeginTunnel(_ context.Context, target, peer, client, source string) (TerminalBegun, error) {
	if err := gateway.CheckName("target", target); err != nil {
		return TerminalBegun{}, err
	}
	if raw, err := base64.StdEncoding.Strict().DecodeString(peer); err != nil || len(raw) != peerKeySize {
		return TerminalBegun{}, gateway.Invalid("peer", "a WireGuard key is 44 characters of base64, such as wg genkey | wg pubkey prints")
	}
	b, err := s.tunnels.add(peer, target, client, source)
	return s.homedTerminal(b), err
}

// TunnelTerminal is the machine that waits behind a link, and the target that
// it asks for.
func (s *Service) TunnelTerminal(link string) (Terminal, string, error) {
	t, err := s.tunnels.find(s.bare(link))
	if err != nil {
		return Terminal{}, "", err
	}
	return t.Terminal, t.key, nil
}

// RefuseTunnel sends the machine behind a link away.
func (s *Service) RefuseTunnel(link string) error {
	return s.tunnels.refuse(s.bare(link), "the tunnel was refused in the browser")
}

// AnswerTunnel hands what opened a tunnel, or why it did not open, to the
// terminal that waits with that key; false: none does.
func (s *Service) AnswerTunnel(peer, target, source string, said Tunnelled, err error) bool {
	t, ok := s.tunnels.take(peer, target, source)
	if ok {
		t.answer(said, err)
	}
	return ok
}

// AwaitTunnel is AwaitSSHCertificate for a tunnel.
func (s *Service) AwaitTunnel(ctx context.Context, ticket string) (Tunnelled, bool, error) {
	return s.tunnels.await(ctx.Done(), s.bare(ticket))
}

func errTunnelled() error {
	e := gateway.Conflict("peer", "a terminal waits with this key already, and a key opens one tunnel")
	e.Next = "run `portcullis tunnel` for another"
	return e
}
