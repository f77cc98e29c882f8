package capture

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"hash"
	"slices"
)

// maxDepth is how deep JSON may nest; what is deeper is not kept.
const maxDepth = 512

// maxKnown bounds the names of one body whose verdict is kept.
const maxKnown = 64

// jsonState is what the next byte is part of.
type jsonState int

const (
	jsonBetween jsonState = iota // values, commas, brackets
	jsonString                   // a string that is kept
	jsonSecret                   // the value of a secret name
	jsonLost                     // too deep to follow: nothing is kept any more
)

// jsonRedactor replaces the values of secret names while JSON passes in pieces
// of any size. It is a lexer and no parser: what is no JSON passes as it came.
type jsonRedactor struct {
	c     *Capture
	state jsonState
	stack []byte // '{' and '[' that are open
	key   []byte // of the string under way, if it is a name
	named bool   // the string under way is a name
	ripe  bool   // the last name was secret, and its colon has come
	last  bool   // the last name was secret
	esc   bool   // the byte before was a backslash

	known map[string]bool // names that were looked at
	plain [][]byte        // those of them that are no secret, as they came first
	turn  int             // which of plain is expected next

	mac    hash.Hash // over the secret value under way
	depth  int       // brackets open within it
	quoted bool      // within it: a string
	begun  bool      // within it: its first byte has come
}

// next copies nothing of a body without a secret, which most are.
func (j *jsonRedactor) next(p []byte) []byte {
	var out []byte
	from, hid := 0, false // what may be kept from there on is not in out
	for at := 0; at < len(p); {
		switch j.state {
		case jsonBetween:
			at += j.between(p[at:])
		case jsonString:
			at += j.text(p[at:])
		default:
			if !hid {
				out, hid = make([]byte, 0, len(p)+64), true
			}
			out = append(out, p[from:at]...)
			if j.state == jsonLost {
				return out
			}
			n, whole := j.hide(p[at:])
			if whole {
				out = j.reveal(out)
			}
			at += n
			from = at
		}
	}
	if !hid {
		return p
	}
	return append(out, p[from:]...)
}

// rest ends a secret that the body's end cut off.
func (j *jsonRedactor) rest() []byte {
	if j.state != jsonSecret || !j.begun {
		return nil
	}
	return j.reveal(nil)
}

// between takes bytes up to the next string, or the next secret value.
func (j *jsonRedactor) between(p []byte) int {
	for i := 0; i < len(p); i++ {
		c := p[i]
		if j.ripe && c != ' ' && c != '\t' && c != '\n' && c != '\r' {
			j.ripe, j.last = false, false
			j.state, j.mac, j.depth, j.quoted, j.begun = jsonSecret, hmac.New(sha256.New, j.c.key), 0, false, false
			return i
		}
		switch c {
		case '"':
			j.named = len(j.stack) > 0 && j.stack[len(j.stack)-1] == '{' && !j.afterColon()
			if n := j.harmless(p[i+1:]); n > 0 {
				j.last = false
				i += n
				continue
			}
			j.state, j.esc, j.key = jsonString, false, j.key[:0]
			return i + 1
		case '{', '[':
			if len(j.stack) >= maxDepth {
				j.state = jsonLost
				return i
			}
			j.colon(false)
			j.stack = append(j.stack, c)
		case '}', ']':
			if len(j.stack) > 0 {
				j.stack = j.stack[:len(j.stack)-1]
			}
			j.colon(false)
		case ':':
			j.ripe = j.last
			j.colon(true)
		case ',':
			j.colon(false)
		}
	}
	return len(p)
}

// A '{' on the stack becomes a '(' between a colon and the value's end, so that
// a string there is known for no name.
func (j *jsonRedactor) colon(on bool) {
	if n := len(j.stack); n > 0 && on && j.stack[n-1] == '{' {
		j.stack[n-1] = '('
	} else if n > 0 && !on && j.stack[n-1] == '(' {
		j.stack[n-1] = '{'
	}
}

func (j *jsonRedactor) afterColon() bool { return len(j.stack) > 0 && j.stack[len(j.stack)-1] == '(' }

