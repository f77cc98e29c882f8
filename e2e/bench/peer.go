package main

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun"
	"golang.zx2c4.com/wireguard/tun/netstack"
)

// peer is a client in this process, without a TUN device or a namespace: a
// thousand of those would be what is measured.
type peer struct {
	peering
	dev *device.Device
	net *netstack.Net // nil: it is only there
}

// keepalive is how often an idle tunnel speaks, in seconds: what WireGuard's
// own manual tells those behind a router that translates addresses.
const keepalive = 25

// newPeer makes one with a network stack.
func newPeer(p peering) (*peer, error) {
	inside, stack, err := netstack.CreateNetTUN([]netip.Addr{p.address}, nil, 1420)
	if err != nil {
		return nil, err
	}
	return startPeer(&peer{peering: p, net: stack}, inside)
}

// newIdlePeer makes one that sends nothing but keepalives.
func newIdlePeer(p peering) (*peer, error) {
	return startPeer(&peer{peering: p}, idleTUN{make(chan tun.Event)})
}

func startPeer(p *peer, inside tun.Device) (*peer, error) {
	p.dev = device.NewDevice(inside, &outer{}, &device.Logger{Verbosef: device.DiscardLogf, Errorf: device.DiscardLogf})
	if err := p.dev.IpcSet("private_key=" + hexKey(p.private) + "\n"); err != nil {
		return nil, err
	}
	if err := p.know(); err != nil {
		return nil, err
	}
	return p, p.dev.Up()
}

// know tells it of the gateway.
func (p *peer) know() error {
	set := fmt.Sprintf("public_key=%s\nendpoint=%s\nallowed_ip=198.18.251.0/24\n", hexKey(p.server), p.endpoint)
	if p.shared != "" {
		set += "preshared_key=" + hexKey(p.shared) + "\n"
	}
	if p.net == nil {
		set += fmt.Sprintf("persistent_keepalive_interval=%d\n", keepalive)
	}
	return p.dev.IpcSet(set)
}

// forget takes all keys that were agreed: the next packet needs a handshake.
func (p *peer) forget() error {
	if err := p.dev.IpcSet("public_key=" + hexKey(p.server) + "\nremove=true\n"); err != nil {
		return err
	}
	return p.know()
}

// answered reports whether a handshake was, since the last forget.
func (p *peer) answered() bool {
	said, err := p.dev.IpcGet()
	return err == nil && !strings.Contains(said, "last_handshake_time_nsec=0\n")
}

func (p *peer) dial() (net.Conn, error) { return p.net.DialTCPAddrPort(p.to()) }

func (p *peer) dialUDP() (net.Conn, error) { return p.net.DialUDPAddrPort(netip.AddrPort{}, p.to()) }

func (p *peer) to() netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(p.plant), pulsePort)
}

// leave has it fall silent. The stack is not closed: what it still has to say
// would find a closed channel.
func (p *peer) leave() { _ = p.dev.Down() }

// hexKey is a key as the device is told it.
func hexKey(key string) string {
	raw, _ := base64.StdEncoding.DecodeString(key) // made here, or by the gateway
	return hex.EncodeToString(raw)
}

// idleTUN never has anything to send.
type idleTUN struct{ events chan tun.Event }

func (t idleTUN) File() *os.File           { return nil }
func (t idleTUN) MTU() (int, error)        { return 1420, nil }
func (t idleTUN) Name() (string, error)    { return "idle", nil }
func (t idleTUN) Events() <-chan tun.Event { return t.events }
func (t idleTUN) BatchSize() int           { return 1 }

func (t idleTUN) Read([][]byte, []int, int) (int, error) {
	<-t.events // closed by Close
	return 0, os.ErrClosed
}

func (t idleTUN) Write(bufs [][]byte, _ int) (int, error) { return len(bufs), nil }

func (t idleTUN) Close() error {
	close(t.events)
	return nil
}

// outer is a UDP socket that takes one datagram at a time: WireGuard's own
// keeps 256 buffers of 64 KiB for each peer.
type outer struct {
	mu sync.Mutex
	c  *net.UDPConn
}

func (o *outer) Open(port uint16) ([]conn.ReceiveFunc, uint16, error) {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(port)})
	if err != nil {
		return nil, 0, err
	}
	o.mu.Lock()
	o.c = c
	o.mu.Unlock()
	receive := func(bufs [][]byte, sizes []int, eps []conn.Endpoint) (int, error) {
		n, from, err := c.ReadFromUDPAddrPort(bufs[0])
		if err != nil {
			return 0, err
		}
		sizes[0], eps[0] = n, &conn.StdNetEndpoint{AddrPort: from}
		return 1, nil
	}
	return []conn.ReceiveFunc{receive}, uint16(c.LocalAddr().(*net.UDPAddr).Port), nil
}

func (o *outer) socket() *net.UDPConn {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.c
}

func (o *outer) Close() error {
	if c := o.socket(); c != nil {
		_ = c.Close() // it may have been
	}
	return nil
}

func (o *outer) Send(bufs [][]byte, to conn.Endpoint) error {
	c := o.socket()
	if c == nil {
		return net.ErrClosed
	}
	for _, b := range bufs {
		if _, err := c.WriteToUDPAddrPort(b, to.(*conn.StdNetEndpoint).AddrPort); err != nil {
			return err
		}
	}
	return nil
}

func (o *outer) ParseEndpoint(s string) (conn.Endpoint, error) {
	to, err := netip.ParseAddrPort(s)
	return &conn.StdNetEndpoint{AddrPort: to}, err
}

func (o *outer) SetMark(uint32) error { return nil }
func (o *outer) BatchSize() int       { return 1 }
