package transfer

import (
	"encoding/binary"
)

// Packet types of SFTP version 3 (draft-ietf-secsh-filexfer-02, clause 3).
const (
	fxpInit          = 1
	fxpVersion       = 2
	fxpOpen          = 3
	fxpClose         = 4
	fxpRead          = 5
	fxpWrite         = 6
	fxpLstat         = 7
	fxpFstat         = 8
	fxpSetstat       = 9
	fxpFsetstat      = 10
	fxpOpendir       = 11
	fxpReaddir       = 12
	fxpRemove        = 13
	fxpMkdir         = 14
	fxpRmdir         = 15
	fxpRealpath      = 16
	fxpStat          = 17
	fxpRename        = 18
	fxpReadlink      = 19
	fxpSymlink       = 20
	fxpStatus        = 101
	fxpHandle        = 102
	fxpData          = 103
	fxpName          = 104
	fxpAttrs         = 105
	fxpExtended      = 200
	fxpExtendedReply = 201
)

// Status codes, clause 7.
const (
	fxOK               = 0
	fxEOF              = 1
	fxPermissionDenied = 3
	fxFailure          = 4
	fxBadMessage       = 5
	fxUnsupported      = 8
)

// Flags of an open (clause 6.3) and of attributes (clause 5).
const (
	openRead   = 0x01
	openWrite  = 0x02
	openAppend = 0x04
	openTrunc  = 0x10
	openExcl   = 0x20
	openKnown  = 0x3f

	attrSize     = 0x01
	attrOwner    = 0x02
	attrMode     = 0x04
	attrTimes    = 0x08
	attrExtended = 0x80000000
)

const (
	// maxPacket bounds a packet without its length: OpenSSH's 256 KiB, and the
	// little that others add to as much data.
	maxPacket = 256<<10 + 1<<10
	// maxHandle bounds a handle, clause 6.3.
	maxHandle = 256
	// keepPart is how much of a buffer stays while no packet is half here.
	keepPart = 4 << 10
)

// packets cuts one direction into packets.
type packets struct{ part []byte }

// length says how long the packet is that begins p, with its length; 0 is not
// known yet.
func length(p []byte) (int, error) {
	if len(p) < 4 {
		return 0, nil
	}
	n := binary.BigEndian.Uint32(p)
	if n < 5 || n > maxPacket {
		return 0, broken("an SFTP packet of %d bytes is not carried", n)
	}
	return 4 + int(n), nil
}

// each gives every whole packet to look, and what look returns to forward:
// the packet itself, another in its place, or nothing. Packets that pass as
// they are go on in one piece.
func (q *packets) each(p []byte, look func([]byte) ([]byte, error), forward func([]byte) error) error {
	for len(q.part) > 0 && len(p) > 0 {
		n, err := length(q.part)
		if err != nil {
			return err
		}
		if n == 0 {
			n = 4
		}
		n = min(n-len(q.part), len(p))
		q.part = append(q.part, p[:n]...)
		p = p[n:]
		if n, err = length(q.part); err != nil {
			return err
		}
		if n != len(q.part) {
			continue
		}
		out, err := look(q.part)
		if err == nil && len(out) > 0 {
			err = forward(out)
		}
		if err != nil {
			return err
		}
		if q.part = q.part[:0]; cap(q.part) > keepPart && len(p) == 0 {
			q.part = nil
		}
	}
	return q.wholes(p, look, forward)
}

func (q *packets) wholes(p []byte, look func([]byte) ([]byte, error), forward func([]byte) error) error {
	from, at := 0, 0
	for {
		n, err := length(p[at:])
		if err != nil {
			return err
		}
		if n == 0 || n > len(p)-at {
			break
		}
		pkt := p[at : at+n]
		out, err := look(pkt)
		if err != nil {
			return err
		}
		at += n
		if len(out) > 0 && &out[0] == &pkt[0] {
			continue
		}
		if at-n > from {
			if err := forward(p[from : at-n]); err != nil {
				return err
			}
		}
		if from = at; len(out) > 0 {
			if err := forward(out); err != nil {
				return err
			}
		}
	}
	if at > from {
		if err := forward(p[from:at]); err != nil {
			return err
		}
	}
	if at < len(p) {
		q.part = append(q.part, p[at:]...)
	}
	return nil
}

// reader takes a packet apart; bad stays once something was missing.
type reader struct {
	p   []byte
	bad bool
}

func (r *reader) bytes(n uint32) []byte {
	if r.bad || uint64(n) > uint64(len(r.p)) {
		r.bad = true
		return nil
	}
	b := r.p[:n]
	r.p = r.p[n:]
	return b
}

func (r *reader) uint32() uint32 {
	if b := r.bytes(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if b := r.bytes(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) string() []byte { return r.bytes(r.uint32()) }

// path takes a string that a target may take for a path: one that it would cut
// at a zero byte is not the one that would be judged.
func (r *reader) path() string {
	b := r.string()
	for _, c := range b {
		if c == 0 {
			r.bad = true
		}
	}
	r.bad = r.bad || len(b) > maxPath
	return string(b)
}

// attrs takes file attributes and returns the size, or -1.
func (r *reader) attrs() int64 {
	flags, size := r.uint32(), int64(-1)
	if flags&^uint32(attrSize|attrOwner|attrMode|attrTimes|attrExtended) != 0 {
		r.bad = true
	}
	if flags&attrSize != 0 {
		if size = int64(r.uint64()); size < 0 {
			r.bad = true
		}
	}
	if flags&attrOwner != 0 {
		r.bytes(8)
	}
	if flags&attrMode != 0 {
		r.bytes(4)
	}
	if flags&attrTimes != 0 {
		r.bytes(8)
	}
	if flags&attrExtended != 0 {
		for n := r.uint32(); n > 0 && !r.bad; n-- {
			r.string()
			r.string()
		}
	}
	return size
}

// whole reports whether all was there and nothing more.
func (r *reader) whole() bool { return !r.bad && len(r.p) == 0 }

func appendString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}

// packet closes what was built behind four empty bytes.
func packet(b []byte) []byte {
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}
