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
		s := fmt.Sprintf("%s (user %s by %s", a.Name, a.Login, a.Proof)
		if a.SecretFile != "" {
			s += " from " + a.SecretFile
		}
		acc = append(acc, s+")")
	}
	var keys []string
	for _, k := range b.HostKeys {
		keys = append(keys, hostKeyName(k))
	}
	owner := ""
	if b.Owner != "" {
		owner = ", owned by " + b.Owner
	}
	legacy := ""
	if len(b.Legacy) > 0 {
		legacy = " WARNING: weak algorithms are allowed towards it: " + strings.Join(b.Legacy, ", ") + "."
	}
	return fmt.Sprintf("Define target %s (%s): %s at %s, zone %s, impact %s%s. Asked for by people of %s. Accounts: %s. Host keys: %s.%s Version %d.",
		b.Name, b.Title, b.Kind_, b.Address, b.Zone, b.Impact, owner, orNobody(b.Vendors), strings.Join(acc, ", "), strings.Join(keys, ", "), legacy, b.Version)
}

// Check implements Body.
func (b *TargetDefine) Check() error {
	if b.Kind_ != gateway.KindSSH {
		return gateway.Invalid("kind", "kind %s is not carried by this version; ssh is", gateway.Quote(string(b.Kind_)))
	}
	if !slices.Contains([]gateway.Impact{gateway.Low, gateway.Medium, gateway.High}, b.Impact) {
		return gateway.Invalid("impact", "impact %s is not one of low, medium, high", gateway.Quote(string(b.Impact)))
	}
	if err := first(gateway.CheckName("target", b.Name), gateway.CheckNeeded("title", b.Title, gateway.MaxTitle, false), address(b.Address),
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
	if len(b.HostKeys) == 0 && !b.Removed {
		return gateway.Invalid("host_keys", "target %s has no host key; pin one, as `ssh-keyscan` prints it and the target's owner confirms it, or a certificate authority as \"@cert-authority KEY\"", b.Name)
	}
	if err := gateway.CheckLegacy(b.Legacy); err != nil {
		return err
	}
	for _, v := range b.Vendors {
		if err := gateway.CheckName("vendor", v); err != nil {
			return err
		}
	}
	for _, k := range b.HostKeys {
		if err := checkHostKey(k); err != nil {
			return err
		}
	}
	for i, a := range b.Accounts {
		if err := first(gateway.CheckName("account", a.Name), gateway.CheckLogin(a.Login), secret(a)); err != nil {
			return err
		}
		if slices.ContainsFunc(b.Accounts[:i], func(o gateway.Account) bool { return o.Name == a.Name }) {
			return gateway.Invalid("accounts", "account %s stands twice in target %s", a.Name, b.Name)
		}
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
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	if len(host) > 253 || host == "" {
		return gateway.Invalid("address", "address %s has no host", gateway.Quote(s))
	}
	for _, label := range strings.Split(host, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" || label[0] == '-' {
			return gateway.Invalid("address", "address %s has a host that is neither an IP address nor a DNS name", gateway.Quote(s))
		}
	}
	return nil
}

func secret(a gateway.Account) error {
	switch a.Proof {
	case gateway.ProofCertificate:
		if a.SecretFile != "" {
			return gateway.Invalid("secret_file", "account %s is proven by certificate and needs no secret file", a.Name)
		}
		return nil
	case gateway.ProofKey, gateway.ProofPassword:
		if !strings.HasPrefix(a.SecretFile, "/") || strings.Contains(a.SecretFile, "/../") {
			return gateway.Invalid("secret_file", "account %s is proven by %s: name the absolute path of the file that holds it", a.Name, a.Proof)
		}
		return gateway.CheckText("secret_file", a.SecretFile, 1024, false)
	}
	return gateway.Invalid("proof", "proof %s of account %s is not one of certificate, key, password", gateway.Quote(string(a.Proof)), a.Name)
}
