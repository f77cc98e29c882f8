package gateway

import (
	"net/netip"
	"slices"
)

// Bounds of what a network's definition and its grants may span.
const (
	MinBits4 = 8  // of an IPv4 prefix: 10.0.0.0/8 is the widest private network
	MinBits6 = 32 // of an IPv6 prefix: what a registry gives one provider
)

// nowhere are the addresses that no tunnel reaches, however a definition or a
// grant reads: of this machine, of its links, of many machines at once, or of
// another family in disguise.
var nowhere = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),      // RFC 791: this network
	netip.MustParsePrefix("127.0.0.0/8"),    // RFC 1122: loopback
	netip.MustParsePrefix("169.254.0.0/16"), // RFC 3927: link-local, and the metadata of clouds
	netip.MustParsePrefix("224.0.0.0/4"),    // RFC 5771: multicast
	netip.MustParsePrefix("240.0.0.0/4"),    // RFC 1112: reserved, and broadcast
	netip.MustParsePrefix("::/8"),           // RFC 4291: unspecified, loopback, IPv4-mapped; RFC 6052: NAT64
	netip.MustParsePrefix("2001::/32"),      // RFC 4380: Teredo
	netip.MustParsePrefix("2002::/16"),      // RFC 3056: 6to4
	netip.MustParsePrefix("fe80::/10"),      // RFC 4291: link-local
	netip.MustParsePrefix("ff00::/8"),       // RFC 4291: multicast
}

// Nowhere reports whether addr is one that no tunnel reaches: loopback,
// link-local, multicast, unspecified, reserved, IPv4 inside IPv6, or none.
func Nowhere(addr netip.Addr) bool {
	return !addr.IsValid() || addr.Zone() != "" || slices.ContainsFunc(nowhere, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// CheckNetworkPrefix holds a prefix of a network or of a grant to addresses
// that a tunnel can reach, to its one spelling, and to a width.
func CheckNetworkPrefix(p netip.Prefix) error {
	no := func(format string, args ...any) error { return Invalid("prefixes", format, args...) }
	if !p.IsValid() || p.Addr().Is4In6() {
		return no("%s is no prefix; write one such as 10.20.0.0/16 or fd00:20::/64, and IPv4 as IPv4", quoteShort(p.String()))
	}
	least := MinBits4
	if p.Addr().Is6() {
		least = MinBits6
	}
	switch in := slices.IndexFunc(nowhere, p.Overlaps); {
	case p != p.Masked():
		return no("%s has bits after its first %d; write %s for the whole, or one address", p, p.Bits(), p.Masked())
	case p.Bits() < least:
		return no("%s is too wide; at least %d bits are named, so that a slip opens no half of the world", p, least)
	case in >= 0:
		return no("%s holds addresses of %s, which no tunnel reaches", p, nowhere[in])
	}
	return nil
}

// CheckNetworkName holds a name inside a network to the one spelling that is
// compared and answered: a host name in lower case, without a dot at its end.
func CheckNetworkName(s string) error {
	if !hostName(s) || !hostLike(s) {
		return Invalid("names", "name %s is no host name in lower case, such as historian or plc-7.plant", quoteShort(s))
	}
	return nil
}
