package capture

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
)

// formRedactor replaces the values of secret names while a form
// (application/x-www-form-urlencoded) passes in pieces of any size.
type formRedactor struct {
	c     *Capture
	name  []byte
	value bool      // behind the equals sign
	mac   hash.Hash // over a secret value under way
}

func (f *formRedactor) next(p []byte) []byte {
	out := make([]byte, 0, len(p)+64)
	for _, c := range p {
		switch {
		case c == '&':
			out = append(f.end(out), c)
		case !f.value && c == '=':
			f.value = true
			if f.c.names.secret(unescaped(string(f.name))) {
				f.mac = hmac.New(sha256.New, f.c.key)
			}
			out = append(out, c)
		case f.mac != nil:
			f.mac.Write([]byte{c})
		default:
			if !f.value && len(f.name) <= maxName {
				f.name = append(f.name, c)
			}
			out = append(out, c)
		}
	}
	return out
}

func (f *formRedactor) rest() []byte { return f.end(nil) }

// end ends a field.
func (f *formRedactor) end(out []byte) []byte {
	if f.mac != nil {
		out = append(out, Redacted...)
		out = hex.AppendEncode(out, f.mac.Sum(nil)[:digestLen])
	}
	f.name, f.value, f.mac = f.name[:0], false, nil
	return out
}
