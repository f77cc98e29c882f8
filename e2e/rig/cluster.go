package rig

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"github.com/portcullis/portcullis/gateway/store/postgres/pgtest"
)

// Cluster is a stage whose gateway has more nodes: the stage itself is the
// first of them. They share a PostgreSQL and a Redis of their own. The pages
// are reached by the first node's address, each node's SSH by its own.
type Cluster struct {
	*Stage
	Nodes    []*Gateway // all, the stage's own first
	Postgres *pgtest.Server
	Redis    *Redis     // nil where there are Sentinels
	Sentinel *Sentinels // nil where there is one Redis
	Database string     // its name
	Disks    []*Disk    // of each node, where ClusterOptions.Disks is set
	ToStore  []*Fault   // of each node, where ClusterOptions.Faults is set
	ToRedis  []*Fault
}

// ClusterOptions say how many nodes there are, and how long their lease is.
type ClusterOptions struct {
	Nodes  int
	Lease  string // as the configuration takes it
	Faults bool   // weather can come between each node and the store, and the one Redis
	Disks  bool   // each node's folder lies on a disk of its own
	// Sentinel puts a Redis and its copy behind Sentinels in place of one Redis.
	Sentinel bool
	Stage    Options
}

// NewCluster builds it all in dir with the binary bin.
func NewCluster(ctx context.Context, bin, dir string, o ClusterOptions) (_ *Cluster, err error) {
	c := &Cluster{Database: "gate"}
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	if c.Postgres, err = pgtest.Start(); err != nil {
		return nil, err
	}
	if err = c.Postgres.Exec(ctx, "postgres", "CREATE DATABASE "+c.Database); err != nil {
		return nil, err
	}
	if o.Sentinel {
		c.Sentinel, err = StartSentinels(ctx, dir)
	} else {
		c.Redis, err = StartRedis(ctx, dir)
	}
	if err != nil {
		return nil, err
	}
	if o.Disks {
		if err := c.disks(dir, o.Nodes); err != nil {
			return nil, err
		}
	}
	var list strings.Builder
	for i := range o.Nodes {
		addr, err := FreeAddr()
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&list, "  node-%d: %s\n", i+1, addr)
	}
	if o.Faults {
		if err := c.faults(o.Nodes); err != nil {
			return nil, err
		}
	}
	store, redis := c.servers(0)
	o.Stage.Config += fmt.Sprintf("store: %s\nredis: %s\nlease: %s\nnodes:\n%s", store, redis, o.Lease, list.String())
	if c.Stage, err = NewStage(ctx, bin, dir, o.Stage); err != nil {
		return nil, err
	}
	c.Nodes = []*Gateway{c.Gateway}
	for i := 1; i < o.Nodes; i++ {
		g, err := c.add(ctx, dir, fmt.Sprintf("node-%d", i+1))
		if err != nil {
			return nil, err
		}
		c.Nodes = append(c.Nodes, g)
	}
	return c, nil
}

