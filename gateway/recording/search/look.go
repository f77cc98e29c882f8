package search

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway/recording"
)

// errTooMuch ends the reading of live sessions at their bound.
var errTooMuch = errors.New("more output than one search reads")

// over takes how the reading of a live session ended.
func (s *searcher) over(err error, cut bool) error {
	switch {
	case errors.Is(err, errEnough):
		return nil
	case errors.Is(err, errTooMuch) || err == nil && cut:
		s.answer.Cut = append(s.answer.Cut, s.now)
		return nil
	}
	return err
}

// search looks through the indexed sessions, from the newest on.
func (d *database) search(ctx context.Context, s *searcher) error {
	query, args := s.statement()
	rows, err := d.read.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for looked := 0; rows.Next(); looked++ {
		var (
			m      recording.Meta
			begun  int64
			cut    bool
			packed []byte
		)
		if err := rows.Scan(&m.Session, &begun, &cut, &packed); err != nil {
			return err
		}
		if s.done[m.Session] {
			continue
		}
		s.begin(m.Session, cut)
		if looked >= maxLooked {
			s.stop(s.told)
			return nil
		}
		at := time.UnixMicro(begun).UTC()
		if err := unpack(packed, func(l line) bool { return s.line(at, l) }); err != nil || s.full {
			return err
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return rows.Err()
}

// statement asks for the blocks that may hold the needle. The words' index
// comes first, in the order of its numbers, and the rest is looked up.
func (s *searcher) statement() (string, []any) {
	var (
		where []string
		args  []any
	)
	and := func(cond string, arg any) {
		where, args = append(where, cond), append(args, arg)
	}
	from, by := "block b", "b.id"
	if words := asked(s.needle); words != "" {
		from, by = "gram CROSS JOIN block b ON b.id = gram.rowid", "gram.rowid"
		and("gram MATCH ?", words)
	}
	for column, want := range map[string]string{"s.vendor": s.q.Vendor, "s.person": s.q.Person, "s.target": s.q.Target, "s.name": s.q.Session} {
		if want != "" {
			and(column+" = ?", want)
		}
	}
	if s.q.Before != "" {
		and("s.name < ?", s.q.Before)
	}
	if s.resume != "" && !s.live {
		and(by+" <= (SELECT id << 20 | 0xfffff FROM session WHERE name = ?)", s.resume)
	}
	and("b.kinds & ? != 0", s.bits)
	if !s.q.To.IsZero() {
		and("s.begun + b.first < ?", s.q.To.UnixMicro())
	}
	if !s.q.From.IsZero() {
		and("s.begun + b.last >= ?", s.q.From.UnixMicro())
	}
	return "SELECT s.name, s.begun, s.cut, b.packed FROM " + from + " CROSS JOIN session s ON s.id = b.id >> 20 WHERE " +
		strings.Join(where, " AND ") + " ORDER BY " + by + " DESC", args
}
