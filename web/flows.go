package web

import (
	"net/netip"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/recording"
	"github.com/portcullis/portcullis/web/api"
)

// flowKinds are what became of flows, in words.
var flowKinds = []choice{{"open", "passed", 0}, {"refused", "refused", 0}, {"failed", "failed at the target", 0}}

// flows is the recording of a tunnel: which flows there were, and when.
func (s *Server) flows(v *visit, x gateway.Session, d map[string]any) error {
	q, err := api.FlowQuery(v.URL.Query())
	if err != nil {
		return err
	}
	if err := s.lookAt(v, false); err != nil {
		return err
	}
	line, err := s.rooms.Recordings.FlowTimeline(v.Context(), x.ID, q)
	last := uint64(0)
	if line.More {
		last = line.Flows[len(line.Flows)-1].N
	}
	if d["Live"] == true {
		line.Length = max(line.Length, s.now().Sub(x.Started)) // a flow that is quiet goes on too
	}
	d["Line"], d["Client"], d["Usual"], d["Hint"] = line, "Client", "all flows", "a name, an address, a protocol, a refusal"
	d["Size"] = "↓ " + size(line.BytesOut) + " ↑ " + size(line.BytesIn) + " passed; no packet is kept"
	d["Download"], d["Typed"] = offered{Path: "flows?download", Says: "Download flows"}, offered{}
	if rec, ok := d["Rec"].(*api.RecordingInfo); ok && rec != nil && rec.Input > 0 {
		d["Packets"], d["Size"] = rec.Input, "↓ "+size(line.BytesOut)+" ↑ "+size(line.BytesIn)+" passed; "+size(rec.Input)+" of packets kept"
		d["Typed"] = offered{
			Head: "What the packets carried", Warns: "Packets may hold passwords, and whatever else passed.", Path: "pcapng?download", Says: "Download capture (pcapng)",
		}
	}
	return s.line(v, x, d, "flows", counted(flowKinds, line.Counts), last, err)
}

// bar is a flow's time within its recording's, in thousandths.
type bar struct{ From, Width int }

// minBar is the shortest bar that is seen, in thousandths.
const minBar = 6

// barOf draws a flow's time; nil: there is no time to draw it in. One that goes
// on reaches to the end.
func barOf(f recording.TunnelFlow, length time.Duration, live bool) *bar {
	if length <= 0 {
		return nil
	}
	place := func(d time.Duration) int { return int(max(0, min(d, length)) * 1000 / length) }
	from, to := place(f.At), place(f.Last)
	if live && f.Verdict == gateway.FlowOpen && !f.Ended {
		to = 1000
	}
	from = min(from, 1000-minBar)
	return &bar{From: from, Width: max(to-from, minBar)}
}

// flowTo words where a flow went; an echo has no port, and what was refused
// together has several.
func flowTo(p gateway.FlowProtocol, to netip.AddrPort) string {
	switch {
	case !to.IsValid():
		return "other hosts"
	case p == gateway.FlowICMP, to.Port() == 0:
		return to.Addr().String()
	}
	return to.String()
}

// endedBy words who ended a flow.
func endedBy(by gateway.FlowEnd) string {
	switch by {
	case gateway.FlowByClient:
		return "closed by the engineer"
	case gateway.FlowByTarget:
		return "closed by the target"
	case gateway.FlowByIdle:
		return "idle"
	case gateway.FlowByGate:
		return "ended by the gateway"
	}
	return string(by)
}
