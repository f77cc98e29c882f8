package vpn

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
)

// What a network card would do: segments of one connection that follow each
// other become one, so that the stack has a fraction of the work. Only what
// differs in nothing but its place is joined; what the recording keeps was
// taken before.

const (
	mergeSize = 60 << 10 // of one joined packet
	mergeOpen = 8        // connections whose segments are being joined at once
)

// merge is segments of one connection that follow each other.
type merge struct {
	first packet
	next  uint32   // sequence number that would follow
	rest  [][]byte // payload of the others
	size  int      // of all, with the first's headers
	push  bool
}

// merger joins what one batch has.
type merger struct {
	open    [mergeOpen]merge
	n       int
	deliver func(v6 bool, b *buffer.View)
}

// add takes a packet; what cannot be joined is delivered in its order.
func (m *merger) add(p packet) {
	if p.proto != protoTCP || p.fragment {
		m.single(p)
		return
	}
	tcp := p.raw[p.l4:]
	size := len(p.raw) - p.head
	plain := tcp[13]&^8 == 16 && size > 0 // ACK, perhaps PSH
	for i := range m.n {
		g := &m.open[i]
		if !g.same(p) {
			continue
		}
		if plain && g.takes(p, size) {
			g.rest = append(g.rest, p.raw[p.head:])
			g.next += uint32(size)
			g.size += size
			g.push = g.push || tcp[13]&8 != 0
			return
		}
		m.flush(i) // its order is kept
		break
	}
	if !plain {
		m.single(p)
		return
	}
	if m.n == mergeOpen {
		m.flush(0)
	}
	g := &m.open[m.n]
	m.n++
	g.first, g.next, g.size, g.push, g.rest = p, binary.BigEndian.Uint32(tcp[4:])+uint32(size), len(p.raw), tcp[13]&8 != 0, g.rest[:0]
}

// same reports whether p belongs to the same connection.
func (g *merge) same(p packet) bool {
	a, b := g.first.raw, p.raw
	if g.first.v6() != p.v6() || g.first.l4 != p.l4 {
		return false
	}
	if p.v6() {
		return string(a[8:headerV6+4]) == string(b[8:headerV6+4])
	}
	return string(a[12:headerV4+4]) == string(b[12:headerV4+4])
}

// takes reports whether p follows with headers that differ in nothing else:
// the acknowledged number, the window and the options are the same.
func (g *merge) takes(p packet, size int) bool {
	a, b := g.first.raw[g.first.l4:g.first.head], p.raw[p.l4:p.head]
	return len(a) == len(b) && binary.BigEndian.Uint32(b[4:]) == g.next && g.size+size <= mergeSize &&
		string(a[8:13]) == string(b[8:13]) && string(a[14:16]) == string(b[14:16]) && string(a[18:]) == string(b[18:])
}

// flush delivers one and closes the gap.
func (m *merger) flush(i int) {
	g := m.open[i]
	m.n--
	copy(m.open[i:m.n], m.open[i+1:m.n+1])
	m.open[m.n] = merge{rest: g.rest[:0]}
	v := buffer.NewViewSize(g.size)
	b := v.AsSlice()
	n := copy(b, g.first.raw)
	for _, p := range g.rest {
		n += copy(b[n:], p)
	}
	if len(g.rest) > 0 {
		lengthen(b, g.first)
		if g.push {
			b[g.first.l4+13] |= 8
		}
	}
	m.deliver(g.first.v6(), v)
	clear(g.rest)
}

// lengthen writes the length into the IP header. The checksum of TCP is not
// looked at again: the tunnel's own authenticates every byte.
func lengthen(b []byte, p packet) {
	if p.v6() {
		binary.BigEndian.PutUint16(b[4:], uint16(len(b)-headerV6))
		return
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	b[10], b[11] = 0, 0
	binary.BigEndian.PutUint16(b[10:], ^checksum.Checksum(b[:headerV4], 0))
}

func (m *merger) single(p packet) { m.deliver(p.v6(), buffer.NewViewWithData(p.raw)) }

func (m *merger) flushAll() {
	for m.n > 0 {
		m.flush(0)
	}
}
