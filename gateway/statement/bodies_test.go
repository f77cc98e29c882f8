package statement

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

const hostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPa1JeXYcMhYMCnSHZuPMxTIYAMzJSdE5HIqnOyZ0/gh"

func target() *TargetDefine {
	return &TargetDefine{
		Name: "historian", Title: "Plant historian", Kind_: gateway.KindSSH, Address: "10.0.0.7:22", Zone: "dmz", Impact: gateway.Low, Vendors: []string{"acme"},
		HostKeys: []string{hostKey}, Accounts: []gateway.Account{{Name: "service", Login: "svc", Proof: gateway.ProofCertificate}}, Version: 1,
	}
}

func TestTargetDefineRefuses(t *testing.T) {
	if err := target().Check(); err != nil {
		t.Fatalf("a good target: %v", err)
	}
	for name, change := range map[string]func(*TargetDefine){
		"a console":            func(b *TargetDefine) { b.Kind_ = gateway.KindHTTPS },
		"no port":              func(b *TargetDefine) { b.Address = "10.0.0.7" },
		"port 0":               func(b *TargetDefine) { b.Address = "10.0.0.7:0" },
		"port 65536":           func(b *TargetDefine) { b.Address = "10.0.0.7:65536" },
		"port with zero":       func(b *TargetDefine) { b.Address = "10.0.0.7:022" },
		"option for a host":    func(b *TargetDefine) { b.Address = "-oProxyCommand=x:22" },
		"command for a host":   func(b *TargetDefine) { b.Address = "$(id):22" },
		"no host key":          func(b *TargetDefine) { b.HostKeys = nil },
		"host key with option": func(b *TargetDefine) { b.HostKeys = []string{"no-pty " + hostKey} },
		"two host keys a line": func(b *TargetDefine) { b.HostKeys = []string{hostKey + "\n" + hostKey} },
		"no account":           func(b *TargetDefine) { b.Accounts = nil },
		"account twice":        func(b *TargetDefine) { b.Accounts = append(b.Accounts, b.Accounts[0]) },
		"login as option":      func(b *TargetDefine) { b.Accounts[0].Login = "-oProxyCommand=x" },
		"key without file":     func(b *TargetDefine) { b.Accounts[0].Proof = gateway.ProofKey },
		"relative secret":      func(b *TargetDefine) { b.Accounts[0].Proof, b.Accounts[0].SecretFile = gateway.ProofKey, "key" },
		"secret by dots":       func(b *TargetDefine) { b.Accounts[0].Proof, b.Accounts[0].SecretFile = gateway.ProofKey, "/a/../b" },
		"secret for a cert":    func(b *TargetDefine) { b.Accounts[0].SecretFile = "/a" },
		"impact":               func(b *TargetDefine) { b.Impact = "none" },
		"version 2 of nothing": func(b *TargetDefine) { b.Version = 2 },
		"version 0":            func(b *TargetDefine) { b.Version = 0 },
		"bidi title":           func(b *TargetDefine) { b.Title = "a\u202eb" },
	} {
		b := target()
		change(b)
		if err := b.Check(); !gateway.IsCode(err, gateway.CodeInvalid) {
			t.Errorf("%s: %v, want it refused as invalid", name, err)
		}
	}
}

func TestPersonAdmitKeepsVendorAndStaffApart(t *testing.T) {
	good := PersonAdmit{Name: "ana", Title: "Ana Ruiz", Vendor: "acme", Roles: []gateway.Role{gateway.Engineer}, Version: 1}
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*PersonAdmit){
		"engineer as approver": func(b *PersonAdmit) { b.Roles = []gateway.Role{gateway.Engineer, gateway.Approver} },
		"staff as engineer":    func(b *PersonAdmit) { b.Vendor = "" },
		"no role":              func(b *PersonAdmit) { b.Roles = nil },
		"role twice":           func(b *PersonAdmit) { b.Roles = []gateway.Role{gateway.Engineer, gateway.Engineer} },
		"named machine":        func(b *PersonAdmit) { b.Name = Machine },
		"mail in upper case":   func(b *PersonAdmit) { b.Email = "Ana@Example.com" },
		"mail with a name":     func(b *PersonAdmit) { b.Email = "Ana <ana@example.com>" },
	} {
		b := good
		change(&b)
		if err := b.Check(); !gateway.IsCode(err, gateway.CodeInvalid) {
			t.Errorf("%s: %v, want it refused", name, err)
		}
	}
}

