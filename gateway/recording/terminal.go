package recording

import "strings"

// terminal takes a stream of characters apart as a terminal would (ECMA-48,
// and what xterm adds): text, control characters, escape sequences, and
// strings (OSC, DCS, APC, PM, SOS), which it swallows whole. A recording is
// hostile input: whoever made it may have had the reviewer's terminal in mind.
//
// The calls get one piece each; those that are nil are left out.
type terminal struct {
	text    func(r rune)
	control func(c byte)                         // C0, without ESC
	escape  func(between string, final byte)     // ESC between final
	csi     func(params, between string, f byte) // ESC [ params between final

	state terminalState
	seq   strings.Builder // parameters of the sequence under way
	mid   strings.Builder // its intermediate characters
}

type terminalState byte

const (
	ground terminalState = iota
	inEscape
	inCSI
	inString       // until ST or BEL
	inStringEscape // ESC seen within a string
)

// maxSequence bounds the parameters of a sequence. One that is longer is none
// of a program's, and is dropped.
const maxSequence = 64

// write takes a piece of text; a sequence may be split over several.
func (t *terminal) write(s string) {
	for _, r := range s {
		t.rune(r)
	}
}

func (t *terminal) rune(r rune) {
	switch {
	case r == 0x18 || r == 0x1a: // CAN and SUB end whatever was begun
		t.state = ground
	case t.state == inString || t.state == inStringEscape:
		t.inString(r)
	case r == 0x1b:
		t.begin(inEscape)
	case r < 0x20:
		if t.control != nil {
			t.control(byte(r))
		}
	case r == 0x7f || r >= 0x80 && r < 0xa0: // DEL, and C1: some terminals obey them
	case t.state == inEscape:
		t.inEscape(r)
	case t.state == inCSI:
		t.inCSI(r)
	case t.text != nil:
		t.text(r)
	}
}

func (t *terminal) begin(s terminalState) {
	t.state = s
	t.seq.Reset()
	t.mid.Reset()
}

func (t *terminal) inString(r rune) {
	switch {
	case r == 0x07 || t.state == inStringEscape && r == '\\':
		t.state = ground
	case r == 0x1b:
		t.state = inStringEscape
	case t.state == inStringEscape: // the ESC began another sequence
		t.begin(inEscape)
		t.rune(r)
	}
}

func (t *terminal) inEscape(r rune) {
	switch {
	case r >= 0x80:
		t.state = ground
	case r < 0x30:
		t.add(&t.mid, r)
	case r == '[' && t.mid.Len() == 0:
		t.state = inCSI
	case strings.ContainsRune("]P_^X", r) && t.mid.Len() == 0:
		t.state = inString
	default:
		t.state = ground
		if t.escape != nil && t.mid.Len() <= maxSequence {
			t.escape(t.mid.String(), byte(r))
		}
	}
}

func (t *terminal) inCSI(r rune) {
	switch {
	case r >= 0x80:
		t.state = ground
	case r < 0x30:
		t.add(&t.mid, r)
	case r < 0x40:
		t.add(&t.seq, r)
	default:
		t.state = ground
		if t.csi != nil && t.seq.Len()+t.mid.Len() <= maxSequence {
			t.csi(t.seq.String(), t.mid.String(), byte(r))
		}
	}
}

// add keeps one character more than is allowed, so that the end can tell.
func (t *terminal) add(b *strings.Builder, r rune) {
	if b.Len() <= maxSequence {
		b.WriteRune(r)
	}
}
