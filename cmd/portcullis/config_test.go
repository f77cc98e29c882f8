package main

import (
	"strings"
	"testing"
	"time"
)

const root = "ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="

func TestEmptyConfigurationWorks(t *testing.T) {
	cfg, err := ParseConfig(nil)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.URL != "http://localhost:8080" || cfg.Lease != 10*time.Second || cfg.Listen.SSH != ":2022" || cfg.Listen.Web != "127.0.0.1:8080" || cfg.Node == "" {
		t.Errorf("defaults: %+v", cfg)
	}
	if none, err := ParseConfig([]byte("drain: 0s\n")); err != nil || *cfg.Drain != 10*time.Minute || *none.Drain != 0 {
		t.Errorf("drain %s by default, %s of 0s, %v", cfg.Drain, none.Drain, err)
	}
	if rp := cfg.RelyingParty(); rp.ID != "localhost" || len(rp.Origins) != 1 || rp.Origins[0] != cfg.URL {
		t.Errorf("relying party: %+v", rp)
	}
}

func TestConfigurationRefusals(t *testing.T) {
	for name, c := range map[string]struct{ yaml, want string }{
		"unknown key":            {"url: http://localhost:1\nrolez: x\n", "rolez"},
		"unknown key's line":     {"url: http://localhost:1\ndata: /d\nrolez: x\n", "line 3"},
		"unknown nested key":     {"listen:\n  http: :80\n", "http"},
		"duplicate key":          {"url: http://localhost:1\nurl: http://localhost:2\n", "url"},
		"wrong type":             {"roots: 7\n", "line 1"},
		"two documents":          {"url: http://localhost:1\n---\nurl: http://localhost:2\n", "more than one"},
		"plain http":             {"url: http://gate.example\n", "https"},
		"http beside localhost":  {"url: http://localhost.evil.example\n", "https"},
		"url with path":          {"url: https://gate.example/x\n", "form"},
		"url with user":          {"url: https://a@gate.example\n", "form"},
		"url of an address":      {"url: https://10.0.0.7\n", "host name"},
		"javascript":             {"url: javascript:alert(1)\n", "form"},
		"relative data":          {"data: data\n", "absolute"},
		"no port":                {"listen:\n  ssh: localhost\n", "listen.ssh"},
		"lease too long":         {"lease: 2h\n", "lease"},
		"drain too long":         {"drain: 25h\n", "drain"},
		"drain of the past":      {"drain: -1s\n", "drain"},
		"lease too short":        {"lease: 1ms\n", "lease"},
		"lease of words":         {"lease: soon\n", "line 1"},
		"root without prefix":    {"roots: [AAAA]\n", "roots[0]"},
		"root too short":         {"roots: ['ed25519:AAAA']\n", "roots[0]"},
		"postgres":               {"store: postgres://x\n", "store"},
		"redis":                  {"redis: localhost:6379\n", "redis"},
		"s3":                     {"recordings: s3://b\n", "recordings"},
		"tunnels without a port": {"listen:\n  vpn: localhost\n", "listen.vpn"},
		"inner addresses":        {"vpn: {prefix4: 10.0.0.1/16}\n", "vpn.prefix4"},
		"a wide inner prefix":    {"vpn: {prefix6: \"fd00::/8\"}\n", "vpn.prefix6"},
		"endpoint without port":  {"vpn: {endpoint: gate.example}\n", "vpn.endpoint"},
		"notify":                 {"notify: [mailto:a@b]\n", "notify"},
		"tls on plain":           {"tls:\n  mode: internal\n", "tls"},
		"tls without key":        {"url: https://gate.example\ntls:\n  mode: files\n  certificate: /c\n", "tls"},
		"half an apps pair":      {"url: https://gate.example\ntls: {mode: files, certificate: /c, key: /k, apps_key: /a}\n", "apps_certificate"},
		"acme with files":        {"url: https://gate.example\ntls: {mode: acme, certificate: /c, key: /k}\n", "acme"},
		"acme in the clear":      {"url: https://gate.example\ntls: {mode: acme, directory: \"http://ca.example\"}\n", "directory"},
		"internal with an email": {"url: https://gate.example\ntls: {mode: internal, email: a@b}\n", "internal"},
		"apps below the pages":   {"url: https://gate.example\napps_domain: apps.gate.example\n", "apps_domain"},
		"apps above the pages":   {"url: https://gate.example\napps_domain: example\n", "apps_domain"},
		"apps at the pages":      {"url: https://gate.example\napps_domain: gate.example\n", "apps_domain"},
		"apps in capitals":       {"url: https://gate.example\napps_domain: Apps.example\n", "apps_domain"},
		"apps by address":        {"url: https://gate.example\napps_domain: 192.0.2.1\n", "apps_domain"},
		"provider of both":       {"identity:\n  providers:\n  - {name: a, issuer: https://i.example, client: c, vendor: acme, staff: true}\n", "providers[0]"},
		"provider of none":       {"identity:\n  providers:\n  - {name: a, issuer: https://i.example, client: c}\n", "providers[0]"},
		"provider twice":         {"identity:\n  providers:\n  - {name: a, issuer: https://i.example, client: c, staff: true}\n  - {name: a, issuer: https://j.example, client: c, vendor: v}\n", "twice"},
		"provider over http":     {"identity:\n  providers:\n  - {name: a, issuer: http://i.example, client: c, staff: true}\n", "https"},
		"bidi in a name":         {"identity:\n  providers:\n  - {name: \"a\\u202eb\", issuer: https://i.example, client: c, staff: true}\n", "name"},
	} {
		_, err := ParseConfig([]byte(c.yaml))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want it refused with %q", name, err, c.want)
		}
	}
}

func TestGoodConfigurations(t *testing.T) {
	for name, y := range map[string]string{
		"internal": "url: https://gate.example\nroots: ['" + root + "']\n",
		"acme":     "url: https://gate.example\napps_domain: apps.example\ntls: {mode: acme, email: ops@example.org}\n",
		"apps":     "url: https://gate.apps.example\napps_domain: consoles.example\ntls: {mode: files, certificate: /c, key: /k, apps_certificate: /a, apps_key: /b}\n",
		"trial":    "url: http://localhost:8080\napps_domain: localhost\n",
		"files":    "url: https://gate.example:8443\ntls: {mode: files, certificate: /c, key: /k}\n",
		"off":      "listen: {web: \"off\", ssh: \"off\"}\n",
		"provider": "identity:\n  providers:\n  - {name: corp, issuer: https://id.example, client: c, staff: true}\n  - {name: acme, issuer: https://id.acme.example, client: c, vendor: acme}\n",
	} {
		if _, err := ParseConfig([]byte(y)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte("url: http://localhost:1\nroots: ['" + root + "']\n"))
	f.Fuzz(func(_ *testing.T, raw []byte) { _, _ = ParseConfig(raw) })
}
