package search

import (
	"encoding/binary"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi/parser"
	"github.com/clipperhouse/displaywidth"
)

const maxParam = 1 << 16 // a larger number in a sequence is none of a program's

// screen is a terminal emulator that shows nothing: bytes go in, the lines
// that stood on it come out.
type screen struct {
	*grid
	in    reader
	part  []byte  // the begin of a character
	sets  [2]byte // the character sets G0 and G1 by their final characters
	shift int     // which of them is in use
}

func newScreen(cols, rows int, tell func(at time.Duration, k Kind, line string)) *screen {
	s := &screen{grid: newGrid(cols, rows, tell)}
	s.in = reader{shown: s.show, execute: s.control, csi: s.obey, esc: s.escape}
	s.in.reset()
	return s
}

// write takes what the target sent at a time. A character may be split over
// several pieces.
func (s *screen) write(at time.Duration, p []byte) {
	s.now = at
	if len(s.part) > 0 {
		p = append(s.part, p...)
		s.part = nil
	}
	for len(p) > 0 {
		if s.in.state == parser.GroundState {
			if p = s.text(p); len(p) == 0 {
				return
			}
		}
		if p[0] < utf8.RuneSelf {
			s.in.advance(p[0])
			p = p[1:]
			continue
		}
		if !utf8.FullRune(p) {
			s.part = append([]byte(nil), p...)
			return
		}
		r, n := utf8.DecodeRune(p)
		s.wide(r)
		p = p[n:]
	}
}

// text takes what begins p and is plain: ASCII and controls, outside of any
// sequence. The parser would do the same with it and takes ten times as long.
func (s *screen) text(p []byte) []byte {
	for i := 0; i < len(p); i++ {
		switch c := p[i]; {
		case c == escapeByte || c >= utf8.RuneSelf:
			return p[i:]
		case c >= ' ':
			s.show(rune(c))
		case c != 0:
			s.control(c)
		default:
			i += nulls(p[i+1:])
		}
	}
	return nil
}

// nulls is how many bytes of 0 begin p, at most seven too few. Bulk is full of
// them and they show nothing, so they are passed over a word at a time.
func nulls(p []byte) (n int) {
	for len(p)-n >= 8 && binary.NativeEndian.Uint64(p[n:]) == 0 {
		n += 8
	}
	return n
}

const escapeByte = 0x1b // begins a sequence

// wide takes a character beyond ASCII. The parser is spared it: within a title
// it would take one of its bytes for the title's end.
func (s *screen) wide(r rune) {
	switch s.in.state {
	case parser.GroundState:
		s.show(r)
	case parser.OscStringState, parser.DcsStringState, parser.SosStringState, parser.PmStringState, parser.ApcStringState:
	default: // no sequence has such a character
		s.in.reset()
		s.show(r)
	}
}

func (s *screen) show(r rune) {
	switch {
	case r == 0x7f || r >= 0x80 && r < 0xa0: // DEL and C1 show nothing
		return
	case r < utf8.RuneSelf:
		if s.sets[s.shift] == '0' && r >= 0x5f {
			r = ' ' // line drawing
		}
		s.put(r, 1)
	default:
		s.put(r, min(2, displaywidth.Rune(r)))
	}
}

func (s *screen) control(c byte) {
	switch c {
	case '\n', '\v', '\f':
		s.feed()
	case '\r':
		s.x, s.late = 0, false
	case '\b':
		s.move(s.x-1, s.y)
	case '\t':
		s.tab(1)
	case 0x0e, 0x0f: // SO, SI
		s.shift = int(0x0f - c)
	}
}

func (s *screen) escape(q sequence) {
	switch between, final := q.between, q.final; {
	case between == '(':
		s.sets[0] = final
	case between == ')':
		s.sets[1] = final
	case between != 0:
	case final == 'D':
		s.feed()
	case final == 'E':
		s.feed()
		s.x = 0
	case final == 'M':
		s.late = false
		s.up()
	case final == '7':
		s.save()
	case final == '8':
		s.restore()
	case final == 'c':
		s.reset()
		s.sets, s.shift = [2]byte{}, 0
	}
}

// obey does what the control sequences say that move, erase and shift; colours and
// questions change nothing that is searched.
func (s *screen) obey(q sequence) {
	n := func(i, usual int) int {
		v := q.param(i, usual)
		if v == 0 && usual == 1 {
			v = 1
		}
		return v
	}
	prefix, final := q.prefix, q.final
	switch {
	case q.between != 0:
	case final == 'h' || final == 'l':
		for i := range q.params {
			s.mode(prefix == '?', n(i, 0), final == 'h')
		}
	case prefix == '?' && final == 'J' || prefix == 0 && final == 'J':
		s.eraseScreen(n(0, 0))
	case prefix == '?' && final == 'K' || prefix == 0 && final == 'K':
		s.eraseLine(n(0, 0))
	case prefix != 0:
	case strings.IndexByte("ABCDEFGHaedf`IZsu", final) >= 0:
		s.csiMove(final, n)
	default:
		s.csiShift(final, n)
	}
}

func (s *screen) csiMove(final byte, n func(i, usual int) int) {
	switch final {
	case 'A':
		s.move(s.x, s.y-n(0, 1))
	case 'B', 'e':
		s.move(s.x, s.y+n(0, 1))
	case 'C', 'a':
		s.move(s.x+n(0, 1), s.y)
	case 'D':
		s.move(s.x-n(0, 1), s.y)
	case 'E':
		s.move(0, s.y+n(0, 1))
	case 'F':
		s.move(0, s.y-n(0, 1))
	case 'G', '`':
		s.move(n(0, 1)-1, s.y)
	case 'H', 'f':
		s.place(n(1, 1)-1, n(0, 1)-1)
	case 'd':
		s.place(s.x, n(0, 1)-1)
	case 'I':
		s.tab(n(0, 1))
	case 'Z':
		s.tab(-n(0, 1))
	case 's':
		s.save()
	case 'u':
		s.restore()
	}
}

func (s *screen) csiShift(final byte, n func(i, usual int) int) {
	switch final {
	case '@':
		s.insertCells(n(0, 1))
	case 'P':
		s.insertCells(-n(0, 1))
	case 'X':
		s.erase(s.y, s.x, s.x+n(0, 1))
	case 'L':
		s.insertLines(n(0, 1))
	case 'M':
		s.insertLines(-n(0, 1))
	case 'S':
		s.scroll(s.top, s.bottom, n(0, 1))
	case 'T':
		s.scroll(s.top, s.bottom, -n(0, 1))
	case 'r':
		s.region(n(0, 1), n(1, 0))
	case 'b':
		for range min(n(0, 1), s.cols*s.rows) {
			if blank(s.last) {
				return
			}
			s.show(s.last)
		}
	}
}
