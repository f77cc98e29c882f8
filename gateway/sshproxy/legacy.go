package sshproxy

import (
	"slices"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
)

// algorithmsFor is what one target is spoken to with: what both legs speak,
// and after it what the target's signed definition allows of weak algorithms.
// The first that both sides have is used (RFC 4253 clause 7.1), so that a weak
// one is used only where there is nothing better.
func algorithmsFor(t gateway.Target) ssh.Config {
	c := algorithms()
	weak := ssh.InsecureAlgorithms()
	for _, a := range t.Legacy {
		switch {
		case slices.Contains(weak.KeyExchanges, a):
			c.KeyExchanges = append(c.KeyExchanges, a)
		case slices.Contains(weak.Ciphers, a):
			c.Ciphers = append(c.Ciphers, a)
		case slices.Contains(weak.MACs, a), a == ssh.HMACSHA1: // which the library holds for no weaker than others
			c.MACs = append(c.MACs, a)
		}
	}
	return c
}

// allowing adds the signature with SHA-1 of a pinned RSA key, where the
// definition allows it.
func (p pins) allowing(t gateway.Target, algorithms []string) []string {
	rsa := slices.ContainsFunc(p.keys, func(k ssh.PublicKey) bool { return k.Type() == ssh.KeyAlgoRSA })
	if rsa && slices.Contains(t.Legacy, ssh.KeyAlgoRSA) {
		return append(algorithms, ssh.KeyAlgoRSA)
	}
	return algorithms
}

// weakOf lists what was agreed on that is weak, each name once.
func weakOf(c ssh.Conn) []string {
	m, ok := c.(ssh.AlgorithmsConnMetadata)
	if !ok {
		return nil
	}
	a := m.Algorithms()
	closed := gateway.LegacyAlgorithms()
	var weak []string
	for _, name := range []string{a.KeyExchange, a.HostKey, a.Write.Cipher, a.Read.Cipher, a.Write.MAC, a.Read.MAC} {
		if slices.Contains(closed, name) && !slices.Contains(weak, name) {
			weak = append(weak, name)
		}
	}
	return weak
}
