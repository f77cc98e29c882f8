package recording

import (
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// IndexCapture says how much of a tunnel's packets is kept: what is missing of
// them is what the target's rule left out, and Short tells of how many.
type IndexCapture struct {
	First   time.Duration `json:"first_ns"`
	Last    time.Duration `json:"last_ns"`
	Packets int64         `json:"packets"`
	Short   int64         `json:"short"` // of them, those kept in part
	Bytes   int64         `json:"bytes"` // of them all as they passed
	Kept    int64         `json:"kept"`  // of those bytes
}

// passed takes a flow's last word.
func (b *indexer) passed(f frame) {
	flow, err := parseNetworkFlow(f.payload)
	if err != nil {
		b.unreadable(f)
		return
	}
	if flow.Verdict == gateway.FlowRefused { // told once
		b.index.Refused += int(max(flow.Times, 1))
	}
	i, ok := b.tunnel[flow.N]
	if !ok && !b.room(len(b.index.Tunnel)) {
		return
	}
	if !ok {
		i = len(b.index.Tunnel)
		b.tunnel[flow.N] = i
		b.index.Tunnel = append(b.index.Tunnel, TunnelFlow{At: f.at})
	}
	x := &b.index.Tunnel[i]
	was := x.NetworkFlow
	x.tell(f.at, flow)
	b.reword(was.Name, &x.Name)
	b.reword(was.Hint, &x.Hint)
	b.reword(was.Rule, &x.Rule)
	b.reword(was.Why, &x.Why)
}

// reword clips a word that was told anew, and accounts for it. One for which
// there is no room stays as it was.
func (b *indexer) reword(was string, now *string) {
	if *now == was {
		*now = was // its memory is the older one's
		return
	}
	b.words -= len(was)
	if !b.room(0, now) {
		b.words += len(was) - len(*now)
		*now = was
	}
}

// captured counts packets.
func (b *indexer) captured(f frame) {
	c := b.index.Capture
	if c == nil {
		c = &IndexCapture{First: f.at}
		b.index.Capture = c
	}
	c.Last = f.at
	for p, err := range packetsOf(f.payload) {
		if err != nil {
			b.unreadable(f)
			return
		}
		c.Packets++
		c.Bytes += int64(p.Length)
		c.Kept += int64(len(p.Data))
		if len(p.Data) < p.Length {
			c.Short++
		}
	}
}

// countTunnel gives the channel of a tunnel, which is its session's only one,
// the bytes that the flows carried; ended: the session has, and with it
// each of them.
func (b *indexer) countTunnel(ended bool) {
	for i := range b.index.Tunnel {
		f := &b.index.Tunnel[i]
		if ended && !over(f.NetworkFlow) {
			f.Cut = sessionOver
		}
		if len(b.index.Channels) > 0 {
			b.index.Channels[0].BytesIn += f.BytesIn
			b.index.Channels[0].BytesOut += f.BytesOut
		}
	}
}
