package vpn

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
)

const (
	hops       = 64
	maxError4  = 576  // of an ICMP error (RFC 1812 clause 4.3.2.3)
	maxError6  = 1280 // RFC 4443 clause 2.4
	icmpHeader = 8
)

func checksumOf(b []byte, start uint16) uint16 { return checksum.Checksum(b, start) }

// prohibit answers what is not let (RFC 1812 clause 5.3.8.1, RFC 4443 clause 3.1).
func (t *tunnel) prohibit(packet []byte) { t.icmpError(packet, 3, 13, 1, 1, 0) }

// unreachable answers for a port where nobody listens.
func (t *tunnel) unreachable(packet []byte) { t.icmpError(packet, 3, 3, 1, 4, 0) }

// tooBig answers a packet that is longer than the tunnel's MTU.
func (t *tunnel) tooBig(p packet) { t.icmpError(p.raw, 3, 4, 2, 0, MTU) }

// icmpError sends an error about a packet of the client, as its destination.
func (t *tunnel) icmpError(about []byte, type4, code4, type6, code6 byte, mtu int) {
	if !t.refusals.take(1) {
		return
	}
	p := packet{raw: about}
	six := p.v6()
	kind, code, most := type4, code4, maxError4-headerV4-icmpHeader
	if six {
		kind, code, most = type6, code6, maxError6-headerV6-icmpHeader
	}
	body := make([]byte, icmpHeader, icmpHeader+most)
	body[0], body[1] = kind, code
	if mtu > 0 {
		binary.BigEndian.PutUint32(body[4:], uint32(mtu)) // RFC 1191: in the last two of them
	}
	t.sendICMP(p, append(body, about[:min(len(about), most)]...))
}

// sendICMP sends a message to the source of p, from its destination.
func (t *tunnel) sendICMP(p packet, body []byte) {
	if p.v6() {
		raw := make([]byte, headerV6, headerV6+len(body))
		raw[0], raw[6], raw[7] = 6<<4, protoICMPv6, hops
		binary.BigEndian.PutUint16(raw[4:], uint16(len(body)))
		copy(raw[8:24], p.raw[24:40])
		copy(raw[24:40], p.raw[8:24])
		raw = append(raw, body...)
		sum(raw, headerV6, protoICMPv6, 2)
		t.raw(raw)
		return
	}
	raw := make([]byte, headerV4, headerV4+len(body))
	raw[0], raw[8], raw[9] = 0x45, hops, protoICMP
	binary.BigEndian.PutUint16(raw[2:], uint16(headerV4+len(body)))
	copy(raw[12:16], p.raw[16:20])
	copy(raw[16:20], p.raw[12:16])
	binary.BigEndian.PutUint16(raw[10:], ^checksum.Checksum(raw, 0))
	raw = append(raw, body...)
	icmp := raw[headerV4:]
	icmp[2], icmp[3] = 0, 0
	binary.BigEndian.PutUint16(icmp[2:], ^checksum.Checksum(icmp, 0))
	t.raw(raw)
}

// resetAgain answers a segment that comes after the cut with a reset where the
// sender expects one. The first may have been ahead of bytes that the cut threw
// away, and is only asked about then (RFC 5961 clause 3.2).
func (t *tunnel) resetAgain(p packet) {
	if p.proto != protoTCP || p.fragment || p.raw[p.l4+13]&(16|4) != 16 || !t.refusals.take(1) {
		return
	}
	tcp, network := p.raw[p.l4:], headerV4
	if p.v6() {
		network = headerV6
	}
	raw := make([]byte, network+20)
	if p.v6() {
		raw[0], raw[5], raw[6], raw[7] = 6<<4, 20, protoTCP, hops
		copy(raw[8:24], p.raw[24:40])
		copy(raw[24:40], p.raw[8:24])
	} else {
		raw[0], raw[3], raw[8], raw[9] = 0x45, headerV4+20, hops, protoTCP
		copy(raw[12:16], p.raw[16:20])
		copy(raw[16:20], p.raw[12:16])
		binary.BigEndian.PutUint16(raw[10:], ^checksum.Checksum(raw[:headerV4], 0))
	}
	copy(raw[network:], tcp[2:4])
	copy(raw[network+2:], tcp[:2])
	copy(raw[network+4:], tcp[8:12]) // where the sender is, by its own word
	raw[network+12], raw[network+13] = 5<<4, 4
	sum(raw, network, protoTCP, 16)
	t.raw(raw)
}
