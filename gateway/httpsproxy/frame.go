package httpsproxy

import (
	"bufio"
	"crypto/rand"
	"encoding/binary"
	"io"
	"unicode/utf8"
)

// Opcodes (RFC 6455 clause 5.2) and close codes (clause 7.4).
const (
	opContinue = 0
	opText     = 1
	opBinary   = 2
	opClose    = 8
	opPing     = 9
	opPong     = 10

	closeAway     = 1001
	closeProtocol = 1002
	closeText     = 1007
	closePolicy   = 1008
	closeGateway  = 1014

	maxControl   = 125
	frameHead    = 14 // the longest head
	messageHeld  = 64 << 10
	maxCloseText = maxControl - 2
)

// breach is what one side did against RFC 6455: the close code that it gets.
type breach uint16

const (
	errFrame breach = closeProtocol
	errText  breach = closeText
)

func (b breach) Error() string {
	if b == errText {
		return "a text is not UTF-8"
	}
	return "a frame breaks RFC 6455"
}

// frame is the head of one frame.
type frame struct {
	fin    bool
	op     byte
	masked bool
	mask   [4]byte
	length int64
}

func (f frame) control() bool { return f.op >= opClose }

// readFrame reads a head, strictly: no extension was agreed on, so none may be
// used; only browsers mask, and they always do; a length has one spelling.
func readFrame(r *bufio.Reader, fromBrowser bool) (frame, error) {
	var b [8]byte
	if _, err := io.ReadFull(r, b[:2]); err != nil {
		return frame{}, err
	}
	f := frame{fin: b[0]&0x80 != 0, op: b[0] & 0x0f, masked: b[1]&0x80 != 0, length: int64(b[1] & 0x7f)}
	known := f.op <= opBinary || f.op >= opClose && f.op <= opPong
	if b[0]&0x70 != 0 || !known || f.masked != fromBrowser || f.control() && (!f.fin || f.length > maxControl) {
		return frame{}, errFrame
	}
	switch f.length {
	case 126:
		if _, err := io.ReadFull(r, b[:2]); err != nil {
			return frame{}, err
		}
		if f.length = int64(binary.BigEndian.Uint16(b[:])); f.length < 126 {
			return frame{}, errFrame
		}
	case 127:
		if _, err := io.ReadFull(r, b[:8]); err != nil {
			return frame{}, err
		}
		if f.length = int64(binary.BigEndian.Uint64(b[:])); f.length < 1<<16 {
			return frame{}, errFrame // negative: the first bit was set
		}
	}
	if f.masked {
		if _, err := io.ReadFull(r, f.mask[:]); err != nil {
			return frame{}, err
		}
	}
	return f, nil
}

// putFrame writes a head in front of the payload b[frameHead:frameHead+n], masks
// that if it goes to a target, and returns the whole frame.
func putFrame(b []byte, n int, op byte, fin, toTarget bool) []byte {
	var h [frameHead]byte
	at := 2
	h[0] = op
	if fin {
		h[0] |= 0x80
	}
	switch {
	case n <= maxControl:
		h[1] = byte(n)
	case n < 1<<16:
		h[1] = 126
		binary.BigEndian.PutUint16(h[2:], uint16(n))
		at = 4
	default:
		h[1] = 127
		binary.BigEndian.PutUint64(h[2:], uint64(n))
		at = 10
	}
	if toTarget {
		h[1] |= 0x80
		var mask [4]byte
		_, _ = rand.Read(mask[:]) // it never fails (crypto/rand)
		copy(h[at:], mask[:])
		at += 4
		maskBytes(b[frameHead:frameHead+n], mask, 0)
	}
	copy(b[frameHead-at:], h[:at])
	return b[frameHead-at : frameHead+n]
}

// maskBytes masks p in place, or takes its mask off; at is how many bytes of
// the frame stood before it.
func maskBytes(p []byte, mask [4]byte, at int64) {
	var turned [4]byte
	for i := range turned {
		turned[i] = mask[(at+int64(i))&3]
	}
	four := binary.LittleEndian.Uint32(turned[:])
	eight := uint64(four) | uint64(four)<<32
	for len(p) >= 8 {
		binary.LittleEndian.PutUint64(p, binary.LittleEndian.Uint64(p)^eight)
		p = p[8:]
	}
	for i := range p {
		p[i] ^= turned[i&3]
	}
}

// closePayload is what a close frame holds: a reason that is too long is cut
// between characters.
func closePayload(code uint16, reason string) []byte {
	for len(reason) > maxCloseText || len(reason) > 0 && !validEnd(reason) {
		reason = reason[:min(len(reason)-1, maxCloseText)]
	}
	return append(binary.BigEndian.AppendUint16(nil, code), reason...)
}

// validEnd reports whether s does not end within a character.
func validEnd(s string) bool {
	last := len(s) - 1
	for i := last; i >= 0 && i > last-4; i-- {
		if s[i] < 0x80 {
			return i == last
		}
		if s[i] >= 0xc0 {
			size := 2
			if s[i] >= 0xe0 {
				size++
			}
			if s[i] >= 0xf0 {
				size++
			}
			return last-i+1 == size
		}
	}
	return false
}

// checkClose holds a close frame's payload to clauses 5.5.1 and 7.4.
func checkClose(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	if len(p) == 1 {
		return errFrame
	}
	code := binary.BigEndian.Uint16(p)
	known := code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006 || code >= 3000 && code < 5000
	switch {
	case !known:
		return errFrame
	case !utf8.Valid(p[2:]):
		return errText
	}
	return nil
}
