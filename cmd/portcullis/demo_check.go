package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/web/api"
)

// check is the story of one node, which serves in this process.
type check struct {
	*story
	plant *plant

	admin, approver *demoPerson
	engineer        *demoEngineer
	request         string
	session         string
	live            *liveShell

	network string // the grant of the tunnel
	tunnel  *demoTunnel
	polled  chan error // why the flow in it ended
}

// check plays the whole story: a line a step with its time, and an error at
// the first that does not hold.
func (d *demoCmd) check(s *story) error {
	web, err := freeAddrs(s.ctx, 1)
	if err != nil {
		return err
	}
	c := &check{story: s}
	if err := c.play(scene{"start the plant", func() (string, error) {
		if c.plant, err = d.plant(s.ctx, filepath.Join(s.dir, "data"), Listen{Web: web[0], SSH: "127.0.0.1:0", VPN: "127.0.0.1:0"}, s.errOut); err != nil {
			return "", err
		}
		return fmt.Sprintf("%d targets, gateway on %s", len(c.plant.targets)+2, c.plant.cfg.URL), nil
	}}); err != nil {
		return err
	}
	return c.serve()
}

// serve serves, plays the steps and stops.
func (c *check) serve() (err error) {
	serving, stop := context.WithCancel(c.ctx)
	ready, served := make(chan struct{}), make(chan error, 1)
	go func() { served <- c.plant.gate.serve(serving, func() { close(ready) }) }()
	defer func() {
		stop()
		stopErr := <-served
		c.tunnel.down()
		c.plant.stop()
		if err == nil {
			err = stopErr
		}
	}()
	select {
	case <-ready:
	case err := <-served:
		served <- nil
		return err
	}
	return c.play(
		scene{"enrol three people with a touch each", c.enrolAll},
		scene{"the engineer adds an SSH key by touch", func() (string, error) { return c.engineer.addSSHKey(c.ctx, c.plant.gate.keys) }},
		scene{"the request is waiting", c.findRequest},
		scene{"ssh is refused before anybody agreed", c.refused("portcullis")},
		scene{"the approver agrees by touch", c.approve},
		scene{"ssh runs uname -a after a touch", c.uname},
		scene{"the replay holds the output", c.replay},
		scene{"a fresh machine signs in for a certificate by touch", c.login},
		scene{"a live shell is open", c.openShell},
		scene{"a tunnel for one flow is asked for and agreed to", c.askTunnel},
		scene{"it opens by touch for a fresh WireGuard key", c.openTunnel},
		scene{"a register is read through it", c.readRegister},
		scene{"a flow that nobody agreed to is refused", c.refusedFlow},
		scene{"suspending the vendor ends the shell and the tunnel", c.suspend},
		scene{"the flow is cut while it reads", c.cutTunnel},
		scene{"the old configuration brings nothing back", c.oldConfiguration},
		scene{"reconnecting is refused with the reason", c.refused("suspended")},
		scene{"the log verifies", c.verify},
	)
}

func (c *check) enrolAll() (string, error) {
	c.engineer = &demoEngineer{dir: filepath.Join(c.dir, demoEngineerName)}
	for _, x := range []struct {
		name string
		into **demoPerson
	}{{demoAdmin, &c.admin}, {demoApprover, &c.approver}, {demoEngineerName, &c.engineer.demoPerson}} {
		p, err := enrolDemo(c.ctx, x.name, c.plant.cfg.URL, c.plant.links[x.name])
		if err != nil {
			return "", err
		}
		*x.into = p
	}
	return strings.Join([]string{demoAdmin, demoApprover, demoEngineerName}, ", "), nil
}

func (c *check) findRequest() (string, error) {
	var page api.Page[gateway.Request]
	if err := c.approver.call(c.ctx, api.Prefix+"/requests?state=waiting", nil, &page); err != nil {
		return "", err
	}
	if len(page.Items) != 1 || page.Items[0].Person != demoEngineerName {
		return "", fmt.Errorf("the inbox holds %d requests, wants the engineer's one", len(page.Items))
	}
	c.request = page.Items[0].ID
	return page.Items[0].Reason, nil
}

