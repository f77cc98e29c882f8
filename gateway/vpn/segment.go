package vpn

import (
	"encoding/binary"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// slab is what the stack sends to one client at once, cut to packets that fit
// the tunnel, one behind the other.
type slab struct {
	t     *tunnel
	data  []byte
	ends  []int // where each packet ends in data
	next  int   // which is sent next
	reset bool  // a TCP reset: it may follow the cut
	large bool
}

const (
	smallSlab = 2 << 10
	largeSlab = 80 << 10
)

// slabs keeps memory of both kinds: most of what is sent to clients is either
// one acknowledgement or many full packets.
type slabs struct{ small, large sync.Pool }

func (s *slabs) get(t *tunnel, size int) *slab {
	pool, memory := &s.small, smallSlab
	if size > smallSlab {
		pool, memory = &s.large, largeSlab
	}
	b, ok := pool.Get().(*slab)
	if !ok {
		b = &slab{data: make([]byte, 0, memory), large: size > smallSlab}
	}
	b.t = t
	return b
}

func (s *slabs) put(b *slab) {
	b.t, b.data, b.ends, b.next, b.reset = nil, b.data[:0], b.ends[:0], 0, false
	switch {
	case cap(b.data) > largeSlab: // one of a kind
	case b.large:
		s.large.Put(b)
	default:
		s.small.Put(b)
	}
}

// packets are those that were not sent yet.
func (b *slab) packet(i int) []byte {
	from := 0
	if i > 0 {
		from = b.ends[i-1]
	}
	return b.data[from:b.ends[i]]
}

// left is how many were not sent yet.
func (b *slab) left() int { return len(b.ends) - b.next }

// fill takes a packet of the stack, which may be of many segments.
func (b *slab) fill(pkt *stack.PacketBuffer) {
	parts := pkt.AsSlices()
	if pkt.GSOOptions.Type == stack.GSONone {
		for _, p := range parts {
			b.data = append(b.data, p...)
		}
		b.ends = append(b.ends, len(b.data))
	} else {
		network, transport := len(pkt.NetworkHeader().Slice()), len(pkt.TransportHeader().Slice())
		b.cut(parts, network, transport, int(pkt.GSOOptions.MSS))
	}
	b.reset = len(b.ends) == 1 && isReset(b.data)
}

// isReset reports whether a packet is a TCP reset without payload.
func isReset(raw []byte) bool {
	p, no := look(raw)
	return no == pass && p.proto == protoTCP && !p.fragment && raw[p.l4+13]&4 != 0 && p.head == len(raw)
}

// cut makes segments of at most mss bytes of payload, as a network card would.
func (b *slab) cut(parts [][]byte, network, transport, mss int) {
	head := make([]byte, 0, 120)
	left := 0
	for _, p := range parts {
		left += len(p)
	}
	for len(head) < network+transport {
		n := min(len(parts[0]), network+transport-len(head))
		head = append(head, parts[0][:n]...)
		if parts[0] = parts[0][n:]; len(parts[0]) == 0 {
			parts = parts[1:]
		}
	}
	left -= len(head)
	mss = min(mss, MTU-len(head))
	if mss <= 0 {
		mss = MTU - len(head)
	}
	s := segments{head: head, network: network}
	for first := true; left > 0 || first; first = false {
		from := len(b.data)
		b.data = append(b.data, head...)
		for n := min(left, mss); n > 0; {
			k := min(n, len(parts[0]))
			b.data = append(b.data, parts[0][:k]...)
			n, left = n-k, left-k
			if parts[0] = parts[0][k:]; len(parts[0]) == 0 {
				parts = parts[1:]
			}
		}
		s.finish(b.data[from:], left == 0)
		b.ends = append(b.ends, len(b.data))
	}
}

// segments counts what stands in the headers of the segments of one packet.
type segments struct {
	head    []byte
	network int
	sent    uint32 // payload before this one
	n       uint16
}

// finish puts lengths, numbers and checksums into one segment.
func (s *segments) finish(raw []byte, last bool) {
	ip, tcp := raw[:s.network], raw[s.network:]
	if ip[0]>>4 == 4 {
		binary.BigEndian.PutUint16(ip[2:], uint16(len(raw)))
		binary.BigEndian.PutUint16(ip[4:], binary.BigEndian.Uint16(s.head[4:])+s.n)
		ip[10], ip[11] = 0, 0
		binary.BigEndian.PutUint16(ip[10:], ^checksum.Checksum(ip, 0))
	} else {
		binary.BigEndian.PutUint16(ip[4:], uint16(len(raw)-headerV6))
	}
	binary.BigEndian.PutUint32(tcp[4:], binary.BigEndian.Uint32(s.head[s.network+4:])+s.sent)
	if !last {
		tcp[13] &^= 1 | 8 // FIN and PSH belong to the last
	}
	if s.n > 0 {
		tcp[13] &^= 0x80 // CWR to the first
	}
	sum(raw, s.network, protoTCP, 16)
	s.n++
	s.sent += uint32(len(tcp) - int(tcp[12]>>4)*4)
}

// sum computes the checksum of a transport over its pseudo header (RFC 9293
// clause 3.1, RFC 8200 clause 8.1), which stands at an offset inside it.
func sum(raw []byte, network int, proto byte, at int) {
	body := raw[network:]
	body[at], body[at+1] = 0, 0
	addresses := raw[12:20]
	if raw[0]>>4 == 6 {
		addresses = raw[8:40]
	}
	size := len(body)
	x := checksum.Checksum([]byte{0, proto, byte(size >> 8), byte(size)}, 0)
	x = checksum.Checksum(addresses, x)
	x = ^checksum.Checksum(body, x)
	if x == 0 && proto == protoUDP {
		x = 0xffff // RFC 768
	}
	binary.BigEndian.PutUint16(body[at:], x)
}
