package certs

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
)

// Credential is how one session proves an account to its target. It lives in
// memory alone and never reaches the engineer.
type Credential struct {
	Login       string                  // user name at the target
	Auth        []ssh.AuthMethod        // ssh: in the order to be tried
	Certificate *ssh.Certificate        // ssh: nil for a held key or password
	HTTP        *gateway.HTTPCredential // https, and nil of ssh

	sum []byte // of a held secret: what Mark is made of
}

// Held reads what proves the account from its file, now: a rotated secret
// needs no restart, and none rests in memory. The errors name the account and
// never the path or the secret; the cause does name the path, for the
// operator's log.
func Held(kind gateway.TargetKind, account gateway.Account) (Credential, error) {
	return readHeld(kind, account, func([]byte) ([]byte, error) { return nil, nil })
}

// Held is the package's Held, so that an Authority gives every credential
// that a session can need; this one has a Mark.
func (a *Authority) Held(kind gateway.TargetKind, account gateway.Account) (Credential, error) {
	return readHeld(kind, account, a.sumOf)
}

func readHeld(kind gateway.TargetKind, account gateway.Account, sum func([]byte) ([]byte, error)) (Credential, error) {
	read := heldSSH
	if kind == gateway.KindHTTPS {
		if account.Proof == gateway.ProofNone {
			return Credential{HTTP: &gateway.HTTPCredential{Proof: account.Proof}}, nil
		}
		read = heldHTTP
	} else if kind == gateway.KindNetwork { // it is reached, and nothing is proven to it
		return Credential{}, nil
	} else if err := gateway.CheckLogin(account.Login); err != nil {
		return Credential{}, err
	}
	raw, err := readPrivate(account.SecretFile)
	if err != nil {
		return Credential{}, held(account, err)
	}
	defer clear(raw)
	c, err := read(account, raw)
	if err != nil {
		return Credential{}, held(account, err)
	}
	c.Login = account.Login
	if c.sum, err = sum(raw); err != nil {
		return Credential{}, held(account, err)
	}
	return c, nil
}

func heldSSH(account gateway.Account, raw []byte) (Credential, error) {
	switch account.Proof {
	case gateway.ProofKey:
		signer, err := ssh.ParsePrivateKey(raw)
		if err != nil {
			return Credential{}, errors.New("the file is not a private key without a passphrase")
		}
		return Credential{Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}}, nil
	case gateway.ProofPassword:
		word, err := line(raw)
		if err != nil {
			return Credential{}, err
		}
		return Credential{Auth: []ssh.AuthMethod{ssh.Password(word), ssh.KeyboardInteractive(answer(word))}}, nil
	}
	return Credential{}, fmt.Errorf("proof %q is not held in a file", account.Proof)
}

func heldHTTP(account gateway.Account, raw []byte) (Credential, error) {
	c := &gateway.HTTPCredential{Proof: account.Proof, Login: account.Login}
	var err error
	switch account.Proof {
	case gateway.ProofKey:
		pair, err := tls.X509KeyPair(raw, raw)
		if err != nil { // the cause could quote the key
			return Credential{}, errors.New("the file does not hold, in PEM, a client certificate and its private key without a passphrase")
		}
		c.Certificate = &pair
	case gateway.ProofPassword, gateway.ProofForm:
		c.Secret, err = line(raw)
	case gateway.ProofHeader, gateway.ProofBearer, gateway.ProofOAuth2:
		if c.Secret, err = line(raw); err == nil && !fieldValue(c.Secret) {
			err = errors.New("the file does not hold printable ASCII without blanks at its ends, which is all that a header carries")
		}
	default:
		err = fmt.Errorf("proof %q is not held in a file", account.Proof)
	}
	if err == nil && len(c.Secret) > maxHeldValue {
		err = fmt.Errorf("the file holds more than the %d bytes that a request carries", maxHeldValue)
	}
	if err != nil {
		return Credential{}, err
	}
	return Credential{HTTP: c}, nil
}

// maxHeldValue bounds what goes into a header or a form: half of what web
// servers take for all headers.
const maxHeldValue = 4 << 10

// line is the one line of text that a file holds.
func line(raw []byte) (string, error) {
	word := strings.TrimSuffix(strings.TrimSuffix(string(raw), "\n"), "\r")
	if word == "" || !utf8.ValidString(word) || strings.ContainsAny(word, "\n\r\x00") {
		return "", errors.New("the file does not hold one line of text")
	}
	return word, nil
}

// fieldValue takes what every server reads alike in a header (RFC 9110 clause
// 5.5, without what is obsolete).
func fieldValue(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return strings.TrimSpace(s) == s
}

// answer gives the password to the one hidden question that a target's
// password dialogue asks, and to nothing else.
func answer(word string) ssh.KeyboardInteractiveChallenge {
	return func(_, _ string, questions []string, echos []bool) ([]string, error) {
		switch {
		case len(questions) == 0:
			return nil, nil
		case len(questions) == 1 && !echos[0]:
			return []string{word}, nil
		}
		return nil, errors.New("the target asks for more than a password")
	}
}

func held(account gateway.Account, cause error) error {
	return &gateway.Error{
		Code: gateway.CodeUnavailable, Rule: "credential", Text: fmt.Sprintf("the credential of account %s cannot be used", account.Name),
		Next: "the operator has been told; try again when it is mended", Cause: cause,
	}
}
