package gateway

import (
	"fmt"
	"strings"
)

// networked reports whether anything is let or bounded that tunnels alone have.
func (a Abilities) networked() bool {
	return len(a.Flows) > 0 || a.Bandwidth > 0
}

// fitsNetwork: a tunnel takes flows and their bounds alone.
func (a Abilities) fitsNetwork() error {
	no := func(format string, args ...any) error { return Invalid("abilities", format, args...) }
	rest := a
	rest.Flows, rest.VolumeIn, rest.VolumeOut, rest.Bandwidth = nil, 0, 0, 0
	switch {
	case len(rest.List()) > 0:
		return no("a network is let by flows, volumes and a bandwidth alone, and not by %s; ask for flow HOST:PORT/tcp, flow HOST:PORT/udp or flow HOST/icmp", strings.Join(rest.List(), ", "))
	case len(a.Flows) == 0:
		return no("a network needs the flows that are let; ask for each as flow HOST:PORT/tcp, flow HOST:PORT/udp or flow HOST/icmp")
	case len(a.Flows) > MaxFlows:
		return no("one grant lets at most %d flows; name ranges of ports or prefixes instead", MaxFlows)
	case len(parseFlows(a.Flows)) < len(a.Flows):
		return no("a flow of the grant is not written as it is compared")
	}
	return nil
}

// FitsTarget holds what is asked for to the target: to its kind, and of a
// network to the addresses and names that its definition has.
func (a Abilities) FitsTarget(t Target) error {
	if err := a.Fits(t.Kind); err != nil || t.Kind != KindNetwork {
		return err
	}
	if t.Network == nil {
		return Invalid("network", "target %s says nothing of its network", t.Name)
	}
	_, err := a.FlowRules(*t.Network)
	return err
}

// networkWithin: bandwidth binds flows alone.
func (a Abilities) networkWithin(b Abilities) bool {
	return len(a.Flows) == 0 || flowsWithin(a.Flows, b.Flows) && boundWithin(a.Bandwidth, b.Bandwidth)
}

// andNetwork puts what a and b let of a network into c.
func (c *Abilities) andNetwork(a, b Abilities) {
	if c.Flows = bothFlows(a.Flows, b.Flows); len(c.Flows) > 0 {
		c.Bandwidth = lower(a.Bandwidth, b.Bandwidth)
	}
}

func (a Abilities) listNetwork() []string {
	var l []string
	for _, f := range a.Flows {
		l = append(l, flowWord+f)
	}
	if a.Bandwidth > 0 {
		l = append(l, fmt.Sprintf("bandwidth %d", a.Bandwidth))
	}
	return l
}

// parseNetwork takes one ability of the network kind.
func (a *Abilities) parseNetwork(s string) (known bool, err error) {
	word, rest, _ := strings.Cut(s, " ")
	switch word {
	case "flow":
		var r FlowRule
		if r, err = ParseFlowRule(rest); err == nil {
			a.Flows = appendNew(a.Flows, r.String())
		}
	case "bandwidth":
		a.Bandwidth, err = bytesOf(s, rest)
	default:
		return false, nil
	}
	return true, err
}
