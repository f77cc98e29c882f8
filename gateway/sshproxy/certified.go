package sshproxy

import (
	"net/netip"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
)

const (
	// sourceAddress is the one critical option that a certificate may carry
	// (PROTOCOL.certkeys). Identity has held its value to a signed statement.
	sourceAddress = "source-address"

	// noTouch is the extension that lets a security key sign untouched. The
	// library acts upon it, whatever permissions the callbacks return.
	noTouch = "no-touch-required"
)

// owner asks whose a key is, and holds a certificate to its touch and to where
// its connection comes from.
func (h *handshake) owner(key ssh.PublicKey) (gateway.Person, gateway.SSHKey, error) {
	person, k, err := h.p.c.Identity.Owner(h.ctx, key)
	cert, ok := key.(*ssh.Certificate)
	if err != nil || !ok {
		return person, k, err
	}
	if err := allowed(cert, h.nc.RemoteAddr().String()); err != nil {
		k.Person = person.Name // who proves to hold it is told why
		return gateway.Person{}, k, err
	}
	return person, k, nil
}

// allowed refuses a certificate that waives the touch, critical options that
// are not understood, and an address outside the networks that it is good from.
func allowed(cert *ssh.Certificate, source string) error {
	const next = "run `portcullis login` for another"
	if _, waived := cert.Extensions[noTouch]; waived {
		return gateway.Refused("ssh-certificate", next, "this SSH certificate waives the touch of its key, and no such certificate is taken here")
	}
	for name := range cert.CriticalOptions {
		if name != sourceAddress {
			return gateway.Refused("ssh-certificate", next, "this SSH certificate asks for %s, which is not understood here", gateway.Quote(printable(name, 64)))
		}
	}
	list, ok := cert.CriticalOptions[sourceAddress]
	if !ok {
		return nil
	}
	if from, err := netip.ParseAddrPort(source); err == nil {
		for text := range strings.SplitSeq(list, ",") {
			n, err := netip.ParsePrefix(text)
			if err == nil && n.Contains(from.Addr().Unmap().WithZone("")) {
				return nil
			}
		}
	}
	return gateway.Refused("networks", "connect from a network that the operator has on file", "this SSH certificate is not good from %s", gateway.Quote(source))
}

// certificateEnd is when a certificate ends; zero: the key is none.
func certificateEnd(key ssh.PublicKey) time.Time {
	c, ok := key.(*ssh.Certificate)
	if !ok || c.ValidBefore == ssh.CertTimeInfinity {
		return time.Time{}
	}
	return time.Unix(int64(min(c.ValidBefore, 1<<62)), 0)
}
