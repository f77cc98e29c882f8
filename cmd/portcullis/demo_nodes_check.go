package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/web/api"
)

// checkLease is shorter than a plant's, so that nobody waits long for the end
// of a frozen node's.
const checkLease = 5 * time.Second

// The other vendor of the story, who must feel nothing of it.
const (
	otherEngineer = "ben.okafor"
	otherVendor   = "helio"
)

// nodesCheck is the story of a suspension while one node stands still.
type nodesCheck struct {
	*story
	plant    *nodesPlant
	approver *demoPerson
	ana, ben *demoEngineer
	anas     []*liveShell // one by each node
	bens     *liveShell
	order    gateway.Suspension
}

// checkNodes plays it: nodes are frozen, vendors suspended and reports read as
// people would, without one.
func (d *demoCmd) checkNodes(s *story) (err error) {
	c := &nodesCheck{story: s}
	if c.plant, err = newNodes(s.ctx, s.dir, d.Nodes, "", "", checkLease); err != nil {
		return err
	}
	defer c.end()
	frozen := c.frozen().name
	return c.play(
		scene{"start PostgreSQL and Redis", func() (string, error) {
			return c.plant.storeAt + ", " + c.plant.redisAt, c.plant.servers(c.ctx)
		}},
		scene{"start node-1", func() (string, error) { return c.plant.url, c.plant.first(c.ctx) }},
		scene{"the others join by its pack", func() (string, error) {
			return fmt.Sprintf("a lease is %s here, %s by default", c.plant.lease, defaultLease), c.plant.join(c.ctx)
		}},
		scene{"admit two vendors, their people and the plant", func() (string, error) {
			return fmt.Sprintf("%d targets", len(demoTargets)), c.plant.fill(c.ctx, demoApprover, demoEngineerName, otherEngineer)
		}},
		scene{"an approver and two engineers enrol a key each", c.enrolAll},
		scene{"both ask, and the approver agrees by touch", c.granted},
		scene{demoVendor + " opens a shell by each node", c.openAll},
		scene{otherVendor + " opens one by node-1", c.openOther},
		scene{frozen + " freezes", c.freeze},
		scene{"suspend " + demoVendor + " at node-2: PENDING", c.suspend},
		scene{"its shells by the nodes that answered have ended", c.ended},
		scene{otherVendor + "'s shell lives", func() (string, error) { return "it answers", c.bens.lives(c.ctx, "during") }},
		scene{"the lease of " + frozen + " ends: PASS", c.pass},
		scene{frozen + " goes on, and ends its shell by itself", c.thaw},
		scene{demoVendor + " is refused by every node", c.refused},
		scene{otherVendor + "'s shell lives", func() (string, error) { return "it answers", c.bens.lives(c.ctx, "after") }},
		scene{"the log verifies", c.verify},
	)
}

// end ends what is left of the story, and waits for it.
func (c *nodesCheck) end() {
	for _, s := range append(c.anas, c.bens) {
		if s != nil {
			s.close()
		}
	}
	c.plant.stop()
}

// frozen is the node that stands still.
func (c *nodesCheck) frozen() *demoNode { return c.plant.nodes[len(c.plant.nodes)-1] }

func (c *nodesCheck) enrolAll() (_ string, err error) {
	keys, err := keysIn(c.plant.nodes[0].data)
	if err != nil {
		return "", err
	}
	if c.approver, err = enrolDemo(c.ctx, demoApprover, c.plant.url, c.plant.links[demoApprover]); err != nil {
		return "", err
	}
	for _, x := range []struct {
		name string
		into **demoEngineer
	}{{demoEngineerName, &c.ana}, {otherEngineer, &c.ben}} {
		p, err := enrolDemo(c.ctx, x.name, c.plant.url, c.plant.links[x.name])
		if err != nil {
			return "", err
		}
		*x.into = &demoEngineer{demoPerson: p, dir: filepath.Join(c.dir, x.name)}
		if _, err := (*x.into).addSSHKey(c.ctx, keys); err != nil {
			return "", err
		}
	}
	return strings.Join([]string{demoApprover, demoEngineerName, otherEngineer}, ", "), nil
}

func (c *nodesCheck) granted() (string, error) {
	var until time.Time
	for _, e := range []*demoEngineer{c.ana, c.ben} {
		var asked gateway.Request
		if err := e.call(c.ctx, api.Prefix+"/requests", map[string]any{
			"target": "historian", "account": "service", "abilities": []string{"shell", "exec"}, "seconds": 7200, "reason": demoReason,
		}, &asked); err != nil {
			return "", err
		}
		g, err := c.approver.approve(c.ctx, asked.ID)
		if err != nil {
			return "", err
		}
		until = g.To
	}
	return "open until " + moment(until), nil
}