func (c *check) approve() (string, error) {
	g, err := c.approver.approve(c.ctx, c.request)
	if err != nil {
		return "", err
	}
	return "open until " + moment(g.To), nil
}

func (c *check) refused(word string) func() (string, error) {
	return func() (string, error) { return c.engineer.refused(c.ctx, c.plant.gate.sshAddress(), word) }
}

// uname runs a command with the touch given when the link is shown.
func (c *check) uname() (string, error) {
	var stdout bytes.Buffer
	cmd := c.engineer.ssh(c.ctx, c.plant.gate.sshAddress(), "-T", "uname -a")
	cmd.Stdout = &stdout
	if err := c.engineer.touched(c.ctx, cmd); err != nil {
		return "", err
	}
	want, err := exec.CommandContext(c.ctx, "uname", "-a").Output()
	if err != nil {
		return "", err
	}
	if stdout.String() != string(want) {
		return "", fmt.Errorf("got %q, want %q", stdout.String(), want)
	}
	var page api.Page[gateway.Session]
	if err := c.admin.call(c.ctx, api.Prefix+"/sessions?limit=1", nil, &page); err != nil {
		return "", err
	}
	if len(page.Items) != 1 {
		return "", errors.New("the session is not listed")
	}
	c.session = page.Items[0].ID
	return strings.TrimSpace(stdout.String()), nil
}

func (c *check) replay() (string, error) {
	var cast string
	if err := c.admin.call(c.ctx, api.Prefix+"/recordings/"+c.session+"/asciicast?version=3", nil, &cast); err != nil {
		return "", err
	}
	uname, err := exec.CommandContext(c.ctx, "uname", "-sr").Output()
	if err != nil {
		return "", err
	}
	if first := strings.Fields(string(uname))[0]; !strings.Contains(cast, first) {
		return "", fmt.Errorf("the recording does not hold %q: %s", first, cast)
	}
	return fmt.Sprintf("asciicast v3, %d bytes", len(cast)), nil
}

func (c *check) openShell() (_ string, err error) {
	if c.live, err = c.engineer.shell(c.ctx, c.plant.gate.sshAddress()); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d live on this node", len(c.plant.gate.sessions.Live())), nil
}

// suspend drops the gate over the local socket, as a responder at the machine
// would.
func (c *check) suspend() (string, error) {
	x, err := suspendDemoVendor(c.ctx, c.plant.cfg.Socket())
	if err != nil {
		return "", err
	}
	rep, want := x.Report, 1
	if c.tunnel != nil {
		want = 2
	}
	if rep == nil || rep.Verdict != gateway.Pass || len(rep.Nodes) != 1 || len(rep.Nodes[0].Sessions) != want {
		return "", fmt.Errorf("the report does not say PASS with %d sessions closed: %+v", want, rep)
	}
	var last time.Duration
	for _, x := range rep.Nodes[0].Sessions {
		last = max(last, x.After)
	}
	return "the last socket closed after " + ms(last), c.live.ended("suspended")
}

func suspendDemoVendor(ctx context.Context, socket string) (gateway.Suspension, error) {
	var out struct {
		Result gateway.Suspension `json:"result"`
	}
	params := api.SuspendParams{Scope: gateway.Scope{Kind: gateway.ScopeVendor, Name: demoVendor}, Reason: "breach news at 06:12"}
	err := newClient(socket).do(ctx, "POST", api.Prefix+"/acts", map[string]any{"kind": statement.KindSuspend, "params": params}, &out)
	return out.Result, err
}

func (c *check) verify() (string, error) {
	floor, err := audit.ReadCheckpoint(c.plant.gate.checkpoint)
	if err != nil {
		return "", err
	}
	res, faults, err := c.plant.gate.audit.Verify(c.ctx, floor)
	if err != nil {
		return "", err
	}
	if len(faults) > 0 {
		return "", errors.New(faults[0].String())
	}
	return fmt.Sprintf("%d rows, %d signed checkpoints", res.Size, res.Checkpoints), nil
}
