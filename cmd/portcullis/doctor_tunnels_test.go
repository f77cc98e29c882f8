package main

import (
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/gateway"
)

// The doctor says what stands in the way of tunnels, each with a cure.
func TestDoctorLooksAtTunnels(t *testing.T) {
	inner := [2]netip.Prefix{netip.MustParsePrefix("100.100.0.0/16"), netip.MustParsePrefix("fd70::/64")}
	network := func(prefix string, removed bool) gateway.Target {
		return gateway.Target{Name: "substation", Kind: gateway.KindNetwork, Removed: removed, Network: &gateway.Network{Prefixes: []netip.Prefix{netip.MustParsePrefix(prefix)}}}
	}
	at := func(cidr string) []net.Addr {
		ip, n, err := net.ParseCIDR(cidr)
		if err != nil {
			t.Fatal(err)
		}
		return []net.Addr{&net.IPNet{IP: ip, Mask: n.Mask}}
	}
	for name, c := range map[string]struct {
		found []finding
		says  []string
	}{
		"all is well":             {lookAtPrefixes(inner, []gateway.Target{network("10.77.0.0/24", false)}, at("192.0.2.7/24")), nil},
		"a network inside":        {lookAtPrefixes(inner, []gateway.Target{network("100.100.4.0/24", false)}, nil), []string{"vpn.prefix4 100.100.0.0/16 overlaps 100.100.4.0/24 of the network substation"}},
		"one that is removed":     {lookAtPrefixes(inner, []gateway.Target{network("100.100.4.0/24", true)}, nil), nil},
		"a network around":        {lookAtPrefixes(inner, []gateway.Target{network("fd70::/32", false)}, nil), []string{"vpn.prefix6 fd70::/64 overlaps"}},
		"this machine's own":      {lookAtPrefixes(inner, nil, at("100.100.200.9/20")), []string{"overlaps 100.100.192.0/20, which this machine is in"}},
		"no echo":                 {lookAtEcho([]gateway.Target{network("10.77.0.0/24", false)}, os.ErrPermission), []string{"echo through tunnels is refused"}},
		"no echo, and no network": {lookAtEcho([]gateway.Target{network("10.77.0.0/24", true)}, os.ErrPermission), nil},
		"echo":                    {lookAtEcho([]gateway.Target{network("10.77.0.0/24", false)}, nil), nil},
		"no tunnels":              {unservedNetworks([]gateway.Target{network("10.77.0.0/24", false), network("10.78.0.0/24", true)}), []string{"substation is a network, and this node carries no tunnels"}},
		"an endpoint nowhere":     {[]finding{lookAtEndpoint(t.Context(), "gate.invalid:51820")}, []string{"gate.invalid:51820, which this machine cannot resolve"}},
		"an endpoint of no port":  {[]finding{lookAtEndpoint(t.Context(), "gate")}, []string{"is not host:port"}},
	} {
		for _, f := range c.found {
			if f.OK || f.Cure == "" {
				t.Errorf("%s: %+v", name, f)
			}
		}
		if len(c.found) != len(c.says) || len(c.says) == 1 && !strings.Contains(c.found[0].Text, c.says[0]) {
			t.Errorf("%s: %+v, want %q", name, c.found, c.says)
		}
	}
	if f := lookAtEndpoint(t.Context(), "127.0.0.1:51820"); !f.OK {
		t.Errorf("%+v", f)
	}
}

// Nodes whose tunnels get in each other's way are told of, each with a cure.
func TestDoctorLooksAtOtherNodesTunnels(t *testing.T) {
	at := func(endpoint, key, four, six string) tunnelNode {
		return tunnelNode{endpoint, key, [2]netip.Prefix{netip.MustParsePrefix(four), netip.MustParsePrefix(six)}}
	}
	mine := at("a.example:51820", "A", "100.100.0.0/17", "fd70::/65")
	good := at("b.example:51820", "B", "100.100.128.0/17", "fd70:0:0:0:8000::/65")
	for name, c := range map[string]struct {
		change func(*tunnelNode)
		says   string
	}{
		"all is well":     {func(*tunnelNode) {}, "b's tunnels are in nobody's way"},
		"one endpoint":    {func(n *tunnelNode) { n.Endpoint = mine.Endpoint }, "node b are told the endpoint a.example:51820 too"},
		"one key":         {func(n *tunnelNode) { n.Key = mine.Key }, "node b has this node's WireGuard key"},
		"IPv4 overlaps":   {func(n *tunnelNode) { n.Slice[0] = netip.MustParsePrefix("100.100.64.0/18") }, "addresses of 100.100.64.0/18"},
		"IPv6 overlaps":   {func(n *tunnelNode) { n.Slice[1] = netip.MustParsePrefix("fd70::/64") }, "addresses of fd70::/64"},
		"it has no VPN":   {func(n *tunnelNode) { *n = tunnelNode{} }, ""},
		"all of it twice": {func(n *tunnelNode) { *n = mine }, "node b are told"},
	} {
		other := good
		c.change(&other)
		found := besideTunnelNodes(mine, map[string]tunnelNode{"b": other})
		if len(found) == 0 != (other.Endpoint == "") || len(found) > 0 && !strings.Contains(found[0].Text, c.says) {
			t.Errorf("%s: %+v", name, found)
		}
		for _, f := range found {
			if f.OK != (other == good) || f.Cure == "" && !f.OK {
				t.Errorf("%s: %+v", name, f)
			}
		}
	}
}
