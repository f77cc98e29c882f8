package recording

import (
	"errors"

	"github.com/portcullis/portcullis/gateway"
)

// MaxHTTPBody bounds the bytes that one HTTP record brings along.
const MaxHTTPBody = maxPayload

// Exchange writes one part of an HTTP exchange, and the bytes of it that are
// kept, before it passes. It keeps neither. What the engineer's browser sent
// lies with what was typed; that it was sent stands with what was shown. A
// record that no frame could hold is refused, and so is what it tells.
func (c *Channel) Exchange(r gateway.HTTPRecord, body []byte) error {
	if !typed(&r) {
		return c.Exchanges(gateway.HTTPPiece{Record: r, Body: body})
	}
	if err := c.http(c.rec.in, gateway.HTTPPiece{Record: r, Body: body}); err != nil || r.Part != gateway.HTTPMessage {
		return err
	}
	return c.http(c.rec.out, gateway.HTTPPiece{Record: r})
}

// Exchanges is Exchange for parts of the target's side that pass together, such
// as a short answer: they are written as one. With a body each they may be two,
// without at most four.
func (c *Channel) Exchanges(pieces ...gateway.HTTPPiece) error {
	for i := range pieces {
		if typed(&pieces[i].Record) {
			return gateway.Internal(errors.New("what was typed is recorded by itself"))
		}
	}
	return c.http(c.rec.out, pieces...)
}

// typed reports whether the bytes are the engineer's own, which may hold
// passwords.
func typed(r *gateway.HTTPRecord) bool {
	return r.Part == gateway.HTTPSent || r.Part == gateway.HTTPMessage && r.Client
}

func (c *Channel) http(j *journal, pieces ...gateway.HTTPPiece) error {
	buf, _ := c.rec.vault.records.Get().(*[]byte)
	if buf == nil {
		buf = new([]byte)
	}
	raw := (*buf)[:0]
	var room [maxFrames]part
	frames := room[:0]
	for i := range pieces {
		from, body := len(raw), pieces[i].Body
		raw = appendRecord(raw, &pieces[i].Record)
		if size := len(raw) - from; size > maxPayload || len(body) > MaxHTTPBody {
			return gateway.Invalid("record", "this part of the exchange needs %d bytes in the recording and %d is the most, so it does not pass", size+len(body), maxPayload)
		}
		frames = append(frames, part{kindHTTP, raw[from:]}) // of the array before, where raw grows
		if len(body) > 0 {
			frames = append(frames, part{kindBody, body})
		}
	}
	if len(frames) > maxFrames {
		return gateway.Internal(errors.New("too many parts at once"))
	}
	err := sayClosed(j.appendAll(c.id, frames...))
	if cap(raw) <= maxKept {
		*buf = raw
		c.rec.vault.records.Put(buf)
	}
	return err
}

// maxKept bounds the buffers of records that are used again.
const maxKept = 16 << 10
