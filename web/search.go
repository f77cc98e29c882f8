package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/web/api"
)

// hitKind is one kind of line that a search can be narrowed to.
type hitKind struct{ Word, Says string }

var hitKinds = []hitKind{
	{"command", "commands"}, {"output", "what was shown"}, {"file", "files"}, {"request", "requests"}, {"flow", "connections"}, {"note", "notes"},
}

// searchForm is the search as it was filled in, and what it found.
type searchForm struct {
	Text, Vendor, Person, Target, Kind, From, To string

	Vendors  []gateway.Vendor
	Kinds    []hitKind
	Found    []found
	Waiting  int
	Cut      []string
	Silent   []string // nodes that do not answer
	MoreHits string
	Rows     []api.Recorded // without a text: the newest recordings
	More     string
	Wrong    *api.Problem
}

// Narrowed reports whether anything but the text narrows the search.
func (d *searchForm) Narrowed() bool {
	return d.Vendor+d.Person+d.Target+d.Kind+d.From+d.To != ""
}

// Whole reports whether a session's hits are all that there are.
func (d *searchForm) Whole(session string) bool { return !slices.Contains(d.Cut, session) }

func (s *Server) recordings(v *visit) error {
	q := v.URL.Query()
	d := &searchForm{Text: strings.TrimSpace(q.Get("text")), Vendor: q.Get("vendor"), Person: q.Get("person"), Target: q.Get("target"), Kind: q.Get("kind"), From: q.Get("from"), To: q.Get("to"), Kinds: hitKinds}
	var err error
	if d.Vendors, err = s.rooms.Directory.Vendors(v.Context()); err != nil {
		return err
	}
	if d.Text == "" {
		if err := s.newest(v, q, d); err != nil {
			return err
		}
		return s.show(v, "recordings", "Recordings", d)
	}
	status := http.StatusOK
	if err := s.search(v, q, d); err != nil {
		p := api.ProblemOf(err)
		api.LogFault(v.Request, s.rooms.Logger, p, err)
		d.Wrong, status = &p, p.Status
	}
	s.render(v, status, "recordings", view{Title: "Recordings", Data: d})
	return nil
}

// newest lists recordings where nothing is searched for.
func (s *Server) newest(v *visit, q url.Values, d *searchForm) error {
	all, err := s.cfg.API.RecordingsOfAll(v.Context(), api.SessionFilter{Vendor: d.Vendor, Person: d.Person, Target: d.Target, Before: q.Get("before"), Limit: shownMost})
	if err != nil {
		return err
	}
	d.Rows, d.Silent = all.Items, api.Silent(all.Nodes)
	if all.Next != "" {
		q.Set("before", all.Next)
		d.More = "/recordings?" + q.Encode()
	}
	return nil
}

func (s *Server) search(v *visit, q url.Values, d *searchForm) error {
	ask := api.RecordingQuery{Text: d.Text, Vendor: d.Vendor, Person: d.Person, Target: d.Target, Session: q.Get("session"), Before: q.Get("before")}
	if d.Kind != "" {
		if !slices.ContainsFunc(hitKinds, func(k hitKind) bool { return k.Word == d.Kind }) {
			return gateway.Invalid("kind", "kind %s is not one that is searched for", gateway.Quote(d.Kind))
		}
		ask.Kinds = []string{d.Kind}
	}
	var err error
	if ask.From, err = readDay("from", d.From); err != nil {
		return err
	}
	if ask.To, err = readDay("to", d.To); err != nil {
		return err
	}
	if !ask.To.IsZero() {
		ask.To = ask.To.AddDate(0, 0, 1) // the last day is part of the search
	}
	hits, err := s.cfg.API.SearchRecordings(v.Context(), ask)
	if err != nil {
		return err
	}
	if d.Found, err = s.groupHits(v, hits.Items); err != nil {
		return err
	}
	d.Waiting, d.Cut, d.Silent = hits.Waiting, hits.Cut, api.Silent(hits.Nodes)
	if hits.Next != "" {
		q.Set("before", hits.Next)
		d.MoreHits = "/recordings?" + q.Encode()
	}
	return nil
}

// readDay reads a day of UTC; none is the zero time.
func readDay(what, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return t, gateway.Invalid(what, "%s %s is not a day such as 2026-11-22", what, gateway.Quote(text))
	}
	return t, nil
}

// found is one session's hits.
type found struct {
	gateway.Session
	Hits []api.Hit
}

// groupHits puts hits, which come session by session, under their sessions.
func (s *Server) groupHits(v *visit, hits []api.Hit) ([]found, error) {
	var all []found
	for _, h := range hits {
		if n := len(all); n == 0 || all[n-1].ID != h.Session {
			x, err := s.rooms.Sessions.Session(v.Context(), h.Session)
			if gateway.IsCode(err, gateway.CodeNotFound) {
				x = gateway.Session{ID: h.Session} // of a store that was lost: the recording is still there
			} else if err != nil {
				return nil, err
			}
			all = append(all, found{Session: x})
		}
		last := &all[len(all)-1]
		last.Hits = append(last.Hits, h)
	}
	return all, nil
}

// piece is a part of a line; Hit marks what was searched for.
type piece struct {
	Text string
	Hit  bool
}

// pieces parts a line where the needle stands in it, without regard to case.
// A line with a letter whose lower case has another length is left whole: its
// places would be wrong.
func pieces(line, needle string) []piece {
	low, find := strings.ToLower(line), strings.ToLower(needle)
	moves := func(r rune) bool { return utf8.RuneLen(r) != utf8.RuneLen(unicode.ToLower(r)) }
	if find == "" || !utf8.ValidString(line) || strings.ContainsFunc(line, moves) {
		return []piece{{Text: line}}
	}
	var all []piece
	at := 0
	for {
		i := strings.Index(low[at:], find)
		if i < 0 {
			break
		}
		if i > 0 {
			all = append(all, piece{Text: line[at : at+i]})
		}
		all = append(all, piece{Text: line[at+i : at+i+len(find)], Hit: true})
		at += i + len(find)
	}
	if at < len(line) {
		all = append(all, piece{Text: line[at:]})
	}
	return all
}
