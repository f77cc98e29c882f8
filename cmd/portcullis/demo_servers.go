package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// Names in the demo's PostgreSQL.
const (
	pgUser     = "portcullis"
	pgDatabase = "gate"
)

// pgServer is a PostgreSQL server of the demo's own. It listens on loopback
// alone, and wants a password even there: whoever else is on this machine has
// no business in it.
type pgServer struct {
	*program
	dir      string // of its own user, apart from the demo's folder, into which that user cannot look
	addr     string
	password string
}

// startPostgres fills a folder with initdb, starts the server and makes the
// database.
func startPostgres(ctx context.Context, addr string, log *os.File) (_ *pgServer, err error) {
	initdb, err := findInitdb()
	if err != nil {
		return nil, err
	}
	s := &pgServer{addr: addr, password: rand.Text()}
	if s.dir, err = os.MkdirTemp("", "portcullis-pg-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.stop()
		}
	}()
	attr, err := s.owner()
	if err != nil {
		return nil, err
	}
	if err := s.fill(ctx, initdb, attr); err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), filepath.Join(filepath.Dir(initdb), "postgres"), "-D", s.data(), "-p", port,
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "shared_buffers=16MB", "-c", "logging_collector=off")
	cmd.Dir, cmd.SysProcAttr = s.dir, attr
	if s.program, err = startProgram("PostgreSQL", cmd, log); err != nil {
		return nil, err
	}
	return s, s.await(ctx, s.makeDatabase)
}

// findInitdb finds that of the newest server that Debian has installed, or the
// one on the path; the server lies beside it.
func findInitdb() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err == nil && len(found) > 0 {
		return slices.Max(found), nil
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		return "", lacking("PostgreSQL server", "postgresql")
	}
	return filepath.EvalSymlinks(path)
}

// lacking names a program that the nodes need, and the package to install.
func lacking(what, from string) error {
	return hinted(fmt.Errorf("no %s on this machine, and the nodes of the demo share a real one", what), "install it (Debian: apt-get install "+from+") or start with `make demo NODES=3`, which does")
}

func (s *pgServer) data() string { return filepath.Join(s.dir, "data") }

// owner hands the folder to an unprivileged user: a server refuses to run as
// root.
func (s *pgServer) owner() (*syscall.SysProcAttr, error) {
	attr := &syscall.SysProcAttr{}
	if os.Geteuid() != 0 {
		return attr, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("find the user who may run PostgreSQL: %w", err)
	}
	uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(uidErr, gidErr); err != nil {
		return nil, err
	}
	attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return attr, os.Chown(s.dir, int(uid), int(gid))
}

func (s *pgServer) fill(ctx context.Context, initdb string, attr *syscall.SysProcAttr) error {
	first := filepath.Join(s.dir, "password")
	if err := os.WriteFile(first, []byte(s.password+"\n"), 0o600); err != nil {
		return err
	}
	if c := attr.Credential; c != nil {
		if err := os.Chown(first, int(c.Uid), int(c.Gid)); err != nil {
			return err
		}
	}
	cmd := exec.CommandContext(ctx, initdb, "-D", s.data(), "-U", pgUser, "-A", "scram-sha-256", "--pwfile="+first, "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions")
	cmd.Dir, cmd.SysProcAttr = s.dir, attr
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, printable(string(out)))
	}
	return os.Remove(first)
}

// url is where the nodes find a database; the password stands in a file.
func (s *pgServer) url(database string) *url.URL {
	return &url.URL{Scheme: "postgres", User: url.User(pgUser), Host: s.addr, Path: "/" + database, RawQuery: "sslmode=disable"}
}

func (s *pgServer) makeDatabase(ctx context.Context) error {
	at := s.url("postgres")
	at.User = url.UserPassword(pgUser, s.password)
	conn, err := pgx.Connect(ctx, at.String())
	if err != nil {
		return errors.New("it takes no connection yet") // pgx names the address with everything in it
	}
	_, err = conn.Exec(ctx, "CREATE DATABASE "+pgDatabase)
	return errors.Join(err, conn.Close(ctx))
}

func (s *pgServer) stop() {
	if s.program != nil {
		s.Stop(syscall.SIGINT) // the fast shutdown: nobody is waited for
	}
	_ = os.RemoveAll(s.dir) // in the folder for what is temporary
}

// startRedis starts a server that keeps nothing on disk.
func startRedis(ctx context.Context, addr, dir string, log *os.File) (*program, error) {
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, lacking("redis-server", "redis-server")
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), bin, "--port", port, "--bind", host, "--dir", dir, "--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction")
	p, err := startProgram("Redis", cmd, log)
	if err != nil {
		return nil, err
	}
	if err := p.await(ctx, func(ctx context.Context) error { return listening(ctx, addr) }); err != nil {
		p.Stop(syscall.SIGTERM)
		return nil, err
	}
	return p, nil
}
