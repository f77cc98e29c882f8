// Package certs is the seal: the keys that the gateway signs with, where they
// rest, and the short-lived credentials that it makes of them.
//
// It owns seven Ed25519 keys under DATA/keys: the machine key, which signs
// statements for root at the local socket and seals recordings; the SSH user
// authority, whose certificates let a session into a target; the SSH login
// authority, whose certificates tell the gateway who connects and which no
// target trusts; the SSH host authority; the gateway's own host key, certified
// by it; the seed of the client authority, whose certificates let a session
// into an HTTPS console; and the seed of the internal authority for the web
// listener's certificate. It does not know who
// may have a credential: package access asks for one after it has checked
// the grant, and cmd takes the machine key and the host keys at start.
//
// A key file is made once, by whoever opens the folder first, and never
// replaced: a missing file beside others of its kind is somebody's mistake or
// somebody's attack, but it cannot be told from a new machine, so it is made
// and its public half, being new, opens nothing. A file that others than its
// owner may read is refused, and so is one that does not parse: there is no
// fallback to a weaker or another key.
//
// Where keys rest is behind Vault, so that a TPM or PKCS#11 module can take
// the place of the files.
package certs
