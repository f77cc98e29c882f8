package gateway

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
)

// Digest is a SHA-256. Its text form is 64 lower-case hexadecimal digits; the
// zero digest is the empty text.
type Digest [sha256.Size]byte

// DigestOf returns the SHA-256 of b.
func DigestOf(b []byte) Digest { return sha256.Sum256(b) }

// IsZero reports whether the digest was never set.
func (d Digest) IsZero() bool { return d == Digest{} }

// Equal compares in constant time.
func (d Digest) Equal(e Digest) bool { return subtle.ConstantTimeCompare(d[:], e[:]) == 1 }

// String returns the text form.
func (d Digest) String() string {
	if d.IsZero() {
		return ""
	}
	return hex.EncodeToString(d[:])
}

// Short returns the first twelve digits, for a line that a person reads.
func (d Digest) Short() string {
	if d.IsZero() {
		return ""
	}
	return hex.EncodeToString(d[:6])
}

// MarshalText implements encoding.TextMarshaler.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler, strictly.
func (d *Digest) UnmarshalText(b []byte) error {
	e, err := ParseDigest(string(b))
	if err != nil {
		return err
	}
	*d = e
	return nil
}

// ParseDigest reads the text form; the empty text is the zero digest. Upper
// case is refused: one digest has one spelling.
func ParseDigest(s string) (Digest, error) {
	var d Digest
	if s == "" {
		return d, nil
	}
	if len(s) != 2*len(d) {
		return d, fmt.Errorf("digest has %d characters, wants %d", len(s), 2*len(d))
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return d, fmt.Errorf("digest %s is not lower-case hexadecimal", quoteShort(s))
		}
	}
	_, err := hex.Decode(d[:], []byte(s))
	return d, err
}
