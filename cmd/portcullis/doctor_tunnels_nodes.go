package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"slices"
)

// tunnelNode is what a node's doctor tells another's of its tunnels.
type tunnelNode struct {
	Endpoint string          `json:"endpoint"` // that clients are told; empty: it carries none
	Key      string          `json:"key"`      // WireGuard, public
	Slice    [2]netip.Prefix `json:"slice"`    // what its tunnels' inner addresses lie in
}

func (g *gatewayd) tunnelNode() tunnelNode {
	if g.tunnels == nil {
		return tunnelNode{}
	}
	_, slice := g.cfg.VPN.prefixes(g.cfg.Node, g.cfg.Nodes)
	return tunnelNode{Endpoint: g.vpnEndpoint(), Key: g.tunnels.PublicKey(), Slice: slice}
}

func (g *gatewayd) localTunnels(w http.ResponseWriter, _ *http.Request) error {
	return answer(w, g.tunnelNode())
}

// lookAtTunnelNodes asks the other nodes how their tunnels are set. One that
// does not answer is told of as a node.
func (g *gatewayd) lookAtTunnelNodes(ctx context.Context) []finding {
	if g.peers == nil {
		return nil
	}
	others := map[string]tunnelNode{}
	for _, n := range g.peers.Names() {
		raw, err := g.peers.Ask(ctx, n, "/local/tunnels", nil)
		if err != nil {
			continue
		}
		var t tunnelNode
		if json.Unmarshal(raw, &t) == nil {
			others[n] = t
		}
	}
	return besideTunnelNodes(g.tunnelNode(), others)
}

// besideTunnelNodes holds a node's tunnels against those of the others: no two
// may be found at one endpoint, give out one address, or have one key.
func besideTunnelNodes(mine tunnelNode, others map[string]tunnelNode) (out []finding) {
	say := func(cure, format string, args ...any) {
		out = append(out, finding{What: "tunnels", Text: fmt.Sprintf(format, args...), Cure: cure})
	}
	for _, n := range slices.Sorted(maps.Keys(others)) {
		o := others[n]
		if o.Endpoint == "" {
			continue
		}
		good := len(out)
		if o.Endpoint == mine.Endpoint {
			say("set vpn.endpoint of each node to a host:port that leads to it alone", "clients of node %s are told the endpoint %s too: what they send reaches one of the two nodes, and only that one knows them", n, mine.Endpoint)
		}
		if o.Key == mine.Key {
			say("stop one of the two, remove "+nodeKey+" from its data folder, and start it: it makes another", "node %s has this node's WireGuard key: each takes the other's peers for strangers", n)
		}
		for i, p := range mine.Slice {
			if p.Overlaps(o.Slice[i]) {
				field := [...]string{"vpn.prefix4", "vpn.prefix6"}[i]
				say("give all nodes the same "+field+" and the same list under nodes:, while no tunnel is open", "node %s gives out addresses of %s to its tunnels, and this node of %s: one address may be two engineers'", n, o.Slice[i], p)
			}
		}
		if len(out) == good {
			out = append(out, finding{What: "tunnels", OK: true, Text: n + "'s tunnels are in nobody's way"})
		}
	}
	return out
}
