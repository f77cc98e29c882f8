package vpn

import (
	"encoding/binary"
	"net"
	"net/netip"
	"sync"

	"golang.org/x/net/icmp"

	"github.com/portcullis/portcullis/gateway"
)

// pings is one echo flow: a ping socket of the gateway's own, which needs no
// privilege where net.ipv4.ping_group_range lets this user have one.
type pings struct {
	t    *tunnel
	id   flowID
	ask  packet // a request of it, without its payload
	mu   sync.Mutex
	f    *flow
	conn net.PacketConn
	wait [][]byte
	over bool
}

// echo answers for the gateway, and asks targets that the grant lets.
func (t *tunnel) echo(p packet) {
	to := p.to()
	body := p.raw[p.l4:]
	if to == t.g.inner[0] || to == t.g.inner[1] {
		if t.refusals.take(1) {
			t.answerEcho(p, append([]byte(nil), body...))
		}
		return
	}
	if t.ch.Frozen() {
		return
	}
	// The flow is the client's identifier towards one address (RFC 792).
	key := flowID{p.proto, netip.AddrPortFrom(p.from(), binary.BigEndian.Uint16(body[4:])), netip.AddrPortFrom(to, 0)}
	t.mu.Lock()
	e := t.echoes[key]
	t.mu.Unlock()
	if e == nil {
		if e = t.beginEcho(key, p); e == nil {
			return
		}
	}
	e.in(append([]byte(nil), body...))
}

func (t *tunnel) beginEcho(key flowID, p packet) *pings {
	name, ok := t.judge(gateway.FlowICMP, key.to)
	if !ok {
		t.prohibit(p.raw)
		t.refuse(key, nil)
		return nil
	}
	if !t.fresh.take(1) {
		t.g.dropped(dropFlood)
		return nil
	}
	e := &pings{t: t, id: key, ask: packet{raw: append([]byte(nil), p.raw[:p.head]...), l4: p.l4, proto: p.proto, head: p.head}}
	t.mu.Lock()
	full := len(t.echoes) >= MaxEcho
	if !full {
		if t.echoes == nil {
			t.echoes = map[flowID]*pings{}
		}
		t.echoes[key] = e
	}
	t.mu.Unlock()
	if full {
		t.prohibit(p.raw)
		return nil
	}
	if !t.own(func() { e.run(name) }) {
		e.leave()
		return nil
	}
	return e
}

func (e *pings) leave() {
	e.t.mu.Lock()
	defer e.t.mu.Unlock()
	delete(e.t.echoes, e.id)
}

func (e *pings) in(body []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.over:
	case e.conn == nil:
		if len(e.wait) < MaxPending {
			e.wait = append(e.wait, body)
		}
	default:
		e.send(body)
	}
}

// send passes one request. The caller holds mu.
func (e *pings) send(body []byte) {
	if !e.t.up.take(float64(len(body))) || e.f.before(true, body[icmpHeader:]) != nil || e.t.cut.Load() {
		return
	}
	e.f.packets.Add(1)
	if _, err := e.conn.WriteTo(body, &net.UDPAddr{IP: e.id.to.Addr().AsSlice()}); err == nil {
		e.f.passed(true, len(body)-icmpHeader)
	}
}

func (e *pings) run(name string) {
	t := e.t
	defer e.leave()
	conn, err := t.g.ping(e.id.to.Addr())
	if err != nil {
		t.prohibit(e.ask.raw)
		t.refuse(e.id, gateway.Refused("echo", "ask the operator to let the gateway ping (net.ipv4.ping_group_range), or try a connection instead", "the gateway's machine lets it send no echo"))
		return
	}
	defer func() { _ = conn.Close() }()
	f, err := t.newFlow(e.id, name)
	if err != nil {
		return
	}
	shut := func() { _ = conn.Close() }
	if !f.onCut(shut) {
		shut()
	}
	e.mu.Lock()
	e.f, e.conn = f, conn
	for _, b := range e.wait {
		e.send(b)
	}
	e.wait = nil
	e.mu.Unlock()
	e.out(f, conn)
	e.mu.Lock()
	e.over = true
	e.mu.Unlock()
	t.rest()
	f.end()
}

// MayPing is nil where this user of this machine may open the sockets that
// echo through tunnels needs.
func (g *Gateway) MayPing() error {
	conn, err := g.ping(g.inner[0])
	if err != nil {
		return err
	}
	return conn.Close()
}

func listenPing(to netip.Addr) (net.PacketConn, error) {
	if to.Is6() {
		return icmp.ListenPacket("udp6", "::")
	}
	return icmp.ListenPacket("udp4", "0.0.0.0")
}

// out carries answers, under the client's own identifier: the kernel's is of
// our socket.
func (e *pings) out(f *flow, conn net.PacketConn) {
	t := e.t
	reply := byte(echoReply4)
	if e.ask.v6() {
		reply = echoReply6
	}
	b := make([]byte, MTU)
	for {
		n, from, err := conn.ReadFrom(b)
		if err != nil || t.cut.Load() {
			return
		}
		if u, ok := from.(*net.UDPAddr); !ok || u.AddrPort().Addr().Unmap().WithZone("") != e.id.to.Addr() || n < icmpHeader || b[0] != reply {
			continue
		}
		if !t.down.take(float64(n)) || f.before(false, b[icmpHeader:n]) != nil {
			continue
		}
		binary.BigEndian.PutUint16(b[4:], e.id.from.Port())
		t.answerEcho(e.ask, append([]byte(nil), b[:n]...))
		f.packets.Add(1)
		f.passed(false, n-icmpHeader)
	}
}

// answerEcho sends body, with its identifier, number and data, as the reply.
func (t *tunnel) answerEcho(ask packet, body []byte) {
	if body[0] = echoReply4; ask.v6() {
		body[0] = echoReply6
	}
	body[1] = 0
	t.sendICMP(ask, body)
}
