package rig

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Redis is a redis-server of a story's own that keeps nothing on disk.
type Redis struct {
	*Process
	Addr string
	dir  string
}

// StartRedis starts it on a free port.
func StartRedis(ctx context.Context, dir string) (*Redis, error) {
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	r := &Redis{Addr: addr, dir: filepath.Join(dir, "redis")}
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return nil, err
	}
	return r, r.Up(ctx)
}

// Up starts it again at the same address; it knows nothing of before.
func (r *Redis) Up(ctx context.Context) error {
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		return fmt.Errorf("redis-server is missing; apt-get install redis-server: %w", err)
	}
	host, port, err := net.SplitHostPort(r.Addr)
	if err != nil {
		return err
	}
	if r.Process, err = start(bin, nil, "--port", port, "--bind", host, "--dir", r.dir, "--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"); err != nil {
		return err
	}
	return Until(ctx, startWithin, func() error { return listens(r.Addr) })
}

// Flush has it forget everything.
func (r *Redis) Flush(ctx context.Context) error {
	c, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", r.Addr)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Second))
	if _, err := c.Write([]byte("FLUSHALL\r\n")); err != nil {
		return err
	}
	answer := make([]byte, 16)
	n, err := c.Read(answer)
	if err == nil && string(answer[:n]) != "+OK\r\n" {
		err = fmt.Errorf("FLUSHALL: %q", answer[:n])
	}
	return err
}

// Freeze stops a process where it stands; its sockets stay open.
func (p *Process) Freeze() error { return p.cmd.Process.Signal(syscall.SIGSTOP) }

// Thaw lets it go on.
func (p *Process) Thaw() error { return p.cmd.Process.Signal(syscall.SIGCONT) }
