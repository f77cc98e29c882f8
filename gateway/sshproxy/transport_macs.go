package sshproxy

import (
	"bytes"
	"slices"

	"golang.org/x/crypto/ssh"
)

// plainMACs authenticate the plain text (encrypt-and-MAC, RFC 6668). They are
// as good as unforgeable, and Terrapin does not reach AES-CTR with them, but a
// MAC over what is sent is the better construction. libssh2 before 1.11, and
// with it curl, has no other.
var plainMACs = []string{ssh.HMACSHA256, ssh.HMACSHA512}

// macsFor is what to offer to a client that began with head: plainMACs after
// the others, if it has none of those. Nobody between can make a client look like
// that: its list is in the exchange hash.
func macsFor(head []byte, all []string) []string {
	line := bytes.IndexByte(head, '\n')
	if line < 0 || firstBytes(head) > len(head) {
		return all
	}
	k, ok := parseKexInit(head[line+1:])
	if !ok {
		return all
	}
	if meets(k.macToServer, all) && meets(k.macToClient, all) {
		return all
	}
	return slices.Concat(all, plainMACs)
}

func meets(a, b []string) bool {
	return slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
}
