package api

import (
	"cmp"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway/recording/search"
)

// finds are the pages of hits of several nodes, to be put together into one.
type finds struct {
	q      RecordingQuery
	places map[string]string // where each node goes on; a node that is not there is at its end. nil: all at q.Before
	pages  map[string]*Hits
}

// newFinds reads where the page before ended: NODE=PLACE for each node that
// has more, with commas between.
func newFinds(q RecordingQuery) *finds {
	f := &finds{q: q, pages: map[string]*Hits{}}
	if !strings.Contains(q.Before, "=") {
		return f
	}
	f.places = map[string]string{}
	for part := range strings.SplitSeq(q.Before, ",") {
		node, place, _ := strings.Cut(part, "=")
		f.places[node] = place
	}
	return f
}

func (f *finds) goesOn(node string) bool {
	_, ok := f.places[node]
	return ok || f.places == nil
}

func (f *finds) before(node string) string {
	if f.places == nil {
		return f.q.Before
	}
	return f.places[node]
}

// path asks a node for its own page.
func (f *finds) path(node string) string {
	if !f.goesOn(node) {
		return ""
	}
	q := f.q
	v := url.Values{"text": {q.Text}, "limit": {strconv.Itoa(q.Limit)}, "kind": q.Kinds}
	for key, value := range map[string]string{"vendor": q.Vendor, "person": q.Person, "target": q.Target, "session": q.Session, "before": f.before(node)} {
		if value != "" {
			v.Set(key, value)
		}
	}
	for key, at := range map[string]time.Time{"from": q.From, "to": q.To} {
		if !at.IsZero() {
			v.Set(key, at.Format(time.RFC3339Nano))
		}
	}
	return Prefix + "/recordings?" + v.Encode()
}

func (f *finds) take(node string, page Hits) { f.pages[node] = &page }

// merge takes from the pages, each of which is in order, what comes first,
// and says where each node goes on. A node that was silent is asked again
// from where it was, as long as another has more.
func (f *finds) merge(states []NodeState) Hits {
	out := Hits{Items: []Hit{}}
	taken := map[string]int{}
	for len(out.Items) < f.q.Limit {
		first, at := "", Hit{}
		for _, n := range states {
			page := f.pages[n.Node]
			if page == nil || taken[n.Node] == len(page.Items) {
				continue
			}
			if h := page.Items[taken[n.Node]]; first == "" || later(h, at) < 0 {
				first, at = n.Node, h
			}
		}
		if first == "" {
			break
		}
		taken[first]++
		out.Items = append(out.Items, at)
	}
	var next []string
	more := false
	for _, n := range states {
		page := f.pages[n.Node]
		if page == nil {
			if !n.Answered {
				next = append(next, n.Node+"="+f.before(n.Node))
			}
			continue
		}
		out.Waiting += page.Waiting
		out.Cut = append(out.Cut, page.Cut...)
		if place, ok := f.place(n.Node, taken[n.Node]); ok {
			next, more = append(next, n.Node+"="+place), true
		}
	}
	if more {
		out.Next = strings.Join(next, ",")
	}
	return out
}

// place is where a node goes on when so many of its hits were taken; false at
// its end.
func (f *finds) place(node string, taken int) (string, bool) {
	page := f.pages[node]
	switch {
	case taken == len(page.Items):
		return page.Next, page.Next != ""
	case taken == 0:
		return f.before(node), true
	}
	return page.Items[taken-1].Place, true
}

// later orders hits as a node does: those of live sessions first, then the
// newest session.
func later(a, b Hit) int {
	live := func(h Hit) int { return one(strings.HasSuffix(h.Place, search.Live)) }
	return cmp.Or(live(b)-live(a), strings.Compare(b.Session, a.Session))
}

func one(yes bool) int {
	if yes {
		return 1
	}
	return 0
}
