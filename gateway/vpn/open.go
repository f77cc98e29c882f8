package vpn

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"golang.zx2c4.com/wireguard/device"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// Entering is an engineer who has pressed Open and touched.
type Entering struct {
	Person    gateway.Person
	Grant     string
	PublicKey string // of the peer, base64; its private key never leaves the engineer's machine
	Touch     statement.Signed
	Ticket    bool      // the touch was given ahead
	Until     time.Time // zero: as in Opening
	Source    string    // address:port
	Client    string    // what the client calls itself
}

// Tunnel is what a client's configuration needs. There is no private key in
// it.
type Tunnel struct {
	Session      string         `json:"session"`
	Address4     netip.Addr     `json:"address4"`
	Address6     netip.Addr     `json:"address6"`
	ServerKey    string         `json:"server_key"`
	PresharedKey string         `json:"preshared_key"`
	Endpoint     string         `json:"endpoint"`
	AllowedIPs   []netip.Prefix `json:"allowed_ips"` // what the grant reaches, and the gateway's own two addresses
	DNS          []netip.Addr   `json:"dns"`
	MTU          int            `json:"mtu"`
	Until        time.Time      `json:"until"`
}

// Open opens the session and adds the peer, which can shake hands at once. An
// error is a *gateway.Error whose sentence the person may read.
func (g *Gateway) Open(ctx context.Context, e Entering) (Tunnel, error) {
	key, err := ParseKey(e.PublicKey)
	if err != nil {
		return Tunnel{}, err
	}
	if !usable(g.c.Key, key) || key == g.public {
		return Tunnel{}, gateway.Invalid("key", "this is no key of a WireGuard peer; make a new one")
	}
	t, no := g.reserve(key)
	if no != nil {
		return Tunnel{}, no
	}
	live, err := g.c.Sessions.Open(ctx, Opening{
		Touch: e.Touch, Ticket: e.Ticket, Person: e.Person.Name, Grant: e.Grant, Protocol: gateway.KindNetwork, Transport: key.String(),
		Source: e.Source, Client: printable(e.Client), Until: e.Until,
	})
	if err != nil {
		g.release(t)
		return Tunnel{}, err
	}
	t.live, t.id = live, live.ID()
	if err := g.begin(ctx, t); err != nil {
		return Tunnel{}, g.notOpened(t, err)
	}
	return g.describe(t), nil
}

// reserve takes addresses and the key. Until the session is open they lead
// nowhere.
func (g *Gateway) reserve(key Key) (*tunnel, *gateway.Error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopped {
		return nil, overError(&gateway.Ended{Reason: gateway.EndStopping})
	}
	if g.keys[key] {
		return nil, gateway.Refused("key", "make a new key for each tunnel", "this key has a tunnel already, and one key opens one")
	}
	if len(g.keys) >= MaxTunnels {
		return nil, &gateway.Error{Code: gateway.CodeTooMany, Rule: "tunnels", Text: "this node has as many tunnels as it can hold", Next: "wait until some of them have ended"}
	}
	n, four, six, ok := g.addresses.take()
	if !ok {
		return nil, &gateway.Error{Code: gateway.CodeTooMany, Rule: "tunnels", Text: "all addresses of this node's tunnels are given out", Next: "wait until some of them have ended"}
	}
	g.keys[key] = true
	return newTunnel(g, key, n, four, six), nil
}

func (g *Gateway) release(t *tunnel) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.keys, t.key)
	delete(g.addresses.used, t.pair)
	delete(g.tunnels, t.addr4)
	delete(g.tunnels, t.addr6)
	delete(g.sessions, t.id)
	g.openDoors()
}

