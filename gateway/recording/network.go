package recording

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"

	"github.com/portcullis/portcullis/gateway"
)

const (
	packetHead = 9 // direction, length, kept length

	// packetFrame bounds the packets of one frame, in bytes. A larger batch
	// becomes several; a single packet always fits.
	packetFrame = 256 << 10

	packetIn = 1 // the direction of what the engineer sent; 0: of what he was sent
)

// NetworkFlow writes what is known of one flow inside a tunnel, before what it
// tells passes. It stands with what was shown, so whoever may watch sees it.
func (c *Channel) NetworkFlow(f gateway.NetworkFlow) error {
	f.Name, f.Rule, f.Why, f.Hint = word(f.Name), word(f.Rule), word(f.Why), word(f.Hint)
	return c.json(kindNetworkFlow, f)
}

// Packets writes a batch of inner packets before it passes, and keeps none of
// it. All of them get the same time. They lie with what was typed, both
// directions in one track: what a protocol says back repeats what it was told
// (an echoed password, a file that was sent), half of a TCP connection is no
// use to anybody, and one track is one write, in the order in which they
// passed. An empty batch writes nothing.
func (c *Channel) Packets(batch []gateway.Packet) error {
	mem := c.rec.vault.packets.Get().(*[]byte)
	defer c.rec.vault.packets.Put(mem)
	b := (*mem)[:0]
	for i := range batch {
		p := &batch[i]
		if len(p.Data) > p.Length || p.Length > math.MaxInt32 || packetHead+len(p.Data) > maxPayload {
			return gateway.Internal(fmt.Errorf("record %d bytes of a packet of %d", len(p.Data), p.Length))
		}
		if len(b) > 0 && len(b)+packetHead+len(p.Data) > packetFrame {
			if err := c.writePackets(b); err != nil {
				return err
			}
			b = b[:0]
		}
		b = appendPacket(b, p)
		*mem = b
	}
	if len(b) == 0 {
		return nil
	}
	return c.writePackets(b)
}

func (c *Channel) writePackets(b []byte) error {
	return sayClosed(c.rec.in.append(kindPackets, c.id, b))
}

func appendPacket(b []byte, p *gateway.Packet) []byte {
	direction := byte(0)
	if p.In {
		direction = packetIn
	}
	b = append(b, direction)
	b = binary.BigEndian.AppendUint32(b, uint32(p.Length))
	b = binary.BigEndian.AppendUint32(b, uint32(len(p.Data)))
	return append(b, p.Data...)
}

var errPacket = errors.New("the packets of a frame are not in their one spelling")

// packetsOf takes a frame's payload apart. The packets' bytes are the
// payload's own. After an error nothing more comes.
func packetsOf(payload []byte) iter.Seq2[gateway.Packet, error] {
	return func(yield func(gateway.Packet, error) bool) {
		for len(payload) > 0 {
			if len(payload) < packetHead || payload[0] > packetIn {
				yield(gateway.Packet{}, errPacket)
				return
			}
			length, kept := binary.BigEndian.Uint32(payload[1:]), binary.BigEndian.Uint32(payload[5:])
			if length > math.MaxInt32 || kept > length || int(kept) > len(payload)-packetHead {
				yield(gateway.Packet{}, errPacket)
				return
			}
			p := gateway.Packet{In: payload[0] == packetIn, Length: int(length), Data: payload[packetHead : packetHead+kept]}
			payload = payload[packetHead+kept:]
			if !yield(p, nil) {
				return
			}
		}
	}
}
