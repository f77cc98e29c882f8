package statement

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
)

// KindSSHCert is the statement behind an engineer's SSH user certificate.
const KindSSHCert Kind = "sshcert.issue"

// MaxCertificate bounds an engineer's SSH user certificate, however long the
// grant's window is: a working day.
const MaxCertificate = 8 * time.Hour

// maxNetworks bounds the networks of a vendor and of a certificate.
const maxNetworks = 64

// SSHCertIssue lets a fresh SSH key say who connects until To.
type SSHCertIssue struct {
	Fingerprint string         `json:"fingerprint"`
	Key         string         `json:"key"`
	Person      string         `json:"person"`
	Grant       string         `json:"grant"` // in whose window it lies
	Networks    []netip.Prefix `json:"networks,omitempty"`
	From        time.Time      `json:"from"`
	To          time.Time      `json:"to"`
	Source      string         `json:"source"` // of the terminal that asks, not of the browser
	Client      string         `json:"client,omitempty"`
	Code        string         `json:"code"` // shown in that terminal
	Epochs      gateway.Epochs `json:"epochs"`
}

func (b *SSHCertIssue) Kind() Kind { return KindSSHCert }

func (b *SSHCertIssue) Subject() string { return "sshcert:" + b.Fingerprint }

// Sentence implements Body.
func (b *SSHCertIssue) Sentence() string {
	s := fmt.Sprintf("Let the SSH key %s say that %s connects, from %s until %s: the key of the terminal at %s that shows the code %s.", b.Fingerprint, b.Person, stamp(b.From), stamp(b.To), b.Source, b.Code)
	if b.Client != "" {
		s += fmt.Sprintf(" It calls itself %q.", b.Client)
	}
	if len(b.Networks) > 0 {
		s += " It is good from " + joined(b.Networks) + "."
	}
	return s + fmt.Sprintf(" Each session still needs a touch. Grant %s.", b.Grant)
}

// Check implements Body.
func (b *SSHCertIssue) Check() error {
	if err := first(checkSSHKey(b.Key, b.Fingerprint), gateway.CheckName("person", b.Person), gateway.CheckID("grt", b.Grant), when("from", b.From), when("to", b.To),
		bounded("networks", len(b.Networks), maxNetworks), gateway.CheckNeeded("source", b.Source, 64, false), gateway.CheckText("client", b.Client, gateway.MaxTitle, false),
		gateway.CheckNeeded("code", b.Code, 16, false)); err != nil {
		return err
	}
	kind, _, _ := strings.Cut(b.Key, " ")
	if kind != ssh.KeyAlgoED25519 && kind != ssh.KeyAlgoSKED25519 && kind != ssh.KeyAlgoSKECDSA256 {
		return gateway.Invalid("key", "keys of type %s are not certified; make an Ed25519 key", gateway.Quote(kind))
	}
	if life := b.To.Sub(b.From); life <= 0 || life > MaxCertificate {
		return gateway.Invalid("to", "a certificate lasts at most %s and not %s", MaxCertificate, life)
	}
	for _, n := range b.Networks {
		if !n.IsValid() || n != n.Masked() {
			return gateway.Invalid("networks", "%s is not a network", n)
		}
	}
	return nil
}

// Certificate is what the statement lets be issued.
func (b *SSHCertIssue) Certificate(by gateway.Digest) gateway.SSHCertificate {
	return gateway.SSHCertificate{
		Fingerprint: b.Fingerprint, Key: b.Key, Person: b.Person, Grant: b.Grant, Networks: b.Networks, From: b.From, To: b.To,
		Source: b.Source, Client: b.Client, Epochs: b.Epochs, Statement: by,
	}
}
