package statement

import (
	"crypto/rsa"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
)

// Authority marks a pinned host key that is a certificate authority.
const Authority = "@cert-authority "

// ParseSSHKey reads one authorized_keys line without options: one plain key
// of a kind that we let in. Certificates, DSA, RSA under 2048 bits and
// anything after the comment's line are refused.
func ParseSSHKey(line string) (ssh.PublicKey, error) {
	if len(line) > 16<<10 {
		return nil, gateway.Invalid("key", "the key has %d bytes; at most 16384 are allowed", len(line))
	}
	key, _, options, rest, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil || len(options) > 0 || len(rest) > 0 {
		return nil, gateway.Invalid("key", "%s is not one public key as a .pub file holds it", gateway.Quote(line))
	}
	switch key.Type() {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256:
		return key, nil
	case ssh.KeyAlgoRSA:
		if c, ok := key.(ssh.CryptoPublicKey); ok {
			if r, ok := c.CryptoPublicKey().(*rsa.PublicKey); ok && r.N.BitLen() >= 2048 {
				return key, nil
			}
		}
		return nil, gateway.Invalid("key", "an RSA key needs at least 2048 bits; make an Ed25519 key with `ssh-keygen -t ed25519`")
	}
	return nil, gateway.Invalid("key", "keys of type %s are not taken; make an Ed25519 key with `ssh-keygen -t ed25519`", key.Type())
}

func checkSSHKey(line, fingerprint string) error {
	key, err := ParseSSHKey(line)
	if err != nil {
		return err
	}
	if canonical := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))); canonical != line {
		return gateway.Invalid("key", "the key carries a comment or blanks; keep the type and the key alone")
	}
	if ssh.FingerprintSHA256(key) != fingerprint {
		return gateway.Invalid("fingerprint", "the fingerprint is not the key's")
	}
	return nil
}

func checkHostKey(line string) error {
	_, err := ParseSSHKey(strings.TrimPrefix(line, Authority))
	return err
}

func hostKeyName(line string) string {
	key, err := ParseSSHKey(strings.TrimPrefix(line, Authority))
	if err != nil {
		return "unreadable"
	}
	name := key.Type() + " " + ssh.FingerprintSHA256(key)
	if strings.HasPrefix(line, Authority) {
		return "authority " + name
	}
	return name
}
