package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// nodesPlant is the sample plant behind several nodes: each a process of this
// program, as `portcullis serve` is anywhere, joined as an administrator joins
// them. They share a PostgreSQL and a Redis that end with the demo, so nothing
// of it is kept.
type nodesPlant struct {
	dir     string
	url     string
	lease   time.Duration
	meet    map[string]string // where each listens for the others
	log     *os.File          // of everything that is not a node
	store   *pgServer
	redis   *program
	storeAt string
	redisAt string
	targets []*sshTarget
	nodes   []*demoNode
	links   map[string]string // of people who have no key yet
}

// demoNode is one of its nodes.
type demoNode struct {
	*program
	name, config, data string
	listen             Listen
}

// newNodes chooses addresses; "" for web or ssh is any. The pages are the
// first node's: a key is good for one URL, and it takes a balancer for several
// nodes to be reached by one.
func newNodes(ctx context.Context, dir string, n int, web, ssh string, lease time.Duration) (*nodesPlant, error) {
	free, err := freeAddrs(ctx, 4*n+3)
	if err != nil {
		return nil, err
	}
	p := &nodesPlant{dir: dir, lease: lease, meet: map[string]string{}, links: map[string]string{}, storeAt: free[4*n], redisAt: free[4*n+1]}
	orElse(&web, free[4*n+2])
	orElse(&ssh, free[1])
	_, port, err := net.SplitHostPort(web)
	if err != nil {
		return nil, usagef("--web %q is not host:port", web)
	}
	p.url = "http://localhost:" + port
	for i := range n {
		node := &demoNode{name: fmt.Sprintf("node-%d", i+1), listen: Listen{Web: off, SSH: free[4*i+1], Admin: free[4*i+2], VPN: free[4*i+3]}}
		if i == 0 {
			node.listen.Web, node.listen.SSH = web, ssh
		}
		node.data, node.config = filepath.Join(dir, node.name), filepath.Join(dir, node.name+".yaml")
		p.nodes, p.meet[node.name] = append(p.nodes, node), free[4*i]
	}
	p.log, err = os.OpenFile(filepath.Join(dir, "servers.log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	return p, err
}

// servers starts what the nodes share.
func (p *nodesPlant) servers(ctx context.Context) (err error) {
	if p.store, err = startPostgres(ctx, p.storeAt, p.log); err != nil {
		return err
	}
	if err := os.WriteFile(p.password(), []byte(p.store.password), 0o600); err != nil {
		return err
	}
	p.redis, err = startRedis(ctx, p.redisAt, p.dir, p.log)
	return err
}

func (p *nodesPlant) password() string { return filepath.Join(p.dir, "store_password") }

// command runs one of this program's own commands for a node.
func (p *nodesPlant) command(ctx context.Context, n *demoNode, args ...string) (string, error) {
	var out, errOut bytes.Buffer
	all := append([]string{"--config", n.config, "--data", n.data}, args...)
	if status := execute(ctx, all, strings.NewReader(""), &out, &errOut); status != exitDone {
		return "", fmt.Errorf("portcullis %s: %s", strings.Join(args, " "), printable(errOut.String()+out.String()))
	}
	return out.String(), nil
}

// first writes the configuration of all nodes, makes the first one's keys and
// starts it.
func (p *nodesPlant) first(ctx context.Context) error {
	n := p.nodes[0]
	raw, err := yaml.Marshal(map[string]any{
		"url": p.url, "apps_domain": "localhost", "data": n.data, "node": n.name, "nodes": p.meet, "lease": p.lease.String(), "listen": n.listen, "vpn": n.vpn(),
		"store": p.store.url(pgDatabase).String(), "store_password_file": p.password(), "redis": "redis://" + p.redisAt, "recordings_reserve_mib": 1, "drain": "0s", // Ctrl-C stops everything
	})
	if err != nil {
		return err
	}
	if err := os.WriteFile(n.config, raw, 0o600); err != nil {
		return err
	}
	said, err := p.command(ctx, n, "init", "--json", "--name", demoAdmin, "--roles", "admin,responder,reviewer")
	if err != nil {
		return err
	}
	var made struct{ Link string }
	if err := json.Unmarshal([]byte(said), &made); err != nil {
		return err
	}
	p.links[demoAdmin] = made.Link
	return p.serve(ctx, n)
}

// join makes the other nodes of the first one's pack.
func (p *nodesPlant) join(ctx context.Context) error {
	pack := filepath.Join(p.dir, "node.pack")
	if _, err := p.command(ctx, p.nodes[0], "node", "pack", pack); err != nil {
		return err
	}
	for _, n := range p.nodes[1:] {
		if _, err := p.command(ctx, n, "node", "join", pack, "--name", n.name); err != nil {
			return err
		}
		if err := n.relisten(); err != nil {
			return err
		}
		if err := p.serve(ctx, n); err != nil {
			return err
		}
	}
	return os.Remove(pack)
}

// relisten gives a joined node listeners of its own: on one machine they
// cannot be the first one's.
func (n *demoNode) relisten() error {
	raw, err := os.ReadFile(n.config)
	if err != nil {
		return err
	}
	var all map[string]any
	if err := yaml.Unmarshal(raw, &all); err != nil {
		return err
	}
	all["listen"], all["vpn"] = n.listen, n.vpn()
	if raw, err = yaml.Marshal(all); err != nil {
		return err
	}
	return os.WriteFile(n.config, raw, 0o600)
}

// vpn has clients find a node's tunnels where it listens, by its address: the
// pages' name may mean ::1 to them.
func (n *demoNode) vpn() VPN { return VPN{Endpoint: n.listen.VPN} }

// serve starts a node's process and waits until it is ready.
func (p *nodesPlant) serve(ctx context.Context, n *demoNode) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(n.data+".log", os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the process has one of its own
	cmd := exec.CommandContext(context.WithoutCancel(ctx), self, "serve", "--config", n.config)
	if n.program, err = startProgram(n.name, cmd, log); err != nil {
		return err
	}
	return n.await(ctx, n.ready)
}

func (n *demoNode) ready(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.listen.Admin+"/readyz", nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("/readyz answers %s", res.Status)
	}
	return nil
}

// fill starts the targets and admits vendors and people.
func (p *nodesPlant) fill(ctx context.Context, invited ...string) error {
	keys, err := keysIn(p.nodes[0].data)
	if err != nil {
		return err
	}
	for _, t := range demoTargets {
		s, err := startTarget(ctx, filepath.Join(p.dir, "plant", t.name), t.name, keys.UserCA(), p.log)
		if err != nil {
			return err
		}
		p.targets = append(p.targets, s)
	}
	raw, err := yaml.Marshal(inventory(p.targets))
	if err != nil {
		return err
	}
	file := filepath.Join(p.dir, "plant.yaml")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		return err
	}
	if _, err := p.command(ctx, p.nodes[0], "apply", "-f", file); err != nil {
		return err
	}
	for _, name := range invited {
		link, err := p.command(ctx, p.nodes[0], "invite", name)
		if err != nil {
			return err
		}
		p.links[name] = strings.TrimSpace(link)
	}
	return nil
}
