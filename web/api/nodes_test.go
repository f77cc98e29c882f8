package api_test

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/web/api"
	"github.com/portcullis/portcullis/web/webtest"
)

// twoNodes are node-1 and node-2 over one store: the first session lives at
// node-2, which knows its counts, and node-1 has its row alone. A third node
// does not answer.
func twoNodes(t *testing.T, person string) (a, b *stand) {
	t.Helper()
	others := webtest.Others{}
	a = newStand(t, func(c *api.Config) { c.Nodes = others })
	b = newStand(t, func(c *api.Config) { c.Nodes, c.Node = webtest.Others{"node-1": nil}, "node-2" })
	a.Sessions[0].Node, b.Sessions[0].Node, b.Node = "node-2", "node-2", "node-2"
	a.Sessions[0].Running = nil
	b.Sessions[0].BytesOut, b.Sessions[0].BytesIn = 42, 17
	others["node-2"], others["node-3"] = b.server.Handler(b.actor(person)), nil
	return a, b
}

type sessionList struct {
	Items []gateway.Session `json:"items"`
	Nodes []api.NodeState   `json:"nodes"`
}

var threeNodes = []api.NodeState{{Node: "node-1", Answered: true}, {Node: "node-2", Answered: true}, {Node: "node-3"}}

func TestSessionsOfAllNodes(t *testing.T) {
	for _, path := range []string{"/sessions?live=true", "/sessions", "/live"} {
		t.Run(path, func(t *testing.T) {
			a, b := twoNodes(t, "omar")
			status, body := a.call("omar", http.MethodGet, path, "")
			got := decoded[sessionList](t, body)
			i := slices.IndexFunc(got.Items, func(x gateway.Session) bool { return x.ID == a.Sessions[0].ID })
			if status != http.StatusOK || i < 0 || got.Items[i].BytesOut != 42 || len(got.Items[i].Running) != len(b.Sessions[0].Running) || got.Items[i].Node != "node-2" {
				t.Errorf("node-2's session is told as %d %s", status, body)
			}
			if !slices.Equal(got.Nodes, threeNodes) {
				t.Errorf("the nodes are told as %+v", got.Nodes)
			}
		})
	}
}

// A node judges itself who asks it: what it refuses is not told, and it is said.
func TestANodeJudgesTheCaller(t *testing.T) {
	a, _ := twoNodes(t, "nobody")
	_, body := a.call("omar", http.MethodGet, "/live", "")
	got := decoded[sessionList](t, body)
	if len(got.Items) != 1 || got.Items[0].Node != "node-1" || len(api.Silent(got.Nodes)) != 2 {
		t.Errorf("told %s", body)
	}
}

// A vendor's person is told his own of every node, and no node's word about
// another node's sessions is taken.
func TestLiveTellsPeopleTheirOwn(t *testing.T) {
	a, b := twoNodes(t, "ben")
	b.Sessions[1].Node = "node-2" // ben's; it is node-1's
	_, body := a.call("ben", http.MethodGet, "/live", "")
	got := decoded[sessionList](t, body)
	for _, x := range got.Items {
		if x.Person != "ben" {
			t.Errorf("ben is told of %s's session", x.Person)
		}
	}
	liar := webtest.Others{"node-2": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"items":[{"id":"` + a.Sessions[1].ID + `","node":"node-1","bytes_out":1}]}`))
	})}
	c := newStand(t, func(c *api.Config) { c.Nodes = liar })
	_, body = c.call("omar", http.MethodGet, "/sessions?live=true", "")
	for _, x := range decoded[sessionList](t, body).Items {
		if x.BytesOut == 1 {
			t.Errorf("node-2 was believed about node-1: %s", body)
		}
	}
}

// A session whose node does not answer is shown as such.
func TestSessionOfANodeAway(t *testing.T) {
	a, _ := twoNodes(t, "omar")
	for i, away := range []bool{true, false} {
		_, body := a.call("omar", http.MethodGet, "/sessions/"+a.Sessions[i].ID, "")
		if got := decoded[api.Watched](t, body); got.Away != away {
			t.Errorf("session %d of node %s: away is %v", i, a.Sessions[i].Node, got.Away)
		}
	}
}

// The preview of a suspension holds what runs at other nodes, or a transfer
// there would be broken off unmarked.
func TestPreviewOfAllNodes(t *testing.T) {
	a, b := twoNodes(t, "omar")
	b.Sessions[0].Running = []gateway.ChannelKind{gateway.ChannelSFTP}
	_, body := a.call("omar", http.MethodPost, "/suspensions/preview", `{"kind":"vendor","name":"acme"}`)
	got := decoded[api.SuspendPreview](t, body)
	i := slices.IndexFunc(got.Sessions, func(x gateway.Session) bool { return x.ID == b.Sessions[0].ID })
	if i < 0 || got.Sessions[i].Transfer() == "" || !slices.Equal(got.Nodes, threeNodes) {
		t.Errorf("the preview is %s", body)
	}
}

// The live stream tells the counts of all nodes, and which fell silent.
func TestStreamTellsNodes(t *testing.T) {
	a, _ := twoNodes(t, "omar")
	srv := httptest.NewServer(a.server.Handler(a.actor("omar")))
	defer srv.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL+api.Prefix+"/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := srv.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body := ""
	for lines := bufio.NewScanner(res.Body); lines.Scan() && !strings.Contains(body, "event: counts\ndata"); {
		body += lines.Text() + "\n"
	}
	if !strings.Contains(body, `data: ["node-3"]`) || !strings.Contains(body, `"bytes_out":42`) {
		t.Errorf("the stream tells %s", body)
	}
}
