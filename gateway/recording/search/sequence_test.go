package search

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/charmbracelet/x/ansi"
)

// The reader takes every stream apart as the library's own parser does, which
// is too slow to start for a program that must stop sessions. Controls inside a
// sequence are left out: the library spoils the sequence's last byte with them.
func TestReaderDoesWhatTheLibraryDoes(t *testing.T) {
	alphabet := []byte("\x1b\x1b\x1b[[[;;:?>!$ (0123456789ABHJKhlmsuPX]^_\\\x18\x1axyz")
	for seed := range uint64(2000) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		stream := make([]byte, 200)
		for i := range stream {
			stream[i] = alphabet[rnd.IntN(len(alphabet))]
			if rnd.IntN(20) == 0 {
				stream[i] = byte(0x20 + rnd.IntN(0x5f))
			}
		}
		if got, want := ours(stream), theirs(stream); !slices.Equal(got, want) {
			t.Fatalf("%q:\n%q\nthe library has\n%q", stream, got, want)
		}
	}
}

func ours(stream []byte) (calls []string) {
	r := reader{
		shown:   func(c rune) { calls = append(calls, fmt.Sprintf("print %q", c)) },
		execute: func(c byte) { calls = append(calls, fmt.Sprintf("execute %q", c)) },
		csi: func(q sequence) {
			calls = append(calls, fmt.Sprintf("csi %q %q %q %v", q.prefix, q.between, q.final, q.params))
		},
		esc: func(q sequence) { calls = append(calls, fmt.Sprintf("esc %q %q", q.between, q.final)) },
	}
	r.reset()
	for _, c := range stream {
		r.advance(c)
	}
	return calls
}

func theirs(stream []byte) (calls []string) {
	p := ansi.NewParser()
	p.SetHandler(ansi.Handler{
		Print: func(c rune) { calls = append(calls, fmt.Sprintf("print %q", c)) },
		Execute: func(c byte) {
			if c != ansi.ESC { // one before another: it begins nothing, and shows nothing
				calls = append(calls, fmt.Sprintf("execute %q", c))
			}
		},
		HandleCsi: func(c ansi.Cmd, params ansi.Params) {
			var list []int
			for i := range params {
				n, _, _ := params.Param(i, missing)
				list = append(list, min(n, maxParam))
			}
			calls = append(calls, fmt.Sprintf("csi %q %q %q %v", c.Prefix(), c.Intermediate(), c.Final(), list))
		},
		HandleEsc: func(c ansi.Cmd) { calls = append(calls, fmt.Sprintf("esc %q %q", c.Intermediate(), c.Final())) },
	})
	for _, c := range stream {
		p.Advance(c)
	}
	return calls
}
