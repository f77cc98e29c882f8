package vpn

import (
	"bytes"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"

	"github.com/portcullis/portcullis/gateway"
)

func (w *world) addr() string {
	return netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(w.g.Port())).String()
}

// peer is what WireGuard knows of a client now.
func (c *client) peer() peerState {
	pub, err := publicOf(c.key)
	check(c.w.t, err)
	p, _ := new(peerCache).of(c.w.g.dev, pub)
	return p
}

// socket is an address outside that nobody has a tunnel from.
func (w *world) socket() *net.UDPConn {
	w.t.Helper()
	u, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(w.addr())))
	check(w.t, err)
	w.t.Cleanup(func() { u.Close() })
	return u
}

// silent waits for answers, and lets pass only the one that gives nothing: a
// cookie, which WireGuard sends when it has much to do.
func silent(t *testing.T, u *net.UDPConn, what string) {
	t.Helper()
	check(t, u.SetReadDeadline(time.Now().Add(300*time.Millisecond)))
	b := make([]byte, 1500)
	for {
		n, err := u.Read(b)
		if err != nil {
			return
		}
		if n != device.MessageCookieReplySize || b[0] != device.MessageCookieReplyType {
			t.Errorf("%s: %d bytes of type %d were answered", what, n, b[0])
		}
	}
}

// What was heard on the way and is sent again opens nothing, from the same
// address or another: no answer, no other endpoint, no event. So it is when
// the session is over.
func TestReplays(t *testing.T) {
	w := newWorld(t)
	w.put("udp", plc4+":161", w.echoUDP())
	x := w.wire()
	c := w.open().through(x)
	c.ping()
	c.ping()
	before, answers, told := c.peer(), x.count(0, device.MessageResponseType), len(c.live.ch.last())
	carried := c.live.ch.in.Load()
	again := func(when string) {
		stranger := w.socket()
		for _, kind := range []uint32{device.MessageInitiationType, device.MessageTransportType} {
			for _, u := range []*net.UDPConn{x.source(), stranger} {
				_, err := u.Write(x.kept(kind))
				check(t, err)
			}
		}
		silent(t, stranger, when)
	}
	again("while it is open")
	if p := c.peer(); p.endpoint != before.endpoint || p.handshake != before.handshake {
		t.Errorf("WireGuard took it: %+v, was %+v", p, before)
	}
	if _, _, roamed := c.live.events(); len(roamed) != 0 {
		t.Errorf("roamed %v", roamed)
	}
	if n := len(c.live.ch.last()); n != told || c.live.ch.in.Load() != carried {
		t.Errorf("%d flows, were %d; %d bytes, were %d", n, told, c.live.ch.in.Load(), carried)
	}
	c.ping()
	c.live.End(gateway.EndWindow, "", "")
	<-c.live.done
	again("after its end")
	eventually(t, "the peer is gone", func() bool { return c.peer() == peerState{} })
	again("when the peer is gone")
	if n := x.count(0, device.MessageResponseType); n != answers {
		t.Errorf("%d answers to handshakes, were %d", n, answers)
	}
}

// Messages of every type and length, and a handshake with any one of its bytes
// changed: silence, and the tunnel beside them goes on.
func TestMalformedHandshakes(t *testing.T) {
	w := newWorld(t)
	w.put("udp", plc4+":161", w.echoUDP())
	x := w.wire()
	c := w.open().through(x)
	c.ping()
	before := c.peer()
	u := w.socket()
	whole := x.kept(device.MessageInitiationType)
	send := func(b []byte) {
		_, err := u.Write(b)
		check(t, err)
	}
	for kind := range 6 {
		for size := range 2 * device.MessageInitiationSize {
			b := make([]byte, size)
			copy(b, whole)
			if size > 0 {
				b[0] = byte(kind)
			}
			send(b)
		}
		c.ping()
	}
	silent(t, u, "of every type and length")
	for i := range whole {
		b := bytes.Clone(whole)
		b[i] ^= 1
		send(b)
	}
	for _, size := range []int{1500, 60000, 65507} {
		send(append(bytes.Clone(whole), make([]byte, size-len(whole))...))
	}
	silent(t, u, "with a byte changed")
	c.ping()
	if p := c.peer(); p.endpoint != before.endpoint || p.handshake != before.handshake {
		t.Errorf("WireGuard took one: %+v, was %+v", p, before)
	}
}

// A key that has no tunnel is not answered.
func TestForeignKey(t *testing.T) {
	w := newWorld(t)
	x := w.wire()
	stranger := w.open()
	stranger.key = NewKey()
	dev := stranger.through(x).dev
	check(t, dev.IpcSet("public_key="+hexKey(w.g.public)+"\npersistent_keepalive_interval=1\n"))
	eventually(t, "it tries", func() bool { return x.count(1, device.MessageInitiationType) > 0 })
	silent(t, w.socket(), "meanwhile")
	if n := x.count(0, device.MessageResponseType); n != 0 {
		t.Errorf("%d answers", n)
	}
}

// What is read of a datagram from outside, before WireGuard: where it came
// from, and whether there is room to say so.
func FuzzOuter(f *testing.F) {
	f.Add(make([]byte, device.MessageInitiationSize), []byte{127, 0, 0, 1}, uint16(51820), uint16(stampSize))
	f.Add(make([]byte, 31), []byte{10, 0, 0, 1}, uint16(1), uint16(100))
	f.Add(make([]byte, 32), []byte(net.IPv6loopback), uint16(0), uint16(0))
	f.Fuzz(func(t *testing.T, raw, from []byte, port, room uint16) {
		addr, ok := netip.AddrFromSlice(from)
		if !ok {
			return
		}
		at := netip.AddrPortFrom(addr, port)
		b := &outerBind{}
		doors := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
		b.doors.Store(&doors)
		buf := make([]byte, len(raw)+int(room))
		sizes := []int{0}
		n, err := b.watch(func(bufs [][]byte, sizes []int, eps []conn.Endpoint) (int, error) {
			sizes[0], eps[0] = copy(bufs[0], raw), &conn.StdNetEndpoint{AddrPort: at}
			return 1, nil
		})([][]byte{buf}, sizes, make([]conn.Endpoint, 1))
		if n != 1 || err != nil {
			t.Fatal(n, err)
		}
		hears := len(raw) >= device.MinMessageSize && int(room) >= stampSize && within(doors, addr)
		switch {
		case !hears && sizes[0] != 0:
			t.Errorf("%d bytes from %s with room for %d are heard", len(raw), at, room)
		case hears && sizes[0] != len(raw):
			t.Errorf("%d bytes from %s with room for %d are not heard", len(raw), at, room)
		case hears && stampOf(buf[:sizes[0]]).addrPort() != netip.AddrPortFrom(addr.Unmap(), port):
			t.Errorf("from %s, stamped %s", at, stampOf(buf[:sizes[0]]).addrPort())
		}
		if !bytes.Equal(buf[:len(raw)], raw) {
			t.Error("the datagram was changed")
		}
	})
}
