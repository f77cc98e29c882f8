package certs

import (
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
	Login       string           // user name at the target
	Auth        []ssh.AuthMethod // in the order to be tried
	Certificate *ssh.Certificate // nil for a held key or password
}

// Held reads the account's key or password from its file, now: a rotated
// secret needs no restart, and none rests in memory. The errors name the
// account and never the path or the secret; the cause does name the path, for
// the operator's log.
func Held(account gateway.Account) (Credential, error) {
	if err := gateway.CheckLogin(account.Login); err != nil {
		return Credential{}, err
	}
	raw, err := readPrivate(account.SecretFile)
	if err != nil {
		return Credential{}, held(account, err)
	}
	defer clear(raw)
	switch account.Proof {
	case gateway.ProofKey:
		signer, err := ssh.ParsePrivateKey(raw)
		if err != nil {
			return Credential{}, held(account, errors.New("the file is not a private key without a passphrase"))
		}
		return Credential{Login: account.Login, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}}, nil
	case gateway.ProofPassword:
		word := strings.TrimSuffix(strings.TrimSuffix(string(raw), "\n"), "\r")
		if word == "" || !utf8.ValidString(word) || strings.ContainsAny(word, "\n\r\x00") {
			return Credential{}, held(account, errors.New("the file does not hold one line of text"))
		}
		return Credential{Login: account.Login, Auth: []ssh.AuthMethod{ssh.Password(word), ssh.KeyboardInteractive(answer(word))}}, nil
	}
	return Credential{}, held(account, fmt.Errorf("proof %q is not held in a file", account.Proof))
}

// Held is the package's Held, so that an Authority gives every credential
// that a session can need.
func (a *Authority) Held(account gateway.Account) (Credential, error) { return Held(account) }

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
