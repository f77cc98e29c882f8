package search

import (
	"slices"
)

// What becomes of the grid by cursor movements, erasing and modes.

// move puts the cursor somewhere on the screen.
func (g *grid) move(x, y int) {
	least, most := 0, g.rows-1
	if g.origin {
		least, most = g.top, g.bottom
	}
	g.x, g.y, g.late = max(0, min(x, g.cols-1)), max(least, min(y, most)), false
}

// place is move counted from the corner that the origin mode sets.
func (g *grid) place(x, y int) {
	if g.origin {
		y += g.top
	}
	g.move(x, y)
}

// tab goes n stops on, or back where n is negative.
func (g *grid) tab(n int) {
	stop := g.x/tabWidth + n
	if n < 0 && g.x%tabWidth != 0 {
		stop++
	}
	g.move(stop*tabWidth, g.y)
}

// erase blanks a row from one column up to another.
func (g *grid) erase(y, from, to int) {
	l := &g.lines[y]
	to = min(to, len(l.cells))
	if from >= to {
		return
	}
	if l.dirty && g.now-l.changed >= standing && slices.ContainsFunc(l.cells[from:to], func(c cell) bool { return !blank(c.r) }) {
		g.leave(y, Output)
	}
	clear(l.cells[from:to])
	if to == len(l.cells) {
		l.cells = l.cells[:from]
		l.wrapped = false
	}
	if l.dirty && len(l.cells) == 0 {
		l.dirty = false
	}
}

func (g *grid) eraseLine(how int) {
	switch how {
	case 0:
		g.erase(g.y, g.x, maxCols)
	case 1:
		g.erase(g.y, 0, g.x+1)
	case 2:
		g.erase(g.y, 0, maxCols)
	}
}

func (g *grid) eraseScreen(how int) {
	from, to := 0, g.rows
	switch how {
	case 0:
		g.eraseLine(0)
		from = g.y + 1
	case 1:
		g.eraseLine(1)
		to = g.y
	case 2, 3:
	default:
		return
	}
	for y := from; y < to; y++ {
		g.erase(y, 0, maxCols)
	}
}

// insertCells shifts the rest of the row right by n blanks, or left over n
// cells where n is negative.
func (g *grid) insertCells(n int) {
	l := &g.lines[g.y]
	if g.x >= len(l.cells) {
		return
	}
	if l.dirty && g.now-l.changed >= standing {
		g.leave(g.y, Output)
	}
	if n < 0 {
		l.cells = slices.Delete(l.cells, g.x, min(len(l.cells), g.x-n))
	} else {
		l.cells = slices.Insert(l.cells, g.x, make([]cell, min(n, g.cols))...)
		l.cells = l.cells[:min(len(l.cells), g.cols)]
	}
	g.touch(l)
}

// insertLines shifts the rows from the cursor down by n, or up where n is
// negative.
func (g *grid) insertLines(n int) {
	if g.y >= g.top && g.y <= g.bottom {
		g.scroll(g.y, g.bottom, -n)
		g.x, g.late = 0, false
	}
}

// region sets the rows that scroll.
func (g *grid) region(top, bottom int) {
	if bottom <= 0 || bottom > g.rows {
		bottom = g.rows
	}
	if top = max(top, 1); top < bottom {
		g.top, g.bottom = top-1, bottom-1
		g.place(0, 0)
	}
}

// show changes to the alternate screen, which begins blank, or back. What
// stood on the alternate one is told.
func (g *grid) show(alternate bool) {
	if alternate == g.alternate {
		return
	}
	if alternate {
		g.other, g.lines = g.lines, make([]row, g.rows)
		g.enters = 0
	} else {
		g.leaveAll()
		g.lines, g.other = g.other, nil
	}
	g.alternate, g.late = alternate, false
	g.top, g.bottom = 0, g.rows-1
}

func (g *grid) save()    { g.saved[g.screen()] = struct{ x, y int }{g.x, g.y} }
func (g *grid) restore() { g.move(g.saved[g.screen()].x, g.saved[g.screen()].y) }

func (g *grid) screen() int {
	if g.alternate {
		return 1
	}
	return 0
}

// resize changes the size of the screen. Rows that do not fit scroll off, so
// that the cursor stays in sight.
func (g *grid) resize(cols, rows int) {
	cols, rows = bounded(cols, usualCols, maxCols), bounded(rows, usualRows, maxRows)
	if over := g.y - (rows - 1); over > 0 {
		g.scroll(0, g.rows-1, over)
		g.y -= over
	}
	for y := rows; y < g.rows; y++ {
		g.leave(y, Output)
	}
	g.lines = fitted(g.lines, rows)
	if g.other != nil {
		g.other = fitted(g.other, rows)
	}
	g.cols, g.rows, g.top, g.bottom = cols, rows, 0, rows-1
	g.move(g.x, g.y)
}

func fitted(lines []row, rows int) []row {
	for len(lines) < rows {
		lines = append(lines, row{})
	}
	return lines[:rows]
}

// mode sets or resets a mode; private ones are DEC's.
func (g *grid) mode(private bool, n int, set bool) {
	switch {
	case !private && n == 4:
		g.inserts = set
	case !private && n == 20:
		g.plain = set
	case private && n == 6:
		g.origin = set
		g.place(0, 0)
	case private && n == 7:
		g.stays = !set
	case private && (n == 47 || n == 1047):
		g.show(set)
	case private && n == 1048:
		g.keep(set)
	case private && n == 1049 && set:
		g.save()
		g.show(true)
	case private && n == 1049:
		g.show(false)
		g.restore()
	}
}

func (g *grid) keep(save bool) {
	if save {
		g.save()
	} else {
		g.restore()
	}
}

// reset is a terminal as it was switched on.
func (g *grid) reset() {
	g.show(false)
	g.leaveAll()
	clear(g.lines)
	g.stays, g.inserts, g.origin = false, false, false
	g.top, g.bottom = 0, g.rows-1
	g.move(0, 0)
}