// disks mounts one on the folder of each node.
func (c *Cluster) disks(dir string, nodes int) error {
	for i := range nodes {
		name := "gateway" // the stage's own
		if i > 0 {
			name = fmt.Sprintf("node-%d", i+1)
		}
		d, err := NewDisk(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		c.Disks = append(c.Disks, d)
	}
	return nil
}

// faults lays a way of its own from each node to each server.
func (c *Cluster) faults(nodes int) error {
	for range nodes {
		f, err := NewFault(fmt.Sprintf("127.0.0.1:%d", c.Postgres.Port))
		if err != nil {
			return err
		}
		c.ToStore = append(c.ToStore, f)
		if c.Redis == nil {
			continue // Sentinels tell where the master is, and no way leads round that
		}
		if f, err = NewFault(c.Redis.Addr); err != nil {
			return err
		}
		c.ToRedis = append(c.ToRedis, f)
	}
	return nil
}

// servers are where a node finds them, as its configuration says it.
func (c *Cluster) servers(node int) (store, redis string) {
	store = c.Postgres.URL(pgtest.User, c.Database)
	if node < len(c.ToStore) {
		store = strings.Replace(store, fmt.Sprintf("127.0.0.1:%d", c.Postgres.Port), c.ToStore[node].Addr(), 1)
	}
	switch {
	case c.Sentinel != nil:
		redis = c.Sentinel.Config()
	case node < len(c.ToRedis):
		redis = "redis://" + c.ToRedis[node].Addr()
	default:
		redis = "redis://" + c.Redis.Addr
	}
	return strconv.Quote(store), redis
}

// add makes a node of the first one's pack and starts it.
func (c *Cluster) add(ctx context.Context, dir, name string) (*Gateway, error) {
	g, err := NewGateway(c.Bin, filepath.Join(dir, name), "")
	if err != nil {
		return nil, err
	}
	pack := filepath.Join(dir, name+".pack")
	for _, args := range [][]string{
		{"node", "pack", pack, "--config", c.Config},
		{"node", "join", pack, "--name", name, "--config", g.Config, "--data", g.Data},
	} {
		r, err := g.Run(ctx, args...)
		if err != nil {
			return nil, err
		}
		if r.Status != 0 {
			return nil, fmt.Errorf("portcullis %v: exit %d\n%s%s", args, r.Status, r.Out, r.Err)
		}
	}
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(g.Config)
	if err != nil {
		return nil, err
	}
	// On one machine each node needs ports of its own.
	_, sshPort, _ := strings.Cut(g.SSH, ":")
	outer, _, _ := strings.Cut(c.VPN, ":")
	g.Outside(outer)
	store, redis := c.servers(len(c.Nodes))
	for key, addr := range map[string]string{"web": g.Web, "ssh": "127.0.0.1:" + sshPort, "vpn": g.VPN, "admin": strings.TrimPrefix(g.Admin, "http://"), "store": store, "redis": redis} {
		raw = regexp.MustCompile(`(?m)^( *`+key+`:) [^{].*$`).ReplaceAll(raw, []byte("$1 "+addr))
	}
	raw = regexp.MustCompile(`(?m)^vpn: \{endpoint:.*$`).ReplaceAll(raw, fmt.Appendf(nil, "vpn: {endpoint: %q}", g.VPN))
	g.URL = "http://" + u.Host
	if err := os.WriteFile(g.Config, raw, 0o600); err != nil {
		return nil, err
	}
	return g, g.Start(ctx)
}

// ArgsAt are the stock client's arguments for an engineer at a target by a
// certain node.
func (c *Cluster) ArgsAt(node int, who, target string, options ...string) []string {
	return c.Clients[who].Args("ops+"+target, c.Nodes[node].SSH, options...)
}

// ShellAt opens a shell by a certain node; the touch is given at the first
// one's pages.
func (c *Cluster) ShellAt(ctx context.Context, node int, who, target string) (*Terminal, error) {
	t, err := OpenTerminal(120, 32, "ssh", c.ArgsAt(node, who, target, "-tt")...)
	if err != nil {
		return nil, err
	}
	if err := c.letIn(ctx, t, who); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// Close ends everything that the cluster started.
func (c *Cluster) Close() {
	for i, g := range c.Nodes {
		if i > 0 && g.Process != nil {
			_ = g.Thaw()
			g.Kill()
		}
	}
	if c.Stage != nil {
		if c.Stage.Gateway.Process != nil {
			_ = c.Stage.Gateway.Thaw()
		}
		c.Stage.Close()
	}
	for _, f := range append(c.ToStore, c.ToRedis...) {
		f.Close()
	}
	if c.Redis != nil && c.Redis.Process != nil {
		c.Redis.Kill()
	}
	if c.Sentinel != nil {
		c.Sentinel.Close()
	}
	if c.Postgres != nil {
		_ = c.Postgres.Stop()
	}
	for _, d := range c.Disks {
		_ = d.Close() // the folder of the test is not removed then, and says so
	}
}

// PostgresDown is a crash of the database server.
func (c *Cluster) PostgresDown() error { return c.Postgres.Down(syscall.SIGQUIT) }

// Save keeps the database as it is now, as a backup does: the server is down
// meanwhile.
func (c *Cluster) Save() error {
	return c.swap(filepath.Join(c.Postgres.Dir, "data"), filepath.Join(c.Postgres.Dir, "saved"))
}

// Restore brings back what was saved.
func (c *Cluster) Restore() error {
	return c.swap(filepath.Join(c.Postgres.Dir, "saved"), filepath.Join(c.Postgres.Dir, "data"))
}

func (c *Cluster) swap(from, to string) error {
	if err := c.Postgres.Down(syscall.SIGINT); err != nil {
		return err
	}
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		return fmt.Errorf("copy the database: %w: %s", err, out)
	}
	return c.Postgres.Up()
}
