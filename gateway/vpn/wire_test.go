package vpn

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"sync"

	"golang.zx2c4.com/wireguard/device"
)

// wire is what lies between a client and the gateway, outside the tunnel. It
// hears every datagram, keeps what it is told to, and can be cut, or give the
// client another outer address.
type wire struct {
	w     *world
	front *net.UDPConn // the client sends there

	mu     sync.Mutex // guards what follows
	client netip.AddrPort
	out    *net.UDPConn // the client's outer address, as the gateway has it
	dead   bool
	keys   [2]map[uint32]bool // receivers of messages that passed: down, up; each handshake gives one
	sent   [2]map[uint32]int  // messages by type
	first  map[uint32][]byte  // the first message of a type that went up
}

func (w *world) wire() *wire {
	w.t.Helper()
	front, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	check(w.t, err)
	x := &wire{w: w, front: front, first: map[uint32][]byte{}}
	for i := range x.keys {
		x.keys[i], x.sent[i] = map[uint32]bool{}, map[uint32]int{}
	}
	x.move()
	w.t.Cleanup(func() {
		_ = front.Close()
		_ = x.source().Close()
	})
	go x.up()
	return x
}

// through connects a client by the wire.
func (c *client) through(x *wire) *client {
	c.via = x.front.LocalAddr().(*net.UDPAddr).AddrPort()
	return c.connect()
}

// move gives the client another outer address.
func (x *wire) move() {
	x.w.t.Helper()
	out, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(x.w.addr())))
	check(x.w.t, err)
	x.mu.Lock()
	old := x.out
	x.out = out
	x.mu.Unlock()
	if old != nil {
		_ = old.Close()
	}
	go x.down(out)
}

func (x *wire) source() *net.UDPConn {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.out
}

// cut lets nothing pass any more, either way.
func (x *wire) cut() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.dead = true
}

func (x *wire) up() {
	b := make([]byte, 1<<16)
	for {
		n, from, err := x.front.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		x.mu.Lock()
		x.client = from
		x.mu.Unlock()
		if x.passes(1, b[:n]) {
			_, _ = x.source().Write(b[:n])
		}
	}
}

func (x *wire) down(out *net.UDPConn) {
	b := make([]byte, 1<<16)
	for {
		n, err := out.Read(b)
		if err != nil {
			return
		}
		if x.passes(0, b[:n]) {
			x.mu.Lock()
			to := x.client
			x.mu.Unlock()
			_, _ = x.front.WriteToUDPAddrPort(b[:n], to)
		}
	}
}

func (x *wire) passes(way int, b []byte) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.dead || len(b) < device.MinMessageSize {
		return false
	}
	kind := binary.LittleEndian.Uint32(b)
	x.sent[way][kind]++
	if kind == device.MessageTransportType {
		x.keys[way][binary.LittleEndian.Uint32(b[4:])] = true
	}
	if way == 1 && x.first[kind] == nil {
		x.first[kind] = bytes.Clone(b)
	}
	return true
}

// count is how many messages of a type passed: up or down.
func (x *wire) count(way int, kind uint32) int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.sent[way][kind]
}

// agreed is how many keys messages were sent under both ways.
func (x *wire) agreed() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return min(len(x.keys[0]), len(x.keys[1]))
}

// kept is the first message of a type that the client sent.
func (x *wire) kept(kind uint32) []byte {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.first[kind]
}
