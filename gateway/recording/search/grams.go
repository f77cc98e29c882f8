package search

import (
	"slices"
	"strings"
)

// The index knows a text by its pairs and triples of characters, each as one
// word. A text that holds what is searched for has all of its words; the
// reverse is for a look at the text to find out.

const (
	gramBits   = 25 // of a word: five letters of gramLetters
	gramWord   = 5  // letters
	maxAsked   = 24 // words of one search: more would find no less
	letterBits = 5
)

const gramLetters = "abcdefghijklmnopqrstuvwxyz234567"

// gramSet collects the words of a text.
type gramSet map[uint32]struct{}

func (s gramSet) add(text []rune) {
	for i := range text {
		if i+2 <= len(text) {
			s[gram(text[i:i+2])] = struct{}{}
		}
		if i+3 <= len(text) {
			s[gram(text[i:i+3])] = struct{}{}
		}
	}
}

// gram is the number of a pair or triple. Two may share one: that costs a
// look.
func gram(r []rune) uint32 {
	h := uint32(len(r))
	for _, c := range r {
		h = (h ^ uint32(c)) * 0x9e3779b1
		h ^= h >> 15
	}
	return h & (1<<gramBits - 1)
}

// words is the text that the index takes.
func (s gramSet) words() string {
	all := make([]uint32, 0, len(s))
	for g := range s {
		all = append(all, g)
	}
	slices.Sort(all)
	var b strings.Builder
	b.Grow(len(all) * (gramWord + 1))
	for _, g := range all {
		writeWord(&b, g)
		b.WriteByte(' ')
	}
	return b.String()
}

func writeWord(b *strings.Builder, g uint32) {
	for range gramWord {
		b.WriteByte(gramLetters[g&(1<<letterBits-1)])
		g >>= letterBits
	}
}

// asked is what the index is asked for a needle: all of its triples, or its
// one pair. It is empty for a single character.
func asked(needle []rune) string {
	size := min(3, len(needle))
	if size < 2 {
		return ""
	}
	var words []string
	for i := 0; i+size <= len(needle) && len(words) < maxAsked; i++ {
		var b strings.Builder
		writeWord(&b, gram(needle[i:i+size]))
		words = append(words, b.String())
	}
	return strings.Join(words, " AND ")
}
