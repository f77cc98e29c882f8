package main

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// N-13: no two nodes give out one address, and none gives out one that is not
// of the prefixes that every node keeps unreachable.
func TestNodesShareTheInnerAddresses(t *testing.T) {
	for _, c := range []struct {
		nodes []string
		want  string // of the last, IPv4
	}{
		{nil, "100.100.0.0/16"},
		{[]string{"a"}, "100.100.0.0/16"},
		{[]string{"a", "b"}, "100.100.128.0/17"},
		{[]string{"a", "b", "c"}, "100.100.128.0/18"},
		{[]string{"a", "b", "c", "d", "e"}, "100.100.128.0/19"},
	} {
		var cfg Config
		cfg.fill()
		nodes := map[string]string{}
		for _, n := range c.nodes {
			nodes[n] = "host:1"
		}
		var given []netip.Prefix
		for _, n := range append([]string{}, c.nodes...) {
			all, mine := cfg.VPN.prefixes(n, nodes)
			for i, p := range mine {
				if !all[i].Contains(p.Addr()) || p.Bits() < all[i].Bits() || p != p.Masked() {
					t.Errorf("%s of %v has %s, which is no part of %s", n, c.nodes, p, all[i])
				}
				for _, o := range given {
					if o.Overlaps(p) {
						t.Errorf("%s of %v has %s, and %s is another's", n, c.nodes, p, o)
					}
				}
				given = append(given, p)
			}
		}
		last := ""
		if len(c.nodes) > 0 {
			last = c.nodes[len(c.nodes)-1]
		}
		if _, mine := cfg.VPN.prefixes(last, nodes); mine[0].String() != c.want {
			t.Errorf("the last of %v has %s, want %s", c.nodes, mine[0], c.want)
		}
	}
}

func TestNodeKeepsItsOwnWireGuardKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), nodeKey)
	first, err := vpnKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := vpnKey(path); err != nil || again != first {
		t.Errorf("a restart has another key (%v): every client's configuration would be wrong", err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := vpnKey(path); err == nil || !strings.Contains(err.Error(), "0644") {
		t.Errorf("a key that others can read: %v", err)
	}
	if err := os.WriteFile(path, []byte("AAAA\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := vpnKey(path); err == nil || strings.Contains(err.Error(), "AAAA") {
		t.Errorf("what is no key: %v", err)
	}
}
