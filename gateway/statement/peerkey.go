package statement

import (
	"bytes"
	"crypto/ecdh"
	"encoding/base64"
	"slices"

	"github.com/portcullis/portcullis/gateway"
)

// PeerKey reads a WireGuard public key as wg(8) prints it: 44 characters of
// base64. It takes one spelling of each key, because a key opens one session
// ever: the last bits of the text are zero, the number is below the prime of
// Curve25519 (RFC 7748 clause 5). Points of low order, zero among them, are no
// keys: what such a peer agrees on is known to everybody.
func PeerKey(s string) ([32]byte, error) {
	bad := func(why string) ([32]byte, error) {
		return [32]byte{}, gateway.Invalid("transport", "the WireGuard key %s; make one with wg genkey, and give what wg pubkey prints of it", why)
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || len(raw) != 32 || base64.StdEncoding.EncodeToString(raw) != s {
		return bad("is not 44 characters of base64")
	}
	if !belowPrime(raw) {
		return bad("is spelled in a way that no client makes")
	}
	if lowOrder(raw) {
		return bad("is no key of its own")
	}
	return [32]byte(raw), nil
}

// belowPrime reports whether a little-endian number is below 2^255-19.
func belowPrime(key []byte) bool {
	prime := slices.Repeat([]byte{0xff}, 32)
	prime[0], prime[31] = 0x7f, 0xed // big-endian
	big := slices.Clone(key)
	slices.Reverse(big)
	return bytes.Compare(big, prime) < 0
}

// lowOrder tries the key with a private one: every private key is a multiple
// of the cofactor, so with a point of low order the secret is zero, which
// crypto/ecdh refuses (RFC 7748 clause 6.1).
func lowOrder(key []byte) bool {
	fixed := slices.Repeat([]byte{1}, 32)
	private, err := ecdh.X25519().NewPrivateKey(fixed)
	if err != nil {
		return true
	}
	public, err := ecdh.X25519().NewPublicKey(key)
	if err != nil {
		return true
	}
	_, err = private.ECDH(public)
	return err != nil
}
