package redis

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
)

const nonceBytes = 16

// Keys signs with this node's machine key and believes the machine keys of
// the cluster. It is a Signer and a Verifier. It does not know which node has
// which key: a node that was taken over can answer for the others.
type Keys struct {
	Private ed25519.PrivateKey
	Trusted []ed25519.PublicKey
}

// Sign implements Signer.
func (k Keys) Sign(message []byte) []byte { return ed25519.Sign(k.Private, message) }

// Verify implements Verifier.
func (k Keys) Verify(message, signature []byte) bool {
	for _, key := range k.Trusted {
		if ed25519.Verify(key, message, signature) {
			return true
		}
	}
	return false
}

func newNonce() string {
	var b [nonceBytes]byte
	_, _ = rand.Read(b[:]) // never an error, since Go 1.24
	return hex.EncodeToString(b[:])
}
