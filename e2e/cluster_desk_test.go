package e2e

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/e2e/rig"
)

// nodeList is a list to which every node has told its part.
type nodeList struct {
	Items []struct {
		ID, Node, State string
		Session         any
		Line            string
		BytesOut        int64 `json:"bytes_out"`
		Running         []string
		Recording       *struct{ Sealed bool }
		Away            bool
	} `json:"items"`
	Nodes []struct {
		Node     string
		Answered bool
	} `json:"nodes"`
}

func (l nodeList) silent() (names []string) {
	for _, n := range l.Nodes {
		if !n.Answered {
			names = append(names, n.Node)
		}
	}
	return names
}

func (c *cluster) list(who *rig.Person, path string) nodeList {
	c.Helper()
	var l nodeList
	c.must(who.Get(c.ctx, "/api/v1"+path, &l))
	if len(l.Nodes) != 2 {
		c.Errorf("%s tells of the nodes %+v", path, l.Nodes)
	}
	return l
}

// watch follows a session as a browser does, by the first node, until it is
// stopped; lines are what came.
func (c *cluster) watch(who, session string) (lines <-chan string, stop func()) {
	c.Helper()
	ctx, cancel := context.WithCancel(c.ctx)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL+"/api/v1/recordings/"+session+"/live", nil)
	c.must(err)
	p := c.People[who]
	r.Header.Set("User-Agent", p.Agent)
	for _, cookie := range p.Cookies() {
		r.AddCookie(cookie)
	}
	res, err := http.DefaultClient.Do(r)
	c.must(err)
	if res.StatusCode != http.StatusOK {
		c.Fatalf("%s watches %s: %s", who, session, res.Status)
	}
	got, done := make(chan string, 1024), make(chan struct{})
	go func() {
		defer close(done)
		defer close(got)
		for s := bufio.NewScanner(res.Body); s.Scan(); {
			select {
			case got <- s.Text():
			case <-ctx.Done():
			}
		}
	}()
	return got, func() {
		cancel()
		<-done
		_ = res.Body.Close()
	}
}

func (c *cluster) watchers(machine *rig.Person, session string, want ...string) {
	c.Helper()
	c.must(rig.Until(c.ctx, 15*time.Second, func() error {
		var x struct{ Watchers []string }
		if err := machine.Get(c.ctx, "/api/v1/sessions/"+session, &x); err != nil || !slices.Equal(x.Watchers, want) {
			return errors.Join(err, errors.New("watched by "+strings.Join(x.Watchers, ", ")))
		}
		return nil
	}))
}

