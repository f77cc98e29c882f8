package directory_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/directory"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/trust/trusttest"
)

// desk is a directory over a world, signed for by the machine.
type desk struct {
	*directory.Directory
	w *trusttest.World
	m *memory
}

func open(t *testing.T, w *trusttest.World) *desk {
	t.Helper()
	m := &memory{Store: w.Store, machine: w.Machine}
	return &desk{Directory: directory.New(directory.Config{Store: m, Chain: w.Chain, Floor: w.Floor, Now: w.Now}), w: w, m: m}
}

func (d *desk) sign(b statement.Body) (statement.Signed, error) {
	return d.w.Sign(statement.Machine, b), nil
}

// apply returns the changes as "vendor acme added".
func (d *desk) apply(t *testing.T, file string, dry bool) []string {
	t.Helper()
	changes, err := d.Apply(t.Context(), []byte(file), d.sign, dry)
	if err != nil {
		t.Fatalf("apply: %v", err)
	}
	var out []string
	for _, c := range changes {
		out = append(out, fmt.Sprintf("%s %s %s", c.Kind, c.Name, c.Action))
	}
	return out
}

const plant = `
vendors:
  - name: acme
    title: Acme Relays
    networks: [192.0.2.0/24, "2001:db8::/32"]
    contact: "noc@acme.example, +1 555 0100"
    contract: |
      Frame contract 12.
      Ends in 2028.
people:
  - {name: ben, title: Ben Okri, email: ben@plant.example, staff: true, roles: [approver, responder]}
  - name: eve
    title: Eve Lind
    vendor: acme
    roles: [engineer]
targets:
  - name: plc-1
    title: Relay 1
    kind: ssh
    address: plc-1.plant.example:22
    zone: yard
    impact: high
    owner: ben
    vendors: [acme]
    host_keys:
      - HOSTKEY
    accounts:
      - {name: ops, login: ops, proof: certificate}
      - {name: root, login: root, proof: key, secret_file: /etc/portcullis/root.key}
`