func TestServiceAccountsAreAdmitted(t *testing.T) {
	pin := "sha256:" + strings.Repeat("ab", 32)
	good := func() *PersonAdmit {
		return &PersonAdmit{Name: "nightly", Title: "Nightly pull", Vendor: "acme", Roles: []gateway.Role{gateway.ServiceAccount}, Version: 1,
			Service: &gateway.Service{Owner: "ana", Key: pin, Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/25")}, Epochs: gateway.Epochs{Vendor: 1, Person: 1}}}
	}
	const says = "Admit service account nightly (Nightly pull) of vendor acme, without a person behind it. It proves itself by a client certificate with the key " +
		"sha256:abababababababababababababababababababababababababababababababab, from 192.0.2.0/25. ana answers for it. Version 1."
	if err := good().Check(); err != nil || good().Sentence() != says {
		t.Fatalf("%v: %s", err, good().Sentence())
	}
	for name, change := range map[string]func(*PersonAdmit){
		"of the staff":           func(b *PersonAdmit) { b.Vendor = "" },
		"an engineer too":        func(b *PersonAdmit) { b.Roles = append(b.Roles, gateway.Engineer) },
		"an engineer":            func(b *PersonAdmit) { b.Roles = []gateway.Role{gateway.Engineer} },
		"the role without it":    func(b *PersonAdmit) { b.Service = nil },
		"an address":             func(b *PersonAdmit) { b.Email = "a@acme.example" },
		"its own owner":          func(b *PersonAdmit) { b.Service.Owner = b.Name },
		"nobody's":               func(b *PersonAdmit) { b.Service.Owner = "" },
		"no key":                 func(b *PersonAdmit) { b.Service.Key = "" },
		"no epoch":               func(b *PersonAdmit) { b.Service.Epochs.Person = 0 },
		"a network with bits":    func(b *PersonAdmit) { b.Service.Networks = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24")} },
		"the same one twice":     func(b *PersonAdmit) { b.Service.Networks = append(b.Service.Networks, b.Service.Networks[0]) },
		"a version from nowhere": func(b *PersonAdmit) { b.Version = 2 },
	} {
		b := good()
		change(b)
		if err := b.Check(); !gateway.IsCode(err, gateway.CodeInvalid) {
			t.Errorf("%s: %v, want it refused", name, err)
		}
	}
	open := ServiceOpen{Grant: gateway.NewID("grt", time.Now()), Person: "nightly", Vendor: "acme", Target: "historian", Account: "api", From: gateway.Instant(time.Now()), To: gateway.Instant(time.Now()),
		Proof: ByToken, Key: pin, Source: "192.0.2.1:5"}
	if err := open.Check(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*ServiceOpen){
		"by nothing": func(b *ServiceOpen) { b.Proof = "" }, "by no key": func(b *ServiceOpen) { b.Key = "" }, "from nowhere": func(b *ServiceOpen) { b.Source = "" },
		"by a whole key": func(b *ServiceOpen) { b.Key = "spki:MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=" },
	} {
		b := open
		change(&b)
		if err := b.Check(); !gateway.IsCode(err, gateway.CodeInvalid) {
			t.Errorf("opened %s: %v, want it refused", name, err)
		}
	}
}

func TestSSHKeyLines(t *testing.T) {
	if _, err := ParseSSHKey(hostKey); err != nil {
		t.Fatal(err)
	}
	for name, line := range map[string]string{
		"empty": "", "options": `command="id" ` + hostKey, "two": hostKey + "\n" + hostKey, "private": "-----BEGIN OPENSSH PRIVATE KEY-----",
		"dsa": "ssh-dss AAAAB3NzaC1kc3MAAAA=", "long": strings.Repeat("a", 20<<10),
	} {
		if _, err := ParseSSHKey(line); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestSpanReadsAsPeopleSayIt(t *testing.T) {
	for seconds, want := range map[int64]string{0: "0 seconds", 1: "1 second", 60: "1 minute", 5400: "1 hour 30 minutes", 7200: "2 hours", 3661: "1 hour 1 minute 1 second"} {
		if got := span(seconds); got != want {
			t.Errorf("span(%d) = %q, want %q", seconds, got, want)
		}
	}
}

func FuzzParseSSHKey(f *testing.F) {
	f.Add(hostKey)
	f.Fuzz(func(_ *testing.T, line string) { _, _ = ParseSSHKey(line) })
}
