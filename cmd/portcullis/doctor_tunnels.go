package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

const endpointWithin = 3 * time.Second // for a name to resolve

// lookAtTunnels says where WireGuard is answered, whether clients can find it,
// and whether the tunnels' own addresses are in use elsewhere.
func (g *gatewayd) lookAtTunnels(ctx context.Context, targets []gateway.Target) []finding {
	if g.tunnels == nil {
		return unservedNetworks(targets)
	}
	out := []finding{{What: "tunnels", OK: true, Text: fmt.Sprintf("WireGuard is answered on UDP port %d", g.tunnels.Port())}}
	out = append(out, lookAtEndpoint(ctx, g.vpnEndpoint()))
	out = append(out, lookAtEcho(targets, g.tunnels.MayPing())...)
	all, _ := g.cfg.VPN.prefixes(g.cfg.Node, g.cfg.Nodes)
	own, err := net.InterfaceAddrs()
	if err != nil {
		out = append(out, finding{What: "tunnels", Text: fmt.Sprintf("this machine does not tell its addresses: %v", err), Cure: "let the service read them (AF_NETLINK in the unit's RestrictAddressFamilies); until then no tunnel reaches anything"})
	}
	out = append(out, lookAtPrefixes(all, targets, own)...)
	return append(out, g.lookAtTunnelNodes(ctx)...)
}

// unservedNetworks are networks that nobody can open a tunnel to.
func unservedNetworks(targets []gateway.Target) (out []finding) {
	for _, t := range targets {
		if t.Kind == gateway.KindNetwork && !t.Removed {
			out = append(out, finding{What: "tunnels", Text: fmt.Sprintf("%s is a network, and this node carries no tunnels", t.Name), Cure: "set listen.vpn, or remove the definition"})
		}
	}
	return out
}

// lookAtEcho says that no echo leaves the gateway, where there is a network that
// a grant could let echo to.
func lookAtEcho(targets []gateway.Target, no error) []finding {
	if no == nil || !slices.ContainsFunc(targets, func(t gateway.Target) bool { return t.Kind == gateway.KindNetwork && !t.Removed }) {
		return nil
	}
	return []finding{{
		What: "tunnels", Text: fmt.Sprintf("echo through tunnels is refused, whatever a grant lets: this machine lets the gateway open no ping socket: %v", no),
		Cure: `let the service's group: sysctl -w net.ipv4.ping_group_range="GID GID", and the same in /etc/sysctl.d; or let no flow HOST/icmp`,
	}}
}

// lookAtEndpoint looks up what clients are told to send their packets to.
func lookAtEndpoint(ctx context.Context, endpoint string) finding {
	const cure = "set vpn.endpoint to host:port as engineers reach it"
	f := finding{What: "tunnels", Cure: cure}
	host, _, err := net.SplitHostPort(endpoint)
	if err != nil {
		f.Text = fmt.Sprintf("clients are told the endpoint %q, which is not host:port", endpoint)
		return f
	}
	ctx, cancel := context.WithTimeout(ctx, endpointWithin)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		f.Text = fmt.Sprintf("clients are told the endpoint %s, which this machine cannot resolve: %v", endpoint, err)
		return f
	}
	f.OK, f.Text = true, fmt.Sprintf("clients are told the endpoint %s, which is %s; UDP must pass to it", endpoint, addrs[0].Unmap())
	return f
}

// lookAtPrefixes holds the addresses inside tunnels against what else has them:
// a network behind one could not be reached there, and this machine's own
// neighbours not from here.
func lookAtPrefixes(inner [2]netip.Prefix, targets []gateway.Target, own []net.Addr) (out []finding) {
	for i, p := range inner {
		field := [...]string{"vpn.prefix4", "vpn.prefix6"}[i]
		cure := fmt.Sprintf("set %s to one that is in use nowhere, on every node, while no tunnel is open", field)
		for _, t := range targets {
			if t.Network == nil || t.Removed {
				continue
			}
			for _, q := range t.Network.Prefixes {
				if q.Overlaps(p) {
					out = append(out, finding{What: "tunnels", Text: fmt.Sprintf("%s %s overlaps %s of the network %s: no tunnel reaches those of its addresses", field, p, q, t.Name), Cure: cure})
				}
			}
		}
		for _, a := range own {
			if q, err := netip.ParsePrefix(a.String()); err == nil && q.Masked().Overlaps(p) {
				out = append(out, finding{What: "tunnels", Text: fmt.Sprintf("%s %s overlaps %s, which this machine is in", field, p, q.Masked()), Cure: cure})
			}
		}
	}
	return out
}
