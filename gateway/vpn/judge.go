package vpn

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// judge says whether a flow may begin, and the target's name of where it leads.
// Whatever the grant reads: the gateway's own listeners and other tunnels are
// not to be had.
func (t *tunnel) judge(p gateway.FlowProtocol, to netip.AddrPort) (name string, no *gateway.Error) {
	a := to.Addr()
	if slices.ContainsFunc(t.g.c.All, func(p netip.Prefix) bool { return p.Contains(a) }) {
		return "", gateway.Refused("network.tunnels", "", "no tunnel leads to another, or to the gateway")
	}
	if gateway.Nowhere(a) || t.g.own.has(a) {
		return "", gateway.Refused("network.nowhere", "", "no tunnel reaches %s", a)
	}
	m, ok := t.rules.Match(p, to)
	if !ok {
		return "", t.rules.NoFlow(p, to)
	}
	return m.Name, nil
}

// RefusedFlow is a flow that did not pass, as the tunnel's page shows it.
type RefusedFlow struct {
	At       time.Time            `json:"at"`
	Protocol gateway.FlowProtocol `json:"protocol"`
	To       netip.AddrPort       `json:"to"`
	Rule     string               `json:"rule"`
	Why      string               `json:"why"`           // a sentence, with what to ask for
	Times    int                  `json:"times"`         // tried so often without another between
	Ask      string               `json:"ask,omitempty"` // the ability to ask for
}

// refuse tells, records and keeps that a flow did not pass.
func (t *tunnel) refuse(id flowID, no *gateway.Error) {
	now := t.g.c.Now()
	r := RefusedFlow{At: gateway.Instant(now), Protocol: protocolOf(id.proto), To: id.to, Rule: no.Rule, Why: no.Sentence(), Times: 1}
	t.mu.Lock()
	if n := len(t.refused); n > 0 && t.refused[n-1].Protocol == r.Protocol && t.refused[n-1].To == r.To {
		t.refused[n-1].Times++
		t.mu.Unlock()
		return
	}
	if no.Rule == "abilities.flows" {
		r.Ask = "flow " + gateway.FlowRuleTo(r.Protocol, r.To, t.rules.NameOf(r.To.Addr())).String()
	}
	t.refused = append(t.refused, r)
	t.refused = t.refused[max(0, len(t.refused)-RefusedKept):]
	one := t.tellLeft > 0
	if one {
		t.tellLeft--
	} else {
		t.silent++
	}
	t.count++
	n := t.count
	t.mu.Unlock()
	if !one {
		return
	}
	_ = t.ch.NetworkFlow(gateway.NetworkFlow{
		N: n, Protocol: r.Protocol, From: id.from, To: id.to, Verdict: gateway.FlowRefused, Rule: r.Rule, Why: r.Why, Started: r.At,
	})
	t.live.Refuse(t.live.Context(), fmt.Sprintf("flow %s/%s", id.to, r.Protocol), r.Why)
}

// charge asks whether n more bytes are in the grant's volume, tells before it
// is used up, and ends the session when it is.
func (t *tunnel) charge(in bool, n int) error {
	limit, used, way, i := t.abilities.VolumeOut, t.out.Load(), "down", 0
	if in {
		limit, used, way, i = t.abilities.VolumeIn, t.in.Load(), "up", 1
	}
	if limit <= 0 {
		return nil
	}
	if used+int64(n) > limit/100*alarmPercent && !t.alarmed[i].Swap(true) {
		s := fmt.Sprintf("%d percent of the %d bytes %s that this grant lets are used; the tunnel ends when all are", alarmPercent, limit, way)
		t.tell(s)
		t.live.Alarm(t.live.Context(), "volume "+way, s)
	}
	if used+int64(n) > limit {
		t.live.End(gateway.EndVolume, "", "")
		return &gateway.Ended{Reason: gateway.EndVolume}
	}
	return nil
}

func manyRefused(n int64) string {
	return fmt.Sprintf("%d more flows were refused, and not told one by one", n)
}