// TestClusterDesk: the desk at one node sees, watches, freezes, ends, replays
// and searches what is at another, whoever may; and says so when that node
// does not answer.
func TestClusterDesk(t *testing.T) {
	t.Parallel()
	c := newClusterOf(t, rig.ClusterOptions{Nodes: 2, Lease: clusterLease.String()})
	c.grant("ana", "pump", time.Hour)
	shell := c.shellAt(1, "ana")
	c.lives("at node 2", shell)
	here, there := c.People["cleo"], c.all.Nodes[1].Machine()
	id := c.sessionAt(1, "ana")

	t.Run("listed", func(t *testing.T) {
		l := c.list(here, "/sessions?live=true")
		if len(l.Items) != 1 || l.Items[0].Node != "node-2" || l.Items[0].BytesOut == 0 || !slices.Equal(l.Items[0].Running, []string{"shell"}) || len(l.silent()) != 0 {
			t.Errorf("the desk lists %+v", l)
		}
	})
	t.Run("watched", func(t *testing.T) {
		lines, stop := c.watch("cleo", id)
		c.watchers(there, id, "cleo")
		c.must(shell.Type("echo seen-$((6*7))\n"))
		found := false
		for line := range lines {
			if found = strings.Contains(line, "seen-42"); found {
				break
			}
		}
		if !found {
			t.Error("what the target shows is not seen from the other node")
		}
		stop()
		c.watchers(there, id)
		c.must(rig.Until(c.ctx, 15*time.Second, func() error {
			var events string
			if err := c.Machine().Get(c.ctx, "/api/v1/events?session="+id, &events); err != nil {
				return err
			}
			if !strings.Contains(events, "recording.watched") || !strings.Contains(events, "recording.left") {
				return errors.New("who watched is not on file")
			}
			return nil
		}))
	})
	t.Run("judged where it is", func(t *testing.T) {
		for who, calls := range map[string][]string{"ana": {"/freeze", "/thaw"}, "bob": {"/freeze", "/end"}, "cleo": {"/freeze", "/end"}} {
			for _, act := range calls {
				var no *rig.Problem
				if err := c.People[who].Post(c.ctx, "/api/v1/sessions/"+id+act, map[string]string{}, nil); !errors.As(err, &no) || no.Status != http.StatusForbidden && no.Status != http.StatusNotFound {
					t.Errorf("%s may call %s at the other node: %v", who, act, err)
				}
			}
		}
	})
	t.Run("frozen, thawed and ended", func(t *testing.T) {
		act := func(what, want string) {
			c.must(c.People["adm"].Post(c.ctx, "/api/v1/sessions/"+id+"/"+what, map[string]string{}, nil))
			if _, err := shell.Expect(c.ctx, 15*time.Second, want); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
		act("freeze", "has frozen this session")
		act("thaw", "has thawed this session")
		c.must(c.People["adm"].Post(c.ctx, "/api/v1/sessions/"+id+"/end", map[string]string{"detail": "enough"}, nil))
		if _, err := shell.Wait(5 * time.Second); err != nil {
			t.Error(err)
		}
	})
	t.Run("replayed and searched", func(t *testing.T) {
		var at1, at2 string
		c.must(here.Get(c.ctx, "/api/v1/recordings/"+id+"/asciicast", &at1))
		c.must(there.Get(c.ctx, "/api/v1/recordings/"+id+"/asciicast", &at2))
		if at1 != at2 || !strings.Contains(at1, "seen-42") {
			t.Errorf("node 1 replays %d bytes, node 2, which has them, %d", len(at1), len(at2))
		}
		c.must(rig.Until(c.ctx, 15*time.Second, func() error {
			if l := c.list(here, "/recordings?text=seen-42"); len(l.Items) == 0 || l.Items[0].Session != id {
				return errors.New("a search at node 1 does not find it")
			}
			return nil
		}))
		if l := c.list(here, "/recordings"); len(l.Items) != 1 || l.Items[0].Recording == nil || !l.Items[0].Recording.Sealed {
			t.Errorf("the recordings: %+v", l)
		}
	})

	c.grant("bob", "pump", time.Hour)
	live := c.shellAt(1, "bob")
	c.lives("at node 2", live)
	c.must(c.all.Nodes[1].Freeze())
	t.Run("a node that does not answer", func(t *testing.T) {
		for _, path := range []string{"/sessions?live=true", "/recordings?text=seen-42", "/recordings"} {
			if l := c.list(here, path); !slices.Equal(l.silent(), []string{"node-2"}) {
				t.Errorf("%s tells of the nodes %+v", path, l.Nodes)
			}
		}
		if l := c.list(here, "/sessions?live=true"); len(l.Items) != 1 || l.Items[0].Node != "node-2" {
			t.Errorf("the sessions of a silent node are %+v", l.Items)
		}
		r, err := c.CLI(c.ctx, "sessions", "--live")
		if c.must(err); !strings.Contains(r.Err, "node-2 does not answer") {
			t.Errorf("portcullis sessions says %q %q", r.Out, r.Err)
		}
		var no *rig.Problem
		if err := here.Get(c.ctx, "/recordings/"+id, nil); !errors.As(err, &no) || no.Status != http.StatusServiceUnavailable || !strings.Contains(no.Detail, "<!doctype html>") {
			t.Errorf("the page of a recording there: %v", err)
		}
	})
	c.must(c.all.Nodes[1].Thaw())
}
