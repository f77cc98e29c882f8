package httpsproxy

import "unicode/utf8"

// textCheck holds text that comes in pieces of any size to UTF-8 (RFC 3629, RFC
// 6455 clause 8.1): the gateway records and looks through text as such, and a
// target whose decoder is lenient is not to read another one. Of binary
// messages it is asked nothing.
type textCheck struct {
	begun [utf8.UTFMax]byte // the beginning of a character that a piece broke off in
	n     int
}

// next takes a piece, and reports whether the text can still be UTF-8.
func (t *textCheck) next(p []byte) bool {
	for t.n > 0 && len(p) > 0 {
		t.begun[t.n] = p[0]
		t.n++
		p = p[1:]
		if c := t.begun[:t.n]; utf8.FullRune(c) {
			if r, size := utf8.DecodeRune(c); r == utf8.RuneError && size == 1 {
				return false
			}
			t.n = 0
		}
	}
	end := len(p) - unfinished(p)
	if !utf8.Valid(p[:end]) {
		return false
	}
	t.n += copy(t.begun[t.n:], p[end:])
	return true
}

// whole reports whether the text may end here.
func (t *textCheck) whole() bool { return t.n == 0 }

// unfinished is how many bytes at the end of p begin a character that may still
// become one.
func unfinished(p []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(p); n++ {
		if c := p[len(p)-n:]; utf8.RuneStart(c[0]) {
			if utf8.FullRune(c) {
				return 0
			}
			return n
		}
	}
	return 0
}
