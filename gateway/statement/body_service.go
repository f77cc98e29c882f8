package statement

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// KindServiceOpen opens a session of a service account: the machine states
// which of its keys it has seen proven. What people agreed to, for that
// account and that key, stands in the approvals of the request.
const KindServiceOpen Kind = "service.open"

// ServiceProof is how a service account proved its key.
type ServiceProof string

// The closed list of proofs.
const (
	ByCertificate ServiceProof = "certificate" // in the TLS handshake (RFC 8446 clause 4.4)
	ByToken       ServiceProof = "token"       // a signed token (RFC 7519)
)

// ServiceOpen opens one session under a grant, for a service account that has
// just proven its key.
type ServiceOpen struct {
	Grant     string            `json:"grant"`
	Request   gateway.Digest    `json:"request"` // digest of the Ask
	Person    string            `json:"person"`  // the service account
	Vendor    string            `json:"vendor"`
	Target    string            `json:"target"`
	Account   string            `json:"account"`
	Abilities gateway.Abilities `json:"abilities"`
	From      time.Time         `json:"from"`
	To        time.Time         `json:"to"`
	Proof     ServiceProof      `json:"proof"`
	Key       string            `json:"key"` // pin
	Source    string            `json:"source"`
}

func (b *ServiceOpen) Kind() Kind { return KindServiceOpen }

func (b *ServiceOpen) Subject() string { return "grant:" + b.Grant }

// Sentence implements Body.
func (b *ServiceOpen) Sentence() string {
	return fmt.Sprintf("Open a session of service account %s (vendor %s) as %s on %s (%s), to end by %s: it has proven its key %s by a %s, from %s. Grant %s, request digest %s.",
		b.Person, b.Vendor, b.Account, b.Target, strings.Join(b.Abilities.List(), ", "), stamp(b.To), b.Key, b.Proof, b.Source, b.Grant, b.Request.Short())
}

// Check implements Body.
func (b *ServiceOpen) Check() error {
	if b.Proof != ByCertificate && b.Proof != ByToken {
		return gateway.Invalid("proof", "proof %s is not one of certificate, token", gateway.Quote(string(b.Proof)))
	}
	return first(gateway.CheckID("grt", b.Grant), gateway.CheckName("person", b.Person), gateway.CheckName("vendor", b.Vendor),
		gateway.CheckName("target", b.Target), gateway.CheckName("account", b.Account), when("from", b.From), when("to", b.To),
		checkPin(b.Key), gateway.CheckNeeded("source", b.Source, 64, false))
}

// checkPin takes the pin of a service account's key.
func checkPin(pin string) error {
	k, err := gateway.ParseServiceKey(pin)
	if err == nil && k.Pin != pin {
		err = gateway.Invalid("key", "a statement names a key by its SHA-256")
	}
	return err
}

// checkService holds the admission of a service account to its grammar.
func (b *PersonAdmit) checkService() error {
	s := b.Service
	switch {
	case b.Vendor == "":
		return gateway.Invalid("vendor", "service account %s is of exactly one vendor; name it", gateway.Quote(b.Name))
	case !slices.Equal(b.Roles, []gateway.Role{gateway.ServiceAccount}):
		return gateway.Invalid("roles", "a service account has the one role %s, and only a service account has it", gateway.ServiceAccount)
	case b.Email != "":
		return gateway.Invalid("email", "a service account has no address: nobody signs in as it")
	case s.Owner == b.Name:
		return gateway.Invalid("owner", "a person answers for a service account")
	case s.Epochs.Vendor == 0 || s.Epochs.Person == 0:
		return gateway.Invalid("epochs", "a key is enrolled in an epoch of its vendor and of the account")
	}
	if _, err := gateway.ParseServiceKey(s.Key); err != nil {
		return err
	}
	return first(gateway.CheckName("owner", s.Owner), checkNetworks(s.Networks))
}

func checkNetworks(list []netip.Prefix) error {
	for i, n := range list {
		if !n.IsValid() || n != n.Masked() || n.Addr().Is4In6() || slices.Contains(list[:i], n) {
			return gateway.Invalid("networks", "%s is not a network, or stands twice", n)
		}
	}
	return bounded("networks", len(list), maxNetworks)
}

// serviceSentence is Sentence of a service account.
func (b *PersonAdmit) serviceSentence() string {
	k, _ := gateway.ParseServiceKey(b.Service.Key) // Check has read it
	proves := "a client certificate with the key " + k.Pin
	if k.Public != nil {
		proves = "a client certificate with the key " + k.Pin + ", or tokens signed by it"
	}
	from := "any network of its vendor"
	if len(b.Service.Networks) > 0 {
		from = joined(b.Service.Networks)
	}
	return fmt.Sprintf("Admit service account %s (%s) of vendor %s, without a person behind it. It proves itself by %s, from %s. %s answers for it. Version %d.",
		b.Name, b.Title, b.Vendor, proves, from, b.Service.Owner, b.Version)
}
