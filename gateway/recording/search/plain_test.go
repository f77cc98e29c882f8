package search

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// TestPlainTextIsTheSameWithoutTheParser: what spares plain text the parser
// leaves every line as the parser would have it, wherever sequences begin.
func TestPlainTextIsTheSameWithoutTheParser(t *testing.T) {
	pieces := []string{"a", "bc ", "\n", "\r", "\t", "\b", "\x00\x00", strings.Repeat("\x00", 21), "\x7f", "\x0e", "\x0f", "\x18", "\x07", "é", "漢", "\x1b", "[", "2;3H", "[1m", "[2J", "[K", "]0;title", "(0", "c", "\x1bP", "\x1b\\", "\x9c"}
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		var text string
		for range 200 {
			text += pieces[rnd.IntN(len(pieces))]
		}
		if got, want := linesOf(text, (*screen).write), linesOf(text, parsed); !slices.Equal(got, want) {
			t.Fatalf("%q:\n%q\nthe parser has\n%q", text, got, want)
		}
	}
}

func linesOf(text string, write func(*screen, time.Duration, []byte)) (lines []string) {
	s := newScreen(40, 6, func(_ time.Duration, k Kind, line string) { lines = append(lines, string(k)+" "+line) })
	write(s, 0, []byte(text))
	s.close()
	return lines
}

// parsed is write without the short cut.
func parsed(s *screen, _ time.Duration, p []byte) {
	for len(p) > 0 {
		r, n := utf8.DecodeRune(p)
		if r < utf8.RuneSelf {
			s.in.advance(p[0])
		} else {
			s.wide(r)
		}
		p = p[n:]
	}
}

// TestReadingEndsWhenThereIsEnough: a session with more than is indexed is not
// read to its end, and is marked.
func TestReadingEndsWhenThereIsEnough(t *testing.T) {
	p := &packer{lines: MaxLines - 1}
	if err := p.fill(line{kind: Output, text: "the last"}); err != nil {
		t.Fatal(err)
	}
	if err := p.fill(line{kind: Output, text: "too many"}); !errors.Is(err, errEnough) || !p.cut {
		t.Errorf("one too many: %v, %v", err, p.cut)
	}
}

// BenchmarkBulk is how fast a command's bulk goes through the emulator.
func BenchmarkBulk(b *testing.B) {
	for name, piece := range map[string][]byte{"zeroes": make([]byte, 32<<10), "text": []byte(strings.Repeat("a line of some text like a log's\n", 1000)), "colours": bytes.Repeat([]byte("\x1b[32mok\x1b[0m all is well\r\n"), 1000)} {
		b.Run(name, func(b *testing.B) {
			s := newScreen(80, 24, func(time.Duration, Kind, string) {})
			b.SetBytes(int64(len(piece)))
			for b.Loop() {
				s.write(0, piece)
			}
		})
	}
}
