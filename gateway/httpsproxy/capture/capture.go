package capture

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/gateway"
)

// digestLen is how many bytes of a keyed hash are kept: enough to tell any two
// values of one session apart.
const digestLen = 16

// Capture makes the records of one session. It may be used from many
// goroutines.
type Capture struct {
	key   []byte
	names names
	scrub *Scrubber
}

// New takes the session's own random key, the names that the target's
// definition adds, and the account's secret, of which nil is none.
func New(key []byte, redact []string, s *Scrubber) *Capture {
	return &Capture{key: key, names: newNames(redact), scrub: s}
}

// Digest is the keyed hash of a value, in hexadecimal.
func (c *Capture) Digest(value string) string { return c.digest([]byte(value)) }

func (c *Capture) digest(value []byte) string {
	h := hmac.New(sha256.New, c.key)
	h.Write(value)
	return hex.EncodeToString(h.Sum(nil)[:digestLen])
}

// Fields are header fields in the order of their names. Of Cookie there is one
// field for each cookie, since two requests rarely agree in all of them.
func (c *Capture) Fields(h http.Header) []gateway.HTTPField { return c.FieldsOf(h, h["Cookie"]) }

// FieldsOf is Fields with other lines of Cookie than those of h.
func (c *Capture) FieldsOf(h http.Header, cookies []string) []gateway.HTTPField {
	var room [usualFields]string
	keys := room[:0]
	for k := range h {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	fields := make([]gateway.HTTPField, 0, len(h)+len(cookies))
	for _, k := range keys {
		values := h[k]
		if k == "Cookie" {
			values = cookies
		}
		for _, v := range values {
			fields = c.field(fields, k, v)
		}
	}
	return fields
}

// usualFields is how many a head has, mostly.
const usualFields = 32

func (c *Capture) field(fields []gateway.HTTPField, name, value string) []gateway.HTTPField {
	switch {
	case name == "Cookie":
		for part := range strings.SplitSeq(value, ";") {
			if part = strings.TrimSpace(part); part != "" {
				fields = append(fields, gateway.HTTPField{Name: name, Redacted: c.Digest(part)})
			}
		}
		return fields
	case name == "Set-Cookie": // its attributes change nothing about which cookie it is
		pair, _, _ := strings.Cut(value, ";")
		return append(fields, gateway.HTTPField{Name: name, Redacted: c.Digest(strings.TrimSpace(pair))})
	case c.names.secret(name):
		return append(fields, gateway.HTTPField{Name: name, Redacted: c.Digest(value)})
	case strings.Contains(value, "://") || name == "Location" || name == "Content-Location" || name == "Refresh":
		value = c.URL(value)
	}
	return append(fields, gateway.HTTPField{Name: name, Value: c.scrub.String(value)})
}

// URL is a request target or an address, with the values of secret query
// parameters and what stands before an at sign taken out.
func (c *Capture) URL(s string) string {
	if at := strings.Index(s, "://"); at >= 0 {
		rest := s[at+3:]
		end := strings.IndexAny(rest, "/?#")
		if end < 0 {
			end = len(rest)
		}
		if i := strings.LastIndexByte(rest[:end], '@'); i >= 0 {
			s = s[:at+3] + c.mark(rest[:i]) + rest[i:]
		}
	}
	before, query, ok := strings.Cut(s, "?")
	if ok {
		s = before + "?" + c.query(query)
	} else if before, fragment, ok := strings.Cut(s, "#"); ok { // the implicit flow of RFC 6749 answers in it
		s = before + "#" + c.query(fragment)
	}
	return c.scrub.String(s)
}

func (c *Capture) query(q string) string {
	if !strings.ContainsRune(q, '=') {
		return q
	}
	var b strings.Builder
	for len(q) > 0 {
		end := strings.IndexAny(q, "&;#")
		pair, sep := q, ""
		if end >= 0 {
			pair, sep = q[:end], q[end:end+1]
		}
		q = q[len(pair)+len(sep):]
		name, value, has := strings.Cut(pair, "=")
		if has && value != "" && c.names.secret(unescaped(name)) {
			pair = name + "=" + c.mark(value)
		}
		b.WriteString(pair)
		b.WriteString(sep)
	}
	return b.String()
}

func unescaped(name string) string {
	if u, err := url.QueryUnescape(name); err == nil {
		return u
	}
	return name
}

// Redacted begins what stands in a text in place of a secret.
const Redacted = "redacted:"

func (c *Capture) mark(value string) string { return Redacted + c.Digest(value) }
