package api

import (
	"context"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// Hit is one line of a recording that holds what was searched for.
type Hit struct {
	Session string        `json:"session"`
	At      time.Duration `json:"at_ns"` // since the recording began
	Kind    string        `json:"kind"`  // output, command, file, flow or note
	Line    string        `json:"line"`
	Place   string        `json:"place,omitempty"` // what before= takes to go on behind it, of its node alone
}

// Hits is one page of hits, newest session first, each from its beginning.
type Hits struct {
	Items   []Hit       `json:"items"`
	Next    string      `json:"next,omitempty"`    // what before= takes to go on, empty at the end
	Waiting int         `json:"waiting,omitempty"` // recordings that are not in the index yet and were not searched
	Cut     []string    `json:"cut,omitempty"`     // of the sessions with hits, those too large to be searched to their end
	Nodes   []NodeState `json:"nodes,omitempty"`   // whether each node has searched its recordings
}

// RecordingQuery says what is searched for in recordings. Text is needed; of
// the rest, empty fields do not narrow.
type RecordingQuery struct {
	Text                            string
	Vendor, Person, Target, Session string
	Kinds                           []string  // as Hit.Kind
	From, To                        time.Time // when the line stood there, To exclusive
	Before                          string    // a Hits.Next, or a session: on below it
	Limit                           int       // 1 to MaxPage; 0 means MaxPage
}

// SearchRecordings looks for text in what the targets showed, what was entered
// there, which files and connections passed, and what was noted, on the disks
// of all nodes.
func (s *Server) SearchRecordings(ctx context.Context, q RecordingQuery) (Hits, error) {
	if err := gateway.CheckNeeded("text", q.Text, maxSearchText, false); err != nil {
		return Hits{}, err
	}
	if q.Limit <= 0 || q.Limit > MaxPage {
		q.Limit = MaxPage
	}
	if s.cfg.Nodes == nil || len(s.cfg.Nodes.Others(ctx)) == 0 {
		return s.searchHere(ctx, q)
	}
	found := newFinds(q)
	states := ask(ctx, s, searchTime, found.path, found.take)
	if found.goesOn(s.cfg.Node) {
		here := q
		here.Before = found.before(s.cfg.Node)
		hits, err := s.searchHere(ctx, here)
		if err != nil {
			return hits, err
		}
		found.take(s.cfg.Node, hits)
	}
	out := found.merge(states)
	out.Nodes = states
	return out, nil
}

func (s *Server) searchHere(ctx context.Context, q RecordingQuery) (Hits, error) {
	hits, err := s.cfg.Recordings.Search(ctx, q)
	if hits.Items == nil {
		hits.Items = []Hit{}
	}
	return hits, err
}

// searchRecordings answers recordings?text=.
func (s *Server) searchRecordings(c call, f Filter) (any, error) {
	v := c.URL.Query()
	q := RecordingQuery{Text: v.Get("text"), Vendor: f.Vendor, Person: f.Person, Target: f.Target, Session: v.Get("session"), Kinds: v["kind"], Before: f.Before, Limit: f.Limit}
	var err error
	if q.From, err = timeOf(v, "from"); err != nil {
		return nil, err
	}
	if q.To, err = timeOf(v, "to"); err != nil {
		return nil, err
	}
	return s.SearchRecordings(c.Context(), q)
}
