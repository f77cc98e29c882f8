package recording

import (
	"bufio"
	"bytes"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// tunnelled writes a tunnel's session: a flow that ended, one that was refused,
// one that failed, and one that the session's end cut.
func tunnelled(t *testing.T, clock *clock, r *Recorder) *Channel {
	t.Helper()
	c := tunnel(t, r)
	tell := func(f gateway.NetworkFlow) {
		t.Helper()
		clock.pass(time.Second)
		must(t, c.NetworkFlow(f))
	}
	hist, plc := flowTo(1, "10.0.0.5:5432"), flowTo(2, "[fd00::7]:502")
	hist.Name = "hist"
	tell(hist)
	tell(plc)
	plc.Hint, plc.BytesIn, plc.BytesOut = "Modbus unit 1: 3 read holding registers", 12, 64
	tell(plc)
	ssh := flowTo(3, "10.0.0.9:22")
	ssh.Verdict, ssh.Rule, ssh.Why = gateway.FlowRefused, "flow", "this grant lets no flow to 10.0.0.9:22/tcp"
	tell(ssh)
	hist.Name, hist.BytesIn, hist.BytesOut, hist.Ended, hist.EndedBy, hist.Lasted = "", 100, 9000, true, gateway.FlowByTarget, 4*time.Second
	tell(hist)
	must(t, r.Note("frozen by omar"))
	echo := flowTo(4, "10.0.0.8:0")
	echo.Protocol, echo.Verdict, echo.Why = gateway.FlowICMP, gateway.FlowFailed, "no answer"
	tell(echo)
	return c
}

func TestFlowTimeline(t *testing.T) {
	clock := newClock()
	v := openVault(t, filepath.Join(t.TempDir(), "recordings"), at(clock))
	r := start(t, v, "ses_1")
	tunnelled(t, clock, r)
	for _, live := range []bool{true, false} {
		if !live {
			sealIt(t, r)
		}
		line, err := v.FlowTimeline(t.Context(), "ses_1", FlowQuery{})
		must(t, err)
		if len(line.Flows) != 4 || line.More || line.BytesIn != 112 || line.BytesOut != 9064 || line.Length != 6*time.Second || len(line.Notes) != 1 {
			t.Fatalf("live %v: %+v", live, line)
		}
		one, two, three := line.Flows[0], line.Flows[1], line.Flows[2]
		if one.At != time.Second || one.Last != 5*time.Second || one.Name != "hist" || one.EndedBy != gateway.FlowByTarget || one.Cut != "" {
			t.Errorf("live %v: the flow that ended: %+v", live, one)
		}
		if two.BytesOut != 64 || two.Hint == "" || (two.Cut != "") == live {
			t.Errorf("live %v: the flow that the end cut: %+v", live, two)
		}
		if three.Verdict != gateway.FlowRefused || three.Rule != "flow" || three.Cut != "" {
			t.Errorf("live %v: the refused flow: %+v", live, three)
		}
		if line.Counts[gateway.FlowOpen] != 2 || line.Counts[gateway.FlowRefused] != 1 || line.Counts[gateway.FlowFailed] != 1 {
			t.Errorf("live %v: counts: %v", live, line.Counts)
		}
	}
	for name, x := range map[string]struct {
		q    FlowQuery
		want []uint64
		more bool
	}{
		"by hint":    {FlowQuery{Text: "MODBUS"}, []uint64{2}, false},
		"by name":    {FlowQuery{Text: "hist"}, []uint64{1}, false},
		"by refusal": {FlowQuery{Text: "lets no flow"}, []uint64{3}, false},
		"by verdict": {FlowQuery{Verdicts: []gateway.FlowVerdict{gateway.FlowRefused, gateway.FlowFailed}}, []uint64{3, 4}, false},
		"a page":     {FlowQuery{Limit: 1}, []uint64{1}, true},
		"the next":   {FlowQuery{After: 1, Limit: 2}, []uint64{2, 3}, true},
	} {
		line, err := v.FlowTimeline(t.Context(), "ses_1", x.q)
		must(t, err)
		var got []uint64
		for _, f := range line.Flows {
			got = append(got, f.N)
		}
		if !slices.Equal(got, x.want) || line.More != x.more {
			t.Errorf("%s: %v, more %v", name, got, line.More)
		}
	}
}

func TestIndexOfATunnel(t *testing.T) {
	clock := newClock()
	v := openVault(t, filepath.Join(t.TempDir(), "recordings"), at(clock))
	r := start(t, v, "ses_1")
	c := tunnelled(t, clock, r)
	must(t, c.Packets([]gateway.Packet{{In: true, Length: 100, Data: patternAt(0, 40)}, {Length: 30, Data: patternAt(0, 30)}}))
	sealIt(t, r)
	x, err := v.Index(t.Context(), "ses_1")
	must(t, err)
	if len(x.Tunnel) != 4 || x.Refused != 1 || x.Cut || x.Tunnel[0].BytesOut != 9000 || x.Tunnel[1].Cut != sessionOver || x.Channels[0].BytesOut != 9064 {
		t.Errorf("%+v", x)
	}
	if x.Capture == nil || x.Capture.Packets != 2 || x.Capture.Short != 1 || x.Capture.Bytes != 130 || x.Capture.Kept != 70 {
		t.Errorf("capture: %+v", x.Capture)
	}
}

// A scan makes flows without end; the index stays bounded and says so, the
// timeline counts them all.
func TestFlowsAreBounded(t *testing.T) {
	v := openVault(t, filepath.Join(t.TempDir(), "recordings"))
	r := start(t, v, "ses_1")
	c := tunnel(t, r)
	const scanned = MaxIndex + 500
	for n := range uint64(scanned) {
		f := flowTo(n+1, "10.0.0.5:22")
		if n >= maxOpenFlows+20 {
			f.Verdict = gateway.FlowRefused
		}
		must(t, c.NetworkFlow(f))
	}
	x, err := v.Index(t.Context(), "ses_1")
	must(t, err)
	if len(x.Tunnel) != MaxIndex || !x.Cut || x.Refused != scanned-maxOpenFlows-20 {
		t.Errorf("%d flows, cut %v, %d refused", len(x.Tunnel), x.Cut, x.Refused)
	}
	line, err := v.FlowTimeline(t.Context(), "ses_1", FlowQuery{After: scanned - 10})
	must(t, err)
	if n := line.Counts[gateway.FlowOpen] + line.Counts[gateway.FlowRefused]; n != scanned || len(line.Flows) != 10 || line.Flows[9].N != scanned {
		t.Errorf("%d flows are counted, the last are %+v", n, line.Flows)
	}
}

// What was refused together is counted as the flows that it is, and worded by
// its host.
func TestFlowsRefusedTogether(t *testing.T) {
	v := openVault(t, filepath.Join(t.TempDir(), "recordings"))
	c := tunnel(t, start(t, v, "ses_1"))
	scan := flowTo(1, "10.0.0.5:0")
	scan.Verdict, scan.Rule, scan.Why, scan.Times, scan.Ended = gateway.FlowRefused, "abilities.flows", "65000 flows to ports 1 to 65535", 65000, true
	rest := gateway.NetworkFlow{N: 2, Verdict: gateway.FlowRefused, Rule: "flows", Why: "more", Times: 7, Ended: true}
	one := flowTo(3, "10.0.0.5:22")
	one.Verdict = gateway.FlowRefused
	for _, f := range []gateway.NetworkFlow{scan, rest, one} {
		must(t, c.NetworkFlow(f))
	}
	x, err := v.Index(t.Context(), "ses_1")
	must(t, err)
	line, err := v.FlowTimeline(t.Context(), "ses_1", FlowQuery{})
	must(t, err)
	if x.Refused != 65008 || line.Counts[gateway.FlowRefused] != 65008 || len(line.Flows) != 3 {
		t.Errorf("%d and %v refused, %+v", x.Refused, line.Counts, line.Flows)
	}
	for i, want := range []string{"tcp to 10.0.0.5, refused 65000 times: 65000 flows to ports", "flows to other hosts, refused 7 times", "tcp to 10.0.0.5:22, refused"} {
		if got := FlowText(line.Flows[i].NetworkFlow); !strings.HasPrefix(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// What has not ended is held in bounded memory: the oldest is given up as far
// as it was told.
func TestFlowsThatNeverEndAreGivenUp(t *testing.T) {
	var told []uint64
	teller := NewFlowTeller(func(f TunnelFlow) error { told = append(told, f.N); return nil })
	for n := range uint64(maxOpenFlows + 3) {
		must(t, teller.Take(time.Second, flowTo(n+1, "10.0.0.5:22")))
	}
	if !slices.Equal(told, []uint64{1, 2, 3}) {
		t.Errorf("given up: %v", told)
	}
	must(t, teller.Finish(""))
	if len(told) != maxOpenFlows+3 {
		t.Errorf("%d flows are told", len(told))
	}
}

func TestFlowLines(t *testing.T) {
	clock := newClock()
	v := openVault(t, filepath.Join(t.TempDir(), "recordings"), at(clock))
	r := start(t, v, "ses_1")
	tunnelled(t, clock, r)
	sealIt(t, r)
	var b bytes.Buffer
	must(t, v.FlowLines(t.Context(), &b, "ses_1"))
	var order []uint64
	for lines := bufio.NewScanner(&b); lines.Scan(); {
		var f TunnelFlow
		must(t, json.Unmarshal(lines.Bytes(), &f))
		order = append(order, f.N)
	}
	if !slices.Equal(order, []uint64{3, 1, 4, 2}) {
		t.Errorf("the flows are told as %v", order)
	}
}

// Who watches a tunnel reads each flow's beginning, refusal and end.
func TestTunnelIsFollowed(t *testing.T) {
	clock := newClock()
	v := openVault(t, filepath.Join(t.TempDir(), "recordings"), at(clock))
	r := start(t, v, "ses_1")
	tunnelled(t, clock, r)
	sealIt(t, r)
	var told []string
	must(t, v.Follow(t.Context(), "ses_1", func(f Frame) error { told = append(told, f.Code+" "+f.Data); return nil }))
	want := []string{
		"m tunnel",
		"m flow 1: tcp to hist 10.0.0.5:5432",
		"m flow 2: tcp to [fd00::7]:502",
		"m flow 3: tcp to 10.0.0.9:22, refused: this grant lets no flow to 10.0.0.9:22/tcp (flow)",
		"m flow 1: tcp to 10.0.0.5:5432, ended by target: in 100 bytes, out 9000 bytes",
		"m frozen by omar",
		"m flow 4: icmp to 10.0.0.8, failed: no answer",
	}
	if strings.Join(told, "\n") != strings.Join(want, "\n") {
		t.Errorf("told:\n%s", strings.Join(told, "\n"))
	}
}
