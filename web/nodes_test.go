package web_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/web"
	"github.com/portcullis/portcullis/web/api"
	"github.com/portcullis/portcullis/web/webtest"
)

// inCluster is node-1 beside node-2, which does not answer and holds the first
// session.
func inCluster(t *testing.T) *stand {
	t.Helper()
	return newStand(t, func(w *webtest.World, _ *web.Config, c *api.Config) {
		w.Sessions[0].Node = "node-2"
		c.Nodes = webtest.Others{"node-2": nil}
	})
}

// Where a node does not answer, each page that shows what lives says so.
func TestPagesNameSilentNodes(t *testing.T) {
	s := inCluster(t)
	id := s.Sessions[0].ID
	for path, want := range map[string][]string{
		"/board":                         {"Node node-2 does not answer", "at node-2", "at node-1", "node away", "not known what runs", "/sessions/" + id},
		"/":                              {"Node node-2 does not answer"},
		"/suspend?kind=vendor&name=acme": {"Node node-2 does not answer"},
		"/recordings":                    {"Node node-2 does not answer: recordings that rest there"},
		"/recordings?text=systemctl":     {"Node node-2 does not answer: recordings that rest there"},
		"/vendors/acme":                  {"Node node-2 does not answer"},
		"/sessions/" + id:                {"Node node-2, which holds this session, does not answer", ">not known</dd>"},
		"/sessions/" + s.Sessions[1].ID:  {"Node</dt><dd>node-1"},
	} {
		body := text(t, s.as("omar", http.MethodGet, path, ""))
		for _, w := range want {
			if !strings.Contains(body, w) {
				t.Errorf("%s does not say %q", path, w)
			}
		}
	}
}

// A node alone says nothing of nodes.
func TestPagesOfOneNode(t *testing.T) {
	if body := text(t, newStand(t).as("omar", http.MethodGet, "/board", "")); strings.Contains(body, "does not answer") || strings.Contains(body, "at node-1") {
		t.Error("the board of one node names nodes")
	}
}

// What another node was to answer and did not is told on a page of ours, to
// a script as a problem.
func TestProblemOfACallThatWasHandedOn(t *testing.T) {
	s := newStand(t)
	h := s.server.Problem(gateway.Unavailable("node", nil))
	for accept, want := range map[string]string{"text/html": "text/html; charset=utf-8", "application/json": "application/problem+json"} {
		r := browser(http.MethodGet, "/recordings/x", "")
		r.Header.Set("Accept", accept)
		res := serve(h, r)
		if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Content-Type") != want || res.Header.Get("Content-Security-Policy") == "" {
			t.Errorf("%s is answered with %d %v", accept, res.StatusCode, res.Header)
		}
	}
}
