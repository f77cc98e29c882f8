package vpn

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun/tuntest"
)

// rawClient is a peer whose inner packets the test writes itself.
type rawClient struct {
	*client
	tun *tuntest.ChannelTUN
}

func (c *client) raw() *rawClient {
	c.w.t.Helper()
	r := &rawClient{client: c, tun: tuntest.NewChannelTUN()}
	c.dev = device.NewDevice(r.tun.TUN(), conn.NewStdNetBind(), &device.Logger{Verbosef: device.DiscardLogf, Errorf: device.DiscardLogf})
	check(c.w.t, c.dev.IpcSet(c.config()))
	check(c.w.t, c.dev.Up())
	c.w.t.Cleanup(c.dev.Close)
	return r
}

// get waits for a packet from the gateway that is as wanted.
func (r *rawClient) get(what string, ok func([]byte) bool) []byte {
	r.w.t.Helper()
	late := time.After(5 * time.Second)
	for {
		select {
		case p := <-r.tun.Inbound:
			if ok(p) {
				return p
			}
		case <-late:
			r.w.t.Fatalf("never came: %s", what)
		}
	}
}

// ip4 makes an IPv4 packet; flags are those of fragments with the offset.
func ip4(from, to netip.Addr, proto byte, flags uint16, body []byte) []byte {
	p := make([]byte, headerV4, headerV4+len(body))
	p[0], p[8], p[9] = 0x45, 64, proto
	binary.BigEndian.PutUint16(p[2:], uint16(headerV4+len(body)))
	p[4], p[5] = 0x12, 0x34
	binary.BigEndian.PutUint16(p[6:], flags)
	copy(p[12:], from.AsSlice())
	copy(p[16:], to.AsSlice())
	binary.BigEndian.PutUint16(p[10:], ^checksumOf(p, 0))
	return append(p, body...)
}

func udp4(from, to netip.AddrPort, body []byte) []byte {
	u := make([]byte, 8, 8+len(body))
	binary.BigEndian.PutUint16(u, from.Port())
	binary.BigEndian.PutUint16(u[2:], to.Port())
	binary.BigEndian.PutUint16(u[4:], uint16(8+len(body)))
	p := ip4(from.Addr(), to.Addr(), protoUDP, 0, append(u, body...))
	sum(p, headerV4, protoUDP, 6)
	return p
}

func syn(from, to netip.AddrPort) []byte {
	s := make([]byte, 20)
	binary.BigEndian.PutUint16(s, from.Port())
	binary.BigEndian.PutUint16(s[2:], to.Port())
	s[12], s[13], s[14] = 5<<4, 2, 0xff
	p := ip4(from.Addr(), to.Addr(), protoTCP, 0, s)
	sum(p, headerV4, protoTCP, 16)
	return p
}

func echo4(from, to netip.Addr, size int, flags uint16) []byte {
	b := make([]byte, 8+size)
	b[0], b[4], b[7] = echoRequest4, 9, 1
	binary.BigEndian.PutUint16(b[2:], ^checksumOf(b, 0))
	return ip4(from, to, protoICMP, flags, b)
}

var plc = netip.MustParseAddr(plc4)