// harmless is how long a string is, with the quote behind it, that is plainly
// no secret's name; 0: it must be looked at.
func (j *jsonRedactor) harmless(p []byte) int {
	if j.named {
		return j.expected(p)
	}
	for i, c := range p { // most strings are too short for a search to pay
		switch c {
		case '"':
			return i + 1
		case '\\':
			return 0
		}
	}
	return 0
}

// text takes bytes up to a string's end.
func (j *jsonRedactor) text(p []byte) int {
	for i, c := range p {
		switch {
		case j.esc:
			j.esc = false
		case c == '\\':
			j.esc = true
		case c == '"':
			j.grow(p[:i])
			j.state, j.last = jsonBetween, j.named && j.secret()
			return i + 1
		}
	}
	j.grow(p)
	return len(p)
}

// expected takes a name that comes where it came the last time: the objects of
// a list have the same ones in the same order. It is 0 for any other.
func (j *jsonRedactor) expected(p []byte) int {
	if j.turn >= len(j.plain) {
		j.turn = 0
	}
	if len(j.plain) == 0 {
		return 0
	}
	name := j.plain[j.turn]
	if n := len(name); len(p) <= n || p[n] != '"' || string(p[:n]) != string(name) {
		return 0
	}
	j.turn++
	return len(name) + 1
}

// grow keeps the name under way, as far as it can matter.
func (j *jsonRedactor) grow(p []byte) {
	if j.named && len(j.key) <= maxName {
		j.key = append(j.key, p[:min(len(p), maxName+1-len(j.key))]...)
	}
}

// secret reports whether the name under way is secret. A body has few names, and
// each of them often.
func (j *jsonRedactor) secret() bool {
	is, known := j.known[string(j.key)]
	if known {
		j.turn = 1 + slices.IndexFunc(j.plain, func(name []byte) bool { return string(name) == string(j.key) })
		return is
	}
	is = j.isSecret()
	if j.known == nil {
		j.known = map[string]bool{}
	}
	if len(j.known) < maxKnown {
		j.known[string(j.key)] = is
		if !is {
			j.plain = append(j.plain, bytes.Clone(j.key))
			j.turn = len(j.plain)
		}
	}
	return is
}

func (j *jsonRedactor) isSecret() bool {
	name := string(j.key)
	if bytes.IndexByte(j.key, '\\') >= 0 {
		var plain string
		if json.Unmarshal(append(append([]byte{'"'}, j.key...), '"'), &plain) != nil {
			return true // nobody can say what it names
		}
		name = plain
	}
	return j.c.names.secret(name)
}

// hide takes bytes of a secret value: a string, a number, a word, or all that a
// pair of brackets holds; whole: up to its end.
func (j *jsonRedactor) hide(p []byte) (n int, whole bool) {
	from := 0 // the quotes around a string are no part of it
	for i, c := range p {
		switch {
		case j.quoted && j.esc:
			j.esc = false
		case j.quoted && c == '\\':
			j.esc = true
		case j.quoted && c == '"':
			j.quoted = false
			if j.depth == 0 {
				j.take(p[from:i])
				return i + 1, true
			}
		case j.quoted:
		case c == '"' && (j.depth > 0 || !j.begun && i == 0):
			j.quoted, j.esc = true, false
			if j.depth == 0 {
				from, j.begun = 1, true
			}
		case c == '{' || c == '[':
			j.depth++
		case j.depth > 0 && (c == '}' || c == ']'):
			if j.depth--; j.depth == 0 {
				j.take(p[:i+1])
				return i + 1, true
			}
		case j.depth == 0 && (c == ',' || c == '}' || c == ']' || c <= ' '): // behind a number or a word
			j.take(p[:i])
			return i, true
		}
	}
	j.take(p[from:])
	return len(p), false
}

func (j *jsonRedactor) take(p []byte) {
	if len(p) > 0 {
		j.begun = true
		j.mac.Write(p)
	}
}

func (j *jsonRedactor) reveal(out []byte) []byte {
	j.state = jsonBetween
	out = append(out, '"')
	out = append(out, Redacted...)
	out = hex.AppendEncode(out, j.mac.Sum(nil)[:digestLen])
	j.mac = nil
	return append(out, '"')
}
