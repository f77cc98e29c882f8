package vpn

import (
	"crypto/rand"
	"encoding/binary"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
)

// A flood of SYN inside: bounded half-open connections and dials, whatever is
// sent; the next tunnel connects meanwhile.
func TestFloodOfSYN(t *testing.T) {
	w := newWorld(t)
	var dials atomic.Int64
	w.put("tcp", plc4+":502", w.serveTCP(func(c netConn) { dials.Add(1); _, _ = c.Read(make([]byte, 1)) }))
	w.put("tcp", "10.98.0.3:7", w.echoTCP())
	r := w.open().raw()
	go func() {
		for range r.tun.Inbound { // answers are not answered
		}
	}()
	for i := range 5000 {
		r.tun.Outbound <- syn(netip.AddrPortFrom(r.client.tun.Address4, uint16(1000+i)), netip.AddrPortFrom(plc, 502))
	}
	c := w.open().connect()
	conn, err := c.dial("tcp", "10.98.0.3:7")
	check(t, err)
	conn.Close()
	if n := dials.Load(); n > MaxHalfOpen {
		t.Errorf("%d connections to the target", n)
	}
	s, _ := w.g.State(r.client.tun.Session)
	if s.Open > MaxHalfOpen {
		t.Errorf("%d flows are open", s.Open)
	}
}

// feed hands inner packets to the gateway as WireGuard would, without the work
// of encrypting them.
func (w *world) feed(packets ...[]byte) {
	d := newDevice(w.g)
	for len(packets) > 0 {
		n := min(len(packets), conn.IdealBatchSize)
		bufs := make([][]byte, n)
		for i, p := range packets[:n] {
			bufs[i] = append(make([]byte, 0, len(p)+stampSize), p...)
		}
		_, _ = d.Write(bufs, 0)
		packets = packets[n:]
	}
}

// A hundred thousand flows of UDP, each from another port: as many are open as
// one tunnel may have, and the rest is dropped.
func TestManyFlows(t *testing.T) {
	w := newWorld(t)
	w.put("udp", plc4+":161", w.echoUDP())
	w.set = func(l *fakeLive) { l.ch.drop = true }
	c := w.open()
	packets := make([][]byte, 100000)
	for i := range packets {
		packets[i] = udp4(netip.AddrPortFrom(c.tun.Address4, uint16(i)), netip.AddrPortFrom(plc, uint16(161+i>>16)), []byte("x"))
	}
	w.feed(packets...)
	eventually(t, "the flood is counted", func() bool { return w.g.drops[dropFlood].Load() > 1000 })
	s, _ := w.g.State(c.tun.Session)
	if s.Open > MaxFlows {
		t.Errorf("%d flows are open", s.Open)
	}
}

// N-06: one bound holds the fragments of all tunnels that wait for the rest of
// them. Tunnels that fill it with what never becomes whole keep no other's
// datagrams back: what waits longest is given up first.
func TestFloodOfFragments(t *testing.T) {
	w := newWorld(t)
	w.put("udp", plc4+":161", w.echoUDP())
	w.set = func(l *fakeLive) { l.ch.drop = true }
	c := w.open().connect()
	u, err := c.dial("udp", plc4+":161")
	check(t, err)
	stop := make(chan struct{})
	var floods sync.WaitGroup
	var fed atomic.Int64
	defer floods.Wait()
	defer close(stop)
	for range 3 {
		from := netip.AddrPortFrom(w.open().tun.Address4, 4000)
		pieces := make([][]byte, 1<<14) // the first of as many datagrams
		for id := range pieces {
			p := ip4(from.Addr(), plc, protoUDP, 0x2000, udp4(from, netip.AddrPortFrom(plc, 161), make([]byte, 1384))[headerV4:])
			binary.BigEndian.PutUint16(p[4:], uint16(id))
			pieces[id] = p
		}
		floods.Go(func() {
			for {
				for at := 0; at < len(pieces); at += conn.IdealBatchSize {
					w.feed(pieces[at : at+conn.IdealBatchSize]...)
					fed.Add(conn.IdealBatchSize)
					select {
					case <-stop:
						return
					default:
					}
				}
			}
		})
	}
	eventually(t, "there are more than the bound holds", func() bool { return fed.Load() > 2*FragmentBurst })
	lost := 0
	for range 50 {
		check(t, u.SetDeadline(time.Now().Add(2*time.Second)))
		_, err := u.Write(make([]byte, 3000))
		check(t, err)
		if n, err := u.Read(make([]byte, 4000)); err != nil || n != 3000 {
			lost++
		}
	}
	if lost > 0 {
		t.Errorf("%d of 50 datagrams were lost", lost)
	}
}

// floodHandshakes sends what anybody can make who knows the node's public key.
func (w *world) floodHandshakes(u *net.UDPConn, stop <-chan struct{}) {
	var macs device.CookieGenerator
	macs.Init(device.NoisePublicKey(w.g.public))
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	b := make([]byte, device.MessageInitiationSize)
	for {
		for range 300 { // more than an eighth of WireGuard's queue
			_, _ = rand.Read(b)
			binary.LittleEndian.PutUint32(b, device.MessageInitiationType)
			macs.AddMacs(b)
			_, _ = u.Write(b)
		}
		select {
		case <-tick.C:
		case <-stop:
			return
		}
	}
}

// A flood of handshakes: WireGuard answers with cookies, which cost it little; a tunnel beside it
// carries on, a new one gets in, and memory is bounded.
func TestFloodOfHandshakes(t *testing.T) {
	t.Parallel()
	const (
		late  = 5 * time.Second              // a datagram may be lost before the socket, and is sent again
		queue = 1024 * device.MaxMessageSize // what WireGuard queues of handshakes
	)
	w := newWorld(t)
	w.put("tcp", plc4+":502", w.echoTCP())
	conn, err := w.open().connect().dial("tcp", plc4+":502")
	check(t, err)
	before := heap()
	u := w.socket()
	stop, over := make(chan struct{}), make(chan struct{})
	defer func() {
		close(stop)
		<-over
	}()
	go func() {
		defer close(over)
		w.floodHandshakes(u, stop)
	}()
	check(t, u.SetReadDeadline(time.Now().Add(10*time.Second)))
	b := make([]byte, 1500)
	if n, err := u.Read(b); err != nil || n != device.MessageCookieReplySize || b[0] != device.MessageCookieReplyType {
		t.Errorf("the flood is answered by %d bytes of type %d, %v", n, b[0], err)
	}
	var slowest time.Duration
	for range 50 {
		begun := time.Now()
		check(t, conn.SetDeadline(begun.Add(late)))
		_, err := conn.Write([]byte("x"))
		check(t, err)
		_, err = conn.Read(b)
		check(t, err)
		slowest = max(slowest, time.Since(begun))
	}
	x := w.wire()
	begun := time.Now()
	next := w.open().through(x)
	for range 4 { // the first handshake gets the cookie, and the second, 5 s later, brings it
		if _, err = next.dial("tcp", plc4+":502"); err == nil {
			break
		}
	}
	if err != nil {
		t.Errorf("nobody new gets in: %v", err)
	}
	grown := heap() - before
	t.Logf("a round trip took %s at most, a new tunnel %s with %d cookies; %d MiB more", slowest, time.Since(begun), x.count(0, device.MessageCookieReplyType), grown>>20)
	if grown > 3*queue {
		t.Errorf("%d MiB more", grown>>20)
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse)
}
