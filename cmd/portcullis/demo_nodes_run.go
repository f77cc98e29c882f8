package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

// serveNodes runs the nodes until it is told to stop.
func (d *demoCmd) serveNodes(r *run) (err error) {
	dir := r.Data
	orElse(&dir, "portcullis-demo")
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	if dir, err = scratch(dir, "nodes-"); err != nil {
		return err
	}
	p, err := newNodes(r.ctx, dir, d.Nodes, d.Web, d.SSH, defaultLease)
	if err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	err = p.run(r)
	p.stop()
	if err != nil && r.ctx.Err() == nil {
		fmt.Fprintln(r.errOut, "portcullis: the logs are in", dir)
		return err
	}
	return os.RemoveAll(dir)
}

// run starts everything, says what to do with it, and waits.
func (p *nodesPlant) run(r *run) error {
	for _, start := range []func(context.Context) error{p.servers, p.first, p.join} {
		if err := start(r.ctx); err != nil {
			return err
		}
	}
	if err := p.fill(r.ctx, demoApprover, demoEngineerName); err != nil {
		return err
	}
	p.greet(r.out)
	return p.fallen(r.ctx)
}

// fallen waits until ctx is done, or until one of the programs has ended by
// itself, which is an error.
func (p *nodesPlant) fallen(ctx context.Context) error {
	all := append(p.running(), p.redis, p.store.program)
	ended := make(chan string, len(all))
	ctx, cancel := context.WithCancel(ctx)
	var looking sync.WaitGroup
	defer looking.Wait()
	defer cancel()
	for _, x := range all {
		looking.Go(func() {
			select {
			case <-x.done:
				ended <- x.name
			case <-ctx.Done():
			}
		})
	}
	select {
	case <-ctx.Done():
		return nil
	case name := <-ended:
		return fmt.Errorf("%s ended by itself", name)
	}
}

func (p *nodesPlant) running() []*program {
	var all []*program
	for _, n := range p.nodes {
		if n.program != nil {
			all = append(all, n.program)
		}
	}
	return all
}

// stop ends the nodes, then what they need, and waits for all of it.
func (p *nodesPlant) stop() {
	var all sync.WaitGroup
	for _, n := range p.running() {
		all.Go(func() { n.Stop(syscall.SIGTERM) })
	}
	all.Wait()
	for _, t := range p.targets {
		t.Stop(syscall.SIGTERM)
	}
	if p.redis != nil {
		p.redis.Stop(syscall.SIGTERM)
	}
	if p.store != nil {
		p.store.stop()
	}
	if p.log != nil {
		_ = p.log.Close() // a log of the demo's servers
	}
}

// greet prints where everything is and what to do first.
func (p *nodesPlant) greet(w io.Writer) {
	var b strings.Builder
	fmt.Fprintf(&b, "\nPortcullis runs on %d nodes with a sample plant on this machine: %s\n\n", len(p.nodes), p.url)
	for _, x := range []struct{ who, name string }{{"administrator", demoAdmin}, {"approver", demoApprover}, {"vendor engineer", demoEngineerName}} {
		fmt.Fprintf(&b, "  %-16s %-11s %s\n", x.who, x.name, p.links[x.name])
	}
	fmt.Fprintln(&b)
	for _, n := range p.nodes {
		_, port, _ := net.SplitHostPort(n.listen.SSH) // it listens there
		fmt.Fprintf(&b, "  %s  ssh -p %s %s@localhost    WireGuard %s    http://%s/readyz    process %d\n", n.name, port, demoTarget, n.listen.VPN, n.listen.Admin, n.cmd.Process.Pid)
	}
	last, other := p.nodes[len(p.nodes)-1], p.nodes[1]
	fmt.Fprintf(&b, `
A tunnel is known to the node that opened it and answered at that node's address alone; the sample plant
has no network to reach by one until `+"`portcullis apply`"+` defines it.

Open each link in a browser profile of its own and touch a security key. Without one at hand, the
browser's developer tools have a virtual one (Chromium: More tools, WebAuthn, with user verification).

  1. The engineer asks for the historian and adds an SSH key on the page "Keys"; the approver agrees.
  2. The engineer connects by any node, and touches.
  3. Freeze one node and drop the gate at another: the report is PENDING, and says when %s closes
     everything by itself (its lease is %s). Then it is PASS.
         kill -STOP %d
         portcullis --data %s suspend vendor %s --reason "breach news"
         portcullis --data %s suspensions
         kill -CONT %d

Ctrl-C stops everything, and nothing is kept. Logs and data are in %s meanwhile.
`, last.name, p.lease, last.cmd.Process.Pid, other.data, demoVendor, other.data, last.cmd.Process.Pid, p.dir)
	_, _ = io.WriteString(w, b.String()) // nobody may be reading
}
