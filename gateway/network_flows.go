package gateway

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// MaxFlows bounds the flow rules of one grant.
const MaxFlows = 64

// flowWord begins an ability that is a flow rule.
const flowWord = "flow "

// FlowRule lets the flows of one protocol to some addresses and ports inside a
// network. Either it names a host as the target's definition does, or it says
// addresses. Two rules are equal if they let the same.
type FlowRule struct {
	Name     string       // of the target's definition; "": Prefix counts
	Prefix   netip.Prefix // one address is a prefix of all its bits
	Protocol FlowProtocol
	From, To uint16 // ports, both ends included; 0 of icmp, which has none
}

// ParseFlowRule reads HOST:PORT/PROTO and HOST/icmp: HOST is a name, an
// address or a prefix (IPv6 in brackets), PORT a number or N-M, PROTO tcp or
// udp. String gives back the one spelling of it.
func ParseFlowRule(s string) (FlowRule, error) {
	bad := func(why string) (FlowRule, error) {
		return FlowRule{}, Invalid("abilities", "flow %s %s; write flow HOST:PORT/tcp, flow HOST:PORT/udp or flow HOST/icmp, and an IPv6 address in brackets", quoteShort(s), why)
	}
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return bad("names no protocol")
	}
	r := FlowRule{Protocol: FlowProtocol(s[i+1:])}
	host := s[:i]
	switch r.Protocol {
	case FlowICMP:
	case FlowTCP, FlowUDP:
		j := strings.LastIndexByte(host, ':')
		if j < 0 || strings.HasSuffix(host, "]") {
			return bad("names no port")
		}
		var ok bool
		if r.From, r.To, ok = parsePorts(host[j+1:]); !ok {
			return bad("has no port or range of ports from 1 to 65535")
		}
		host = host[:j]
	default:
		return bad("names none of the protocols tcp, udp, icmp")
	}
	if hostLike(host) {
		if r.Name = strings.ToLower(strings.TrimSuffix(host, ".")); !hostName(r.Name) {
			return bad("names no host")
		}
		return r, nil
	}
	inner, bracket := strings.CutPrefix(host, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	var err error
	if r.Prefix, err = parsePrefix(inner); err != nil || bracket != closed || bracket != r.Prefix.Addr().Is6() {
		return bad("names no host")
	}
	if err := CheckNetworkPrefix(r.Prefix); err != nil {
		return FlowRule{}, err
	}
	return r, nil
}

// hostLike tells a name from an address: no address has a letter without a
// colon, and no name a colon.
func hostLike(s string) bool {
	return strings.ContainsAny(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-") && !strings.Contains(s, ":")
}

func parsePorts(s string) (from, to uint16, ok bool) {
	first, last, ranged := strings.Cut(s, "-")
	if !ranged {
		last = first
	}
	a, okA := parsePort(first)
	b, okB := parsePort(last)
	return a, b, okA && okB && a <= b
}

func parsePort(s string) (uint16, bool) {
	n, err := strconv.ParseUint(s, 10, 16)
	return uint16(n), err == nil && n > 0 && s == strconv.FormatUint(n, 10)
}

func parsePrefix(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		return netip.ParsePrefix(s)
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" { // a prefix would drop the zone
		return netip.Prefix{}, Invalid("abilities", "%s is no address of one network", quoteShort(s))
	}
	return netip.PrefixFrom(a, a.BitLen()), nil
}

// String is the rule in the one spelling that is compared, shown and signed.
func (r FlowRule) String() string {
	host := r.Name
	if host == "" {
		host = r.Prefix.String()
		if r.Prefix.IsSingleIP() {
			host = r.Prefix.Addr().String()
		}
		if r.Prefix.Addr().Is6() {
			host = "[" + host + "]"
		}
	}
	ports := ""
	if r.Protocol != FlowICMP {
		ports = ":" + strconv.Itoa(int(r.From))
		if r.To != r.From {
			ports += "-" + strconv.Itoa(int(r.To))
		}
	}
	return host + ports + "/" + string(r.Protocol)
}

// FlowRuleTo is the narrowest rule that lets a flow: what an engineer whose
// flow was refused may ask for. name is the target's name of the address, or
// empty.
func FlowRuleTo(p FlowProtocol, to netip.AddrPort, name string) FlowRule {
	r := FlowRule{Name: name, Protocol: p}
	if name == "" {
		addr := to.Addr().Unmap()
		r.Prefix = netip.PrefixFrom(addr, addr.BitLen())
	}
	if p != FlowICMP {
		r.From, r.To = to.Port(), to.Port()
	}
	return r
}

// Within reports whether r lets nothing that o does not. Names are compared as
// text and addresses by what holds them: no name is within a prefix nor the
// other way, whatever a definition says of it today.
func (r FlowRule) Within(o FlowRule) bool {
	if r.Protocol != o.Protocol || r.Name != o.Name || r.From < o.From || r.To > o.To {
		return false
	}
	return r.Name != "" || o.Prefix.Bits() <= r.Prefix.Bits() && o.Prefix.Contains(r.Prefix.Addr())
}

// And is the rule that lets what both do; false if that is nothing.
func (r FlowRule) And(o FlowRule) (FlowRule, bool) {
	if r.Prefix.Bits() < o.Prefix.Bits() {
		r.Prefix, o.Prefix = o.Prefix, r.Prefix
	}
	r.From, r.To = max(r.From, o.From), min(r.To, o.To)
	o.From, o.To = r.From, r.To
	return r, r.From <= r.To && r.Within(o)
}

// parseFlows reads canonical rules; what is none lets nothing and is left out.
func parseFlows(list []string) []FlowRule {
	rules := make([]FlowRule, 0, len(list))
	for _, s := range list {
		if r, err := ParseFlowRule(s); err == nil && r.String() == s {
			rules = append(rules, r)
		}
	}
	return rules
}

// leastFlows spells rules, without those that another holds: leaving out a
// rule of a grant then takes something away.
func leastFlows(rules []FlowRule) []string {
	var l []string
	for i, r := range rules {
		held := slices.ContainsFunc(rules, func(o FlowRule) bool { return r != o && r.Within(o) })
		if !held && !slices.Contains(rules[:i], r) {
			l = append(l, r.String())
		}
	}
	slices.Sort(l)
	return l
}

func flowsWithin(a, b []string) bool {
	rules, wide := parseFlows(a), parseFlows(b)
	return len(rules) == len(a) && !slices.ContainsFunc(rules, func(r FlowRule) bool { return !slices.ContainsFunc(wide, r.Within) })
}

func bothFlows(a, b []string) []string {
	var both []FlowRule
	for _, r := range parseFlows(a) {
		for _, o := range parseFlows(b) {
			if c, ok := r.And(o); ok {
				both = append(both, c)
			}
		}
	}
	return leastFlows(both)
}
