package search

import "github.com/charmbracelet/x/ansi/parser"

// maxParams bounds the numbers of one sequence; those beyond are dropped.
const maxParams = 32

// missing stands for a number that the sequence left out.
const missing = -1

// sequence is one escape or control sequence (ECMA-48 clause 5.4).
type sequence struct {
	prefix, between, final byte // zero: none
	params                 []int
}

// param is the number at i, or what is usual where there is none.
func (q sequence) param(i, usual int) int {
	if i >= len(q.params) || q.params[i] == missing {
		return usual
	}
	return q.params[i]
}

// reader takes a stream of ASCII apart by the table of x/ansi: what is shown,
// what is a control, what is a sequence. The strings of DCS, OSC and their
// like are passed over. It does what that package's own parser does; the
// package as a whole is left alone because one of its dependencies computes
// tables for 70 ms at the start of every program that it is linked into.
type reader struct {
	shown   func(rune)
	execute func(byte)
	csi     func(sequence)
	esc     func(sequence)

	state  parser.State
	now    sequence // the one under way, without its parameters
	params [maxParams]int
	at     int // the parameter under way
}

func (r *reader) reset() {
	r.state = parser.GroundState
	r.clear()
}

func (r *reader) clear() {
	r.now = sequence{}
	r.params[0], r.at = missing, 0
}

// advance takes one byte below 0x80.
func (r *reader) advance(b byte) {
	state, action := parser.Table.Transition(r.state, b)
	if state != r.state && r.state == parser.EscapeState {
		r.clear() // what a string terminator has ended
	}
	switch action {
	case parser.ClearAction:
		r.clear()
	case parser.PrintAction:
		r.shown(rune(b))
	case parser.ExecuteAction:
		r.execute(b)
	case parser.PrefixAction:
		r.now.prefix = b
	case parser.CollectAction:
		r.now.between = b
	case parser.ParamAction:
		r.param(b)
	case parser.DispatchAction:
		r.dispatch(b)
	}
	r.state = state
}

func (r *reader) param(b byte) {
	switch {
	case r.at >= maxParams:
	case b == ';' || b == ':':
		if r.at++; r.at < maxParams {
			r.params[r.at] = missing
		}
	case b >= '0' && b <= '9':
		r.params[r.at] = min(max(r.params[r.at], 0)*10+int(b-'0'), maxParam)
	}
}

func (r *reader) dispatch(final byte) {
	q := r.now
	q.final = final
	switch r.state {
	case parser.CsiEntryState, parser.CsiParamState, parser.CsiIntermediateState:
		if n := min(r.at+1, maxParams); n > 1 || r.params[0] != missing {
			q.params = r.params[:n]
		}
		r.csi(q)
	case parser.EscapeState, parser.EscapeIntermediateState:
		r.esc(q)
	}
}
