package statement

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/gateway"
)

// TargetDefine defines a target, changes it, or removes it.
type TargetDefine struct {
	Name     string             `json:"name"`
	Title    string             `json:"title"`
	Kind_    gateway.TargetKind `json:"kind"`
	Address  string             `json:"address"`
	Zone     string             `json:"zone"`
	Impact   gateway.Impact     `json:"impact"`
	Owner    string             `json:"owner,omitempty"`
	Vendors  []string           `json:"vendors"`
	HostKeys []string           `json:"host_keys"`
	Accounts []gateway.Account  `json:"accounts"`
	Legacy   []string           `json:"legacy,omitempty"`
	HTTPS    *gateway.HTTPS     `json:"https,omitempty"`
	Network  *gateway.Network   `json:"network,omitempty"`
	Version  uint64             `json:"version"`
	Previous gateway.Digest     `json:"previous,omitzero"`
	Removed  bool               `json:"removed,omitempty"`
}

func (b *TargetDefine) Kind() Kind { return KindTarget }

func (b *TargetDefine) Subject() string { return "target:" + b.Name }

// Sentence implements Body.
func (b *TargetDefine) Sentence() string {
	if b.Removed {
		return fmt.Sprintf("Remove target %s (%s) for good. Version %d.", b.Name, b.Title, b.Version)
	}
	var acc []string
	for _, a := range b.Accounts {
		if b.Network != nil {
			acc = append(acc, a.Name) // it proves nothing
		} else {
			acc = append(acc, accountWords(a))
		}
	}
	owner := ""
	if b.Owner != "" {
		owner = ", owned by " + b.Owner
	}
	legacy := ""
	if len(b.Legacy) > 0 {
		legacy = " WARNING: weak algorithms are allowed towards it: " + strings.Join(b.Legacy, ", ") + "."
	}
	at := b.Address
	if b.Network != nil {
		at = joined(b.Network.Prefixes)
	}
	return fmt.Sprintf("Define target %s (%s): %s at %s, zone %s, impact %s%s. Asked for by people of %s. Accounts: %s. %s%s Version %d.",
		b.Name, b.Title, b.Kind_, at, b.Zone, b.Impact, owner, orNobody(b.Vendors), strings.Join(acc, ", "), b.provenBy(), legacy, b.Version)
}

// provenBy says how the target proves its name; a network has names instead.
func (b *TargetDefine) provenBy() string {
	switch {
	case b.HTTPS != nil:
		return httpsWords(b.HTTPS)
	case b.Network != nil:
		return networkWords(b.Network)
	}
	var keys []string
	for _, k := range b.HostKeys {
		keys = append(keys, hostKeyName(k))
	}
	return "Host keys: " + strings.Join(keys, ", ") + "."
}

// Check implements Body.
func (b *TargetDefine) Check() error {
	if _, ok := proofs[b.Kind_]; !ok {
		return gateway.Invalid("kind", "kind %s is not one of ssh, https, network", gateway.Quote(string(b.Kind_)))
	}
	if !slices.Contains([]gateway.Impact{gateway.Low, gateway.Medium, gateway.High}, b.Impact) {
		return gateway.Invalid("impact", "impact %s is not one of low, medium, high", gateway.Quote(string(b.Impact)))
	}
	if err := first(gateway.CheckName("target", b.Name), gateway.CheckNeeded("title", b.Title, gateway.MaxTitle, false), b.checkAddress(),
		gateway.CheckName("zone", b.Zone), version(b.Version, b.Previous), bounded("accounts", len(b.Accounts), 32),
		bounded("host_keys", len(b.HostKeys), 32), bounded("vendors", len(b.Vendors), 256)); err != nil {
		return err
	}
	if b.Owner != "" {
		if err := gateway.CheckName("owner", b.Owner); err != nil {
			return err
		}
	}
	if len(b.Accounts) == 0 && !b.Removed {
		return gateway.Invalid("accounts", "target %s has no account; a session needs one", b.Name)
	}
	for _, v := range b.Vendors {
		if err := gateway.CheckName("vendor", v); err != nil {
			return err
		}
	}
	if err := b.checkProven(); err != nil {
		return err
	}
	for i, a := range b.Accounts {
		if err := checkAccount(b.Kind_, a); err != nil {
			return err
		}
		if slices.ContainsFunc(b.Accounts[:i], func(o gateway.Account) bool { return o.Name == a.Name }) {
			return gateway.Invalid("accounts", "account %s stands twice in target %s", a.Name, b.Name)
		}
	}
	return nil
}

// checkProven holds how a target proves its name to its kind.
func (b *TargetDefine) checkProven() error {
	switch {
	case b.Kind_ == gateway.KindNetwork && (len(b.HostKeys) > 0 || len(b.Legacy) > 0 || b.HTTPS != nil):
		return gateway.Invalid("network", "target %s is a network: it has neither host keys nor algorithms nor a certificate", b.Name)
	case b.Kind_ == gateway.KindNetwork:
		return checkNetwork(b.Network)
	case b.Network != nil:
		return gateway.Invalid("network", "target %s is of kind %s; network is said of networks alone", b.Name, b.Kind_)
	case b.Kind_ == gateway.KindHTTPS && len(b.HostKeys) > 0:
		return gateway.Invalid("host_keys", "target %s is a console and has no SSH host keys; https says how it proves its name", b.Name)
	case b.Kind_ == gateway.KindHTTPS && len(b.Legacy) > 0:
		return gateway.Invalid("legacy", "target %s is a console and needs no SSH algorithms", b.Name)
	case b.Kind_ == gateway.KindHTTPS:
		return checkHTTPS(b.HTTPS)
	case b.HTTPS != nil:
		return gateway.Invalid("https", "target %s is of kind %s; https is said of consoles alone", b.Name, b.Kind_)
	case len(b.HostKeys) == 0 && !b.Removed:
		return gateway.Invalid("host_keys", "target %s has no host key; pin one, as `ssh-keyscan` prints it and the target's owner confirms it, or a certificate authority as \"@cert-authority KEY\"", b.Name)
	}
	for _, k := range b.HostKeys {
		if err := checkHostKey(k); err != nil {
			return err
		}
	}
	return gateway.CheckLegacy(b.Legacy)
}

// checkAddress: a network is many addresses, and has none of its own.
func (b *TargetDefine) checkAddress() error {
	if b.Kind_ != gateway.KindNetwork {
		return address(b.Address)
	}
	if b.Address != "" {
		return gateway.Invalid("address", "target %s is a network and has no address; its prefixes say which addresses it has", b.Name)
	}
	return nil
}

func address(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return gateway.Invalid("address", "address %s is not host:port", gateway.Quote(s))
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || port != strconv.FormatUint(n, 10) {
		return gateway.Invalid("address", "address %s has no port between 1 and 65535", gateway.Quote(s))
	}
	if _, err := netip.ParseAddr(host); err != nil && !dnsName(host) {
		return gateway.Invalid("address", "address %s has a host that is neither an IP address nor a DNS name", gateway.Quote(s))
	}
	return nil
}

// dnsName takes names as the field writes them, underscores too.
func dnsName(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for _, label := range strings.Split(s, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" || label[0] == '-' {
			return false
		}
	}
	return true
}
