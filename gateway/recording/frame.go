package recording

import (
	"encoding/binary"
	"hash/crc32"
	"time"
)

// kind says what a frame carries.
type kind byte

// The closed list of kinds; DESIGN.md has the payload of each.
const (
	kindStdout      kind = 1
	kindStderr      kind = 2
	kindInput       kind = 3
	kindChannel     kind = 4  // JSON of channelOpen
	kindResize      kind = 5  // columns and rows, 4 bytes each
	kindExit        kind = 6  // JSON of channelExit
	kindNote        kind = 7  // UTF-8 text
	kindFile        kind = 8  // JSON of gateway.File
	kindFlow        kind = 9  // JSON of gateway.Flow
	kindHTTP        kind = 10 // JSON of gateway.HTTPRecord
	kindBody        kind = 11 // what the record before it is about
	kindNetworkFlow kind = 12 // JSON of gateway.NetworkFlow
	kindPackets     kind = 13 // packets inside a tunnel, one after the other
	kindFooter      kind = 0xff
)

func (k kind) known() bool { return k >= kindStdout && k <= kindPackets || k == kindFooter }

// data reports whether the payload is the session's own bytes, which the
// counts are about. Packets are not: their flows say what passed, and both
// directions lie in one track.
func (k kind) data() bool {
	return k == kindStdout || k == kindStderr || k == kindInput || k == kindBody
}

const (
	frameHead  = 17      // length, kind, channel, offset in time
	frameTail  = 4       // CRC-32C
	maxPayload = 1 << 20 // longer outputs become several frames
)

// castagnoli is CRC-32C, which processors have an instruction for.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// frame is one record of a segment.
type frame struct {
	kind    kind
	channel uint32
	at      time.Duration // since the recording began, whole microseconds
	payload []byte
}

// putHead writes the head of a frame with n bytes of payload.
func putHead(b *[frameHead]byte, k kind, channel uint32, at time.Duration, n int) {
	binary.BigEndian.PutUint32(b[0:], uint32(n))
	b[4] = byte(k)
	binary.BigEndian.PutUint32(b[5:], channel)
	binary.BigEndian.PutUint64(b[9:], uint64(at.Microseconds()))
}

// checksum covers head and payload. The seed is the segment header's own
// checksum, so that a frame of another segment (a stale block that a power cut
// has brought back) is not taken for one of this.
func checksum(seed uint32, head, payload []byte) uint32 {
	return crc32.Update(crc32.Update(seed, castagnoli, head), castagnoli, payload)
}

// encodeFrame returns a frame's bytes.
func encodeFrame(seed uint32, f frame) []byte {
	var head [frameHead]byte
	putHead(&head, f.kind, f.channel, f.at, len(f.payload))
	b := append(head[:], f.payload...)
	return binary.BigEndian.AppendUint32(b, checksum(seed, head[:], f.payload))
}
