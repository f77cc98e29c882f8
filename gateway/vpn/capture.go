package vpn

import (
	"sync"

	"github.com/portcullis/portcullis/gateway"
)

// capture keeps of packets what the target's rule says, before they pass.
type capture struct {
	rule gateway.CaptureRule
	most int64 // of CaptureFirst: bytes of a flow and direction that are kept whole
	to   Channel

	mu   sync.Mutex // guards kept
	kept map[flowKey]int64

	batches sync.Pool
}

// flowKey is one direction of a flow as its packets show it: protocol,
// addresses and ports, as they stand in the headers.
type flowKey struct {
	proto byte
	text  string
}

// maxKept bounds the flows whose volume is remembered. Above it the memory
// begins anew, and more is kept than was asked for, never less.
const maxKept = 4096

func newCapture(n gateway.Network, to Channel) *capture {
	c := &capture{rule: n.Capture, most: n.CaptureBytes, to: to}
	c.batches.New = func() any { return &[]gateway.Packet{} }
	return c
}

// keep records a batch. An error means that none of it may pass.
func (c *capture) keep(in bool, n int, at func(int) (packet, bool)) error {
	if c.rule == gateway.CaptureNone {
		return nil
	}
	list := c.batches.Get().(*[]gateway.Packet)
	defer func() {
		clear(*list)
		*list = (*list)[:0]
		c.batches.Put(list)
	}()
	for i := range n {
		if p, ok := at(i); ok {
			*list = append(*list, gateway.Packet{In: in, Length: len(p.raw), Data: p.raw[:c.length(p)]})
		}
	}
	return c.to.Packets(*list)
}

// length is how much of a packet is kept.
func (c *capture) length(p packet) int {
	switch c.rule {
	case gateway.CaptureFull:
		return len(p.raw)
	case gateway.CaptureFirst:
		if c.early(p) {
			return len(p.raw)
		}
	}
	return min(p.head, len(p.raw))
}

// early reports whether the flow's direction has not passed its first bytes.
func (c *capture) early(p packet) bool {
	at, ports := 12, p.l4+4
	if p.v6() {
		at = 8
	}
	if p.fragment || p.proto == protoICMP || p.proto == protoICMPv6 {
		ports = p.l4
	}
	k := flowKey{p.proto, string(p.raw[at:min(ports, len(p.raw))])}
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.kept[k]
	if before >= c.most {
		return false
	}
	if c.kept == nil || len(c.kept) >= maxKept {
		c.kept = map[flowKey]int64{}
	}
	c.kept[k] = before + int64(len(p.raw))
	return true
}
