package transfer

import (
	"encoding/binary"
	"strconv"

	"github.com/portcullis/portcullis/gateway"
)

// sureRead is how much of a file every target gives in one answer unless the
// file ends there (draft-ietf-secsh-filexfer-02, clauses 3 and 6.4). A client
// that reads ahead learns the end of a file by an answer that is short, and
// meets the end proper only further on.
const sureRead = 32 << 10

// answers says which packet besides a status may answer which request.
var answers = map[byte]byte{
	fxpOpen: fxpHandle, fxpOpendir: fxpHandle, fxpRead: fxpData,
	fxpReaddir: fxpName, fxpRealpath: fxpName, fxpReadlink: fxpName, extNames: fxpName,
	fxpStat: fxpAttrs, fxpLstat: fxpAttrs, fxpFstat: fxpAttrs,
	extLimits: fxpExtendedReply, extStatvfs: fxpExtendedReply, extUsers: fxpExtendedReply,
}

// answer looks at one packet of the target's.
func (s *sftp) answer(pkt []byte) ([]byte, error) {
	if !s.agreed {
		return s.agree(pkt)
	}
	kind, r := pkt[4], &reader{p: pkt[5:]}
	id := r.uint32()
	s.mu.Lock()
	defer s.mu.Unlock()
	q, asked := s.pending[id]
	if s.again && !asked {
		return nil, nil
	}
	if r.bad || !asked || kind != fxpStatus && (answers[q.kind] == 0 || kind != answers[q.kind]) {
		return nil, broken("the target gave an SFTP answer that was not asked for")
	}
	delete(s.pending, id)
	s.named -= q.names()
	if q.opens != nil {
		s.opening--
	}
	var err error
	switch kind {
	case fxpStatus:
		err = s.status(q, r)
	case fxpHandle:
		err = s.opened(q, r)
	case fxpData:
		err = s.data(q, r)
	case fxpAttrs:
		if size := r.attrs(); q.h != nil && !r.bad {
			q.h.size = size
		}
	case fxpExtendedReply:
		if q.kind == extLimits {
			return limited(pkt), nil
		}
	}
	if q.kind == fxpRead || q.kind == fxpWrite {
		q.h.busy--
		s.closed(q.h)
	}
	return pkt, err
}

func (s *sftp) opened(q request, r *reader) error {
	name := r.string()
	_, twice := s.handles[string(name)]
	if !r.whole() || len(name) == 0 || len(name) > maxHandle || twice {
		return broken("the target gave a handle that cannot be right")
	}
	s.handles[string(name)] = q.opens
	s.open[q.opens] = true
	return nil
}

func (s *sftp) data(q request, r *reader) error {
	p := r.string()
	if !r.whole() || len(p) > int(q.n) {
		return broken("the target gave more of a file than was asked for")
	}
	if at := q.offset + uint64(len(p)); q.n <= sureRead && len(p) < int(q.n) {
		q.h.short = max(q.h.short, at)
	}
	q.h.got.feed(q.offset, p, &s.room)
	return nil
}

// status notes what became of a request.
func (s *sftp) status(q request, r *reader) error {
	code := r.uint32()
	if r.bad {
		return broken("the target gave a status that cannot be read")
	}
	why := ""
	if code != fxOK {
		why = words3[code]
		if why == "" {
			why = "status " + strconv.FormatUint(uint64(code), 10)
		}
		if text := clean(string(r.string()), maxWhy); text != "" {
			why = text
		}
	}
	switch {
	case q.opens != nil:
		if why == "" {
			why = "the target opened nothing"
		}
		q.opens.tell(s, gateway.FileFailed, why)
	case q.kind == fxpClose:
		q.h.closed = true
		if code != fxOK && q.h.write {
			q.h.fail = why
		}
		s.closed(q.h)
	case q.kind == fxpRead && code == fxEOF:
		if !q.h.eof || q.offset < q.h.eofAt {
			q.h.eof, q.h.eofAt = true, q.offset
		}
	case (q.kind == fxpRead || q.kind == fxpWrite) && code != fxOK:
		if q.h.fail == "" {
			q.h.fail = why
		}
	case q.kind == fxpFsetstat && code == fxOK && q.size >= 0:
		q.h.size, q.h.cut = q.size, true
	}
	if q.file != nil {
		f := *q.file
		if f.Verdict = gateway.FileDone; code != fxOK {
			f.Verdict, f.Why = gateway.FileFailed, why
		}
		s.sink.File(f)
	}
	return nil
}

// words3 are the status codes of version 3, for a target that gives no words.
var words3 = map[uint32]string{
	1: "end of file", 2: "no such file", 3: "permission denied", 4: "failure",
	5: "bad message", 6: "no connection", 7: "connection lost", 8: "operation unsupported",
}

// limited cuts the target's limits down to ours: packet, read, write, open
// files; nought is no limit known.
func limited(pkt []byte) []byte {
	const head, data = 9, 1 << 10
	if len(pkt) < head+4*8 {
		return pkt
	}
	out := append([]byte(nil), pkt...)
	for i, most := range []uint64{256 << 10, 256<<10 - data, 256<<10 - data, maxOpen} {
		at := out[head+8*i:]
		if v := binary.BigEndian.Uint64(at); v > most {
			binary.BigEndian.PutUint64(at, most)
		}
	}
	return out
}