func (c *nodesCheck) openAll() (string, error) {
	for _, n := range c.plant.nodes {
		s, err := c.ana.shell(c.ctx, n.listen.SSH)
		if err != nil {
			return "", fmt.Errorf("%s: %w", n.name, err)
		}
		c.anas = append(c.anas, s)
	}
	return fmt.Sprintf("%s, %d shells", demoEngineerName, len(c.anas)), nil
}

func (c *nodesCheck) openOther() (_ string, err error) {
	c.bens, err = c.ben.shell(c.ctx, c.plant.nodes[0].listen.SSH)
	return otherEngineer, err
}

// freeze stops the node where it stands; what is typed then reaches its socket
// and nothing else.
func (c *nodesCheck) freeze() (string, error) {
	n := c.frozen()
	if err := n.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return "", err
	}
	if err := standsStill(c.ctx, n.cmd.Process.Pid); err != nil {
		return "", err
	}
	return fmt.Sprintf("process %d is stopped, its sockets are open", n.cmd.Process.Pid), c.anas[len(c.anas)-1].types("frozen")
}

const (
	stillEvery = 5 * time.Millisecond
	stillTime  = 5 * time.Second
)

// standsStill waits until every thread of a process is stopped: the signal is
// taken by one of them, and on a busy machine the others run on until it has.
func standsStill(ctx context.Context, pid int) error {
	ctx, cancel := context.WithTimeout(ctx, stillTime)
	defer cancel()
	tick := time.NewTicker(stillEvery)
	defer tick.Stop()
	for {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		if err != nil {
			return err
		}
		if len(threads) > 0 && !slices.ContainsFunc(threads, func(path string) bool {
			raw, err := os.ReadFile(path)
			_, state, _ := strings.Cut(string(raw), ") ")
			return err == nil && !strings.HasPrefix(state, "T")
		}) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("process %d was told to stop and runs on: %w", pid, context.Cause(ctx))
		}
	}
}

// suspend drops the gate at the second node's local socket.
func (c *nodesCheck) suspend() (_ string, err error) {
	if c.order, err = suspendDemoVendor(c.ctx, filepath.Join(c.plant.nodes[1].data, "portcullis.sock")); err != nil {
		return "", err
	}
	if c.order.Report == nil || c.order.Report.Verdict != gateway.Pending {
		return "", fmt.Errorf("the report is not PENDING: %+v", c.order.Report)
	}
	var silent gateway.NodeReport
	for _, n := range c.order.Report.Nodes {
		if n.Answered && n.LiveAfter > 0 {
			return "", fmt.Errorf("%s answered with %d sessions left", n.Node, n.LiveAfter)
		}
		if !n.Answered {
			silent = n
		}
	}
	if silent.Node != c.frozen().name || silent.LeaseEnds.IsZero() {
		return "", fmt.Errorf("the report does not name %s and the end of its lease: %+v", c.frozen().name, c.order.Report.Nodes)
	}
	return c.shown("the lease of " + silent.Node + " ends at " + fine(silent.LeaseEnds))
}

// shown is a note with the report below it, as the command prints it.
func (c *nodesCheck) shown(note string) (string, error) {
	var b strings.Builder
	err := printReport(&b, c.order)
	return note + "\n" + b.String(), err
}

func (c *nodesCheck) ended() (string, error) {
	for _, s := range c.anas[:len(c.anas)-1] {
		if err := s.ended("suspended"); err != nil {
			return "", err
		}
	}
	first, last := c.order.Report.Closes()
	return fmt.Sprintf("both sockets closed %s to %s after the order", ms(first), ms(last)), nil
}

// pass follows the report; nobody lets the frozen node go on meanwhile.
func (c *nodesCheck) pass() (_ string, err error) {
	at := *c.run
	at.ctx, at.Data = c.ctx, c.plant.nodes[1].data
	if c.order, err = at.settled(c.order); err != nil {
		return "", err
	}
	if !passed(c.order) {
		return "", fmt.Errorf("the report is not PASS: %+v", c.order.Report)
	}
	return c.shown(ms(c.order.Report.Finished.Sub(c.order.Report.Ordered)) + " after the order")
}

func (c *nodesCheck) thaw() (string, error) {
	if err := c.frozen().cmd.Process.Signal(syscall.SIGCONT); err != nil {
		return "", err
	}
	s := c.anas[len(c.anas)-1]
	if err := s.ended("portcullis"); err != nil {
		return "", err
	}
	if strings.Contains(s.stdout.String(), "frozen-42") {
		return "", errors.New("what was typed while it stood still was carried out")
	}
	return "nothing of what was typed meanwhile went through", nil
}

func (c *nodesCheck) refused() (said string, err error) {
	for _, n := range c.plant.nodes {
		if said, err = c.ana.refused(c.ctx, n.listen.SSH, "suspended"); err != nil {
			return "", fmt.Errorf("%s: %w", n.name, err)
		}
	}
	return said, nil
}

func (c *nodesCheck) verify() (string, error) {
	said, err := c.plant.command(c.ctx, c.plant.nodes[1], "audit", "verify")
	return strings.TrimSpace(said), err
}
