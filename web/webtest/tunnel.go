package webtest

import (
	"context"
	"net/netip"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/recording"
)

// flowTo is a flow of the sample tunnel, from its beginning to when it was last
// told.
func flowTo(n uint64, protocol gateway.FlowProtocol, name, to string, at, last time.Duration) recording.TunnelFlow {
	return recording.TunnelFlow{At: at, Last: last, NetworkFlow: gateway.NetworkFlow{
		N: n, Protocol: protocol, From: netip.MustParseAddrPort("100.100.0.7:40112"), To: netip.MustParseAddrPort(to), Name: name, Verdict: gateway.FlowOpen,
	}}
}

// flows are what passed the sample tunnels.
var flows = func() []recording.TunnelFlow {
	hist, plc := flowTo(1, gateway.FlowTCP, "hist", "10.20.0.5:443", 2*time.Second, 95*time.Second), flowTo(2, gateway.FlowTCP, "plc-7", "10.20.0.17:502", 9*time.Second, 171*time.Second)
	hist.Hint, hist.BytesIn, hist.BytesOut, hist.Ended, hist.EndedBy, hist.Lasted = "TLS hist.plant.example", 18_204, 8_204_112, true, gateway.FlowByTarget, 93*time.Second
	plc.Hint, plc.BytesIn, plc.BytesOut = "Modbus unit 1: 3 read holding registers, 6 write single register", 4_812, 9_220
	ssh := flowTo(3, gateway.FlowTCP, "", "10.20.0.9:22", 31*time.Second, 31*time.Second)
	ssh.Verdict, ssh.Rule, ssh.Why = gateway.FlowRefused, "flow", "this grant lets no flow to 10.20.0.9:22/tcp"
	echo := flowTo(4, gateway.FlowICMP, "plc-7", "10.20.0.17:0", 40*time.Second, 44*time.Second)
	echo.Packets, echo.BytesIn, echo.BytesOut, echo.Ended, echo.EndedBy, echo.Lasted = 8, 256, 256, true, gateway.FlowByIdle, 4*time.Second
	rdp := flowTo(5, gateway.FlowTCP, "eng-station", "[fd00:20::21]:3389", 60*time.Second, 61*time.Second)
	rdp.Verdict, rdp.Why = gateway.FlowFailed, "the target refused the connection"
	cut := flowTo(6, gateway.FlowUDP, "", "10.20.0.30:161", 80*time.Second, 150*time.Second)
	cut.Hint, cut.Packets, cut.BytesIn, cut.BytesOut, cut.Cut = "SNMP", 240, 9_600, 31_200, "the session was over"
	return []recording.TunnelFlow{hist, plc, ssh, echo, rdp, cut}
}()

// FlowTimeline implements api.Recordings.
func (r recordings) FlowTimeline(_ context.Context, id string, q recording.FlowQuery) (recording.FlowTimeline, error) {
	out := recording.FlowTimeline{
		Flows: []recording.TunnelFlow{}, Counts: map[gateway.FlowVerdict]int{}, Length: 171 * time.Second,
		Notes: []recording.IndexNote{{At: 70 * time.Second, Text: "watched by rita"}},
	}
	for _, f := range flows {
		out.Counts[f.Verdict]++
		out.BytesIn += f.BytesIn
		out.BytesOut += f.BytesOut
		if q.Fits(f) {
			out.Flows = append(out.Flows, f)
		}
	}
	return out, r.did("flow timeline %s", id)
}
