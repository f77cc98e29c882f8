package vpn

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun/netstack"

	"github.com/portcullis/portcullis/gateway"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fakeChannel keeps what is recorded.
type fakeChannel struct {
	live *fakeLive

	mu      sync.Mutex
	flows   []gateway.NetworkFlow
	packets []gateway.Packet
	fail    error
	thawed  chan struct{} // nil: not frozen
	exits   int
	heads   atomic.Int64 // packets told, where they are not kept
	in, out atomic.Int64
	drop    bool // packets are counted and not kept
}

func (c *fakeChannel) err() error {
	if c.fail != nil {
		return c.fail
	}
	return nil
}

func (c *fakeChannel) NetworkFlow(f gateway.NetworkFlow) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.err(); err != nil {
		return err
	}
	c.flows = append(c.flows, f)
	return nil
}

func (c *fakeChannel) Packets(batch []gateway.Packet) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.err(); err != nil {
		return err
	}
	c.heads.Add(int64(len(batch)))
	if !c.drop {
		for _, p := range batch {
			p.Data = bytes.Clone(p.Data)
			c.packets = append(c.packets, p)
		}
	}
	return nil
}

func (c *fakeChannel) Carried(in, out int) {
	c.in.Add(int64(in))
	c.out.Add(int64(out))
}

func (c *fakeChannel) Hold() error {
	c.mu.Lock()
	thawed := c.thawed
	c.mu.Unlock()
	if thawed != nil {
		select {
		case <-thawed:
		case <-c.live.ctx.Done():
		}
	}
	return context.Cause(c.live.ctx)
}

func (c *fakeChannel) Frozen() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.thawed != nil
}

// freeze holds the session until thaw is closed; nil: it is not frozen.
func (c *fakeChannel) freeze(thaw chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.thawed = thaw
}

func (c *fakeChannel) Exit(*uint32, string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.exits++
}

// last gives the last record of each flow, in the order of their numbers.
func (c *fakeChannel) last() []gateway.NetworkFlow {
	c.mu.Lock()
	defer c.mu.Unlock()
	var l []gateway.NetworkFlow
	at := map[uint64]int{}
	for _, f := range c.flows {
		i, ok := at[f.N]
		if !ok {
			i = len(l)
			at[f.N] = i
			l = append(l, f)
		}
		l[i] = f
	}
	return l
}

func (c *fakeChannel) kept() []gateway.Packet {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]gateway.Packet(nil), c.packets...)
}

// fakeLive is a session that walks the stop path as package session does.
type fakeLive struct {
	id        string
	target    gateway.Target
	abilities gateway.Abilities
	sources   []netip.Prefix
	ctx       context.Context
	cancel    context.CancelCauseFunc
	ch        *fakeChannel
	notices   chan string
	done      chan struct{}
	once      sync.Once

	mu      sync.Mutex
	targets []io.Closer
	clients []io.Closer
	refused []string
	spent   [2]int64 // of the volume: out, in
	alarms  []string
	roamed  []netip.AddrPort
	up      int
}

func (l *fakeLive) ID() string                   { return l.id }
func (l *fakeLive) Context() context.Context     { return l.ctx }
func (l *fakeLive) Target() gateway.Target       { return l.target }
func (l *fakeLive) Abilities() gateway.Abilities { return l.abilities }
func (l *fakeLive) Until() time.Time             { return time.Unix(2000000000, 0) }
func (l *fakeLive) Sources() []netip.Prefix      { return l.sources }
func (l *fakeLive) Notices() <-chan string       { return l.notices }
func (l *fakeLive) Done() <-chan struct{}        { return l.done }
func (l *fakeLive) Up(context.Context) error     { l.up++; return nil }
func (l *fakeLive) Attach(c io.Closer) error     { l.targets = append(l.targets, c); return nil }
func (l *fakeLive) AttachClient(c io.Closer, _ func(*gateway.Ended)) error {
	l.clients = append(l.clients, c)
	return nil
}

func (l *fakeLive) Spend(in bool, n int) (used, limit int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	spent, limit := &l.spent[0], l.abilities.VolumeOut
	if in {
		spent, limit = &l.spent[1], l.abilities.VolumeIn
	}
	if used = *spent + int64(n); used <= limit {
		*spent = used
	}
	return used, limit
}

func (l *fakeLive) Channel(_ context.Context, ch gateway.Channel) (Channel, error) {
	if ch.Kind != gateway.ChannelTunnel {
		return nil, errors.New("another channel")
	}
	return l.ch, nil
}

