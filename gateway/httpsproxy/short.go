package httpsproxy

import (
	"io"
	"slices"

	"github.com/portcullis/portcullis/gateway"
)

const (
	shortAnswer = 16 << 10 // a known length up to which an answer is taken whole: one TLS record
	tinyAnswer  = 2 << 10  // up to which the library holds it until we have returned
)

// short reports whether an answer is taken whole, so that it is recorded with
// one write; have bytes of it have been read. Over HTTP/2 trailers may follow
// that nothing has announced.
func (s *shown) short(have int) bool {
	return s.res.ProtoMajor == 1 && s.left > 0 && s.left <= shortAnswer && int64(have) <= s.left && hasBody(s.x.r.Method, s.res) && (s.limit == 0 || s.left <= s.limit)
}

// whole reads a short answer, records its head and its body together, and shows
// them. One that breaks off is shown as far as it goes. Of a tiny one the end is recorded with them: whether the browser takes
// it, nobody hears.
func (s *shown) whole(head gateway.HTTPRecord, have int) {
	x := s.x
	n, err := io.ReadFull(s.res.Body, s.buf[have:s.left])
	first := s.buf[:have+n]
	if err != nil {
		s.broken = io.ErrUnexpectedEOF
		if !x.ends(s.c.record(head)) {
			s.run(first)
		}
		return
	}
	p := first
	if s.scrub != nil {
		p = s.scrub.Next(p)
		p = append(slices.Clip(p), s.scrub.Rest()...)
	}
	keep, redacted := s.acc.Add(p)
	if rest := s.acc.Rest(); len(rest) > 0 {
		keep, redacted = append(slices.Clip(keep), rest...), true
	}
	pieces := [3]gateway.HTTPPiece{{Record: head}, {Record: gateway.HTTPRecord{Part: gateway.HTTPShown, N: x.n, Redacted: redacted}, Body: keep}}
	tiny := len(p) <= tinyAnswer
	list := pieces[:2]
	if len(keep) == 0 {
		list = pieces[:1]
	}
	if tiny {
		list = append(list, gateway.HTTPPiece{Record: x.last(gateway.HTTPRecord{})})
	}
	if x.ends(s.c.ch.Exchanges(list...)) {
		return
	}
	s.c.ch.Carried(0, len(p))
	s.head()
	if _, err := x.w.Write(p); err != nil && !tiny {
		s.cut(err)
	}
	if !tiny {
		x.end("")
	}
}
