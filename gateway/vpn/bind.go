package vpn

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
)

// outerBind is WireGuard's own UDP sockets, watched: where each datagram came
// from is written behind it in its buffer, so that whoever gets the packet
// that was in it knows the authenticated outer source of that very packet.
// (WireGuard decrypts in place and hands the same buffer on; a test holds it to
// that.)
type outerBind struct {
	conn.Bind
	only  netip.Addr                     // what is sent to another address of this machine is not heard; invalid: all are
	port  atomic.Uint32                  // that is listened on
	doors atomic.Pointer[[]netip.Prefix] // networks that live tunnels may come from; nil: any
}

const stampSize = 19 // address, port, mark

// Open opens the sockets.
func (b *outerBind) Open(port uint16) ([]conn.ReceiveFunc, uint16, error) {
	fns, actual, err := b.Bind.Open(port)
	b.port.Store(uint32(actual))
	for i, fn := range fns {
		fns[i] = b.watch(fn)
	}
	return fns, actual, err
}

func (b *outerBind) watch(fn conn.ReceiveFunc) conn.ReceiveFunc {
	return func(bufs [][]byte, sizes []int, eps []conn.Endpoint) (int, error) {
		n, err := fn(bufs, sizes, eps)
		var last conn.Endpoint
		heard := true
		for i := range n {
			if sizes[i] < device.MinMessageSize || sizes[i] > len(bufs[i])-stampSize {
				sizes[i] = 0
				continue
			}
			ep := eps[i].(*conn.StdNetEndpoint)
			if last == nil || last.(*conn.StdNetEndpoint).AddrPort != ep.AddrPort || b.only.IsValid() {
				heard, last = b.hears(ep), ep
			}
			if !heard {
				sizes[i] = 0
				continue
			}
			stamp(bufs[i], ep.AddrPort)
		}
		return n, err
	}
}

// hears reports whether anybody may come from there. Silence is the answer to
// all others.
func (b *outerBind) hears(ep *conn.StdNetEndpoint) bool {
	if to := ep.SrcIP(); b.only.IsValid() && to.IsValid() && to.Unmap() != b.only {
		return false
	}
	doors := b.doors.Load()
	return doors == nil || within(*doors, ep.Addr())
}

// within reports whether an address lies in one of the networks; none means any.
func within(networks []netip.Prefix, a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, n := range networks {
		if n.Contains(a) {
			return true
		}
	}
	return len(networks) == 0
}

type stampBytes [stampSize]byte

func stamp(buf []byte, from netip.AddrPort) {
	at := buf[len(buf)-stampSize:]
	a := from.Addr().As16()
	copy(at, a[:])
	binary.BigEndian.PutUint16(at[16:], from.Port())
	at[18] = 1
}

// stampOf is what stands behind a packet, in the rest of its buffer.
func stampOf(buf []byte) *stampBytes {
	buf = buf[:cap(buf)]
	if len(buf) < stampSize {
		return &stampBytes{}
	}
	return (*stampBytes)(buf[len(buf)-stampSize:])
}

func (s stampBytes) addrPort() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16([16]byte(s[:16])).Unmap(), binary.BigEndian.Uint16(s[16:]))
}

// wireguard makes the one device of all peers. What it logs of single packets
// is counted and not kept.
func (g *Gateway) wireguard() (*device.Device, error) {
	host, port, err := splitListen(g.c.Listen)
	if err != nil {
		return nil, err
	}
	g.bind = &outerBind{Bind: conn.NewStdNetBind(), only: host}
	dev := device.NewDevice(newDevice(g), g.bind, &device.Logger{
		Verbosef: func(format string, _ ...any) {
			if strings.Contains(format, "disallowed source") {
				g.dropped(dropSpoofed)
			}
		},
		Errorf: func(format string, args ...any) { g.log.Warn("wireguard", "said", sprintf(format, args)) },
	})
	set := "private_key=" + hexKey(device.NoisePublicKey(g.c.Key)) + "\nlisten_port=" + port + "\n"
	if err := dev.IpcSet(set); err != nil {
		dev.Close()
		return nil, err
	}
	if err := dev.Up(); err != nil {
		dev.Close()
		return nil, err
	}
	return dev, nil
}

func splitListen(listen string) (host netip.Addr, port string, err error) {
	h, port, err := net.SplitHostPort(listen)
	if err != nil || h == "" {
		return netip.Addr{}, port, err
	}
	host, err = netip.ParseAddr(h)
	if err != nil || host.IsUnspecified() {
		return netip.Addr{}, port, err
	}
	return host.Unmap(), port, nil
}
