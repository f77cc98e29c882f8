package gateway

import (
	"net/netip"
	"time"
)

// Network is what a target of kind network is: which addresses it has, under
// which names, and what is kept of the packets.
type Network struct {
	Prefixes []netip.Prefix `json:"prefixes"`        // every address that a grant may name lies in one of them
	Names    []NetworkName  `json:"names,omitempty"` // what the tunnel's DNS answers; nothing is asked outside, so no name can be made to mean something else later
	Capture  CaptureRule    `json:"capture,omitempty"`
	// CaptureBytes is how much of each flow and direction CaptureFirst keeps.
	CaptureBytes int64 `json:"capture_bytes,omitempty"`
}

// NetworkName is a name inside a network, in lower case, with its addresses.
type NetworkName struct {
	Name      string       `json:"name"`
	Addresses []netip.Addr `json:"addresses"`
}

// CaptureRule is what a recording keeps of a tunnel's packets. Flows are
// recorded under each of them.
type CaptureRule string

// The closed list of rules.
const (
	CaptureNone    CaptureRule = "none"    // flows alone
	CaptureHeaders CaptureRule = "headers" // IP and transport headers of every packet; also what the empty rule means
	CaptureFirst   CaptureRule = "first"   // whole packets until CaptureBytes of a flow's direction have passed, headers after
	CaptureFull    CaptureRule = "full"    // whole packets
)

// FlowProtocol is the transport of a flow.
type FlowProtocol string

// The closed list of transports. Nothing else passes a tunnel.
const (
	FlowTCP  FlowProtocol = "tcp"
	FlowUDP  FlowProtocol = "udp"
	FlowICMP FlowProtocol = "icmp" // echo alone, of ICMP and ICMPv6
)

// FlowVerdict is what became of a flow.
type FlowVerdict string

// The closed list of verdicts.
const (
	FlowOpen    FlowVerdict = "open"    // the target took it
	FlowRefused FlowVerdict = "refused" // by us: nothing of it reached the target
	FlowFailed  FlowVerdict = "failed"  // the target took it not
)

// NetworkFlow is one flow inside a tunnel, as the recording has it: told before
// its first byte passes, at least once for each step of its volume, and when it
// ends. A refused one is told once.
type NetworkFlow struct {
	N        uint64         `json:"n"` // which flow of the session, from 1
	Protocol FlowProtocol   `json:"protocol"`
	From     netip.AddrPort `json:"from"` // inside the tunnel
	To       netip.AddrPort `json:"to"`
	Name     string         `json:"name,omitempty"` // of To, as the target's definition has it
	Verdict  FlowVerdict    `json:"verdict"`
	Rule     string         `json:"rule,omitempty"`      // refused
	Why      string         `json:"why,omitempty"`       // refused, failed: a sentence
	Hint     string         `json:"hint,omitempty"`      // what its first bytes look like: not to be relied on, and never a secret
	BytesIn  int64          `json:"bytes_in"`            // of payload, from the engineer
	BytesOut int64          `json:"bytes_out"`           // to him
	Packets  int64          `json:"packets,omitempty"`   // of UDP and ICMP: both ways
	Times    int64          `json:"times,omitempty"`     // refused: how many are told by this one word, to all ports of To where it has none, and to all hosts where it is not valid; 0: one
	Ended    bool           `json:"ended,omitempty"`     // nothing more comes
	EndedBy  FlowEnd        `json:"ended_by,omitempty"`  // with Ended, of an open one
	Started  time.Time      `json:"started,omitzero"`    // microseconds
	Lasted   time.Duration  `json:"lasted_ns,omitempty"` // with Ended
}

// FlowEnd is who ended a flow.
type FlowEnd string

// The closed list of ends.
const (
	FlowByClient FlowEnd = "client" // closed or reset by the engineer's side
	FlowByTarget FlowEnd = "target"
	FlowByIdle   FlowEnd = "idle"
	FlowByGate   FlowEnd = "gate" // the session ended, or a limit did
)

// Packet is one packet inside a tunnel as it is kept.
type Packet struct {
	In     bool   // from the engineer
	Length int    // of the whole packet, bytes
	Data   []byte // of it, from its IP header on, what is kept
}
