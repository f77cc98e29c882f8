package rig

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

const (
	sentinelMaster = "gate" // the name that the Sentinels know the master by
	failoverWithin = 20 * time.Second
)

// Sentinels are a Redis, a copy of it, and three who watch both and have the
// copy take over where the first is gone.
type Sentinels struct {
	servers  [2]*Redis
	watchers []*Process
	addrs    []string
}

// StartSentinels returns when all three know of each other and of the copy.
func StartSentinels(ctx context.Context, dir string) (*Sentinels, error) {
	s := &Sentinels{}
	for i := range s.servers {
		r, err := StartRedis(ctx, filepath.Join(dir, fmt.Sprintf("redis-%d", i+1)))
		if err != nil {
			return s, err
		}
		s.servers[i] = r
	}
	host, port, err := net.SplitHostPort(s.servers[0].Addr)
	if err != nil {
		return s, err
	}
	if err := s.ask(ctx, s.servers[1].Addr, "REPLICAOF", host, port); err != nil {
		return s, err
	}
	for i := range 3 {
		if err := s.watch(ctx, filepath.Join(dir, fmt.Sprintf("sentinel-%d", i+1)), port); err != nil {
			return s, err
		}
	}
	return s, s.Settled(ctx)
}

func (s *Sentinels) watch(ctx context.Context, dir, master string) error {
	bin, err := exec.LookPath("redis-sentinel")
	if err != nil {
		return fmt.Errorf("redis-sentinel is missing; apt-get install redis-sentinel: %w", err)
	}
	addr, err := FreeAddr()
	if err != nil {
		return err
	}
	_, port, _ := net.SplitHostPort(addr)
	text := fmt.Sprintf("bind 127.0.0.1\nport %s\ndir %s\nsentinel monitor %s 127.0.0.1 %s 2\nsentinel down-after-milliseconds %s 800\nsentinel failover-timeout %s 4000\n",
		port, dir, sentinelMaster, master, sentinelMaster, sentinelMaster)
	conf := filepath.Join(dir, "sentinel.conf")
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(conf, []byte(text), 0o600)); err != nil {
		return err
	}
	p, err := start(bin, nil, conf)
	if err != nil {
		return err
	}
	s.watchers, s.addrs = append(s.watchers, p), append(s.addrs, addr)
	return Until(ctx, startWithin, func() error { return listens(addr) })
}

// Config is the value of redis: in a node's configuration.
func (s *Sentinels) Config() string {
	return fmt.Sprintf("{addresses: [%s], master: %s}", strings.Join(s.addrs, ", "), sentinelMaster)
}

func (*Sentinels) ask(ctx context.Context, addr string, args ...any) error {
	c := goredis.NewClient(&goredis.Options{Addr: addr, Protocol: 2, DisableIdentity: true})
	return errors.Join(c.Do(ctx, args...).Err(), c.Close())
}

// states is what each Sentinel says of the master.
func (s *Sentinels) states(ctx context.Context) (all []map[string]string, err error) {
	for _, addr := range s.addrs {
		c := goredis.NewSentinelClient(&goredis.Options{Addr: addr, Protocol: 2, DisableIdentity: true})
		m, err := c.Master(ctx, sentinelMaster).Result()
		if err := errors.Join(err, c.Close()); err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

// Settled waits until all Sentinels agree that master and copy are there.
func (s *Sentinels) Settled(ctx context.Context) error {
	return Until(ctx, failoverWithin, func() error {
		all, err := s.states(ctx)
		for _, m := range all {
			if m["num-slaves"] != "1" || m["num-other-sentinels"] != "2" || m["flags"] != "master" || m["port"] != all[0]["port"] {
				err = fmt.Errorf("a Sentinel sees %v", m)
			}
		}
		return err
	})
}

// Master is the server that all Sentinels name.
func (s *Sentinels) Master(ctx context.Context) (*Redis, error) {
	all, err := s.states(ctx)
	if err != nil {
		return nil, err
	}
	for _, r := range s.servers {
		if _, port, _ := net.SplitHostPort(r.Addr); port == all[0]["port"] {
			return r, nil
		}
	}
	return nil, fmt.Errorf("the Sentinels name %v", all[0])
}

// Failover has the master go by gone and waits until the other is named.
func (s *Sentinels) Failover(ctx context.Context, gone func(*Redis) error) (old *Redis, err error) {
	if old, err = s.Master(ctx); err != nil {
		return nil, err
	}
	if err := gone(old); err != nil {
		return nil, err
	}
	return old, Until(ctx, failoverWithin, func() error {
		all, err := s.states(ctx)
		for _, m := range all {
			if net.JoinHostPort(m["ip"], m["port"]) == old.Addr {
				err = errors.New("a Sentinel still names the one that went")
			}
		}
		return err
	})
}

// Close ends them.
func (s *Sentinels) Close() {
	for _, p := range s.watchers {
		p.Kill()
	}
	for _, r := range s.servers {
		if r != nil && r.Process != nil {
			_ = r.Thaw()
			r.Kill()
		}
	}
}
