package httpsproxy

import (
	"io"
	"slices"

	"github.com/portcullis/portcullis/gateway"
)

// shortAnswer is a known length up to which an answer is taken whole: one TLS
// record.
const shortAnswer = 16 << 10

// short reports whether an answer is taken whole, so that it is recorded with
// one write; have bytes of it have been read. Over HTTP/2 trailers may follow
// that nothing has announced.
func (s *shown) short(have int) bool {
	return s.res.ProtoMajor == 1 && s.left > 0 && s.left <= shortAnswer && int64(have) <= s.left && hasBody(s.x.r.Method, s.res) && (s.limit == 0 || s.left <= s.limit)
}

// whole reads a short answer, records its head, its body and its end together,
// and shows them: whether a browser takes so little, the kernel does not tell
// either. One that breaks off is shown as far as it goes.
func (s *shown) whole(head gateway.HTTPRecord, have int) {
	x := s.x
	n, err := io.ReadFull(s.res.Body, s.buf[have:s.left])
	p := s.buf[:have+n]
	if err != nil {
		s.broken = io.ErrUnexpectedEOF
		if !x.ends(s.c.record(head)) {
			s.run(p)
		}
		return
	}
	if s.scrub != nil {
		s.scrub.All(p)
	}
	keep, redacted := s.acc.Add(p)
	if rest := s.acc.Rest(); len(rest) > 0 {
		keep, redacted = append(slices.Clip(keep), rest...), true
	}
	list := append(s.list, gateway.HTTPPiece{Record: head})
	if len(keep) > 0 {
		list = append(list, gateway.HTTPPiece{Record: gateway.HTTPRecord{Part: gateway.HTTPShown, N: x.n, Redacted: redacted}, Body: keep})
	}
	over := x.sent == nil || x.sent.whole // nothing more passes either way
	if over {
		list = append(list, gateway.HTTPPiece{Record: x.last(gateway.HTTPRecord{})})
	}
	if x.ends(s.c.ch.Exchanges(list...)) {
		return
	}
	s.c.ch.Carried(0, len(p))
	s.head()
	s.once(p)
	if !over {
		x.end("")
	}
}

// once shows a body in one system call, and its head with it. The library makes
// two or three of what is longer than its own buffers.
func (s *shown) once(p []byte) {
	if raw := s.gathers(len(p)); raw != nil {
		held := s.c.p.bodies.get()
		defer s.c.p.bodies.put(held)
		raw.gather(held.body[:0])
		defer raw.send()
		defer s.flush()
	}
	_ = s.put(p) // a browser that has gone has missed it
}

// gathers is the socket of an answer that is worth it; nil: of HTTP/2 other
// streams use it too, and what is short leaves at once by itself.
func (s *shown) gathers(n int) *browserSocket {
	b := browserOf(s.x.r.Context())
	if b == nil || n <= serverBuffer || s.x.r.ProtoMajor > 1 {
		return nil
	}
	raw, _ := b.raw.(*browserSocket)
	return raw
}

// serverBuffer is what net/http's server holds of an answer over HTTP/1.1 until
// the handler has returned.
const serverBuffer = 2 << 10
