package sshproxy

import (
	"strings"

	"github.com/portcullis/portcullis/gateway"
)

// ParseUser reads the SSH user name: ACCOUNT+TARGET, or TARGET where there is
// one account. Anything else is refused: a name that could be read in two ways
// is not read at all.
func ParseUser(s string) (account, target string, err error) {
	const next = "write ACCOUNT+TARGET@gateway or TARGET@gateway, in lower case"
	target = s
	if a, t, two := strings.Cut(s, "+"); two {
		account, target = a, t
		if err := gateway.CheckName("account", account); err != nil {
			return "", "", gateway.Refused("user-name", next, "the user name %s does not name an account before its plus sign", gateway.Quote(s))
		}
	}
	if err := gateway.CheckName("target", target); err != nil {
		return "", "", gateway.Refused("user-name", next, "the user name %s does not name a target", gateway.Quote(s))
	}
	return account, target, nil
}

// printable makes outside text fit for a log, a page and a terminal: ASCII
// without control characters, at most limit bytes.
func printable(s string, limit int) string {
	if len(s) > limit {
		s = s[:limit]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}
