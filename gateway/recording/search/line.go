package search

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Kind says where a line comes from.
type Kind string

// The closed list of kinds.
const (
	Output  Kind = "output"  // the target showed it
	Command Kind = "command" // it was entered, as the screen had it; or a program was asked for by it
	File    Kind = "file"    // an operation on a file
	Flow    Kind = "flow"    // a forwarded connection
	Note    Kind = "note"    // a warning, who watched, why it was frozen
	Request Kind = "request" // a console's page or call was asked for
)

// kinds are all kinds, in the order of their numbers in the index.
var kinds = [...]Kind{Output, Command, File, Flow, Note, Request}

func (k Kind) number() int {
	for i, have := range kinds {
		if have == k {
			return i
		}
	}
	return -1
}

// line is one line of a recording.
type line struct {
	at   time.Duration
	kind Kind
	text string
}

// fold makes case not matter, rune by rune, so that places stay the same.
func fold(s string) []rune {
	r := make([]rune, 0, len(s))
	for _, c := range s {
		r = append(r, foldRune(c))
	}
	return r
}

func foldRune(c rune) rune {
	if c < utf8.RuneSelf {
		if c >= 'A' && c <= 'Z' {
			return c + 'a' - 'A'
		}
		return c
	}
	return unicode.ToLower(c)
}

// find answers where needle stands in text, in runes, or -1.
func find(text string, needle []rune) int {
	hay := fold(text)
	for i := 0; i+len(needle) <= len(hay); i++ {
		j := 0
		for j < len(needle) && hay[i+j] == needle[j] {
			j++
		}
		if j == len(needle) {
			return i
		}
	}
	return -1
}

// around cuts a long line around the find, and says with a … where it did.
func around(text string, at int) string {
	r := []rune(text)
	from := max(0, min(at-hitWidth/4, len(r)-hitWidth))
	to := min(len(r), from+hitWidth)
	line := strings.TrimSpace(string(r[from:to]))
	if from > 0 {
		line = "…" + line
	}
	if to < len(r) {
		line += "…"
	}
	return line
}
