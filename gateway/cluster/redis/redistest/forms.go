package redistest

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"
)

// Master is the name that the Sentinels know the master by.
const Master = "gate"

// Sentinels are a master, a replica and three Sentinels that watch them.
type Sentinels struct {
	Addresses []string // of the Sentinels
	Servers   []*Server
	watchers  []*Server
	t         testing.TB
}

// StartSentinels returns when all of them agree on who is there.
func StartSentinels(t testing.TB) *Sentinels {
	t.Helper()
	master := Start(t)
	f := &Sentinels{t: t, Servers: []*Server{master, Start(t, Conf("replicaof 127.0.0.1 "+strconv.Itoa(master.port), "repl-diskless-sync-delay 0"))}}
	for range 3 {
		w := startSentinel(t, master)
		f.watchers = append(f.watchers, w)
		f.Addresses = append(f.Addresses, w.Addr)
	}
	f.wait(func(m map[string]string) error {
		if m["num-slaves"] != "1" || m["num-other-sentinels"] != "2" || !strings.HasPrefix(m["flags"], "master") || strings.Contains(m["flags"], "down") {
			return fmt.Errorf("sentinel sees %v", m)
		}
		return nil
	})
	return f
}

func startSentinel(t testing.TB, master *Server) *Server {
	t.Helper()
	var err error
	for range tries {
		w := &Server{t: t, dir: t.TempDir(), port: freePort(t)}
		w.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(w.port))
		path := filepath.Join(w.dir, "sentinel.conf")
		text := fmt.Sprintf("bind 127.0.0.1\nport %d\ndir %s\nsentinel monitor %s 127.0.0.1 %d 2\nsentinel down-after-milliseconds %s 800\nsentinel failover-timeout %s 4000\n", w.port, w.dir, Master, master.port, Master, Master)
		if err = os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err = w.exec("redis-sentinel", path); err == nil {
			if err = w.answers(); err == nil {
				t.Cleanup(w.Kill)
				return w
			}
		}
		w.Kill()
	}
	t.Fatalf("no redis-sentinel: %v", err)
	return nil
}

// wait looks at what every Sentinel says of the master until ok.
func (f *Sentinels) wait(ok func(map[string]string) error) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	for _, w := range f.watchers {
		c := goredis.NewSentinelClient(&goredis.Options{Addr: w.Addr, Protocol: 2, DisableIdentity: true})
		err := until(ctx, func() error {
			m, err := c.Master(ctx, Master).Result()
			if err != nil {
				return err
			}
			return ok(m)
		})
		_ = c.Close()
		if err != nil {
			f.t.Fatal(err)
		}
	}
}

// Failover kills the master and returns when all Sentinels name the other.
func (f *Sentinels) Failover() {
	f.t.Helper()
	f.Servers[0].Kill()
	next := strconv.Itoa(f.Servers[1].port)
	f.wait(func(m map[string]string) error {
		if m["port"] != next {
			return fmt.Errorf("sentinel still names %s", m["port"])
		}
		return nil
	})
}

// StartCluster starts a Redis Cluster of three masters and returns when all
// slots are served.
func StartCluster(t testing.TB) []*Server {
	t.Helper()
	const slots = 16384
	var all []*Server
	for i := range 3 {
		bus := strconv.Itoa(freePort(t))
		s := Start(t, Conf("cluster-enabled yes", "cluster-port "+bus, "cluster-node-timeout 2000", "cluster-config-file nodes.conf"))
		s.Do("CLUSTER", "ADDSLOTSRANGE", i*slots/3, (i+1)*slots/3-1)
		s.Do("CLUSTER", "SET-CONFIG-EPOCH", i+1)
		if i > 0 {
			all[0].Do("CLUSTER", "MEET", "127.0.0.1", s.port, bus)
		}
		all = append(all, s)
	}
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	for _, s := range all {
		c := s.Client()
		err := until(ctx, func() error {
			info, err := c.ClusterInfo(ctx).Result()
			if err == nil && (!strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, "cluster_known_nodes:3")) {
				err = fmt.Errorf("cluster is not whole: %s", info)
			}
			return err
		})
		_ = c.Close()
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}
