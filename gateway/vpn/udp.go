package vpn

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"github.com/portcullis/portcullis/gateway"
)

// datagrams is one UDP flow: a connected socket of the gateway's own towards
// the target.
type datagrams struct {
	t    *tunnel
	id   flowID
	head []byte // of a packet of it, for refusals that came later

	mu      sync.Mutex // guards what follows
	f       *flow
	conn    net.Conn
	pending [][]byte // until conn is there
	over    bool
}

// handleUDP gets each datagram, whole.
func (g *Gateway) handleUDP(id stack.TransportEndpointID, pkt *stack.PacketBuffer) bool {
	t := g.tunnelAt(addrOf(id.RemoteAddress))
	if t == nil || t.cut.Load() {
		return true
	}
	key := flowID{protoUDP, netip.AddrPortFrom(addrOf(id.RemoteAddress), id.RemotePort), netip.AddrPortFrom(addrOf(id.LocalAddress), id.LocalPort)}
	body := pkt.Data().AsRange().ToSlice()
	if t.isResolver(key.to) {
		if answer := t.resolve(key, body, maxUDPAnswer(body)); answer != nil {
			t.sendUDP(key, answer)
		}
		return true
	}
	if t.ch.Frozen() {
		return true
	}
	d := t.datagramsOf(key)
	if d == nil {
		d = t.beginUDP(key, pkt)
	}
	if d != nil {
		d.in(body)
	}
	return true
}

func (t *tunnel) datagramsOf(key flowID) *datagrams {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.datagrams[key]
}

// beginUDP judges the first datagram of a flow. Nil: it went no further.
func (t *tunnel) beginUDP(key flowID, pkt *stack.PacketBuffer) *datagrams {
	head := append(append([]byte(nil), pkt.NetworkHeader().Slice()...), pkt.TransportHeader().Slice()...)
	name, ok := t.judge(gateway.FlowUDP, key.to)
	if !ok {
		t.prohibit(head)
		t.refuse(key, nil)
		return nil
	}
	if !t.fresh.take(1) {
		t.g.dropped(dropFlood)
		return nil
	}
	d := &datagrams{t: t, id: key, head: head}
	t.mu.Lock()
	if t.datagrams == nil {
		t.datagrams = map[flowID]*datagrams{}
	}
	full := len(t.datagrams) >= MaxFlows
	if !full {
		t.datagrams[key] = d
	}
	t.mu.Unlock()
	if full {
		t.prohibit(head)
		return nil
	}
	if !t.own(func() { d.run(name) }) {
		d.leave()
		return nil
	}
	return d
}

// in sends one datagram to the target, or keeps it until there is a socket.
func (d *datagrams) in(p []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.over:
	case d.conn == nil:
		if len(d.pending) < MaxPending {
			d.pending = append(d.pending, p)
		}
	default:
		d.send(p)
	}
}

// send passes one datagram. Above the rate it is dropped, as on any link. The
// caller holds mu.
func (d *datagrams) send(p []byte) {
	if !d.t.up.take(float64(len(p))) || d.f.before(true, p) != nil || d.t.cut.Load() {
		return
	}
	d.f.packets.Add(1)
	n, err := d.conn.Write(p)
	d.f.passed(true, n)
	if errors.Is(err, syscall.ECONNREFUSED) { // of an earlier one; whoever asks the kernel first hears of it
		d.closed(d.f)
		d.f.cutBy(gateway.FlowByTarget)
	}
}

// closed tells the client that the target has no such port, as it would hear
// beside it.
func (d *datagrams) closed(f *flow) {
	f.closedBy(gateway.FlowByTarget)
	d.t.unreachable(d.head)
}

func (d *datagrams) leave() {
	d.t.mu.Lock()
	defer d.t.mu.Unlock()
	delete(d.t.datagrams, d.id)
}

// run tells the flow, dials, and carries answers until it ends.
func (d *datagrams) run(name string) {
	t := d.t
	defer d.leave()
	f, err := t.newFlow(d.id, name)
	if err != nil {
		t.prohibit(d.head)
		return
	}
	ctx, cancel := context.WithTimeout(t.live.Context(), DialTime)
	conn, err := t.g.c.Dial(ctx, "udp", target(d.id.to))
	cancel()
	if err != nil {
		f.failed(notReached(err))
		return
	}
	shut := func() { _ = conn.Close() }
	if !f.onCut(shut) {
		shut()
	}
	d.open(f, conn)
	d.out(f, conn)
	d.mu.Lock()
	d.over, d.pending = true, nil
	d.mu.Unlock()
	_ = conn.Close()
	t.rest()
	f.end()
}

// open lets those that waited go first.
func (d *datagrams) open(f *flow, conn net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.f, d.conn = f, conn
	for _, p := range d.pending {
		d.send(p)
	}
	d.pending = nil
}

// out carries answers to the engineer.
func (d *datagrams) out(f *flow, conn net.Conn) {
	t := d.t
	from := newTargetReader(conn, &t.g.pool)
	for {
		b, n, err := from.next(bulk)
		if errors.Is(err, syscall.ECONNREFUSED) {
			d.closed(f)
			return
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return
		}
		if n > 0 && t.down.take(float64(n)) && f.before(false, b[:n]) == nil {
			t.sendUDP(d.id, b[:n])
			f.packets.Add(1)
			f.passed(false, n)
		}
		if b != nil {
			t.g.pool.put(b)
		}
		if t.cut.Load() {
			return
		}
	}
}

// sendUDP sends a datagram as if the target had: cut to fragments if it must
// be.
func (t *tunnel) sendUDP(id flowID, body []byte) {
	proto := header.IPv4ProtocolNumber
	if id.to.Addr().Is6() {
		proto = header.IPv6ProtocolNumber
	}
	r, err := t.g.stack.FindRoute(nic, tcpipAddr(id.to.Addr()), tcpipAddr(id.from.Addr()), proto, false)
	if err != nil {
		return
	}
	defer r.Release()
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{
		ReserveHeaderBytes: header.UDPMinimumSize + int(r.MaxHeaderLength()), Payload: buffer.MakeWithData(body),
	})
	defer pkt.DecRef()
	u := header.UDP(pkt.TransportHeader().Push(header.UDPMinimumSize))
	size := uint16(pkt.Size())
	u.Encode(&header.UDPFields{SrcPort: id.to.Port(), DstPort: id.from.Port(), Length: size})
	x := r.PseudoHeaderChecksum(udp.ProtocolNumber, size)
	u.SetChecksum(^u.CalculateChecksum(checksumOf(body, x)))
	pkt.TransportProtocolNumber = udp.ProtocolNumber
	_ = r.WritePacket(stack.NetworkHeaderParams{Protocol: udp.ProtocolNumber, TTL: hops}, pkt)
}