func TestAFileIsAppliedOnceAndComesOutAgain(t *testing.T) {
	w := trusttest.Empty(t)
	d := open(t, w)
	file := strings.Replace(plant, "HOSTKEY", trusttest.SSHKeyLine(t), 1)
	all := []string{"vendor acme added", "person ben added", "person eve added", "target plc-1 added"}
	same := []string{"vendor acme unchanged", "person ben unchanged", "person eve unchanged", "target plc-1 unchanged"}

	if diff := cmp.Diff(all, d.apply(t, file, true)); diff != "" {
		t.Fatalf("dry run:\n%s", diff)
	}
	if len(w.Store.Vendors) != 0 || len(d.m.events) != 0 {
		t.Fatal("a dry run wrote something")
	}
	if diff := cmp.Diff(all, d.apply(t, file, false)); diff != "" {
		t.Fatalf("apply:\n%s", diff)
	}
	if e := d.m.last(t); e.Name != audit.TargetDefined || e.Actor != statement.Machine || e.Target != "plc-1" || e.Detail["action"] != "admitted" {
		t.Errorf("event: %+v", e)
	}
	if got := w.Floor.At("target:plc-1"); got != 1 {
		t.Errorf("floor of the target is %d", got)
	}
	if diff := cmp.Diff(same, d.apply(t, file, false)); diff != "" {
		t.Errorf("second apply:\n%s", diff)
	}
	file = strings.Replace(file, "    accounts:\n", "    legacy: [ssh-rsa]\n    accounts:\n", 1)
	if weaker, err := d.Apply(t.Context(), []byte(file), d.sign, false); err != nil || weaker[3].Lines[0] != "legacy: (none) -> ssh-rsa" {
		t.Errorf("weak algorithms: %+v, %v", weaker, err)
	}
	out, err := d.Export(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(same, d.apply(t, string(out), false)); diff != "" {
		t.Errorf("apply of the export:\n%s\n%s", diff, out)
	}
	changes, err := d.Apply(t.Context(), []byte(strings.Replace(file, "roles: [engineer]", "roles: [engineer, nominator]", 1)), d.sign, false)
	if err != nil || changes[2].Action != directory.Changed || changes[2].Lines[0] != "roles: engineer -> engineer, nominator" {
		t.Errorf("change: %+v, %v", changes, err)
	}
	if v, err := w.Chain.Person(t.Context(), "eve"); err != nil || v.Version != 2 {
		t.Errorf("eve: %+v, %v", v, err)
	}
}

const consoles = `
vendors: [{name: acme, title: Acme}]
targets:
  - name: scada
    title: SCADA
    kind: https
    address: 10.0.0.8:443
    zone: dmz
    impact: high
    vendors: [acme]
    https:
      trust: pin
      pins: ["sha256:0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f"]
      server_name: scada.plant.example
      host: app
      redact: [X-Plant-Key, pin]
    accounts:
      - {name: api, proof: header, header: X-API-Key, secret_file: /s/api}
      - {name: app, login: id, proof: oauth2, token_url: "https://sso.plant.example/token", scopes: [read, write], secret_file: /s/app}
      - name: web
        login: svc@plant
        proof: form
        secret_file: /s/web
        form: {page: /login, action: "/login?x=1", user: u, password: p, fields: {realm: plant, "no": "1"}, json: true, done: 302, token: a.b, failed: wrong, cookie: sid}
      - {name: open, proof: none}
  - name: public
    title: Public
    kind: https
    address: public.example:443
    zone: dmz
    impact: low
    https: {trust: system}
    accounts: [{name: a, login: a, proof: certificate}]
`

func TestConsolesAreAppliedOnceAndComeOutAgain(t *testing.T) {
	w := trusttest.Empty(t)
	d := open(t, w)
	same := []string{"vendor acme unchanged", "target scada unchanged", "target public unchanged"}
	d.apply(t, consoles, false)
	if diff := cmp.Diff(same, d.apply(t, consoles, false)); diff != "" {
		t.Fatalf("second apply:\n%s", diff)
	}
	got, err := w.Cold(nil).Target(t.Context(), "scada")
	if err != nil {
		t.Fatal(err)
	}
	form := &gateway.Form{
		Page: "/login", Action: "/login?x=1", User: "u", Password: "p", Fields: map[string]string{"realm": "plant", "no": "1"}, JSON: true, Done: 302,
		Token: "a.b", Failed: "wrong", LoggedIn: "sid",
	}
	if diff := cmp.Diff(form, got.Accounts[2].Form); diff != "" || got.HTTPS == nil || got.HTTPS.Host != gateway.HostApp || len(got.HTTPS.Redact) != 2 {
		t.Errorf("as the chain has it: %+v\n%s", got.HTTPS, diff)
	}
	out, err := d.Export(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	again := trusttest.Empty(t)
	open(t, again).apply(t, string(out), false)
	copied, err := again.Chain.Target(t.Context(), "scada")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got.Accounts, copied.Accounts) + cmp.Diff(got.HTTPS, copied.HTTPS); diff != "" {
		t.Errorf("from the export:\n%s\n%s", diff, out)
	}
	for _, c := range []struct{ from, to, line string }{
		{"trust: system", "trust: system, server_name: b", `https: trust system -> trust system, server_name "b"`},
		{"host: app", "host: target", `host "app", redact`},
		{"header: X-API-Key", "header: X-Key", `accounts: api (login "" by header header "X-API-Key" from "/s/api")`},
		{"done: 302", "done: 303", `done 302, token "a.b"`},
		{"realm: plant", "realm: yard", `"realm" = "plant"`},
	} {
		changes, err := d.Apply(t.Context(), []byte(strings.Replace(consoles, c.from, c.to, 1)), d.sign, true)
		if err != nil {
			t.Fatalf("%s: %v", c.to, err)
		}
		if text := fmt.Sprint(changes); !strings.Contains(text, c.line) {
			t.Errorf("%s: %s", c.to, text)
		}
	}
}

const networks = `
vendors: [{name: acme, title: Acme}]
targets:
  - name: plant
    title: Substation north
    kind: network
    zone: control
    impact: high
    vendors: [acme]
    network:
      prefixes: [10.20.0.0/16, "fd00:20::/64", 192.0.2.7]
      names:
        - {name: plc-7.north, addresses: [10.20.0.7, "fd00:20::7"]}
        - {name: historian, addresses: [10.20.1.9]}
      capture: first
      capture_bytes: 4096
    accounts: [{name: tunnel, proof: none}]
`

func TestNetworksAreAppliedOnceAndComeOutAgain(t *testing.T) {
	w := trusttest.Empty(t)
	d := open(t, w)
	same := []string{"vendor acme unchanged", "target plant unchanged"}
	d.apply(t, networks, false)
	if diff := cmp.Diff(same, d.apply(t, networks, false)); diff != "" {
		t.Fatalf("second apply:\n%s", diff)
	}
	got, err := w.Cold(nil).Target(t.Context(), "plant")
	if err != nil || got.Network == nil || got.Network.Prefixes[2].Bits() != 32 || got.Network.Names[0].Addresses[1].String() != "fd00:20::7" || got.Network.CaptureBytes != 4096 {
		t.Fatalf("as the chain has it: %+v, %v", got.Network, err)
	}
	out, err := d.Export(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	again := trusttest.Empty(t)
	open(t, again).apply(t, string(out), false)
	if copied, err := again.Chain.Target(t.Context(), "plant"); err != nil || !reflect.DeepEqual(got.Network, copied.Network) {
		t.Errorf("from the export: %+v, %v\n%s", copied.Network, err, out)
	}
	for _, c := range []struct{ from, to, line string }{
		{"capture: first\n      capture_bytes: 4096", "capture: full", "capture first 4096 bytes -> prefixes"},
		{"[10.20.1.9]", "[10.20.1.10]", "historian (10.20.1.9)"},
	} {
		changes, err := d.Apply(t.Context(), []byte(strings.Replace(networks, c.from, c.to, 1)), d.sign, true)
		if err != nil {
			t.Fatalf("%s: %v", c.to, err)
		}
		if text := fmt.Sprint(changes); !strings.Contains(text, c.line) {
			t.Errorf("%s: %s", c.to, text)
		}
	}
	for _, c := range []struct{ from, to string }{
		{"10.20.0.0/16", "10.20.0.0/4"}, {"10.20.0.0/16", "plant"}, {"10.20.1.9", "10.99.1.9"}, {"10.20.1.9", "historian"}, {"capture: first", "capture: some"}, {"proof: none", "proof: password"},
	} {
		if _, err := d.Apply(t.Context(), []byte(strings.Replace(networks, c.from, c.to, 1)), d.sign, true); !gateway.IsCode(err, gateway.CodeInvalid) {
			t.Errorf("%s for %s: %v", c.to, c.from, err)
		}
	}
}

func TestWhatIsRemovedStaysRemoved(t *testing.T) {
	d := open(t, trusttest.New(t))
	gone := "targets: [{name: plc-1, removed: true}]\npeople: [{name: eve, removed: true}]\nvendors: [{name: acme, removed: true}, {name: ghost, removed: true}]"
	want := []string{"vendor acme removed", "vendor ghost unchanged", "person eve removed", "target plc-1 removed"}
	if diff := cmp.Diff(want, d.apply(t, gone, false)); diff != "" {
		t.Fatal(diff)
	}
	if v, err := d.w.Chain.Vendor(t.Context(), "acme"); err != nil || v.State != gateway.Removed {
		t.Errorf("acme: %+v, %v", v, err)
	}
	if _, err := d.w.Chain.Authenticator(t.Context(), d.w.Key("eve").Credential.Text()); !gateway.IsCode(err, gateway.CodeRefused) {
		t.Errorf("eve's key after her removal: %v", err)
	}
	out, err := d.Export(t.Context())
	if err != nil || strings.Contains(string(out), "acme") || strings.Contains(string(out), "eve") {
		t.Errorf("export: %v\n%s", err, out)
	}
	_, err = d.Apply(t.Context(), []byte("vendors:\n  - {name: acme, title: Again}\n"), d.sign, false)
	if !gateway.IsCode(err, gateway.CodeConflict) || !strings.HasPrefix(err.Error(), "line 2: ") {
		t.Errorf("admitting it again: %v", err)
	}
}

func TestABadFileNamesItsLineAndChangesNothing(t *testing.T) {
	d := open(t, trusttest.New(t))
	before := len(d.w.Store.Statements)
	target := "targets:\n- {name: t, title: T, kind: ssh, address: 'h:22', zone: z, impact: low, vendors: [acme], host_keys: [KEY], accounts: [{name: a, login: a, proof: certificate}]}"
	good := strings.Replace(target, "KEY", trusttest.SSHKeyLine(t), 1)
	for _, c := range []struct{ name, file, want string }{
		{"empty", " \n", "the file is empty"},
		{"comment alone", "# nothing\n", "not one YAML document"},
		{"two documents", "vendors: []\n---\nvendors: []\n", "not one YAML document"},
		{"not YAML", "vendors: [\n", "not one YAML document"},
		{"a list", "- a\n", "line 1: the file is a list of names with values, not a list"},
		{"unknown section", "vendors: []\nvendor: []\n", `line 2: the file has no field "vendor"`},
		{"unknown field", "vendors:\n- name: a\n  titel: A\n", `line 3: a vendor has no field "titel"`},
		{"field twice", "vendors:\n- name: a\n  title: A\n  name: b\n", "line 4: field \"name\" of a vendor stands twice, first on line 2"},
		{"number for a text", "vendors:\n- name: a\n  title: 12\n", `line 3: title is a text, not "12"`},
		{"list for a text", "vendors:\n- name: a\n  title: [x]\n", "line 3: title is a text, not a list"},
		{"nothing for a text", "vendors:\n- name: a\n  title:\n", "line 3: title is a text, not nothing"},
		{"text for a list", "vendors:\n- name: a\n  title: A\n  networks: 10.0.0.0/8\n", "line 4: networks is a list"},
		{"text for a truth", "vendors:\n- name: a\n  removed: 'true'\n", "line 3: removed is true or false"},
		{"yes for a truth", "vendors:\n- name: a\n  removed: yes\n", "line 3: removed is true or false"},
		{"alias", "vendors:\n- &a {name: a, title: A}\n- *a\n", "line 2: anchors and aliases"},
		{"merge", "vendors:\n- {name: a, title: A}\n- {<<: {name: b}, title: B}\n", `line 3: a vendor has no field "<<"`},
		{"tag", "vendors:\n- {name: !!str a, title: A}\n", "line 2: tags"},
		{"same name twice", "vendors:\n- {name: a, title: A}\n\n- {name: a, title: B}\n", "line 4: vendor a stands twice, first on line 2"},
		{"no name", "vendors:\n- {title: A}\n", "line 2: vendor is empty"},
		{"path for a name", "vendors:\n- {name: ../../etc, title: A}\n", "line 2: vendor \"../../etc\" may hold"},
		{"long name", "vendors:\n- {name: " + strings.Repeat("a", 10<<10) + ", title: A}\n", "line 2: vendor has 10240 bytes"},
		{"bidi title", "vendors:\n- {name: a, title: \"A\\u202eB\"}\n", "line 2: title holds the invisible"},
		{"control title", "vendors:\n- {name: a, title: \"A\\x07\"}\n", "line 2: title holds the control character"},
		{"bad network", "vendors:\n- {name: a, title: A, networks: [10.0.0.0/99]}\n", "line 2: network \"10.0.0.0/99\""},
		{"wide network", "vendors:\n- {name: a, title: A, networks: [10.0.0.1/8]}\n", "write 10.0.0.0/8"},
		{"neither vendor nor staff", "people:\n- {name: p, title: P, roles: [engineer]}\n", "line 2: person \"p\" is either of a vendor"},
		{"both vendor and staff", "people:\n- {name: p, title: P, vendor: acme, staff: true, roles: [engineer]}\n", "line 2: person \"p\" is either of a vendor"},
		{"unknown vendor", "people:\n- {name: p, title: P, vendor: nobody, roles: [engineer]}\n", "line 2: vendor \"nobody\" is not admitted"},
		{"vendor removed in the file", "vendors:\n- {name: acme, removed: true}\npeople:\n- {name: p, title: P, vendor: acme, roles: [engineer]}\n", "line 4: vendor \"acme\" is not admitted"},
		{"staff role for a vendor", "people:\n- {name: p, title: P, vendor: acme, roles: [admin]}\n", "line 2: role \"admin\" is not one of a vendor's"},
		{"machine", "people:\n- {name: machine, title: P, staff: true, roles: [admin]}\n", "stands for the machine itself"},
		{"vendor to staff", "people:\n- {name: eve, title: Eve, staff: true, roles: [admin]}\n", "line 2: eve belongs to one vendor"},
		{"unknown vendor of a target", strings.Replace(good, "[acme]", "[nobody]", 1), "line 2: vendor \"nobody\" is not admitted"},
		{"vendor's person as owner", strings.Replace(good, "zone: z", "zone: z, owner: eve", 1), "line 2: owner \"eve\" is not a person of the staff"},
		{"no host key", strings.Replace(target, "[KEY]", "[]", 1), "line 2: target t has no host key"},
		{"bad host key", target, "line 2: \"KEY\" is not one public key"},
		{"relative secret", strings.Replace(good, "certificate", "key, secret_file: k", 1), "name the absolute path"},
		{"unknown field of https", "targets:\n- name: t\n  https: {trust: pin, pin: x}\n", `line 3: https has no field "pin"`},
		{"text for https", "targets:\n- name: t\n  https: pin\n", `line 3: https is a list of names with values`},
		{"text for a number", "targets:\n- accounts:\n  - form: {done: '302'}\n", `line 3: done is a whole number, not "302"`},
		{"number for a field", "targets:\n- accounts:\n  - form: {fields: {a: 1}}\n", `line 3: a is a text, not "1"`},
		{"field twice in a form", "targets:\n- accounts:\n  - form: {fields: {a: x, a: y}}\n", `line 3: field "a" of fields stands twice`},
		{"too long", "vendors: []\n#" + strings.Repeat("x", directory.MaxFile), "the file has"},
		{"deep", strings.Repeat("[", 100000), "not one YAML document"},
		{"last entry bad", "vendors:\n- {name: good, title: Good}\n- {name: bad}\n", "line 3: title is empty"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := d.Apply(t.Context(), []byte(c.file), d.sign, false)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if !gateway.IsCode(err, gateway.CodeInvalid) {
				t.Errorf("the error is no gateway.CodeInvalid: %#v", err)
			}
			if len(d.w.Store.Statements) != before {
				t.Error("something was written")
			}
		})
	}
}

// What looks like another type to YAML must come out quoted.
func TestTextThatLooksLikeSomethingElseComesOutAsText(t *testing.T) {
	d := open(t, trusttest.Empty(t))
	texts := []string{"yes", "no", "12", "1e3", "0x1f", "1.0", "null", "~", "true", "- x", "a: b", "# x", " lead", "trail ", "'q'", `"q"`, "{a}", "[a]", "&a", "*a", "!a", "|", ">", "%", "@a", "`a", "2026-01-01", "é 漢字 🙂", "a\nb", "a\n\n  b\n", "<<", "=", "---", "a\u00a0b", "a\u00adb", strings.Repeat("long ", 300)}
	for i, s := range texts {
		b, err := d.DraftVendor(t.Context(), statement.VendorAdmit{Name: fmt.Sprintf("v%d", i), Title: "T", Contract: s})
		if err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		signed, _ := d.sign(b)
		if _, err := d.Commit(t.Context(), signed); err != nil {
			t.Fatalf("%q: %v", s, err)
		}
	}
	out, err := d.Export(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	changes, err := d.Apply(t.Context(), out, d.sign, true)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, c := range changes {
		if c.Action != directory.Unchanged {
			t.Errorf("%s changes by its own export: %v", c.Name, c.Lines)
		}
	}
}

func FuzzApply(f *testing.F) {
	f.Add(plant)
	f.Add("vendors:\n- {name: a, title: A, networks: [1.2.3.4]}\n")
	f.Add("people: [{name: p, title: 'P', staff: true, roles: [admin]}]")
	f.Add("targets: null\nvendors: [&a {name: *a}]")
	w := trusttest.Empty(f)
	d := directory.New(directory.Config{Store: &memory{Store: w.Store, machine: w.Machine}, Chain: w.Chain, Floor: w.Floor, Now: w.Now})
	f.Fuzz(func(t *testing.T, file string) {
		changes, err := d.Apply(t.Context(), []byte(file), nil, true)
		if err != nil {
			if !gateway.IsCode(err, gateway.CodeInvalid) || len(err.Error()) > 4096 {
				t.Fatalf("%q: %v", file, err)
			}
			return
		}
		for _, c := range changes {
			if c.Action != directory.Unchanged && gateway.CheckName("name", c.Name) != nil {
				t.Fatalf("%q lets the name %q through", file, c.Name)
			}
		}
	})
}
