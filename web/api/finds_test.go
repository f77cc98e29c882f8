package api_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/web/api"
	"github.com/portcullis/portcullis/web/webtest"
)

// disk answers a search as one node's index does: live sessions first, then
// newest first, each hit with its place.
type disk struct {
	api.Recordings
	hits []api.Hit
}

func (d disk) Search(_ context.Context, q api.RecordingQuery) (api.Hits, error) {
	from := 0
	if q.Before != "" {
		i := slices.IndexFunc(d.hits, func(h api.Hit) bool { return h.Place == q.Before })
		if i < 0 {
			return api.Hits{}, fmt.Errorf("no such place %q", q.Before)
		}
		from = i + 1
	}
	rest := d.hits[from:]
	if len(rest) <= q.Limit {
		return api.Hits{Items: rest, Waiting: 1}, nil
	}
	return api.Hits{Items: rest[:q.Limit], Next: rest[q.Limit-1].Place, Waiting: 1, Cut: []string{rest[0].Session}}, nil
}

func diskOf(sessions ...string) (d disk) {
	for _, s := range sessions {
		name, live := strings.CutSuffix(s, " live")
		for i := range 3 {
			h := api.Hit{Session: name, Line: fmt.Sprintf("%s line %d", name, i), Kind: "output", Place: fmt.Sprintf("%s~%d", name, i+1)}
			if live {
				h.Place += "~live"
			}
			d.hits = append(d.hits, h)
		}
	}
	return d
}

// searching are two nodes with recordings of their own.
func searching(t *testing.T) (a *stand, others webtest.Others) {
	t.Helper()
	others = webtest.Others{}
	a = newStand(t, func(c *api.Config) {
		c.Nodes, c.Recordings = others, disk{c.Recordings, diskOf("ses_7 live", "ses_6", "ses_2").hits}
	})
	b := newStand(t, func(c *api.Config) {
		c.Node, c.Recordings = "node-2", disk{c.Recordings, diskOf("ses_8 live", "ses_5 live", "ses_9", "ses_4").hits}
	})
	others["node-2"] = b.server.Handler(b.actor("rita"))
	return a, others
}

func (s *stand) find(limit int, before string) api.Hits {
	s.t.Helper()
	q := url.Values{"text": {"line"}, "limit": {strconv.Itoa(limit)}}
	if before != "" {
		q.Set("before", before)
	}
	status, body := s.call("rita", http.MethodGet, "/recordings?"+q.Encode(), "")
	if status != http.StatusOK {
		s.t.Fatalf("search before %q: %d %s", before, status, body)
	}
	return decoded[api.Hits](s.t, body)
}

// A search goes through the recordings of all nodes, whatever the size of its
// pages: every hit once, those of live sessions first, then the newest session.
func TestSearchOfAllNodes(t *testing.T) {
	var want []string
	for _, s := range []string{"ses_8", "ses_7", "ses_5", "ses_9", "ses_6", "ses_4", "ses_2"} {
		for i := range 3 {
			want = append(want, fmt.Sprintf("%s line %d", s, i))
		}
	}
	a, _ := searching(t)
	for limit := 1; limit <= len(want)+1; limit++ {
		var got []string
		before := ""
		for range len(want) + 1 {
			page := a.find(limit, before)
			if len(page.Items) > limit || len(page.Nodes) != 2 || len(api.Silent(page.Nodes)) > 0 {
				t.Fatalf("a page of %d: %+v", limit, page)
			}
			for _, h := range page.Items {
				got = append(got, h.Line)
			}
			if before = page.Next; before == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("pages of %d find %q", limit, got)
		}
	}
	if page := a.find(200, ""); page.Waiting != 2 {
		t.Errorf("%d recordings wait at two nodes of one each", page.Waiting)
	}
}

// What a node did not tell is said, and found once it answers again.
func TestSearchNamesSilentNodes(t *testing.T) {
	a, others := searching(t)
	back := others["node-2"]
	others["node-2"] = nil
	page := a.find(2, "")
	if silent := api.Silent(page.Nodes); !slices.Equal(silent, []string{"node-2"}) || len(page.Items) != 2 || page.Next == "" {
		t.Fatalf("with a silent node: %+v", page)
	}
	others["node-2"] = back
	if page = a.find(200, page.Next); len(page.Items) != 7+12 || page.Items[0].Session != "ses_8" {
		t.Errorf("after it came back: %d hits, the first %+v", len(page.Items), page.Items[0])
	}
	others["node-2"] = nil
	if page = a.find(200, ""); page.Next != "" {
		t.Errorf("a node that stays silent keeps the pages from ending: %q", page.Next)
	}
}

// The list of recordings tells of each what its own node knows.
func TestRecordingsOfAllNodes(t *testing.T) {
	others := webtest.Others{}
	a := newStand(t, func(c *api.Config) { c.Nodes = others })
	b := newStand(t, func(c *api.Config) { c.Node = "node-2" })
	for _, s := range []*stand{a, b} {
		s.Sessions[2].Node, s.Sessions[3].Node = "node-2", "node-3"
	}
	b.Node = "node-2"
	others["node-2"], others["node-3"] = b.server.Handler(b.actor("rita")), nil
	_, body := a.call("rita", http.MethodGet, "/recordings", "")
	got := decoded[api.OfNodes[api.Recorded]](t, body)
	for i, want := range []struct{ known, away bool }{{true, false}, {true, false}, {true, false}, {false, true}} {
		if r := got.Items[i]; (r.Recording != nil) != want.known || r.Away != want.away {
			t.Errorf("the recording of %s at %s: known %v, away %v", r.Session.ID, r.Session.Node, r.Recording != nil, r.Away)
		}
	}
	if !slices.Equal(api.Silent(got.Nodes), []string{"node-3"}) {
		t.Errorf("the nodes are told as %+v", got.Nodes)
	}
}
