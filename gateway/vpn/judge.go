package vpn

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/portcullis/portcullis/gateway"
)

// judge says whether a flow may begin, and the target's name of where it leads.
// It is asked for each packet of a scan, so it words nothing.
func (t *tunnel) judge(p gateway.FlowProtocol, to netip.AddrPort) (name string, ok bool) {
	if t.among(to.Addr()) || gateway.Nowhere(to.Addr()) || t.g.own.has(to.Addr()) {
		return "", false
	}
	m, ok := t.rules.Match(p, to)
	return m.Name, ok
}

// among reports whether an address is the gateway's inside, or a tunnel's.
func (t *tunnel) among(a netip.Addr) bool {
	return slices.ContainsFunc(t.g.c.All, func(p netip.Prefix) bool { return p.Contains(a) })
}

// why words what judge has refused. Whatever the grant reads: the gateway's own
// listeners and other tunnels are not to be had.
func (t *tunnel) why(p gateway.FlowProtocol, to netip.AddrPort) *gateway.Error {
	a := to.Addr()
	switch {
	case t.among(a):
		return gateway.Refused("network.tunnels", "", "no tunnel leads to another, or to the gateway")
	case gateway.Nowhere(a), t.g.own.has(a):
		return gateway.Refused("network.nowhere", "", "no tunnel reaches %s", a)
	}
	return t.rules.NoFlow(p, to)
}

// charge takes n bytes off the grant's volume, tells before it is used up, and
// ends the session when it is.
func (t *tunnel) charge(in bool, n int) error {
	way, i := "down", 0
	if in {
		way, i = "up", 1
	}
	used, limit := t.live.Spend(in, n)
	if limit <= 0 {
		return nil
	}
	if used > limit/100*alarmPercent && !t.alarmed[i].Swap(true) {
		s := fmt.Sprintf("%d percent of the %d bytes %s that this grant lets are used; the tunnel ends when all are", alarmPercent, limit, way)
		t.tell(s)
		t.live.Alarm(t.live.Context(), "volume "+way, s)
	}
	if used > limit {
		t.live.End(gateway.EndVolume, "", "")
		return &gateway.Ended{Reason: gateway.EndVolume}
	}
	return nil
}