// begin joins session, stack and peer.
func (g *Gateway) begin(ctx context.Context, t *tunnel) error {
	target, abilities := t.live.Target(), t.live.Abilities()
	if target.Network == nil {
		return gateway.Invalid("target", "target %s is no network", target.Name)
	}
	var err error
	if t.rules, err = abilities.FlowRules(*target.Network); err != nil {
		return err
	}
	if err := t.live.Attach((*targetSide)(t)); err != nil {
		return err
	}
	if err := t.live.AttachClient((*clientSide)(t), nil); err != nil {
		return err
	}
	if t.ch, err = t.live.Channel(ctx, gateway.Channel{Kind: gateway.ChannelTunnel}); err != nil {
		return err
	}
	t.capture = newCapture(*target.Network, t.ch)
	t.limit(abilities)
	t.sources = t.live.Sources()
	if err := g.register(t); err != nil {
		return err
	}
	if err := g.addPeer(t); err != nil {
		g.running.Done()
		return err
	}
	if err := t.live.Up(ctx); err != nil {
		g.dev.RemovePeer(device.NoisePublicKey(t.key))
		g.running.Done()
		return err
	}
	go t.tend()
	return nil
}

func (g *Gateway) register(t *tunnel) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopped {
		return &gateway.Ended{Reason: gateway.EndStopping}
	}
	g.tunnels[t.addr4], g.tunnels[t.addr6], g.sessions[t.id] = t, t, t
	g.running.Add(1)
	g.openDoors()
	return nil
}

// openDoors tells the sockets from where anybody may come. The caller holds
// mu.
func (g *Gateway) openDoors() {
	doors, seen := []netip.Prefix{}, map[netip.Prefix]bool{}
	for _, t := range g.sessions {
		if len(t.sources) == 0 {
			g.bind.doors.Store(nil)
			return
		}
		for _, p := range t.sources {
			if !seen[p] {
				seen[p] = true
				doors = append(doors, p)
			}
		}
	}
	if len(g.sessions) == 0 {
		g.bind.doors.Store(nil)
		return
	}
	g.bind.doors.Store(&doors)
}

func (g *Gateway) addPeer(t *tunnel) error {
	set := "public_key=" + hexKey(t.key) + "\npreshared_key=" + hexKey(t.psk) + "\nreplace_allowed_ips=true\nallowed_ip=" + t.addr4.String() + "/32\nallowed_ip=" + t.addr6.String() + "/128\n"
	if err := g.dev.IpcSet(set); err != nil {
		return fmt.Errorf("add a peer: %w", err)
	}
	return nil
}

// estrange lets no handshake of the peer come to anything from now on, while
// the keys agreed on before still carry its resets.
func (g *Gateway) estrange(t *tunnel) {
	if err := g.dev.IpcSet("public_key=" + hexKey(t.key) + "\nupdate_only=true\npreshared_key=" + hexKey(NewKey()) + "\n"); err != nil {
		g.dev.RemovePeer(device.NoisePublicKey(t.key)) // no reset is worth a handshake
	}
}

func (g *Gateway) describe(t *tunnel) Tunnel {
	reach := append(t.rules.Reaches(), netip.PrefixFrom(g.inner[0], 32), netip.PrefixFrom(g.inner[1], 128))
	return Tunnel{
		Session: t.id, Address4: t.addr4, Address6: t.addr6, ServerKey: g.public.String(), PresharedKey: t.psk.String(), Endpoint: g.c.Endpoint,
		AllowedIPs: reach, DNS: g.inner[:], MTU: MTU, Until: t.live.Until(),
	}
}

// notOpened ends a session that did not come to anything, and words it.
func (g *Gateway) notOpened(t *tunnel, err error) error {
	defer g.release(t)
	var no *gateway.Error
	var ended *gateway.Ended
	switch {
	case errors.As(err, &no):
		t.live.End(gateway.EndFault, "", no.Sentence())
		return no
	case errors.As(err, &ended):
	default:
		g.log.Error("tunnel not opened", "session", t.id, "error", err)
		ended = &gateway.Ended{Reason: gateway.EndFault}
	}
	t.live.End(ended.Reason, ended.By, ended.Detail)
	return overError(ended)
}

func overError(why *gateway.Ended) *gateway.Error {
	return &gateway.Error{Code: gateway.CodeUnavailable, Rule: string(why.Reason), Text: why.Error(), Next: "press Open again, or call the operator's control room"}
}

// printable is what a client calls itself, made fit for a log.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, s)
	return s[:min(len(s), 200)]
}
