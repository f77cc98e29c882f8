package search

import (
	"slices"
	"strings"
	"time"
)

const (
	maxCols     = 512  // of a screen; a claim beyond is cut
	maxRows     = 256  //
	maxLine     = 4096 // characters of a line; a longer one becomes several
	usualCols   = 80
	usualRows   = 24
	tabWidth    = 8
	maxEnters   = 64                     // that wait for their line
	standing    = 500 * time.Millisecond // what stood so long is kept although it is changed
	enterEchoed = 5 * time.Second        // an Enter whose line was not left by then has none
)

// cell is one place of the screen.
type cell struct {
	r    rune // 0: blank; tail: the right half of a wide character
	mark rune // the last combining mark on it
}

const tail = -1

// row is one row of the screen. cells is as long as has been written.
type row struct {
	cells   []cell
	wrapped bool          // goes on in the next row
	dirty   bool          // has changed since it was told
	began   time.Duration // when the change began
	changed time.Duration // when it last changed
}

// grid is the screen of one channel. It tells the lines that stood on it.
type grid struct {
	tell func(at time.Duration, k Kind, line string)
	now  time.Duration

	cols, rows  int
	lines       []row
	other       []row // the main screen while the alternate one is shown
	alternate   bool
	x, y        int
	late        bool // the cursor stands past the last column: the next character wraps
	top, bottom int  // of the scroll region
	saved       [2]struct{ x, y int }
	plain       bool // without a terminal: a line feed returns too
	stays       bool // DECAWM off: the last column is overwritten
	inserts     bool // IRM
	origin      bool // DECOM
	last        rune // what REP repeats

	enters  int // typed, their lines not left yet
	entered time.Duration
	held    []rune // of a wrapped line, what has scrolled off
	heldAt  time.Duration
}

func newGrid(cols, rows int, tell func(at time.Duration, k Kind, line string)) *grid {
	g := &grid{tell: tell, cols: bounded(cols, usualCols, maxCols), rows: bounded(rows, usualRows, maxRows)}
	g.lines, g.bottom = make([]row, g.rows), g.rows-1
	return g
}

func bounded(n, usual, most int) int {
	if n <= 0 {
		return usual
	}
	return max(2, min(n, most))
}

// put writes one character of the given width at the cursor.
func (g *grid) put(r rune, width int) {
	if width == 0 {
		g.combine(r)
		return
	}
	g.last = r
	if g.late || g.x+width > g.cols {
		g.wrap(width)
	}
	l := &g.lines[g.y]
	g.overwrite(l, r)
	if g.inserts {
		l.cells = slices.Insert(l.reach(g.x), g.x, make([]cell, width)...)
		l.cells = l.cells[:min(len(l.cells), g.cols)]
	}
	l.cells = l.reach(g.x + width)
	if l.cells[g.x].r == tail && g.x > 0 {
		l.cells[g.x-1] = cell{} // half of a wide character is none
	}
	l.cells[g.x] = cell{r: r}
	if width == 2 {
		l.cells[g.x+1] = cell{r: tail}
	}
	if next := g.x + width; next < len(l.cells) && l.cells[next].r == tail {
		l.cells[next] = cell{}
	}
	g.touch(l)
	g.x += width
	if g.x >= g.cols {
		g.x, g.late = g.cols-1, true
	}
}

// wrap goes on in the next row, which belongs to the same line.
func (g *grid) wrap(width int) {
	if g.stays {
		g.x, g.late = max(0, g.cols-width), false
		return
	}
	g.lines[g.y].wrapped = true
	g.x, g.late = 0, false
	g.down()
}

// overwrite tells a line that somebody could read before it changes.
func (g *grid) overwrite(l *row, r rune) {
	if l.dirty && g.now-l.changed >= standing && g.x < len(l.cells) && !blank(l.cells[g.x].r) && l.cells[g.x].r != r {
		g.leave(g.y, Output)
	}
}

func blank(r rune) bool { return r == 0 || r == ' ' }

func (g *grid) touch(l *row) {
	if !l.dirty {
		l.dirty, l.began = true, g.now
	}
	l.changed = g.now
}

// reach is the cells, at least n of them.
func (l *row) reach(n int) []cell {
	for len(l.cells) < n {
		l.cells = append(l.cells, cell{})
	}
	return l.cells
}

func (g *grid) combine(r rune) {
	x := g.x - 1
	if g.late {
		x = g.x
	}
	if l := &g.lines[g.y]; x >= 0 && x < len(l.cells) && l.cells[x].r > 0 {
		l.cells[x].mark = r
	}
}

