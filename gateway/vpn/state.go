package vpn

import (
	"bytes"
	"encoding/hex"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"context"

	"golang.zx2c4.com/wireguard/device"

	"github.com/portcullis/portcullis/gateway"
)

// State is a tunnel as its page shows it.
type State struct {
	Session   string         `json:"session"`
	Handshake time.Time      `json:"handshake,omitzero"` // the last one; zero: none yet
	Heard     time.Time      `json:"heard,omitzero"`     // when the peer last said anything, a keepalive too; exact to tendEvery
	Silent    bool           `json:"silent,omitempty"`   // that was SilentTime ago or more
	Endpoint  string         `json:"endpoint,omitempty"` // outer address:port of the peer
	BytesIn   int64          `json:"bytes_in"`           // of payload, from the engineer
	BytesOut  int64          `json:"bytes_out"`
	Open      int            `json:"open"`              // flows
	Flows     []FlowState    `json:"flows,omitempty"`   // of those, the latest first, at most FlowsShown
	Refused   []RefusedFlow  `json:"refused,omitempty"` // the latest last
	Notices   []string       `json:"notices,omitempty"`
	Until     time.Time      `json:"until"`
	Ended     *gateway.Ended `json:"ended,omitempty"`
}

// FlowState is one open flow.
type FlowState struct {
	N        uint64               `json:"n"`
	Protocol gateway.FlowProtocol `json:"protocol"`
	To       netip.AddrPort       `json:"to"`
	Name     string               `json:"name,omitempty"`
	BytesIn  int64                `json:"bytes_in"`
	BytesOut int64                `json:"bytes_out"`
	Started  time.Time            `json:"started"`
}

// ending is a session that is over, for its page.
type ending struct {
	state State
	until time.Time
}

// State tells how a session's tunnel is, for an hour after its end too.
func (g *Gateway) State(session string) (State, bool) {
	g.mu.RLock()
	t, e := g.sessions[session], g.ended[session]
	g.mu.RUnlock()
	if t == nil {
		return e.state, e.state.Session != ""
	}
	return t.state(), true
}

func (t *tunnel) state() State {
	s := State{Session: t.id, BytesIn: t.in.Load(), BytesOut: t.out.Load(), Until: t.live.Until()}
	if p, ok := t.g.peers.of(t.g.dev, t.key); ok {
		s.Handshake = p.handshake
		s.Heard, s.Silent = t.hear(p)
		if p.endpoint.IsValid() {
			s.Endpoint = p.endpoint.String()
		}
	}
	flows := t.list()
	s.Open = len(flows)
	slices.SortFunc(flows, func(a, b *flow) int { return int(int64(b.record.N) - int64(a.record.N)) })
	for _, f := range flows[:min(len(flows), FlowsShown)] {
		r := &f.record // what is read of it never changes
		s.Flows = append(s.Flows, FlowState{r.N, r.Protocol, r.To, r.Name, f.in.Load(), f.out.Load(), r.Started})
	}
	t.mu.Lock()
	s.Refused, s.Notices = slices.Clone(t.refused.shown), slices.Clone(t.told)
	t.mu.Unlock()
	var why *gateway.Ended
	if errors.As(context.Cause(t.live.Context()), &why) {
		s.Ended = why
	}
	return s
}

// hear notes that the peer has said something since it was last looked at, and
// answers when it did and whether that was too long ago. A client that is there
// speaks at least every 25 s, or every 10 while it gets data.
func (t *tunnel) hear(p peerState) (at time.Time, silent bool) {
	now := t.g.c.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.received != t.received {
		t.received, t.heard = p.received, now
	}
	if t.heard.IsZero() {
		return at, false
	}
	return gateway.Instant(t.heard), now.Sub(t.heard) >= SilentTime
}

// forget keeps of a session that is over what its page shows.
func (g *Gateway) forget(t *tunnel) {
	s := t.state()
	g.release(t)
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.ended) >= MaxEnded { // any of them
		for id := range g.ended {
			delete(g.ended, id)
			break
		}
	}
	g.ended[t.id] = ending{s, g.c.Now().Add(EndedTime)}
}

// peerState is what WireGuard knows of a peer.
type peerState struct {
	handshake time.Time
	endpoint  netip.AddrPort
	received  int64 // bytes that were its own
}

// peerCache asks WireGuard of all peers at once, and not more often than
// peersEvery: it knows no other way to be asked.
type peerCache struct {
	mu   sync.Mutex
	at   time.Time
	list map[Key]peerState
}

const peersEvery = time.Second

func (c *peerCache) of(dev *device.Device, key Key) (peerState, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.at) > peersEvery {
		var b bytes.Buffer
		if dev.IpcGetOperation(&b) == nil {
			c.list, c.at = parsePeers(b.String()), time.Now()
		}
	}
	p, ok := c.list[key]
	return p, ok
}

// parsePeers reads WireGuard's own configuration protocol.
func parsePeers(text string) map[Key]peerState {
	list := map[Key]peerState{}
	var key Key
	var p peerState
	keep := func() {
		if key != (Key{}) {
			list[key] = p
		}
	}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch name {
		case "public_key":
			keep()
			b, _ := hex.DecodeString(value)
			key, p = Key{}, peerState{}
			copy(key[:], b)
		case "endpoint":
			p.endpoint, _ = netip.ParseAddrPort(value)
		case "rx_bytes":
			p.received, _ = strconv.ParseInt(value, 10, 64)
		case "last_handshake_time_sec":
			if n, err := strconv.ParseInt(value, 10, 64); err == nil && n > 0 {
				p.handshake = time.Unix(n, 0).UTC()
			}
		}
	}
	keep()
	return list
}
