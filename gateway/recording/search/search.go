package search

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/recording"
)

const (
	// MaxHits bounds one page of a search.
	MaxHits = 1000

	maxNeedle = 200    // characters of what is searched for
	hitWidth  = 160    // characters of a line that a hit shows
	maxLooked = 20_000 // blocks that one page looks at
	maxFresh  = 64     // MiB of output of live sessions that one page reads
	mebibyte  = 1 << 20
)

// Query says what is searched for. Text is needed; of the rest, empty fields
// do not narrow.
type Query struct {
	Text                            string // without regard to case
	Vendor, Person, Target, Session string
	Kinds                           []Kind
	From, To                        time.Time // when the line stood there, To exclusive
	Before                          string    // an Answer's Next, or a session: on below it
	Limit                           int       // 1 to MaxHits; 0 means MaxHits
}

// Hit is one line that holds what was searched for.
type Hit struct {
	Session string
	At      time.Duration // when the line began, since the recording began
	Kind    Kind
	Line    string // without escape sequences, cut around the find
	Place   string // what Before takes to go on behind this one
}

// Answer is one page of hits: first of live sessions, then of those that have
// ended; newest session first, each from its beginning.
type Answer struct {
	Hits    []Hit
	Next    string   // what Before takes to go on; empty at the end
	Waiting int      // recordings that are not in the index yet and were not searched
	Cut     []string // of the sessions with hits, those that were not searched to their end
}

// Search answers the lines that hold a text. Live sessions are searched as far
// as they are.
func (x *Index) Search(ctx context.Context, q Query) (Answer, error) {
	s, err := newSearcher(q)
	if err != nil {
		return Answer{}, err
	}
	x.waitMu.Lock()
	s.answer.Waiting = x.missing + x.failed
	fresh := x.recs.Live()
	for name := range x.ended {
		fresh = append(fresh, name)
	}
	x.waitMu.Unlock()
	if err := x.searchFresh(ctx, s, fresh); err != nil || s.full {
		return s.answer, err
	}
	err = x.use(func(d *database) error { return d.search(ctx, s) })
	return s.answer, err
}

// searcher collects one page.
type searcher struct {
	q      Query
	needle []rune
	bits   uint            // of the kinds
	done   map[string]bool // searched already, as live ones
	resume string          // the session at which the page begins
	skip   int             // hits of it that were told before
	live   bool            // it was not in the index then

	answer Answer
	now    string // the session under way
	told   int    // its hits so far
	fresh  bool   // it is not searched in the index
	full   bool
}

func newSearcher(q Query) (*searcher, error) {
	if err := gateway.CheckNeeded("text", q.Text, maxNeedle, false); err != nil {
		return nil, err
	}
	if q.Limit <= 0 || q.Limit > MaxHits {
		q.Limit = MaxHits
	}
	s := &searcher{q: q, needle: fold(strings.TrimSpace(q.Text)), done: map[string]bool{}}
	for _, k := range q.Kinds {
		n := k.number()
		if n < 0 {
			return nil, gateway.Invalid("kind", "kind %s is none of output, command, file, flow, note", gateway.Quote(string(k)))
		}
		s.bits |= 1 << n
	}
	if s.bits == 0 {
		s.bits = 1<<len(kinds) - 1
	}
	return s, s.goOn()
}

// Live ends a place in a session that was not searched in the index, because
// it lives or has ended just now. Those come before all others.
const Live = "~live"

// goOn reads where the page before ended: session~hits, and ~live where the
// session was not searched in the index.
func (s *searcher) goOn() (err error) {
	session, skip, ok := strings.Cut(s.q.Before, "~")
	if !ok {
		return nil
	}
	skip, s.live = strings.CutSuffix(skip, Live)
	if s.skip, err = strconv.Atoi(skip); err != nil || s.skip < 0 {
		return gateway.Invalid("before", "%s is not where a page of hits ended", gateway.Quote(s.q.Before))
	}
	s.resume, s.q.Before = session, ""
	return nil
}

// takes reports whether a session is among those that are searched.
func (s *searcher) takes(m recording.Meta) bool {
	fits := func(want, got string) bool { return want == "" || want == got }
	return fits(s.q.Vendor, m.Vendor) && fits(s.q.Person, m.Person) && fits(s.q.Target, m.Target) && fits(s.q.Session, m.Session) &&
		(s.q.Before == "" || m.Session < s.q.Before)
}

// begin turns to a session.
func (s *searcher) begin(session string, cut bool) {
	if session == s.now {
		return
	}
	s.now, s.told = session, 0
	if cut {
		s.answer.Cut = append(s.answer.Cut, session)
	}
}

// line takes a line of the session under way, and reports whether the page has
// room for more.
func (s *searcher) line(begun time.Time, l line) bool {
	if s.bits&(1<<l.kind.number()) == 0 || !s.within(begun.Add(l.at)) {
		return true
	}
	i := find(l.text, s.needle)
	if i < 0 {
		return true
	}
	if s.told++; s.now == s.resume && s.told <= s.skip {
		return true
	}
	if len(s.answer.Hits) == s.q.Limit {
		s.stop(s.told - 1)
		return false
	}
	s.answer.Hits = append(s.answer.Hits, Hit{Session: s.now, At: l.at, Kind: l.kind, Line: around(l.text, i), Place: s.place(s.told)})
	return true
}

// stop ends the page after so many hits of the session under way.
func (s *searcher) stop(told int) {
	s.full, s.answer.Next = true, s.place(told)
}

// place is behind so many hits of the session under way.
func (s *searcher) place(told int) string {
	p := s.now + "~" + strconv.Itoa(told)
	if s.fresh {
		p += Live
	}
	return p
}

func (s *searcher) within(t time.Time) bool {
	return (s.q.From.IsZero() || !t.Before(s.q.From)) && (s.q.To.IsZero() || t.Before(s.q.To))
}

// searchFresh searches the sessions that are not in the index because they
// live, or have ended just now, newest first.
func (x *Index) searchFresh(ctx context.Context, s *searcher, fresh []string) error {
	slices.Sort(fresh)
	fresh = slices.Compact(fresh)
	slices.Reverse(fresh)
	room := maxFresh * mebibyte
	if s.resume != "" && !s.live {
		return nil // all of them were searched before
	}
	s.fresh = true
	defer func() { s.fresh = false }()
	for _, name := range fresh {
		if s.resume != "" && name > s.resume {
			s.done[name] = true
			continue
		}
		if err := x.searchOne(ctx, s, name, &room); err != nil || s.full {
			return err
		}
	}
	return nil
}

func (x *Index) searchOne(ctx context.Context, s *searcher, name string, room *int) error {
	info, err := x.recs.Find(name)
	if gateway.IsCode(err, gateway.CodeNotFound) {
		return nil // its beginning is not durable yet
	}
	if err != nil || !s.takes(info.Meta) {
		return err
	}
	s.done[name] = true
	s.begin(name, false)
	e := newExtractor(func(l line) error {
		if !s.line(info.Begun, l) {
			return errEnough
		}
		return nil
	})
	err = x.recs.Events(ctx, name, func(ev recording.Event) error {
		if *room -= len(ev.Output); *room < 0 {
			return errTooMuch
		}
		return e.event(ev)
	})
	if err == nil {
		err = e.finish()
	}
	return s.over(err, e.cut)
}
