package certs

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// markLength is how many hexadecimal digits a mark has: enough to tell
// secrets apart, too few to be of use to whoever would guess one.
const markLength = 16

// Rest is what can be told of a held secret without telling it.
type Rest struct {
	Changed time.Time // when its file was last written
	Mark    string    // as Credential.Mark
}

// Rest looks at the file of an account's secret. The errors are those of Held.
func (a *Authority) Rest(target string, account gateway.Account) (Rest, error) {
	info, err := os.Stat(account.SecretFile) // before it is read: what is written meanwhile looks older than it is, not newer
	if err != nil {
		return Rest{}, held(account, err)
	}
	raw, err := readPrivate(account.SecretFile)
	if err != nil {
		return Rest{}, held(account, err)
	}
	defer clear(raw)
	sum, err := a.sumOf(raw)
	if err != nil {
		return Rest{}, held(account, err)
	}
	return Rest{Changed: info.ModTime(), Mark: Credential{sum: sum}.Mark(target)}, nil
}

// Mark tells whether two sessions at one target were given the same secret,
// and nothing else: it is keyed by the machine key, so that nobody without it
// can try guesses, and bound to the target, so that it does not show that two
// targets share a password. Empty for what no file holds.
func (c Credential) Mark(target string) string {
	if c.sum == nil {
		return ""
	}
	h := hmac.New(sha256.New, c.sum)
	h.Write([]byte(target))
	return hex.EncodeToString(h.Sum(nil))[:markLength]
}

// sumOf is what marks are made of. White space at the ends is no other secret.
func (a *Authority) sumOf(raw []byte) ([]byte, error) {
	key, err := hkdf.Key(sha256.New, a.machine.Seed(), nil, "portcullis secret mark v1", sha256.Size)
	if err != nil {
		return nil, err
	}
	h := hmac.New(sha256.New, key)
	h.Write(bytes.TrimSpace(raw))
	return h.Sum(nil), nil
}
