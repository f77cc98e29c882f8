package recording

import (
	"bufio"
	"io"
	"strings"
	"unicode"
)

// screen writes a recording's output to a terminal and lets through only what
// draws. What is not on its lists is dropped.
type screen struct {
	w    *bufio.Writer
	term terminal
}

const (
	// drawCSI are the final characters of the sequences that move, erase,
	// shift and colour. n, c and t, which make the terminal answer, are not
	// among them; nor is b, which repeats a character any number of times.
	drawCSI = "ABCDEFGHIJKLMPSTXZ@`adefmrsu"
	drawESC = "78DEM" // save, restore, line down, line start, line up
	// restore puts back character set, colours, cursor, line wrap, scroll
	// region and screen.
	restore = "\x1b(B\x0f\x1b[m\x1b[?25h\x1b[?7h\x1b[r\x1b[?1049l\r\n"
)

// drawModes are the private modes that only draw: application cursor keys,
// mouse reports, focus reports and bracketed paste change what the terminal
// sends, and are not among them.
var drawModes = map[string]bool{"7": true, "25": true, "47": true, "1047": true, "1048": true, "1049": true}

func newScreen(w io.Writer) *screen {
	s := &screen{w: bufio.NewWriter(w)}
	s.term = terminal{text: s.text, control: s.control, escape: s.escape, csi: s.csi}
	return s
}

func (s *screen) show(data string) error {
	s.term.write(data)
	return s.w.Flush()
}

func (s *screen) close() error {
	s.put(restore)
	return s.w.Flush()
}

// put leaves a write error to Flush, which answers the first one.
func (s *screen) put(parts ...string) {
	for _, p := range parts {
		_, _ = s.w.WriteString(p)
	}
}

// text drops what is invisible and could make a line read otherwise than it
// was printed.
func (s *screen) text(r rune) {
	if unicode.Is(unicode.Bidi_Control, r) {
		r = unicode.ReplacementChar
	}
	_, _ = s.w.WriteRune(r)
}

// control lets blanks, line ends and the change of character set pass; no
// bell, and no ENQ, which asks for an answer.
func (s *screen) control(c byte) {
	if strings.IndexByte("\b\t\n\r\x0e\x0f", c) >= 0 {
		_ = s.w.WriteByte(c)
	}
}

func (s *screen) escape(between string, final byte) {
	lines := (between == "(" || between == ")") && (final == 'B' || final == '0') // ASCII, line drawing
	if lines || between == "" && strings.IndexByte(drawESC, final) >= 0 {
		s.put("\x1b", between, string(final))
	}
}

func (s *screen) csi(params, between string, final byte) {
	if between != "" {
		return
	}
	if private, ok := strings.CutPrefix(params, "?"); ok {
		if final == 'h' || final == 'l' {
			for mode := range strings.SplitSeq(private, ";") {
				if drawModes[mode] {
					s.put("\x1b[?", mode, string(final))
				}
			}
			return
		}
		if final != 'J' && final != 'K' { // selective erase draws
			return
		}
		params = private
	}
	mouse := final == 'T' && strings.Contains(params, ";") // xterm: begin highlight tracking
	if !mouse && strings.Trim(params, "0123456789;:") == "" && strings.IndexByte(drawCSI, final) >= 0 {
		s.put("\x1b[", params, string(final))
	}
}