func (l *fakeLive) Refuse(_ context.Context, what, s string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refused = append(l.refused, what+": "+s)
}

func (l *fakeLive) Alarm(_ context.Context, what, s string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.alarms = append(l.alarms, what+": "+s)
}

func (l *fakeLive) Roamed(_ context.Context, _, to netip.AddrPort) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.roamed = append(l.roamed, to)
}

func (l *fakeLive) events() (refused, alarms []string, roamed []netip.AddrPort) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.refused...), append([]string(nil), l.alarms...), append([]netip.AddrPort(nil), l.roamed...)
}

// End ends the session alone. It returns at once, as package session's does.
func (l *fakeLive) End(reason gateway.EndReason, by, detail string) {
	l.once.Do(func() {
		why := &gateway.Ended{Reason: reason, By: by, Detail: detail}
		l.cancel(why)
		go l.finish(why)
	})
}

func (l *fakeLive) finish(why *gateway.Ended) {
	for _, c := range l.targets {
		_ = c.Close()
	}
	for _, c := range l.clients {
		_ = c.Close()
	}
	for _, c := range l.clients {
		if c, ok := c.(interface{ Closed(*gateway.Ended) }); ok {
			c.Closed(why)
		}
	}
	close(l.done)
}

func (l *fakeLive) cause() *gateway.Ended {
	var e *gateway.Ended
	errors.As(context.Cause(l.ctx), &e)
	return e
}

// sweepAll ends sessions as an order does.
func sweepAll(lives []*fakeLive) {
	over := make(chan struct{})
	why := &gateway.Ended{Reason: gateway.EndSuspended}
	for _, l := range lives {
		l.once.Do(func() { l.cancel(why) })
	}
	for _, l := range lives {
		for _, c := range l.targets {
			c.(interface{ Shut(<-chan struct{}) }).Shut(over)
		}
	}
	for _, l := range lives {
		for _, c := range l.clients {
			c.(interface {
				Part(*gateway.Ended, <-chan struct{})
			}).Part(why, over)
		}
	}
	close(over)
	for _, l := range lives {
		go l.finish(why)
	}
}

// world is a gateway with targets on loopback, which it takes for a plant.
type world struct {
	t     testing.TB
	g     *Gateway
	logs  *syncBuffer
	ahead atomic.Int64      // of the wall clock, ns
	plant map[string]string // network and address of the plant -> where it is

	mu    sync.Mutex
	lives []*fakeLive
	set   func(*fakeLive)
	fail  error
	opens []Opening
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

const (
	plc4, plc6 = "10.98.0.2", "fd98::2"
	shut4      = "10.98.0.3"
)

func testNetwork() *gateway.Network {
	return &gateway.Network{
		Prefixes: []netip.Prefix{netip.MustParsePrefix("10.98.0.0/24"), netip.MustParsePrefix("fd98::/64")},
		Names: []gateway.NetworkName{
			{Name: "plc7.plant", Addresses: []netip.Addr{netip.MustParseAddr(plc4), netip.MustParseAddr(plc6)}},
			{Name: "other.plant", Addresses: []netip.Addr{netip.MustParseAddr("10.98.0.9")}},
		},
		Capture: gateway.CaptureFull,
	}
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, logs: &syncBuffer{}, plant: map[string]string{}}
	var err error
	w.g, err = New(Config{
		Sessions: w, Node: "n1", Key: NewKey(), Listen: "127.0.0.1:0", Prefix4: netip.MustParsePrefix("100.100.0.0/16"), Prefix6: netip.MustParsePrefix("fd5c::/64"),
		Dial: w.dial, Logger: slog.New(slog.NewTextHandler(w.logs, nil)), Now: func() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) },
	})
	check(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var run sync.WaitGroup
	run.Go(func() { _ = w.g.Run(ctx) })
	t.Cleanup(func() {
		w.mu.Lock()
		lives := append([]*fakeLive(nil), w.lives...)
		w.mu.Unlock()
		for _, l := range lives {
			l.End(gateway.EndStopping, "", "")
		}
		cancel()
		run.Wait()
		if t.Failed() {
			t.Log(w.logs.String())
		}
	})
	return w
}

func (w *world) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	w.mu.Lock()
	to, ok := w.plant[network+" "+addr]
	w.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("nothing at %s %s: %w", network, addr, errNobody)
	}
	return (&net.Dialer{}).DialContext(ctx, network, to)
}

