package main

import (
	"fmt"
	"maps"
	"math/bits"
	"net"
	"net/netip"
	"slices"
)

// VPN is what tunnels need besides the address to listen on.
type VPN struct {
	// Endpoint is the host:port that clients send their packets to, where it
	// is not the pages' host and the port of listen.vpn.
	Endpoint string `yaml:"endpoint,omitempty"`
	// Prefix4 and Prefix6 hold the addresses inside the tunnels. They must not
	// be in use in any network that is reached through one; each node of a
	// cluster takes an equal part.
	Prefix4 string `yaml:"prefix4,omitempty"`
	Prefix6 string `yaml:"prefix6,omitempty"`
}

// Prefixes that are in use nowhere else: a part of the block that providers
// share with their customers (RFC 6598), and a unique local one (RFC 4193).
const (
	defaultPrefix4 = "100.100.0.0/16"
	defaultPrefix6 = "fd70:6f72:7463::/64"
)

// Bounds of the two prefixes: room for some thousands of tunnels, and no more
// than anybody can mean.
const (
	minPrefix4, maxPrefix4 = 8, 24
	minPrefix6, maxPrefix6 = 32, 112
)

func (v *VPN) fill() {
	orElse(&v.Prefix4, defaultPrefix4)
	orElse(&v.Prefix6, defaultPrefix6)
}

func (c *Config) checkVPN() error {
	v := c.VPN
	four, err := netip.ParsePrefix(v.Prefix4)
	if err != nil || !four.Addr().Is4() || four != four.Masked() || four.Bits() < minPrefix4 || four.Bits() > maxPrefix4 {
		return fmt.Errorf("vpn.prefix4: %q is not an IPv4 prefix of %d to %d bits, such as %s", v.Prefix4, minPrefix4, maxPrefix4, defaultPrefix4)
	}
	six, err := netip.ParsePrefix(v.Prefix6)
	if err != nil || !six.Addr().Is6() || six.Addr().Is4In6() || six != six.Masked() || six.Bits() < minPrefix6 || six.Bits() > maxPrefix6 {
		return fmt.Errorf("vpn.prefix6: %q is not an IPv6 prefix of %d to %d bits, such as %s", v.Prefix6, minPrefix6, maxPrefix6, defaultPrefix6)
	}
	if v.Endpoint != "" {
		if host, port, err := net.SplitHostPort(v.Endpoint); err != nil || host == "" || port == "" || port == "0" {
			return fmt.Errorf("vpn.endpoint: %q is not host:port", v.Endpoint)
		}
	}
	return nil
}

// prefixes are those of all nodes, and this node's part of them: what its
// tunnels' addresses lie in, so that no two nodes give out one address.
func (v VPN) prefixes(node string, nodes map[string]string) (all, slice [2]netip.Prefix) {
	all = [2]netip.Prefix{netip.MustParsePrefix(v.Prefix4), netip.MustParsePrefix(v.Prefix6)} // checked
	names := slices.Sorted(maps.Keys(nodes))
	n := max(slices.Index(names, node), 0)
	deeper := bits.Len(uint(max(len(names)-1, 0)))
	for i, p := range all {
		slice[i] = part(p, n, deeper)
	}
	return all, slice
}

// part is the nth of the prefixes that are deeper bits longer than p.
func part(p netip.Prefix, n, deeper int) netip.Prefix {
	raw := p.Addr().AsSlice()
	for b := range deeper {
		if n>>(deeper-1-b)&1 == 1 {
			at := p.Bits() + b
			raw[at/8] |= 0x80 >> (at % 8)
		}
	}
	a, _ := netip.AddrFromSlice(raw)
	return netip.PrefixFrom(a, p.Bits()+deeper)
}
