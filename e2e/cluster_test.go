package e2e

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/e2e/rig"
)

// clusterLease is short, so that the story of an outage is.
const clusterLease = 10 * time.Second

// withoutRedis is how long an order may take to reach every node by the store
// alone; what the client needs to end is in it.
const withoutRedis = 1500 * time.Millisecond

// cluster is a story on three nodes.
type cluster struct {
	*story
	all *rig.Cluster
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	return newClusterOf(t, rig.ClusterOptions{Nodes: 3, Lease: clusterLease.String()})
}

func newClusterOf(t *testing.T, o rig.ClusterOptions) *cluster {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), storyWithin)
	t.Cleanup(cancel)
	c, err := rig.NewCluster(ctx, built, t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		if t.Failed() {
			for _, n := range c.Nodes {
				t.Logf("the log of %s:\n%s", n.Dir, tail(n.Log(), 6_000))
			}
		}
	})
	return &cluster{story: &story{T: t, Stage: c.Stage, ctx: ctx}, all: c}
}

// shells opens one at each node.
func (c *cluster) shells(who string) []*rig.Terminal {
	c.Helper()
	var out []*rig.Terminal
	for i := range c.all.Nodes {
		out = append(out, c.shellAt(i, who))
	}
	return out
}

func (c *cluster) shellAt(node int, who string) *rig.Terminal {
	c.Helper()
	t, err := c.all.ShellAt(c.ctx, node, who, "pump")
	c.must(err)
	c.Cleanup(t.Close)
	return t
}

// lives types and wants the answer.
func (c *cluster) lives(what string, shells ...*rig.Terminal) {
	c.Helper()
	for i, s := range shells {
		if err := s.Type("echo here-$((40+2))-" + fmt.Sprint(i) + "\n"); err != nil {
			c.Errorf("%s %d: %v", what, i, err)
			continue
		}
		if _, err := s.Expect(c.ctx, 15*time.Second, "here-42-"+fmt.Sprint(i)); err != nil {
			c.Errorf("%s %d: %v", what, i, err)
		}
	}
}

// sessionAt is the live session of a person at a node.
func (c *cluster) sessionAt(node int, who string) string {
	c.Helper()
	var page struct {
		Items []struct {
			ID, Person, State, Node string
		} `json:"items"`
	}
	c.must(c.Machine().Get(c.ctx, "/api/v1/sessions", &page))
	for _, x := range page.Items {
		if x.Person == who && x.State != "ended" && x.Node == fmt.Sprintf("node-%d", node+1) {
			return x.ID
		}
	}
	c.Fatalf("no session of %s at node %d in %+v", who, node+1, page.Items)
	return ""
}

type clusterReport struct {
	ID     string `json:"id"`
	Report struct {
		Verdict string `json:"verdict"`
		Nodes   []struct {
			Node       string    `json:"node"`
			Answered   bool      `json:"answered"`
			LiveBefore int       `json:"live_before"`
			LiveAfter  int       `json:"live_after"`
			LeaseEnds  time.Time `json:"lease_ends"`
		} `json:"nodes"`
	} `json:"report"`
}

// TestClusterAnyNode: a touch, a look, an order given to one node reaches the
// session on another, and a suspension reaches all of them.
func TestClusterAnyNode(t *testing.T) {
	c := newCluster(t)
	c.grant("ana", "pump", time.Hour)
	g := c.grant("bob", "pump", time.Hour)
	anas, bobs := c.shells("ana"), c.shells("bob") // each touch was given at node 1
	c.lives("a shell of ana's at node", anas...)

	t.Run("watched from another node", func(t *testing.T) {
		var cast string
		c.must(c.People["cleo"].Get(c.ctx, "/api/v1/recordings/"+c.sessionAt(2, "ana")+"/asciicast", &cast))
		if !strings.Contains(cast, "here-42-2") {
			t.Errorf("node 1 shows of what was recorded at node 3: %.300q", cast)
		}
	})
	t.Run("frozen and thawed from another node", func(t *testing.T) {
		id := c.sessionAt(1, "ana")
		c.must(c.Machine().Post(c.ctx, "/api/v1/sessions/"+id+"/freeze", map[string]string{"reason": "what is this"}, nil))
		if _, err := anas[1].Expect(c.ctx, 15*time.Second, "frozen"); err != nil {
			t.Error(err)
		}
		c.must(c.Machine().Post(c.ctx, "/api/v1/sessions/"+id+"/thaw", map[string]string{}, nil))
		c.lives("thawed", anas[1])
	})
	t.Run("ended from another node", func(t *testing.T) {
		c.must(c.Machine().Post(c.ctx, "/api/v1/sessions/"+c.sessionAt(2, "bob")+"/end", map[string]string{"detail": "enough"}, nil))
		if _, err := bobs[2].Wait(5 * time.Second); err != nil {
			t.Error(err)
		}
	})
	t.Run("a grant that another node takes back", func(t *testing.T) {
		begun := time.Now()
		c.must(c.Machine().Post(c.ctx, "/api/v1/grants/"+g.ID+"/revoke", map[string]string{"word": "done"}, nil))
		for i, s := range bobs[:2] {
			if _, err := s.Wait(3 * time.Second); err != nil {
				t.Errorf("at node %d %s later: %v", i+1, time.Since(begun), err)
			}
		}
	})
	t.Run("suspended on all nodes", func(t *testing.T) {
		c.grant("bob", "pump", time.Hour)
		bobs := c.shells("bob")
		var got clusterReport
		c.must(c.JSON(c.ctx, &got, "suspend", "vendor", rig.Bolt, "--reason", "their laptop is lost"))
		before := 0
		for _, n := range got.Report.Nodes {
			before += n.LiveBefore
			// A node whose reading of the store comes before the order's message
			// has closed its own by then, and counts none before.
			if !n.Answered || n.LiveAfter != 0 || n.LiveBefore > 1 {
				t.Errorf("node %+v", n)
			}
		}
		if got.Report.Verdict != "PASS" || len(got.Report.Nodes) != 3 || before == 0 {
			t.Errorf("the report: %+v", got.Report)
		}
		for i, s := range bobs {
			if _, err := s.Wait(5 * time.Second); err != nil {
				t.Errorf("at node %d: %v", i+1, err)
			}
		}
		c.lives("the other vendor", anas...)
	})
	t.Run("an order that leaves live sessions alone", func(t *testing.T) {
		var got clusterReport
		c.must(c.JSON(c.ctx, &got, "suspend", "vendor", rig.Acme, "--mode", "no-new", "--reason", "ask them first"))
		if got.Report.Verdict != "PASS" {
			t.Errorf("the report: %+v", got.Report)
		}
		for i, s := range anas { // each node has looked at its grants more than once
			if _, err := s.Wait(time.Second); err == nil {
				t.Errorf("the shell at node %d was ended: %s", i+1, tail(s.Shown(), 200))
			}
		}
		c.lives("left alone", anas...)
		if status, out, _ := c.sshAt(1, "ana", "echo in"); status == 0 || out != "" {
			t.Errorf("a new session: %d %q", status, out)
		}
	})
	t.Run("without Redis", func(t *testing.T) {
		c.all.Redis.Kill()
		begun := time.Now()
		ordered := make(chan error, 1)
		go func() { // it waits for answers that do not come
			_, err := c.CLI(c.ctx, "suspend", "vendor", rig.Acme, "--reason", "and theirs")
			ordered <- err
		}()
		for i, s := range anas {
			if _, err := s.Wait(5 * time.Second); err != nil {
				t.Errorf("at node %d: %v", i+1, err)
			}
		}
		if took := time.Since(begun); took > withoutRedis {
			t.Errorf("the last shell ended after %s", took)
		}
		c.must(<-ordered)
	})
}