var errNobody = errors.New("nobody there")

func (w *world) put(network, addr, at string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.plant[network+" "+addr] = at
}

func (w *world) Open(_ context.Context, o Opening) (Live, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.opens = append(w.opens, o)
	if w.fail != nil {
		return nil, w.fail
	}
	l := &fakeLive{
		id: fmt.Sprintf("ses_%d", len(w.lives)+1), target: gateway.Target{Name: "plant", Kind: gateway.KindNetwork, Network: testNetwork()},
		notices: make(chan string, 4), done: make(chan struct{}),
		abilities: gateway.Abilities{Flows: []string{"10.98.0.2:1-1000/tcp", "10.98.0.2:1-1000/udp", "10.98.0.2/icmp", "10.98.0.3:7/tcp", "[fd98::2]:1-1000/tcp", "[fd98::2]:1-1000/udp"}},
	}
	l.ctx, l.cancel = context.WithCancelCause(context.Background())
	l.ch = &fakeChannel{live: l}
	if w.set != nil {
		w.set(l)
	}
	w.lives = append(w.lives, l)
	return l, nil
}

// client is an engineer's WireGuard, in user space.
type client struct {
	w    *world
	key  Key
	tun  Tunnel
	live *fakeLive
	dev  *device.Device
	net  *netstack.Net
	mtu  int
	via  netip.AddrPort // the gateway, as the client is told
}

// open opens a tunnel and gives its client, which is not connected yet.
func (w *world) open() *client {
	w.t.Helper()
	c := &client{w: w, key: NewKey(), mtu: MTU, via: netip.MustParseAddrPort(w.addr())}
	pub, err := publicOf(c.key)
	check(w.t, err)
	c.tun, err = w.g.Open(context.Background(), Entering{Person: gateway.Person{Name: "vera", Vendor: "acme"}, Grant: "grt_1", PublicKey: pub.String(), Source: "127.0.0.1:5", Client: "test"})
	check(w.t, err)
	w.mu.Lock()
	c.live = w.lives[len(w.lives)-1]
	w.mu.Unlock()
	return c
}

func (c *client) connect() *client {
	c.w.t.Helper()
	dev, n := c.device()
	c.dev, c.net = dev, n
	c.w.t.Cleanup(dev.Close)
	return c
}

func (c *client) device() (*device.Device, *netstack.Net) {
	c.w.t.Helper()
	tdev, n, err := netstack.CreateNetTUN([]netip.Addr{c.tun.Address4, c.tun.Address6}, c.tun.DNS, c.mtu)
	check(c.w.t, err)
	dev := device.NewDevice(tdev, conn.NewStdNetBind(), &device.Logger{Verbosef: device.DiscardLogf, Errorf: device.DiscardLogf})
	check(c.w.t, dev.IpcSet(c.config()))
	check(c.w.t, dev.Up())
	return dev, n
}

func (c *client) config() string {
	server, err := ParseKey(c.tun.ServerKey)
	check(c.w.t, err)
	psk, err := ParseKey(c.tun.PresharedKey)
	check(c.w.t, err)
	return fmt.Sprintf("private_key=%s\npublic_key=%s\npreshared_key=%s\nendpoint=%s\nallowed_ip=0.0.0.0/0\nallowed_ip=::/0\n", hexKey(c.key), hexKey(server), hexKey(psk), c.via)
}

func (c *client) dial(network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return c.net.DialContext(ctx, network, addr)
}

// echoTCP answers with what it gets, until the end of it.
func (w *world) echoTCP() string {
	w.t.Helper()
	return w.serveTCP(func(c net.Conn) { _, _ = io.Copy(c, c) })
}

type netConn = net.Conn

func (w *world) serveTCP(serve func(net.Conn)) string {
	w.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(w.t, err)
	w.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	return l.Addr().String()
}

func (w *world) echoUDP() string {
	w.t.Helper()
	p, err := net.ListenPacket("udp", "127.0.0.1:0")
	check(w.t, err)
	w.t.Cleanup(func() { p.Close() })
	go func() {
		b := make([]byte, 1<<16)
		for {
			n, from, err := p.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = p.WriteTo(b[:n], from)
		}
	}()
	return p.LocalAddr().String()
}

// eventually waits until ok, for as long as a slow machine may need.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	late := time.After(10 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("never: %s", what)
		}
	}
}
