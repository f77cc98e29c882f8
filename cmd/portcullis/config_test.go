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
		"unknown key":           {"url: http://localhost:1\nrolez: x\n", "rolez"},
		"unknown key's line":    {"url: http://localhost:1\ndata: /d\nrolez: x\n", "line 3"},
		"unknown nested key":    {"listen:\n  http: :80\n", "http"},
		"duplicate key":         {"url: http://localhost:1\nurl: http://localhost:2\n", "url"},
		"wrong type":            {"roots: 7\n", "line 1"},
		"two documents":         {"url: http://localhost:1\n---\nurl: http://localhost:2\n", "more than one"},
		"plain http":            {"url: http://gate.example\n", "https"},
		"http beside localhost": {"url: http://localhost.evil.example\n", "https"},
		"url with path":         {"url: https://gate.example/x\n", "form"},
		"url with user":         {"url: https://a@gate.example\n", "form"},
		"url of an address":     {"url: https://10.0.0.7\n", "host name"},
		"javascript":            {"url: javascript:alert(1)\n", "form"},
		"relative data":         {"data: data\n", "absolute"},
		"no port":               {"listen:\n  ssh: localhost\n", "listen.ssh"},
		"lease too long":        {"lease: 2h\n", "lease"},
		"drain too long":        {"drain: 25h\n", "drain"},
		"drain of the past":     {"drain: -1s\n", "drain"},
		"lease too short":       {"lease: 1ms\n", "lease"},
		"lease of words":        {"lease: soon\n", "line 1"},
		"root without prefix":   {"roots: [AAAA]\n", "roots[0]"},
		"root too short":        {"roots: ['ed25519:AAAA']\n", "roots[0]"},
		"postgres":              {"store: postgres://x\n", "store"},
		"redis":                 {"redis: localhost:6379\n", "redis"},
		"s3":                    {"recordings: s3://b\n", "recordings"},
		"tunnels":               {"listen:\n  vpn: :51820\n", "vpn"},
		"notify":                {"notify: [mailto:a@b]\n", "notify"},
		"tls on plain":          {"tls:\n  mode: internal\n", "tls"},
		"tls without key":       {"url: https://gate.example\ntls:\n  mode: files\n  certificate: /c\n", "tls"},
		"acme":                  {"url: https://gate.example\ntls:\n  mode: acme\n", "acme"},
		"provider of both":      {"identity:\n  providers:\n  - {name: a, issuer: https://i.example, client: c, vendor: acme, staff: true}\n", "providers[0]"},
		"provider of none":      {"identity:\n  providers:\n  - {name: a, issuer: https://i.example, client: c}\n", "providers[0]"},
		"provider twice":        {"identity:\n  providers:\n  - {name: a, issuer: https://i.example, client: c, staff: true}\n  - {name: a, issuer: https://j.example, client: c, vendor: v}\n", "twice"},
		"provider over http":    {"identity:\n  providers:\n  - {name: a, issuer: http://i.example, client: c, staff: true}\n", "https"},
		"bidi in a name":        {"identity:\n  providers:\n  - {name: \"a\\u202eb\", issuer: https://i.example, client: c, staff: true}\n", "name"},
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