// N-05: a packet that is longer than the tunnel's MTU and may not be cut is
// answered with the size that fits; a tiny MTU of the client's is obeyed.
func TestPathMTU(t *testing.T) {
	w := newWorld(t)
	r := w.open().raw()
	r.tun.Outbound <- echo4(r.client.tun.Address4, plc, 1600, 0x4000)
	p := r.get("too big", func(p []byte) bool { return p[9] == protoICMP && p[20] == 3 && p[21] == 4 })
	if n := binary.BigEndian.Uint16(p[26:]); n != MTU {
		t.Errorf("the MTU told is %d", n)
	}
	for _, mtu := range []int{1280, 576} {
		w.put("tcp", plc4+":502", w.echoTCP())
		c := w.open()
		c.mtu = mtu
		c.connect()
		conn, err := c.dial("tcp", plc4+":502")
		check(t, err)
		check(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
		go func() { _, _ = conn.Write(make([]byte, 200<<10)) }()
		n, b := 0, make([]byte, 1<<16)
		for n < 200<<10 {
			k, err := conn.Read(b)
			check(t, err)
			n += k
		}
		for _, p := range c.live.ch.kept() {
			if p.Length > mtu {
				t.Fatalf("a packet of %d bytes in a tunnel of %d", p.Length, mtu)
			}
		}
		conn.Close()
	}
}

// N-06: whole fragments pass, and what was judged is the whole; overlapping
// ones (RFC 5722), pieces of headers and fragments of echo do not.
func TestFragments(t *testing.T) {
	w := newWorld(t)
	got := make(chan []byte, 8)
	u, err := net.ListenPacket("udp", "127.0.0.1:0")
	check(t, err)
	defer u.Close()
	go func() {
		b := make([]byte, 1<<16)
		for {
			n, _, err := u.ReadFrom(b)
			if err != nil {
				return
			}
			got <- bytes.Clone(b[:n])
		}
	}()
	w.put("udp", plc4+":161", u.LocalAddr().String())
	r := w.open().raw()
	from, to := netip.AddrPortFrom(r.client.tun.Address4, 4000), netip.AddrPortFrom(plc, 161)
	whole := udp4(from, to, bytes.Repeat([]byte("a"), 120))[headerV4:]
	part := func(id byte, more uint16, from_, to_ int, fill byte) []byte {
		b := bytes.Clone(whole[from_:to_])
		if fill != 0 {
			b = bytes.Repeat([]byte{fill}, len(b))
		}
		p := ip4(from.Addr(), to.Addr(), protoUDP, more|uint16(from_/8), b)
		p[5] = id
		p[10], p[11] = 0, 0
		binary.BigEndian.PutUint16(p[10:], ^checksumOf(p[:headerV4], 0))
		return p
	}
	r.tun.Outbound <- part(1, 0x2000, 0, 64, 0)
	r.tun.Outbound <- part(1, 0x2000, 32, 96, 'x') // overlaps
	r.tun.Outbound <- part(1, 0, 96, 128, 0)
	r.tun.Outbound <- part(2, 0x2000, 0, 64, 0)
	r.tun.Outbound <- part(2, 0, 64, 128, 0)
	if b := <-got; string(b) != string(whole[8:]) {
		t.Errorf("arrived %q", b)
	}
	r.tun.Outbound <- ip4(from.Addr(), to.Addr(), protoICMP, 0x2000, make([]byte, 64))
	r.tun.Outbound <- ip4(from.Addr(), to.Addr(), protoTCP, 1, make([]byte, 64))
	eventually(t, "pieces are dropped", func() bool { return w.g.drops[dropFragment].Load() == 2 })
	if len(got) > 0 {
		t.Errorf("%d more arrived", len(got))
	}
}

// Inner sources that are not the peer's, other protocols, options, extension
// headers and echo replies: dropped and counted, and no other tunnel is
// troubled.
func TestBadPackets(t *testing.T) {
	w := newWorld(t)
	r := w.open().raw()
	me, other := r.client.tun.Address4, w.open().tun.Address4
	options := ip4(me, plc, protoUDP, 0, make([]byte, 12))
	options[0] = 0x46
	six := make([]byte, headerV6+16)
	six[0], six[6], six[7] = 0x60, 0, 64 // hop-by-hop
	binary.BigEndian.PutUint16(six[4:], 16)
	copy(six[8:], r.client.tun.Address6.AsSlice())
	copy(six[24:], netip.MustParseAddr(plc6).AsSlice())
	reply := echo4(me, plc, 8, 0)
	reply[20] = echoReply4
	for _, c := range []struct {
		name string
		p    []byte
		why  drop
	}{
		{"spoofed source", ip4(other, plc, protoUDP, 0, make([]byte, 12)), dropSpoofed},
		{"source of nobody", ip4(netip.MustParseAddr("10.98.0.2"), plc, protoUDP, 0, make([]byte, 12)), dropSpoofed},
		{"options", options, dropOptions},
		{"extension header", six, dropExtension},
		{"GRE", ip4(me, plc, 47, 0, make([]byte, 12)), dropProtocol},
		{"an echo reply", reply, dropProtocol},
		{"multicast", ip4(me, netip.MustParseAddr("224.0.0.1"), protoUDP, 0, make([]byte, 12)), dropMulticast},
		{"broadcast", ip4(me, netip.MustParseAddr("255.255.255.255"), protoUDP, 0, make([]byte, 12)), dropMulticast},
		{"a length of UDP that is none", ip4(me, plc, protoUDP, 0, make([]byte, 12)), dropMalformed},
	} {
		before := w.g.drops[c.why].Load()
		r.tun.Outbound <- c.p
		eventually(t, c.name+" is dropped", func() bool { return w.g.drops[c.why].Load() == before+1 })
	}
	if n := len(r.live.ch.last()); n != 0 {
		t.Errorf("%d flows", n)
	}
}
