package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
)

// Standby copies the server and starts the copy, which follows it from then
// on. From then on too the server answers no COMMIT that the copy has not got.
func (s *Server) Standby(ctx context.Context) (_ *Server, err error) {
	c := &Server{bin: s.bin, attr: &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT, Setpgid: true, Credential: s.attr.Credential}}
	if c.Dir, err = os.MkdirTemp("", "pg"); err != nil {
		return nil, err
	}
	if c.attr.Credential != nil {
		if err := os.Chown(c.Dir, int(c.attr.Credential.Uid), int(c.attr.Credential.Gid)); err != nil {
			return nil, err
		}
	}
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "pg_basebackup"), "-h", "127.0.0.1", "-p", strconv.Itoa(s.Port), "-U", User, "-D", c.data(), "-R", "-X", "stream", "-c", "fast", "--no-sync")
	cmd.Dir, cmd.SysProcAttr = c.Dir, c.attr
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("pg_basebackup: %w: %s", err, out), os.RemoveAll(c.Dir))
	}
	if err := c.Up(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(c.Dir))
	}
	for _, text := range []string{"ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()"} {
		if err := s.Exec(ctx, "postgres", text); err != nil {
			return c, err
		}
	}
	return c, nil
}

// Promote makes a copy take over; it answers when writes are taken.
func (s *Server) Promote(ctx context.Context) error {
	return s.Exec(ctx, "postgres", "SELECT pg_promote(true, 30)")
}
