package redis

import (
	"errors"
	"net"
)

// Bounds of one reply of Redis. The client's library reads what a reply
// announces into memory, whatever it announces.
const (
	maxBulk     = MaxAnswer + 4<<10
	maxReply    = 2 * maxBulk // all strings of one reply
	maxElements = 1 << 16
	maxLine     = 64 << 10
	maxDepth    = 8
)

var errReply = errors.New("redis: the server's reply has no bounds that we take")

// guardedConn hands on what a server says as long as it keeps to the bounds.
// A line that breaks one is never handed on whole, so that nobody acts on it.
type guardedConn struct {
	net.Conn
	scan scanner
}

// Read implements net.Conn.
func (c *guardedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if !c.scan.accept(p[:n]) {
		_ = c.Close()
		return 0, errReply
	}
	return n, err
}

// scanner follows the framing of RESP: lines that end in CRLF, strings of an
// announced length, and arrays of an announced number of values.
type scanner struct {
	skip   int64 // bytes left of a string and its CRLF
	kind   byte  // first byte of the line being read; 0 before it
	line   int   // bytes of the line
	number int64 // the length that the line announces
	minus  bool
	open   [maxDepth]int64 // values that are still to come, array in array
	depth  int
	total  int64 // bytes of the strings of this reply
	broken bool
}

func (s *scanner) accept(p []byte) bool {
	for len(p) > 0 && !s.broken {
		if s.skip > 0 {
			n := min(s.skip, int64(len(p)))
			s.skip -= n
			p = p[n:]
			if s.skip == 0 {
				s.value()
			}
			continue
		}
		s.byte(p[0])
		p = p[1:]
	}
	return !s.broken
}

func (s *scanner) byte(c byte) {
	s.line++
	switch {
	case s.kind == 0:
		s.kind = c
	case c == '\n':
		s.endLine()
	case s.line > maxLine:
		s.broken = true
	case !announces(s.kind) || c == '\r':
	case c == '-' && s.line == 2:
		s.minus = true
	case c < '0' || c > '9' || s.number > maxBulk:
		s.broken = true
	default:
		s.number = 10*s.number + int64(c-'0')
	}
}

// announces reports whether a line of this kind begins something longer.
func announces(kind byte) bool {
	switch kind {
	case '$', '=', '!', '*', '~', '>', '%', '|':
		return true
	}
	return false
}

func (s *scanner) endLine() {
	kind, n, minus := s.kind, s.number, s.minus
	s.kind, s.line, s.number, s.minus = 0, 0, 0, false
	switch kind {
	case '$', '=', '!':
		if minus {
			s.value()
			return
		}
		s.skip = n + 2
		s.total += n
		s.broken = n > maxBulk || s.total > maxReply
	case '%', '|':
		s.array(2*n, minus)
	case '*', '~', '>':
		s.array(n, minus)
	default:
		s.value()
	}
}

func (s *scanner) array(n int64, minus bool) {
	switch {
	case minus || n == 0:
		s.value()
	case n > maxElements || s.depth == maxDepth:
		s.broken = true
	default:
		s.open[s.depth] = n
		s.depth++
	}
}

// value ends one value, and every array that it was the last of.
func (s *scanner) value() {
	for s.depth > 0 {
		s.open[s.depth-1]--
		if s.open[s.depth-1] > 0 {
			return
		}
		s.depth--
	}
	s.total = 0
}
