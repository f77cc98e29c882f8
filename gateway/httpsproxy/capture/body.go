package capture

import (
	"bytes"
	"crypto/sha256"
	"hash"
	"mime"
	"strings"

	"github.com/portcullis/portcullis/gateway"
)

// KeepBytes is how much of one body or message is kept; of a longer one the
// rest stands by its length and SHA-256.
const KeepBytes = 256 << 10

// redactor takes the secrets out of a body that comes in pieces.
type redactor interface {
	next(p []byte) []byte // what may be kept of p
	rest() []byte         // what is left at the body's end
}

// Body makes the account of one body, and says what may be kept of it. It is
// for one goroutine.
type Body struct {
	c      *Capture
	kind   string
	seen   hash.Hash
	bytes  int64
	kept   int64 // of those
	red    redactor
	chosen bool // how it is read
	blind  bool // not to be kept: nobody can say what is in it
	scrub  *Stream
}

// Body begins a body of that Content-Type and Content-Encoding. With clean,
// the account's secret has been taken out of it already.
func (c *Capture) Body(contentType, encoding string, clean bool) *Body {
	b := &Body{c: c, kind: contentType, seen: sha256.New()}
	if enc := strings.ToLower(strings.TrimSpace(encoding)); enc != "" && enc != "identity" {
		b.blind, b.chosen = Structured(contentType), true
	}
	if !clean && c.scrub != nil {
		b.scrub = c.scrub.Stream()
	}
	return b
}

// Structured reports whether a type is one in which secrets have names: a
// compressed body of it cannot be kept.
func Structured(contentType string) bool {
	return isJSON(contentType) || isForm(contentType)
}

func isJSON(contentType string) bool {
	t := baseType(contentType)
	return strings.HasSuffix(t, "json") || t == "application/csp-report" || t == "application/jose" || t == "application/x-ndjson"
}

func isForm(contentType string) bool {
	return baseType(contentType) == "application/x-www-form-urlencoded"
}

func baseType(contentType string) string {
	t, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(t))
}

// Add counts p, and returns what is to be recorded before it passes: nil
// beyond what is kept. What it returns is p's, or its own.
func (b *Body) Add(p []byte) (keep []byte, redacted bool) {
	b.seen.Write(p)
	b.bytes += int64(len(p))
	n := min(int64(len(p)), KeepBytes-b.kept)
	if n <= 0 || b.blind {
		return nil, false
	}
	b.kept += n
	if !b.chosen {
		b.choose(p)
	}
	keep = p[:n]
	if b.scrub != nil {
		keep = b.scrub.Next(append([]byte(nil), keep...))
		redacted = b.scrub.Hit
	}
	if b.red == nil {
		return keep, redacted
	}
	less := b.red.next(keep)
	return less, redacted || !bytes.Equal(less, keep)
}

// Rest is what is left to be recorded when the body has ended.
func (b *Body) Rest() []byte {
	var keep []byte
	if b.scrub != nil {
		keep = b.scrub.Rest()
	}
	if b.red != nil {
		if len(keep) > 0 {
			keep = b.red.next(keep)
		}
		keep = append(keep, b.red.rest()...)
	}
	return keep
}

// Account is the account so far.
func (b *Body) Account() gateway.HTTPBody {
	a := gateway.HTTPBody{Type: b.kind, Bytes: b.bytes, Kept: b.kept}
	b.seen.Sum(a.SHA256[:0])
	return a
}

// Bytes is how many have been counted.
func (b *Body) Bytes() int64 { return b.bytes }

// choose looks at the type, and at the first byte where scripts are known to
// name a type that is not so.
func (b *Body) choose(p []byte) {
	t := baseType(b.kind)
	starts := bytes.TrimLeft(p, " \t\r\n\ufeff")
	if len(starts) == 0 { // spaces say nothing about what follows
		return
	}
	b.chosen = true
	looks := starts[0] == '{' || starts[0] == '['
	switch {
	case isJSON(b.kind), looks && (t == "" || t == "text/plain" || isForm(b.kind)):
		b.red = &jsonRedactor{c: b.c}
	case isForm(b.kind):
		b.red = &formRedactor{c: b.c}
	case t == "multipart/form-data":
		if _, params, err := mime.ParseMediaType(b.kind); err == nil && params["boundary"] != "" {
			b.red = newMultipart(b.c, params["boundary"])
		} else {
			b.blind = true
		}
	}
}

// Kept is how many of them were given to be recorded.
func (b *Body) Kept() int64 { return b.kept }
