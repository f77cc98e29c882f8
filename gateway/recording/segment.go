package recording

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

const (
	magic         = "\x89PCR\r\n\x1a\n" // not text, and damaged by whatever converts line ends
	formatVersion = 1
	headerSize    = 128
	footerSize    = 1 + 8 + 8 + 32 + 64 // payload of the footer frame
	footerSigned  = footerSize - 64
)

// stream is one of the two tracks of a recording. They lie in files of their
// own.
type stream byte

const (
	output stream = 1 // what was shown, and what happened
	input  stream = 2 // what was typed
)

func (s stream) String() string {
	if s == input {
		return "input"
	}
	return "output"
}

func segmentName(s stream, seq uint32) string { return fmt.Sprintf("%s-%06d.seg", s, seq) }

// header is the first headerSize bytes of a segment.
type header struct {
	stream   stream
	seq      uint32 // 1, 2, 3, …
	begun    int64  // Unix microseconds of the recording, the frames' zero
	session  string
	previous gateway.Digest // of the segment before; of the manifest for the first
}

// encode returns the header's bytes; the last four are its CRC-32C and the
// seed of its frames' checksums.
func (h header) encode() []byte {
	b := make([]byte, headerSize)
	copy(b, magic)
	binary.BigEndian.PutUint16(b[8:], formatVersion)
	b[10] = byte(h.stream)
	binary.BigEndian.PutUint32(b[12:], h.seq)
	binary.BigEndian.PutUint64(b[16:], uint64(h.begun))
	copy(b[24:88], h.session)
	copy(b[88:120], h.previous[:])
	binary.BigEndian.PutUint32(b[124:], crc32.Checksum(b[:124], castagnoli))
	return b
}

// parseHeader is the inverse of encode, strict: one header has one spelling.
func parseHeader(b []byte) (header, uint32, error) {
	var h header
	if len(b) != headerSize || string(b[:8]) != magic {
		return h, 0, errors.New("it does not begin as a segment does")
	}
	if v := binary.BigEndian.Uint16(b[8:]); v != formatVersion {
		return h, 0, fmt.Errorf("format version %d is not known to this program", v)
	}
	seed := binary.BigEndian.Uint32(b[124:])
	if crc32.Checksum(b[:124], castagnoli) != seed {
		return h, 0, errors.New("the header's checksum does not hold")
	}
	h = header{stream: stream(b[10]), seq: binary.BigEndian.Uint32(b[12:]), begun: int64(binary.BigEndian.Uint64(b[16:]))}
	h.session = string(bytes.TrimRight(b[24:88], "\x00"))
	copy(h.previous[:], b[88:120])
	if !bytes.Equal(h.encode(), b) {
		return h, 0, errors.New("the header is not in its one spelling")
	}
	return h, seed, nil
}

// counts is what a segment holds.
type counts struct {
	frames uint64
	data   uint64 // payload bytes of the session itself
	last   time.Duration
}

func (c *counts) add(k kind, n int, at time.Duration) {
	c.frames++
	c.last = at
	if k.data() {
		c.data += uint64(n)
	}
}

// footer closes a segment. It is the payload of the last frame.
type footer struct {
	interrupted bool // put there by Recover, not by the recorder
	frames      uint64
	data        uint64
	body        gateway.Digest // of every byte before the footer frame
	signature   []byte         // Ed25519 over domainSegment and the fields before
}

// encodeFooter returns a signed footer's payload.
func encodeFooter(f footer, signer Signer) ([]byte, error) {
	b := make([]byte, footerSigned, footerSize)
	if f.interrupted {
		b[0] = 1
	}
	binary.BigEndian.PutUint64(b[1:], f.frames)
	binary.BigEndian.PutUint64(b[9:], f.data)
	copy(b[17:], f.body[:])
	b = append(b, signer.Sign(footerMessage(b))...)
	if len(b) != footerSize {
		return nil, errors.New("the signer's signature is not an Ed25519 signature")
	}
	return b, nil
}

func parseFooter(b []byte) (footer, error) {
	if len(b) != footerSize || b[0] > 1 {
		return footer{}, errors.New("the footer is not in its one spelling")
	}
	f := footer{interrupted: b[0] == 1, frames: binary.BigEndian.Uint64(b[1:]), data: binary.BigEndian.Uint64(b[9:]), signature: bytes.Clone(b[footerSigned:])}
	copy(f.body[:], b[17:])
	return f, nil
}

func footerMessage(signed []byte) []byte {
	return append([]byte(domainSegment), signed[:footerSigned]...)
}
