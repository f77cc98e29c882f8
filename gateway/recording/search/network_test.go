package search

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/portcullis/portcullis/gateway"
)

// A tunnel's flows are found by name, address, hint and refusal; its packets
// are not.
func TestSearchFindsFlowsOfATunnel(t *testing.T) {
	w := newWorld(t)
	s := w.start("ses_1")
	c := s.channel(gateway.Channel{Kind: gateway.ChannelTunnel})
	to := netip.MustParseAddrPort("10.9.8.7:502")
	for _, f := range []gateway.NetworkFlow{
		{N: 1, Protocol: gateway.FlowTCP, To: to, Name: "plc-needle", Verdict: gateway.FlowOpen},
		{N: 2, Protocol: gateway.FlowUDP, To: to, Verdict: gateway.FlowRefused, Rule: "flow", Why: "this grant has no needle"},
		{N: 1, Protocol: gateway.FlowTCP, To: to, Verdict: gateway.FlowOpen, Hint: "Modbus unit 1: 3 read holding registers", Ended: true},
		{N: 3, Protocol: gateway.FlowTCP, To: to, Name: "open-needle", Verdict: gateway.FlowOpen},
	} {
		must(t, c.NetworkFlow(f))
	}
	must(t, c.Packets([]gateway.Packet{{In: true, Length: 12, Data: []byte("typed-needle")}}))
	s.end()
	w.run()
	find := func(text string) (got []string) {
		for _, h := range w.search(Query{Text: text, Kinds: []Kind{Flow}}).Hits {
			got = append(got, h.Line)
		}
		slices.Sort(got)
		return got
	}
	want := []string{
		"tcp to open-needle 10.9.8.7:502",
		"tcp to plc-needle 10.9.8.7:502, Modbus unit 1: 3 read holding registers",
		"udp to 10.9.8.7:502, refused: this grant has no needle (flow)",
	}
	if got := find("needle"); !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
	for _, text := range []string{"10.9.8.7", "read holding"} {
		if len(find(text)) == 0 {
			t.Errorf("%q is not found", text)
		}
	}
	if got := find("typed-needle"); len(got) != 0 {
		t.Errorf("a packet is found: %q", got)
	}
}
