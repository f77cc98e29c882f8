package gateway

import (
	"net/netip"
	"slices"
	"strings"
)

// FlowRules are the flow rules of a grant as a proxy asks them: names have
// become the addresses that the target's definition gives them. It is never
// changed after it was made.
type FlowRules struct {
	hosts    map[netip.Addr][]flowRule // rules for one address
	prefixes []flowRule                // rules for more
	names    map[netip.Addr]string     // of every address that the definition names
	answers  map[string][]netip.Addr
}

// flowRule is one rule with its texts.
type flowRule struct {
	FlowRule
	text string
}

// FlowMatch is what lets a flow.
type FlowMatch struct {
	Rule string // as the grant has it
	Name string // of the address, as the target's definition has it; "": none
}

// FlowRules compiles the flows of a grant for a network. A rule that names or
// reaches what the network has not is refused, and so is one that cannot be
// read: nothing is let by half.
func (a Abilities) FlowRules(n Network) (*FlowRules, error) {
	f := &FlowRules{hosts: map[netip.Addr][]flowRule{}, names: map[netip.Addr]string{}, answers: map[string][]netip.Addr{}}
	for _, x := range n.Names {
		for _, addr := range x.Addresses {
			if _, ok := f.names[addr]; !ok {
				f.names[addr] = x.Name
			}
		}
	}
	for _, s := range a.Flows {
		r, err := ParseFlowRule(s)
		if err != nil {
			return nil, err
		}
		if err := f.add(flowRule{r, s}, n); err != nil {
			return nil, err
		}
	}
	f.answer(n)
	return f, nil
}

func (f *FlowRules) add(r flowRule, n Network) error {
	if r.Name == "" {
		if !slices.ContainsFunc(n.Prefixes, func(p netip.Prefix) bool { return p.Bits() <= r.Prefix.Bits() && p.Contains(r.Prefix.Addr()) }) {
			return Invalid("abilities", "flow %s is outside the network, which has %s", r.text, prefixList(n.Prefixes))
		}
		if r.Prefix.IsSingleIP() {
			f.hosts[r.Prefix.Addr()] = append(f.hosts[r.Prefix.Addr()], r)
		} else {
			f.prefixes = append(f.prefixes, r)
		}
		return nil
	}
	i := slices.IndexFunc(n.Names, func(x NetworkName) bool { return x.Name == r.Name })
	if i < 0 {
		return Invalid("abilities", "the network has no name %s; it has %s", quoteShort(r.Name), nameList(n.Names))
	}
	for _, addr := range n.Names[i].Addresses {
		f.hosts[addr] = append(f.hosts[addr], r)
	}
	return nil
}

// answer lists what the tunnel's DNS may say: of a name that a rule names all
// its addresses, of any other those that a rule for addresses holds.
func (f *FlowRules) answer(n Network) {
	for _, x := range n.Names {
		for _, addr := range x.Addresses {
			holds := func(r flowRule) bool { return r.Name == x.Name || r.Name == "" && r.Prefix.Contains(addr) }
			if slices.ContainsFunc(f.hosts[addr], holds) || slices.ContainsFunc(f.prefixes, holds) {
				f.answers[x.Name] = append(f.answers[x.Name], addr)
			}
		}
	}
}

// Match finds the rule that lets a flow; of ICMP the port does not count. What
// no rule lets does not pass, and neither does what a tunnel never reaches.
func (f *FlowRules) Match(p FlowProtocol, to netip.AddrPort) (FlowMatch, bool) {
	addr := to.Addr()
	if Nowhere(addr) {
		return FlowMatch{}, false
	}
	lets := func(r flowRule) bool {
		return r.Protocol == p && (p == FlowICMP || r.From <= to.Port() && to.Port() <= r.To) && (r.Name != "" || r.Prefix.Contains(addr))
	}
	for _, rules := range [][]flowRule{f.hosts[addr], f.prefixes} {
		if i := slices.IndexFunc(rules, lets); i >= 0 {
			m := FlowMatch{Rule: rules[i].text, Name: rules[i].Name}
			if m.Name == "" {
				m.Name = f.names[addr]
			}
			return m, true
		}
	}
	return FlowMatch{}, false
}

// NameOf is the target's name of an address, granted or not; "" if it has none.
func (f *FlowRules) NameOf(addr netip.Addr) string { return f.names[addr] }

// Answer is what the tunnel's DNS says of a name in lower case without its
// last dot: the addresses that the grant reaches under it. false: it says that
// there is no such name.
func (f *FlowRules) Answer(name string) ([]netip.Addr, bool) {
	l, ok := f.answers[name]
	return l, ok
}

// Reaches are the prefixes that the rules let, each once and in order, without
// those that lie in another: what a client sends into its tunnel.
func (f *FlowRules) Reaches() []netip.Prefix {
	var l []netip.Prefix
	for addr := range f.hosts {
		l = append(l, netip.PrefixFrom(addr, addr.BitLen()))
	}
	for _, r := range f.prefixes {
		l = append(l, r.Prefix)
	}
	slices.SortFunc(l, netip.Prefix.Compare)
	var least []netip.Prefix // a prefix sorts before all that lie in it
	for _, p := range l {
		if len(least) == 0 || !least[len(least)-1].Contains(p.Addr()) {
			least = append(least, p)
		}
	}
	return least
}

// NoFlow words why a flow does not pass, for the engineer, with what to ask
// for.
func (f *FlowRules) NoFlow(p FlowProtocol, to netip.AddrPort) *Error {
	if Nowhere(to.Addr()) {
		return Refused("network.nowhere", "", "no tunnel reaches %s", to.Addr())
	}
	r := FlowRuleTo(p, to, f.NameOf(to.Addr()))
	return Refused("abilities.flows", "ask for a grant with "+flowWord+r.String(), "this grant lets no flow to %s", r)
}

func prefixList(l []netip.Prefix) string {
	var s []string
	for _, p := range l {
		s = append(s, p.String())
	}
	return strings.Join(s, ", ")
}

func nameList(l []NetworkName) string {
	const most = 8
	var s []string
	for _, x := range l {
		if len(s) == most {
			s = append(s, "…")
			break
		}
		s = append(s, x.Name)
	}
	if len(s) == 0 {
		return "none"
	}
	return strings.Join(s, ", ")
}
