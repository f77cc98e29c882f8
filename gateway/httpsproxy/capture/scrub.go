package capture

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"html"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
)

// MinScrub is the shortest secret that is looked for: what is shorter is part
// of ordinary words, and pages would fall to pieces.
const MinScrub = 8

// Scrubber replaces a secret, in each spelling that programs write it in, by
// as many asterisks: a length that was announced stays true. A nil one
// replaces nothing.
type Scrubber struct {
	spellings atomic.Pointer[spellings]
}

// spellings are those of all secrets.
type spellings struct {
	all []spelling // longest first
	few []spelling // those that hold no other one: where none of them stands, none does
}

// in reports whether one of them stands in p.
func (s *spellings) in(p []byte) bool {
	return slices.ContainsFunc(s.few, func(x spelling) bool { return bytes.Contains(p, x.raw) })
}

// spelling is at hand as both, so that no search copies it.
type spelling struct {
	raw  []byte
	text string
}

// NewScrubber looks for the secrets, as they are, escaped for URLs, JSON and
// HTML, and in Base64. It is nil where none is long enough.
func NewScrubber(secrets ...string) *Scrubber {
	s := &Scrubber{}
	s.spellings.Store(&spellings{})
	s.Learn(secrets...)
	if len(s.spellings.Load().all) == 0 {
		return nil
	}
	return s
}

// Learn looks for more secrets from now on: a token that was renewed. It is for
// one goroutine at a time.
func (s *Scrubber) Learn(secrets ...string) {
	if s == nil {
		return
	}
	all := slices.Clone(s.spellings.Load().all)
	for _, x := range secrets {
		if len(x) < MinScrub {
			continue
		}
		quoted, err := json.Marshal(x)
		if err != nil { // strings always marshal
			continue
		}
		for _, y := range []string{
			x, url.QueryEscape(x), url.PathEscape(x), html.EscapeString(x), string(quoted[1 : len(quoted)-1]),
			base64.StdEncoding.EncodeToString([]byte(x)), base64.RawStdEncoding.EncodeToString([]byte(x)), base64.RawURLEncoding.EncodeToString([]byte(x)),
		} {
			if !slices.ContainsFunc(all, func(b spelling) bool { return b.text == y }) {
				all = append(all, spelling{[]byte(y), y})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b spelling) int { return len(b.text) - len(a.text) })
	var few []spelling
	for _, x := range slices.Backward(all) {
		if !slices.ContainsFunc(few, func(b spelling) bool { return strings.Contains(x.text, b.text) }) {
			few = append(few, x)
		}
	}
	s.spellings.Store(&spellings{all, few})
}

// String is v without the secret.
func (s *Scrubber) String(v string) string {
	if s == nil || len(v) < MinScrub {
		return v
	}
	known := s.spellings.Load()
	if !slices.ContainsFunc(known.few, func(x spelling) bool { return strings.Contains(v, x.text) }) {
		return v
	}
	for _, x := range known.all {
		if strings.Contains(v, x.text) {
			v = strings.ReplaceAll(v, x.text, strings.Repeat("*", len(x.text)))
		}
	}
	return v
}

// Mask overwrites the secret in p, and reports whether it stood there.
func (s *Scrubber) Mask(p []byte) bool {
	if s == nil {
		return false
	}
	known := s.spellings.Load()
	if !known.in(p) {
		return false
	}
	found := false
	for _, x := range known.all {
		for at := 0; ; {
			i := bytes.Index(p[at:], x.raw)
			if i < 0 {
				break
			}
			found = true
			at += i
			for j := range x.raw {
				p[at+j] = '*'
			}
			at += len(x.raw)
		}
	}
	return found
}

// open is how many bytes at the end of p may be the beginning of the secret.
func (s *Scrubber) open(p []byte) int {
	longest := 0
	for _, one := range s.spellings.Load().all {
		x := one.raw
		for n := min(len(x)-1, len(p)); n > longest; n-- {
			if p[len(p)-n] == x[0] && bytes.HasPrefix(x, p[len(p)-n:]) {
				longest = n
			}
		}
	}
	return longest
}

// Stream is a Scrubber over a body that comes in pieces. The zero value passes
// everything.
type Stream struct {
	s    *Scrubber
	held []byte // may be the beginning of a secret; shorter than the longest spelling
	Hit  bool   // the secret was found
}

// Stream begins a body.
func (s *Scrubber) Stream() *Stream { return &Stream{s: s} }

// Next returns what may pass now. It overwrites p, and what it returns is
// p's or its own until the next call.
func (t *Stream) Next(p []byte) []byte {
	if t.s == nil {
		return p
	}
	if len(t.held) > 0 {
		p = append(t.held, p...)
		t.held = nil
	}
	if t.s.Mask(p) {
		t.Hit = true
	}
	if n := t.s.open(p); n > 0 {
		t.held = append([]byte(nil), p[len(p)-n:]...)
		p = p[:len(p)-n]
	}
	return p
}

// All masks a body that is at hand whole.
func (t *Stream) All(p []byte) {
	if t.s.Mask(p) {
		t.Hit = true
	}
}

// Rest is what was held back when the body has ended.
func (t *Stream) Rest() []byte {
	p := t.held
	t.held = nil
	return p
}
