package search

import (
	"testing"

	"github.com/portcullis/portcullis/gateway"
)

// What a console was asked for, and the files that it gave or took, are found;
// what was typed into it is not.
func TestSearchFindsRequests(t *testing.T) {
	w := newWorld(t)
	s := w.start("ses_1")
	c := s.channel(gateway.Channel{Kind: gateway.ChannelHTTPS})
	for _, r := range []gateway.HTTPRecord{
		{Part: gateway.HTTPRequest, N: 1, Method: "GET", URL: "/reports/needle?q=1"},
		{Part: gateway.HTTPResponse, N: 1, Status: 200, File: "needle.csv"},
		{Part: gateway.HTTPRequest, N: 2, Method: "DELETE", URL: "/x", Refused: "this grant has no needle"},
	} {
		must(t, c.Exchange(r, nil))
	}
	must(t, c.Exchange(gateway.HTTPRecord{Part: gateway.HTTPSent, N: 2}, []byte("typed-needle")))
	s.end()
	w.run()
	var got []string
	for _, h := range w.search(Query{Text: "needle"}).Hits {
		got = append(got, string(h.Kind)+": "+h.Line)
	}
	want := []string{"request: GET /reports/needle?q=1", "file: download needle.csv", "request: DELETE /x, refused: this grant has no needle"}
	if len(got) != len(want) {
		t.Fatalf("found %q, want %q", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("found %q, want %q", got[i], want[i])
		}
	}
	if n := len(w.search(Query{Text: "delete", Kinds: []Kind{Request}}).Hits); n != 1 {
		t.Errorf("%d requests by their method", n)
	}
}
