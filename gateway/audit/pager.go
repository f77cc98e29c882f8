package audit

import (
	"context"
	"math"
)

// pager reads a table of the log by rising key, a page at a time, up to the
// key last.
type pager[T any] struct {
	fetch func(ctx context.Context, from int64, limit int) ([]T, error)
	key   func(T) int64
	last  int64

	begun bool
	next  int64 // key to read on from
	done  bool
	page  []T
}

// peek returns the next row; false at the end.
func (p *pager[T]) peek(ctx context.Context) (row T, ok bool, err error) {
	if !p.begun {
		p.begun, p.next = true, math.MinInt64 // a key may have been made negative
	}
	if len(p.page) == 0 && !p.done {
		if p.page, err = p.fetch(ctx, p.next, verifyPage); err != nil {
			return row, false, err
		}
		p.done = len(p.page) < verifyPage
		if n := len(p.page); n > 0 {
			if end := p.key(p.page[n-1]); end < math.MaxInt64 {
				p.next = end + 1
			} else {
				p.done = true
			}
		}
	}
	if len(p.page) == 0 || p.key(p.page[0]) > p.last {
		return row, false, nil
	}
	return p.page[0], true, nil
}

func (p *pager[T]) drop() { p.page = p.page[1:] }

// take is peek and drop.
func (p *pager[T]) take(ctx context.Context) (T, bool, error) {
	row, ok, err := p.peek(ctx)
	if ok {
		p.drop()
	}
	return row, ok, err
}
