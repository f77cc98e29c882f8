package recording

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"github.com/portcullis/portcullis/gateway"
)

const (
	// MaxHits bounds one search.
	MaxHits = 1000

	maxLine   = 4096 // characters of a line that are searched
	maxNeedle = 200  // characters of what is searched for
	hitWidth  = 160  // characters of a line that a hit shows
)

// Hit is one line of output that holds what was searched for.
type Hit struct {
	Session string        `json:"session"`
	At      time.Duration `json:"at_ns"` // when the line began, since the recording began
	Line    string        `json:"line"`  // without escape sequences, cut around the find
}

// Search looks through what was shown in these sessions, or in all of them,
// newest first, when there are none. It compares line by line without regard
// to case, after taking out escape sequences and applying backspaces; commands
// and notes are lines too. limit is 1 to MaxHits; 0 means MaxHits. What was
// typed is not searched.
func (v *Vault) Search(ctx context.Context, text string, sessions []string, limit int) ([]Hit, error) {
	if err := gateway.CheckNeeded("text", text, maxNeedle, false); err != nil {
		return nil, err
	}
	if limit <= 0 || limit > MaxHits {
		limit = MaxHits
	}
	s := &searcher{needle: fold(text), limit: limit}
	for dir, err := range v.dirs(sessions) {
		if err == nil {
			err = s.search(ctx, dir)
		}
		if errors.Is(err, errEnough) {
			break
		}
		if err != nil {
			return s.hits, err
		}
	}
	return s.hits, nil
}

// dirs yields the folders of these sessions, or of all.
func (v *Vault) dirs(named []string) func(yield func(string, error) bool) {
	return func(yield func(string, error) bool) {
		for _, session := range named {
			if !yield(v.find(session)) {
				return
			}
		}
		if len(named) > 0 {
			return
		}
		for day, err := range v.days() {
			var names []string
			if err == nil {
				names, err = sessions(day)
			}
			if err != nil && !yield("", err) {
				return
			}
			for _, name := range names {
				if !yield(filepath.Join(day, name), nil) {
					return
				}
			}
		}
	}
}

var errEnough = errors.New("as many hits as were asked for")

// searcher goes through one recording after the other.
type searcher struct {
	needle  []rune
	limit   int
	hits    []Hit
	session string
}

func (s *searcher) search(ctx context.Context, dir string) error {
	s.session = filepath.Base(dir)
	t, c := newTape(dir, output), newCaster()
	defer t.close()
	channels := map[uint32]*lines{}
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		f, err := t.next()
		if isEnd(err) || errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return err
		}
		for _, e := range c.events(f) {
			if err := s.event(channels, e); err != nil {
				return err
			}
		}
	}
	for _, l := range channels {
		if err := s.line(l.began, l.take()); err != nil {
			return err
		}
	}
	return nil
}

// event searches the lines that an event has ended.
func (s *searcher) event(channels map[uint32]*lines, e Frame) error {
	if e.Code == "m" {
		return s.line(e.At, []rune(e.Data))
	}
	if e.Code != "o" {
		return nil
	}
	l, ok := channels[e.Channel]
	if !ok {
		l = newLines()
		channels[e.Channel] = l
	}
	var err error
	l.ended = func(at time.Duration, line []rune) { err = errors.Join(err, s.line(at, line)) }
	l.write(e.At, e.Data)
	return err
}

func (s *searcher) line(at time.Duration, line []rune) error {
	i := index(fold(string(line)), s.needle)
	if i < 0 {
		return nil
	}
	if len(s.hits) == s.limit {
		return errEnough
	}
	from := max(0, i-hitWidth/4)
	to := min(len(line), from+hitWidth)
	s.hits = append(s.hits, Hit{Session: s.session, At: at, Line: strings.TrimSpace(string(line[from:to]))})
	return nil
}

// fold makes case not matter, rune by rune, so that places stay the same.
func fold(s string) []rune {
	r := []rune(s)
	for i := range r {
		r[i] = unicode.ToLower(r[i])
	}
	return r
}

func index(hay, needle []rune) int {
	for i := 0; i+len(needle) <= len(hay); i++ {
		j := 0
		for j < len(needle) && hay[i+j] == needle[j] {
			j++
		}
		if j == len(needle) {
			return i
		}
	}
	return -1
}

// lines puts one channel's output together to lines of plain text.
type lines struct {
	term  terminal
	line  []rune
	began time.Duration
	now   time.Duration
	ended func(at time.Duration, line []rune)
}

func newLines() *lines {
	l := &lines{}
	l.term = terminal{text: l.add, control: l.control}
	return l
}

func (l *lines) write(at time.Duration, s string) {
	l.now = at
	l.term.write(s)
}

func (l *lines) add(r rune) {
	if len(l.line) == 0 {
		l.began = l.now
	}
	l.line = append(l.line, r)
	if len(l.line) == maxLine {
		l.end()
	}
}

func (l *lines) control(c byte) {
	switch c {
	case '\n', '\r', '\v', '\f':
		l.end()
	case '\t':
		l.add(' ')
	case '\b':
		l.line = l.line[:max(0, len(l.line)-1)]
	}
}

func (l *lines) end() {
	if len(l.line) > 0 && l.ended != nil {
		l.ended(l.began, l.line)
	}
	l.line = l.line[:0]
}

func (l *lines) take() []rune { return l.line }
