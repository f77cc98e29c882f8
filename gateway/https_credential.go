package gateway

import (
	"crypto/tls"
	"fmt"
	"io"
	"unicode/utf8"
)

// HTTPCredential proves an account to a console, for one session. Which header
// it goes into, where its token is had and which form it fills in, the Account
// says. It lives in memory alone, never reaches the engineer (P7), and prints
// as its kind.
type HTTPCredential struct {
	Proof       ProofKind
	Login       string           `json:"-"` // Basic, form: the user; oauth2: the client id
	Secret      string           `json:"-"` // what the held file says, without its line end; "" of certificate, key and none
	Certificate *tls.Certificate `json:"-"` // certificate and key alone; Leaf is set
}

// Format implements fmt.Formatter for every verb: a secret gets into no log by
// mistake.
func (c HTTPCredential) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "credential by "+string(c.Proof)) // a State takes everything
}

// CheckUser holds the name of an account at a console to 1 to MaxTitle
// printable characters without a colon, which Basic cannot carry (RFC 7617
// clause 2).
func CheckUser(s string) error {
	if err := CheckNeeded("login", s, MaxTitle, false); err != nil {
		return err
	}
	for _, r := range s {
		if r == ':' || r == utf8.RuneError {
			return Invalid("login", "login %s holds %q, which a console's user name cannot", quoteShort(s), r)
		}
	}
	return nil
}
