package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/session"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/vpn"
	"github.com/portcullis/portcullis/web"
	"github.com/portcullis/portcullis/web/api"
)

// The joints of tunnels: package vpn between its UDP socket, the pages and the
// sessions.

// nodeKey is this node's WireGuard key, below DATA. It lies beside the keys
// that a cluster shares and not among them: two nodes with one key would take
// each other's peers.
const nodeKey = "wireguard.key"

// dialer reaches what is behind the gateway, as net.Dialer.DialContext does.
type dialer = func(ctx context.Context, network, addr string) (net.Conn, error)

// joinTunnels makes the concentrator, where listen.vpn says that there is one.
func (g *gatewayd) joinTunnels(dial dialer) error {
	if g.cfg.Listen.VPN == off || g.cfg.Listen.VPN == "" {
		return nil
	}
	key, err := vpnKey(filepath.Join(g.cfg.Data, nodeKey))
	if err != nil {
		return err
	}
	all, slice := g.cfg.VPN.prefixes(g.cfg.Node, g.cfg.Nodes)
	g.tunnels, err = vpn.New(vpn.Config{
		Sessions: tunnelSessions{g.sessions}, Node: g.cfg.Node, Key: key, Listen: g.cfg.Listen.VPN, Endpoint: g.vpnEndpoint(),
		Prefix4: slice[0], Prefix6: slice[1], All: all[:], Dial: dial, Logger: g.log, Now: time.Now,
	})
	if err != nil {
		return hinted(err, "stop what uses the address, or set listen.vpn to another, or to off")
	}
	return nil
}

// vpnKey reads the node's key, or makes it.
func vpnKey(path string) (vpn.Key, error) {
	raw, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		key := vpn.NewKey()
		if err := writeNew(path, []byte(key.String()+"\n"), 0o600); err != nil {
			return vpn.Key{}, fmt.Errorf("keep this node's WireGuard key: %w", err)
		}
		return key, nil
	}
	if err != nil {
		return vpn.Key{}, fmt.Errorf("read this node's WireGuard key: %w", err)
	}
	if err := alone(path); err != nil {
		return vpn.Key{}, hinted(err, "chmod 600 "+path+"; if others may have read it, remove it, and the next start makes another")
	}
	key, err := vpn.ParseKey(strings.TrimSpace(string(raw)))
	if err != nil {
		return vpn.Key{}, hinted(fmt.Errorf("%s holds no WireGuard key", path), "remove it: the next start makes another, and live tunnels are opened anew")
	}
	return key, nil
}

// vpnEndpoint is where clients send their packets: what the configuration
// says, or the pages' host and the port that is listened on.
func (g *gatewayd) vpnEndpoint() string {
	if g.cfg.VPN.Endpoint != "" {
		return g.cfg.VPN.Endpoint
	}
	u, _ := url.Parse(g.cfg.URL) // checked
	_, port, _ := net.SplitHostPort(g.cfg.Listen.VPN)
	return net.JoinHostPort(u.Hostname(), port)
}

// openTunnel opens the tunnel that a touch is for, at once: its key is known,
// and whoever holds the private half of it is who touched or whom he gave it to.
func (r *rooms) openTunnel(ctx context.Context, open *statement.Open, touch statement.Signed) (any, error) {
	if r.tunnels == nil {
		return nil, gateway.Refused("tunnel", "ask the operator to set listen.vpn", "this gateway carries no tunnels")
	}
	t, err := r.tunnels.Open(ctx, vpn.Entering{
		Person: gateway.Person{Name: open.Person, Vendor: open.Vendor}, Grant: open.Grant, PublicKey: open.Transport, Touch: touch, Source: open.Source,
	})
	if r.identity.AnswerTunnel(open.Transport, open.Target, open.Source, t, err) { // the terminal's alone
		return nil, err
	}
	return t, err
}

// tunnelTerminals is identity as the pages and the API ask for machines that
// wait for a tunnel.
type tunnelTerminals struct{ *gatewayd }

func (t tunnelTerminals) Begin(ctx context.Context, in api.TunnelParams, source string) (api.TerminalBegun, error) {
	b, err := t.identity.BeginTunnel(ctx, in.Target, in.Peer, in.Client, source)
	return api.TerminalBegun{Link: t.cfg.URL + "/tunnels/" + b.Link, Code: b.Code, Ticket: b.Ticket, Expires: b.Expires}, err
}

func (t tunnelTerminals) Wait(ctx context.Context, ticket string) (api.TunnelOpened, error) {
	got, done, err := t.identity.AwaitTunnel(ctx, ticket)
	if err != nil || !done {
		return api.TunnelOpened{Waiting: !done}, err
	}
	opened, ok := got.(vpn.Tunnel)
	if !ok {
		return api.TunnelOpened{}, gateway.Internal(nil)
	}
	return api.TunnelOpened{Tunnel: &opened}, nil
}

func (t tunnelTerminals) State(session string) (vpn.State, bool) { return t.tunnels.State(session) }

func (t tunnelTerminals) Terminal(link string) (web.SSHTerminal, string, error) {
	x, target, err := t.identity.TunnelTerminal(link)
	return web.SSHTerminal(x), target, err
}

func (t tunnelTerminals) Refuse(link string) error { return t.identity.RefuseTunnel(link) }

// Usable is the grant that a person would open that tunnel under.
func (t tunnelTerminals) Usable(ctx context.Context, p gateway.Person, target string) (gateway.Grant, error) {
	g, _, err := t.access.Usable(ctx, p, target, "")
	return g, err
}

// shownTunnels are what the pages show tunnels by; nil: this gateway has none.
func (g *gatewayd) shownTunnels() web.Tunnels {
	if g.tunnels == nil {
		return nil
	}
	return tunnelTerminals{g}
}

// asksForTunnels is the same for the API.
func (g *gatewayd) asksForTunnels() api.Tunnels {
	if g.tunnels == nil {
		return nil
	}
	return tunnelTerminals{g}
}

// tunnelSessions is session as package vpn asks for it.
type tunnelSessions struct{ m *session.Manager }

func (s tunnelSessions) Open(ctx context.Context, o vpn.Opening) (vpn.Live, error) {
	l, err := s.m.Open(ctx, session.Opening(o))
	if err != nil {
		return nil, err
	}
	return tunnelLive{l}, nil
}

type tunnelLive struct{ *session.Live }

func (l tunnelLive) Until() time.Time { return l.Session().Until }

func (l tunnelLive) Sources() []netip.Prefix { return l.Entitlement().Vendor.Networks }

func (l tunnelLive) Channel(ctx context.Context, ch gateway.Channel) (vpn.Channel, error) {
	c, err := l.Live.Channel(ctx, ch)
	if err != nil {
		return nil, err
	}
	return c, nil
}