// TestClusterOutages: what a node or a server that goes away does to what is
// live, and what does not come back with it.
func TestClusterOutages(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	g := c.grant("ana", "pump", time.Hour)
	shells := c.shells("ana")
	lost := c.sessionAt(2, "ana")

	t.Run("a killed node's sessions are told", func(t *testing.T) {
		c.all.Nodes[2].Kill()
		c.must(c.all.Nodes[2].Start(c.ctx))
		var x session
		c.must(c.Machine().Get(c.ctx, "/api/v1/sessions/"+lost, &x))
		if x.State != "ended" || x.Reason != "gateway-crashed" {
			t.Errorf("the session of the killed node is %+v", x)
		}
	})
	t.Run("PostgreSQL away for less than the lease", func(t *testing.T) {
		c.must(c.Ticket(c.ctx, "ana", g.ID))
		c.must(c.all.PostgresDown())
		down := time.Now()
		c.lives("a shell without the store", shells[:2]...)
		if status, out, _ := c.sshAt(1, "ana", "echo in"); status == 0 || out != "" {
			t.Errorf("a session opened without the store: %d %q", status, out)
		}
		c.must(c.all.Postgres.Up())
		if away := time.Since(down); away >= clusterLease {
			t.Logf("the store was away for %s; the lease is %s", away, clusterLease)
		}
		c.lives("a shell after the store came back", shells[:2]...)
	})

	c.must(c.all.Save())
	c.must(c.ready())
	var got clusterReport
	c.must(c.JSON(c.ctx, &got, "suspend", "vendor", rig.Acme, "--reason", "breach notice"))
	c.keptOut("after the order")
	c.must(c.all.Redis.Flush(c.ctx))
	c.keptOut("after FLUSHALL")
	c.must(c.Apply(c.ctx, strings.Replace(c.PlantFile(), "Acme Metering Ltd", "Acme Under Another Name", 1)))
	c.keptOut("after the vendor got another title")
	for _, n := range c.all.Nodes {
		c.must(n.Stop())
	}
	for _, n := range c.all.Nodes {
		c.must(n.Start(c.ctx))
	}
	c.keptOut("after all nodes were started again")
	c.must(c.all.Restore())
	c.must(c.ready())
	c.keptOut("after an older backup of the store came back")
}

// keptOut tries at every node.
func (c *cluster) keptOut(when string) {
	c.Helper()
	for i := range c.all.Nodes {
		if status, out, errOut := c.sshAt(i, "ana", "echo in"); status == 0 || out != "" {
			c.Errorf("%s node %d lets ana in: %d %q %q", when, i+1, status, out, errOut)
		}
	}
}

func (c *cluster) ready() error {
	return rig.Until(c.ctx, 20*time.Second, func() error {
		for _, n := range c.all.Nodes {
			r, err := n.CLI(c.ctx, "vendors")
			if err == nil && r.Status != 0 {
				err = errors.New(r.Err)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", n.Dir, err)
			}
		}
		return nil
	})
}

// sshAt runs a command by a certain node; nobody touches anything.
func (c *cluster) sshAt(node int, who, command string) (status int, out, errOut string) {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.ctx, 4*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ssh", append(c.all.ArgsAt(node, who, "pump", "-T"), command)...)
	return output(c.T, cmd)
}