// feed is a line feed: the cursor leaves the line for good.
func (g *grid) feed() {
	k := Output
	if g.enters > 0 && !g.alternate {
		g.enters--
		if g.now-g.entered <= enterEchoed {
			k = Command
		}
	}
	g.leave(g.y, k)
	g.lines[g.y].wrapped = false
	if g.plain {
		g.x = 0
	}
	g.late = false
	g.down()
}

// enter notes that Enter was typed. Programs that have the whole screen take
// keys, not lines.
func (g *grid) enter(at time.Duration) {
	if !g.alternate {
		g.enters, g.entered = min(g.enters+1, maxEnters), at
	}
}

func (g *grid) down() {
	switch {
	case g.y == g.bottom:
		g.scroll(g.top, g.bottom, 1)
	case g.y < g.rows-1:
		g.y++
	}
}

func (g *grid) up() {
	switch {
	case g.y == g.top:
		g.scroll(g.top, g.bottom, -1)
	case g.y > 0:
		g.y--
	}
}

// scroll moves the rows from top to bottom up by n, or down where n is
// negative. Those that go are told.
func (g *grid) scroll(top, bottom, n int) {
	size := bottom - top + 1
	if n = max(-size, min(n, size)); n == 0 || size <= 0 {
		return
	}
	region := g.lines[top : bottom+1]
	if n < 0 {
		for y := bottom; y > bottom+n; y-- {
			g.leave(y, Output)
		}
		gone := slices.Clone(region[size+n:])
		copy(region[-n:], region[:size+n])
		renew(region[:-n], gone)
		return
	}
	for range n { // one by one, since a held line goes on in what follows
		g.off(top, top == 0 && !g.alternate)
		gone := region[0].cells[:0]
		copy(region, region[1:])
		region[size-1] = row{cells: gone}
	}
}

// renew makes blank rows, of the memory of those that are gone.
func renew(rows, gone []row) {
	for i := range rows {
		rows[i] = row{cells: gone[i].cells[:0]}
	}
}

// off tells a row that scrolls off at the top. A line that goes on below is
// held until its end is known.
func (g *grid) off(y int, hold bool) {
	l := &g.lines[y]
	if !hold || !l.wrapped || !l.dirty {
		g.leave(y, Output)
		return
	}
	if len(g.held) == 0 {
		g.heldAt = l.began
	}
	g.held = append(g.held, l.runes()...)
	if len(g.held) >= maxLine {
		g.flush(nil, Output, g.heldAt)
	}
	l.dirty = false
}

// leave tells the line that a row belongs to, if it has changed.
func (g *grid) leave(y int, k Kind) {
	first, last := y, y
	for first > 0 && g.lines[first-1].wrapped {
		first--
	}
	for last < g.rows-1 && g.lines[last].wrapped {
		last++
	}
	var line []rune
	dirty, began := false, g.now
	for i := first; i <= last; i++ {
		l := &g.lines[i]
		line = append(line, l.runes()...)
		if l.dirty {
			dirty, began = true, min(began, l.began)
		}
		l.dirty = false
	}
	switch {
	case first == 0 && len(g.held) > 0 && !g.alternate:
		g.flush(line, k, g.heldAt)
	case dirty:
		g.say(began, k, line)
	}
}

// flush tells what was held with what follows it.
func (g *grid) flush(rest []rune, k Kind, at time.Duration) {
	line := append(g.held, rest...)
	g.held = g.held[:0]
	g.say(at, k, line)
}

func (g *grid) say(at time.Duration, k Kind, line []rune) {
	for len(line) > 0 {
		n := min(len(line), maxLine)
		if s := strings.TrimSpace(string(line[:n])); s != "" {
			g.tell(at, k, s)
		}
		line = line[n:]
	}
}

// runes is the row as text.
func (l *row) runes() []rune {
	text := make([]rune, 0, len(l.cells))
	for _, c := range l.cells {
		switch {
		case c.r == 0:
			text = append(text, ' ')
		case c.r != tail:
			text = append(text, c.r)
		}
		if c.mark != 0 {
			text = append(text, c.mark)
		}
	}
	return text
}

// close tells what still stands.
func (g *grid) close() {
	if g.alternate {
		g.show(false)
	}
	g.leaveAll()
	if len(g.held) > 0 {
		g.flush(nil, Output, g.heldAt)
	}
}

func (g *grid) leaveAll() {
	for y := range g.lines {
		g.leave(y, Output)
	}
}
