package vpn

import (
	"encoding/binary"
	"net/netip"
)

// Numbers of IANA.
const (
	protoICMP   = 1
	protoTCP    = 6
	protoUDP    = 17
	protoFrag6  = 44
	protoICMPv6 = 58

	headerV4 = 20
	headerV6 = 40

	echoRequest4, echoReply4 = 8, 0
	echoRequest6, echoReply6 = 128, 129
)

// packet is one inner packet, looked at. Its raw bytes are somebody else's.
type packet struct {
	raw      []byte
	proto    byte // of the transport, behind a fragment header too
	l4       int  // where the transport begins
	head     int  // how much of it is headers
	fragment bool
	dontFrag bool // the sender wants to be told rather than have it cut (RFC 1191)
}

// drop is why a packet goes no further.
type drop int

// Why packets are dropped.
const (
	pass          drop = iota
	dropMalformed      // lengths or fields that cannot be
	dropOptions        // IPv4 options: nothing needs them, and source routes are some
	dropExtension      // IPv6 extension headers but the fragment's
	dropProtocol       // neither TCP, UDP nor echo
	dropMulticast      // to many, or to a broadcast address
	dropFragment       // of ICMP, or cut where a header is (RFC 3128)
	dropStranger       // from an inner address that no tunnel has
	dropCut            // of a session that has ended
	dropFlood          // above a rate
	dropFull           // the queue towards the client is full
	dropSpoofed        // by WireGuard: from an inner address that is not the peer's
	dropKinds
)

func (p packet) v6() bool { return p.raw[0]>>4 == 6 }

func (p packet) from() netip.Addr { return p.address(12, 8) }
func (p packet) to() netip.Addr   { return p.address(16, 24) }

func (p packet) address(at4, at6 int) netip.Addr {
	if p.v6() {
		return netip.AddrFrom16([16]byte(p.raw[at6:]))
	}
	return netip.AddrFrom4([4]byte(p.raw[at4:]))
}

// source is the inner source address of what may be a packet.
func source(raw []byte) (netip.Addr, bool) {
	switch {
	case len(raw) >= headerV4 && raw[0]>>4 == 4:
		return packet{raw: raw}.from(), true
	case len(raw) >= headerV6 && raw[0]>>4 == 6:
		return packet{raw: raw}.from(), true
	}
	return netip.Addr{}, false
}

// look takes a packet's headers apart, strictly: what is let on is what the
// network stack and the reader of a recording see alike.
func look(raw []byte) (packet, drop) {
	p := packet{raw: raw}
	var no drop
	switch {
	case len(raw) >= headerV4 && raw[0]>>4 == 4:
		no = p.look4()
	case len(raw) >= headerV6 && raw[0]>>4 == 6:
		no = p.look6()
	default:
		no = dropMalformed
	}
	if no != pass {
		return p, no
	}
	return p, p.transport()
}

func (p *packet) look4() drop {
	raw := p.raw
	flags := binary.BigEndian.Uint16(raw[6:])
	p.proto, p.l4, p.dontFrag = raw[9], headerV4, flags&0x4000 != 0
	switch {
	case int(binary.BigEndian.Uint16(raw[2:])) != len(raw) || raw[0]&15 < 5:
		return dropMalformed
	case raw[0]&15 > 5:
		return dropOptions
	case raw[16] >= 224:
		return dropMulticast
	}
	return p.part(flags&0x2000 != 0, int(flags&0x1fff)*8)
}

func (p *packet) look6() drop {
	raw := p.raw
	p.proto, p.l4, p.dontFrag = raw[6], headerV6, true
	switch {
	case int(binary.BigEndian.Uint16(raw[4:]))+headerV6 != len(raw):
		return dropMalformed
	case raw[24] == 0xff:
		return dropMulticast
	case p.proto != protoFrag6:
		return pass
	case len(raw) < headerV6+8:
		return dropMalformed
	}
	field := binary.BigEndian.Uint16(raw[headerV6+2:])
	p.proto, p.l4 = raw[headerV6], headerV6+8
	if field&1 == 0 && field>>3 == 0 { // atomic (RFC 6946): a header and nothing else
		p.fragment = true
		return p.fragmentOf(false, 0)
	}
	return p.part(field&1 != 0, int(field&^7))
}

func (p *packet) part(more bool, offset int) drop {
	if !more && offset == 0 {
		return pass
	}
	p.fragment = true
	return p.fragmentOf(more, offset)
}

// fragmentOf judges a fragment by itself. What it is part of is judged when it
// is whole.
func (p *packet) fragmentOf(more bool, offset int) drop {
	size := len(p.raw) - p.l4
	switch {
	case p.proto != protoTCP && p.proto != protoUDP:
		return dropFragment
	case more && size%8 != 0, size == 0, offset+size > 1<<16-1:
		return dropMalformed
	case offset == 0 && size < 8, offset == 0 && p.proto == protoTCP && size < 20, offset > 0 && offset < 20 && p.proto == protoTCP:
		return dropFragment
	}
	p.head = p.l4 + min(size, 8)
	if offset > 0 {
		p.head = p.l4
	}
	return pass
}

func (p *packet) transport() drop {
	if p.fragment {
		return pass
	}
	rest := p.raw[p.l4:]
	switch p.proto {
	case protoTCP:
		if len(rest) < 20 || int(rest[12]>>4)*4 < 20 || int(rest[12]>>4)*4 > len(rest) {
			return dropMalformed
		}
		p.head = p.l4 + int(rest[12]>>4)*4
	case protoUDP:
		if len(rest) < 8 || int(binary.BigEndian.Uint16(rest[4:])) != len(rest) {
			return dropMalformed
		}
		p.head = p.l4 + 8
	case protoICMP, protoICMPv6:
		return p.echo(rest)
	case 0, 43, 50, 51, 60, 135, 139, 140:
		if p.v6() {
			return dropExtension
		}
		return dropProtocol
	default:
		return dropProtocol
	}
	return pass
}

func (p *packet) echo(rest []byte) drop {
	if p.v6() != (p.proto == protoICMPv6) {
		return dropProtocol
	}
	if len(rest) < 8 {
		return dropMalformed
	}
	request := byte(echoRequest4)
	if p.v6() {
		request = echoRequest6
	}
	if rest[0] != request || rest[1] != 0 {
		return dropProtocol
	}
	p.head = p.l4 + 8
	return pass
}
