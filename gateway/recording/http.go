package recording

import (
	"encoding/json"

	"github.com/portcullis/portcullis/gateway"
)

// MaxHTTPBody bounds the bytes that one HTTP record brings along.
const MaxHTTPBody = maxPayload

// Exchange writes one part of an HTTP exchange, and the bytes of it that are
// kept, before it passes. It keeps neither. What the engineer's browser sent
// lies with what was typed; that it was sent stands with what was shown. A
// record that no frame could hold is refused, and so is what it tells.
func (c *Channel) Exchange(r gateway.HTTPRecord, body []byte) error {
	raw, err := json.Marshal(r)
	if err != nil {
		return gateway.Internal(err)
	}
	if len(raw) > maxPayload || len(body) > MaxHTTPBody {
		return gateway.Invalid("record", "this part of the exchange needs %d bytes in the recording and %d is the most, so it does not pass", len(raw)+len(body), maxPayload)
	}
	if !typed(r) {
		return c.http(c.rec.out, raw, body)
	}
	if err := c.http(c.rec.in, raw, body); err != nil || r.Part != gateway.HTTPMessage {
		return err
	}
	return c.http(c.rec.out, raw, nil)
}

// typed reports whether the bytes are the engineer's own, which may hold
// passwords.
func typed(r gateway.HTTPRecord) bool {
	return r.Part == gateway.HTTPSent || r.Part == gateway.HTTPMessage && r.Client
}

func (c *Channel) http(j *journal, record, body []byte) error {
	if len(body) == 0 {
		return sayClosed(j.append(kindHTTP, c.id, record))
	}
	return sayClosed(j.appendAll(c.id, part{kindHTTP, record}, part{kindBody, body}))
}
