package e2e

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/e2e/rig"
)

// A console that was opened at one node is reached by another, as a load
// balancer would have it, and the gate that falls at the other ends it.
func TestClusterConsole(t *testing.T) {
	t.Parallel()
	console, err := rig.StartConsole(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(console.Close)
	c := newClusterOf(t, rig.ClusterOptions{Nodes: 2, Lease: clusterLease.String(), Stage: rig.Options{
		Config: "apps_domain: localhost\n", Targets: func(*rig.Stage) string { return console.Target("pump-web") },
	}})
	g, err := c.ConsoleGrant(c.ctx, "ana", "pump-web", time.Hour)
	c.must(err)
	link, err := c.ConsoleLink(c.ctx, "ana", g.ID)
	c.must(err)
	b, err := c.NewBrowser()
	c.must(err)
	b.At(c.all.Nodes[1].Web) // the link's own exchange comes to the other node too
	c.must(b.Enter(c.ctx, link))
	r, err := b.Visit(c.ctx, http.MethodGet, "/", "")
	c.must(err)
	page, err := io.ReadAll(r.Body)
	r.Body.Close()
	if err != nil || r.StatusCode != http.StatusOK || !strings.Contains(string(page), "Pump 7") {
		t.Fatalf("the console by the other node: %d %s, %v", r.StatusCode, page, err)
	}
	stream, err := b.Visit(c.ctx, http.MethodGet, "/events", "")
	c.must(err)
	defer stream.Body.Close()
	if _, err := io.ReadFull(stream.Body, make([]byte, 64)); err != nil {
		t.Fatalf("events by the other node: %v", err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _, _ = io.Copy(io.Discard, stream.Body) }()
	if res, err := c.all.Nodes[1].CLI(c.ctx, "suspend", "vendor", rig.Acme, "--reason", "breach", "--wait"); err != nil || res.Status != 0 {
		t.Fatalf("suspend at the other node: %v %s%s", err, res.Out, res.Err)
	}
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Error("P4: events go on after the answer")
	}
	r, err = b.Visit(c.ctx, http.MethodGet, "/", "")
	c.must(err)
	page, _ = io.ReadAll(r.Body)
	r.Body.Close()
	if r.StatusCode < 400 || !strings.Contains(string(page), "suspended") {
		t.Errorf("P8: after it: %d %s", r.StatusCode, page)
	}
}
