package vpn

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.zx2c4.com/wireguard/device"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"github.com/portcullis/portcullis/gateway"
)

// Key is a Curve25519 key as WireGuard has it: private, public or pre-shared.
type Key [32]byte

// String is base64, as wg(8) shows keys.
func (k Key) String() string { return base64.StdEncoding.EncodeToString(k[:]) }

// ParseKey reads base64 in its one spelling of 44 characters.
func ParseKey(s string) (Key, error) {
	var k Key
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || len(s) != 44 || len(b) != len(k) {
		return k, gateway.Invalid("key", "a WireGuard key is 44 characters of base64, such as wg genkey | wg pubkey prints")
	}
	return Key(b), nil
}

// NewKey makes a private key.
func NewKey() Key {
	var k Key
	_, _ = rand.Read(k[:]) // it never fails (crypto/rand)
	k[0] &= 248
	k[31] = k[31]&127 | 64
	return k
}

// Config is what the gateway needs.
type Config struct {
	Sessions Sessions
	Node     string
	Key      Key    // private, of this node alone
	Listen   string // UDP, host:port; the port may be 0
	Endpoint string // host:port that clients are told; port 0: the one that is listened on
	// Prefix4 and Prefix6 hold the tunnels' inner addresses, this node's slice
	// of them; the first host of each is the gateway itself. All is every
	// node's: nothing in it is ever reached through a tunnel.
	Prefix4, Prefix6 netip.Prefix
	All              []netip.Prefix // empty: the two prefixes
	// Dial reaches targets; nil: net.Dialer. What it returns is closed by the
	// caller.
	Dial   func(ctx context.Context, network, addr string) (net.Conn, error)
	Logger *slog.Logger
	Now    func() time.Time // nil: time.Now
}

// Gateway ends WireGuard.
type Gateway struct {
	c        Config
	log      *slog.Logger
	bind     *outerBind
	dev      *device.Device
	stack    *stack.Stack
	link     *link
	outbox   *outbox
	inner    [2]netip.Addr // the gateway's own, by family
	public   Key
	own      ownAddresses
	pool     buffers
	drops    [dropKinds]atomic.Int64
	peers    peerCache
	halfOpen time.Duration // HalfOpenTime
	ping     func(to netip.Addr) (net.PacketConn, error)

	mu        sync.RWMutex // guards what follows
	tunnels   map[netip.Addr]*tunnel
	sessions  map[string]*tunnel
	keys      map[Key]bool
	addresses addresses
	ended     map[string]ending
	stopped   bool

	running sync.WaitGroup // goroutines of tunnels
}

// New checks the configuration and opens the sockets. Run must be called.
func New(c Config) (*Gateway, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	g := &Gateway{
		c: c, log: c.Logger, outbox: newOutbox(), tunnels: map[netip.Addr]*tunnel{}, sessions: map[string]*tunnel{}, keys: map[Key]bool{},
		halfOpen: HalfOpenTime, ping: listenPing, ended: map[string]ending{}, addresses: newAddresses(c.Prefix4, c.Prefix6),
		inner: [2]netip.Addr{c.Prefix4.Masked().Addr().Next(), c.Prefix6.Masked().Addr().Next()},
	}
	g.link = &link{g: g}
	var err error
	if g.stack, err = newStack(g.link); err != nil {
		return nil, err
	}
	g.stack.SetTransportProtocolHandler(tcp.ProtocolNumber, g.handleTCP)
	g.stack.SetTransportProtocolHandler(udp.ProtocolNumber, g.handleUDP)
	if g.dev, err = g.wireguard(); err != nil {
		g.stack.Close()
		return nil, fmt.Errorf("listen for WireGuard on %q: %w", c.Listen, err)
	}
	if host, port, err := net.SplitHostPort(c.Endpoint); err == nil && port == "0" {
		g.c.Endpoint = net.JoinHostPort(host, strconv.Itoa(g.Port()))
	}
	g.public, err = publicOf(c.Key)
	return g, err
}

func (c *Config) check() error {
	switch {
	case c.Sessions == nil:
		return errors.New("vpn: sessions must be set")
	case !c.Prefix4.Addr().Is4() || c.Prefix4.Bits() > 30 || !c.Prefix6.Addr().Is6() || c.Prefix6.Bits() > 126:
		return errors.New("vpn: the tunnels need an IPv4 prefix of at most 30 bits and an IPv6 prefix of at most 126")
	case c.Key == Key{}:
		return errors.New("vpn: the node's key must be set")
	}
	if _, _, err := splitListen(c.Listen); err != nil {
		return fmt.Errorf("vpn: listen address %q: %w", c.Listen, err)
	}
	if len(c.All) == 0 {
		c.All = []netip.Prefix{c.Prefix4, c.Prefix6}
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{}).DialContext
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return nil
}

// PublicKey is the node's, that clients are told.
func (g *Gateway) PublicKey() string { return g.public.String() }

// Port is the UDP port that is listened on.
func (g *Gateway) Port() int { return int(g.bind.port.Load()) }

// Run tends what idles, until ctx is done and every session's goroutine has
// ended, which the session manager's own stop brings about. Then it closes the
// sockets.
func (g *Gateway) Run(ctx context.Context) error {
	tick := time.NewTicker(tendEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			g.tend()
			continue
		case <-ctx.Done():
		}
		g.mu.Lock()
		g.stopped = true
		g.mu.Unlock()
		g.running.Wait()
		g.dev.Close()
		g.stack.Close()
		g.stack.Wait()
		return nil
	}
}

// tend ends flows that idle, tunnels whose peer speaks from where it may not,
// and forgets what ended long ago.
func (g *Gateway) tend() {
	now := g.c.Now()
	for _, t := range g.all() {
		p, ok := g.peers.of(g.dev, t.key)
		silent := false
		if ok {
			_, silent = t.hear(p)
		}
		t.sweepIdle(time.Now(), silent)
		if t.sums() {
			t.own(t.tellSums)
		}
		if p.endpoint.IsValid() {
			t.checkSource(p.endpoint)
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for id, e := range g.ended {
		if now.After(e.until) {
			delete(g.ended, id)
		}
	}
}

func (g *Gateway) all() []*tunnel {
	g.mu.RLock()
	defer g.mu.RUnlock()
	list := make([]*tunnel, 0, len(g.sessions))
	for _, t := range g.sessions {
		list = append(list, t)
	}
	return list
}

// tunnelAt finds the tunnel that has an inner address.
func (g *Gateway) tunnelAt(a netip.Addr) *tunnel {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.tunnels[a]
}

func (g *Gateway) tunnelOf(raw []byte) *tunnel {
	from, ok := source(raw)
	if !ok {
		return nil
	}
	return g.tunnelAt(from)
}

func (g *Gateway) dropped(why drop) { g.drops[why].Add(1) }

// panicked ends the session whose bytes found a fault of ours.
func (g *Gateway) panicked(t *tunnel, p any) {
	g.log.Error("panic in a tunnel", "panic", p, "stack", string(debug.Stack()))
	if t != nil {
		t.live.End(gateway.EndFault, "", "")
	}
}

func addrOf(a tcpip.Address) netip.Addr {
	addr, _ := netip.AddrFromSlice(a.AsSlice())
	return addr
}

func tcpipAddr(a netip.Addr) tcpip.Address { return tcpip.AddrFromSlice(a.AsSlice()) }

func hexKey[K ~[32]byte](k K) string { return hex.EncodeToString(k[:]) }
func sprintf(format string, args []any) string {
	return fmt.Sprintf(format, args...)
}
