package directory_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/trust/trusttest"
)

const services = `
vendors:
  - {name: acme, title: Acme}
people:
  - {name: eve, title: Eve, vendor: acme, roles: [engineer]}
services:
  - name: nightly
    title: Nightly pull
    vendor: acme
    owner: eve
    key: |
      -----BEGIN PUBLIC KEY-----
      MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
      -----END PUBLIC KEY-----
    networks: [192.0.2.0/24, 198.51.100.7]
  - {name: mirror, title: Mirror, vendor: acme, owner: eve, key: "sha256:PIN"}
`

var serviceFile = strings.Replace(services, "PIN", strings.Repeat("ab", 32), 1)

func TestServiceAccountsAreAppliedOnceAndComeOutAgain(t *testing.T) {
	w := trusttest.Empty(t)
	d := open(t, w)
	want := []string{"vendor acme added", "person eve added", "service nightly added", "service mirror added"}
	if diff := cmp.Diff(want, d.apply(t, serviceFile, false)); diff != "" {
		t.Fatalf("first apply:\n%s", diff)
	}
	for i := range want {
		want[i] = strings.Replace(want[i], "added", "unchanged", 1)
	}
	if diff := cmp.Diff(want, d.apply(t, serviceFile, false)); diff != "" {
		t.Fatalf("second apply:\n%s", diff)
	}
	p, err := w.Cold(nil).Service(t.Context(), "nightly")
	if err != nil || p.Service.Owner != "eve" || len(p.Service.Networks) != 2 || !strings.HasPrefix(p.Service.Key, "spki:MCow") {
		t.Fatalf("as the chain has it: %+v, %v", p.Service, err)
	}
	if e := d.m.last(t); e.Person != "mirror" || e.Detail["owner"] != "eve" || e.Detail["key"] == "" {
		t.Errorf("the event: %+v", e)
	}
	out, err := d.Export(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	again := trusttest.Empty(t)
	open(t, again).apply(t, string(out), false)
	if copied, err := again.Chain.Service(t.Context(), "nightly"); err != nil || cmp.Diff(fmt.Sprint(p.Service), fmt.Sprint(copied.Service)) != "" {
		t.Errorf("from the export: %+v, %v\n%s", copied.Service, err, out)
	}
}

func TestServiceAccountsThatAreNotTaken(t *testing.T) {
	w := trusttest.Empty(t)
	d := open(t, w)
	d.apply(t, serviceFile, false)
	d.apply(t, "vendors:\n  - {name: beta, title: Beta}\npeople:\n  - {name: dora, title: D, vendor: beta, roles: [engineer]}\n", false)
	const head = "services:\n  - "
	pin := "sha256:" + strings.Repeat("cd", 32)
	for name, c := range map[string]struct{ entry, says string }{
		"another's key":     {`{name: new, title: N, vendor: acme, owner: eve, key: "sha256:` + strings.Repeat("ab", 32) + `"}`, "service account mirror already"},
		"no key":            {`{name: new, title: N, vendor: acme, owner: eve}`, "PEM of an Ed25519"},
		"no owner":          {`{name: new, title: N, vendor: acme, key: "` + pin + `"}`, "owner is empty"},
		"an unknown owner":  {`{name: new, title: N, vendor: acme, owner: zed, key: "` + pin + `"}`, "not a person of vendor acme"},
		"another vendor's":  {`{name: new, title: N, vendor: acme, owner: dora, key: "` + pin + `"}`, "not a person of vendor acme"},
		"owned by another":  {`{name: new, title: N, vendor: acme, owner: mirror, key: "` + pin + `"}`, "not a person of vendor acme"},
		"no vendor":         {`{name: new, title: N, owner: eve, key: "` + pin + `"}`, "vendor is empty"},
		"an unknown vendor": {`{name: new, title: N, vendor: zed, owner: eve, key: "` + pin + `"}`, "not admitted"},
		"a person's name":   {`{name: eve, title: N, vendor: acme, owner: eve, key: "` + pin + `"}`, "for good"},
		"a move":            {`{name: mirror, title: N, vendor: beta, owner: dora, key: "` + pin + `"}`, "for good"},
		"a role":            {`{name: new, roles: [engineer]}`, "has no field"},
		"the name twice":    {`{name: new, title: N, vendor: acme, owner: eve, key: "` + pin + "\"}\npeople:\n  - {name: new, title: N, vendor: acme, roles: [engineer]}", "stands twice"},
	} {
		if _, err := d.Apply(t.Context(), []byte(head+c.entry+"\n"), d.sign, true); err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "line ") {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}

// TestAKeyIsEnrolledAnewAfterARestoration: the same file, applied again, does
// not bring the old one back; another key does.
func TestAKeyIsEnrolledAnewAfterARestoration(t *testing.T) {
	w := trusttest.New(t)
	d := open(t, w)
	file := strings.Replace(serviceFile, "{name: acme, title: Acme}", "{name: acme, title: Acme Two}", 1)
	file = strings.Replace(file, "vendors:\n  - {name: acme, title: Acme Two}\npeople:\n  - {name: eve, title: Eve, vendor: acme, roles: [engineer]}\n", "", 1)
	d.apply(t, file, false)
	scope := gateway.Scope{Kind: gateway.ScopeVendor, Name: trusttest.Vendor}
	sus, _ := w.Suspend(trusttest.Responder, scope)
	w.Restore(scope, sus.ID, statement.Machine, trusttest.Approver)
	d.apply(t, file, false)
	d.apply(t, strings.Replace(file, "Nightly pull", "Nightly", 1), false) // signed anew, with the same key
	if _, err := w.Chain.Service(t.Context(), "nightly"); !gateway.IsCode(err, gateway.CodeRefused) {
		t.Errorf("the old key is good again: %v", err)
	}
	d.apply(t, strings.Replace(file, strings.Repeat("ab", 32), strings.Repeat("cd", 32), 1), false)
	if _, err := w.Chain.Service(t.Context(), "mirror"); err != nil {
		t.Errorf("another key: %v", err)
	}
	// A name of a console that would be a service account's host.
	_, err := d.DraftTarget(t.Context(), statement.TargetDefine{Name: "svc-x", Title: "X", Kind_: gateway.KindHTTPS, Address: "x:443", Zone: "z", Impact: gateway.Low,
		Vendors: []string{trusttest.Vendor}, Accounts: []gateway.Account{{Name: "a", Proof: gateway.ProofNone}}, HTTPS: &gateway.HTTPS{Trust: gateway.TrustSystem}})
	if err == nil || !strings.Contains(err.Error(), "svc-") {
		t.Errorf("svc-x: %v", err)
	}
}
