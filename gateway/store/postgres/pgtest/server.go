package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// User is the superuser of the server, who needs no password on loopback.
// Guarded is one who needs Password, by SCRAM, wherever he comes from.
const (
	User     = "portcullis"
	Guarded  = "guarded"
	Password = "open sesame / ?&@:%"
)

const (
	startLimit = 60 * time.Second
	stopLimit  = 30 * time.Second
	lookEvery  = 20 * time.Millisecond // whether it answers yet
	folderMode = 0o700
)

// Server is a PostgreSQL server of one's own.
type Server struct {
	Port int
	Dir  string // of the socket, and of data below it

	bin  string // folder of initdb and postgres
	attr *syscall.SysProcAttr

	mu   sync.Mutex // guards what follows
	run  *exec.Cmd
	done chan struct{} // closed when run has ended
	made int           // databases so far
	out  *bytes.Buffer
}

// Run starts a server into *s, runs the tests of m and stops it; the result
// is for os.Exit.
func Run(m *testing.M, s **Server) int {
	started, err := Start()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	*s = started
	code := m.Run()
	if err := started.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// Start makes a folder, fills it with initdb and starts the server.
func Start() (*Server, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin, attr: &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT, Setpgid: true}}
	if s.Dir, err = os.MkdirTemp("", "pg"); err != nil {
		return nil, err
	}
	if err = s.fill(); err == nil {
		err = s.Up()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start PostgreSQL: %w", err), os.RemoveAll(s.Dir))
	}
	return s, nil
}

// binaries finds the newest server that Debian has installed, or the one on
// the path.
func binaries() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	if len(found) > 0 {
		return filepath.Dir(slices.Max(found)), nil
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		return "", fmt.Errorf("no PostgreSQL server on this machine; install the package postgresql: %w", err)
	}
	return filepath.Dir(path), nil
}

// fill makes the data folder, and hands it to an unprivileged user: a server
// refuses to run as root.
func (s *Server) fill() error {
	if os.Geteuid() == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			u, err = user.Lookup("nobody")
		}
		if err != nil {
			return err
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		s.attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), NoSetGroups: false}
		if err := os.Chown(s.Dir, uid, gid); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "initdb"), "-D", s.data(), "-U", User, "-A", "trust", "-E", "UTF8",
		"--locale=C", "--locale-provider=icu", "--icu-locale=en", "--no-sync", "--no-instructions")
	cmd.Dir, cmd.SysProcAttr = s.Dir, s.attr
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	return s.configure()
}

func (s *Server) data() string { return filepath.Join(s.Dir, "data") }

// configure keeps the server small, and everything durable.
func (s *Server) configure() error {
	hba := "local all all trust\nhost replication " + User + " 127.0.0.1/32 trust\nhost all " + Guarded + " 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n"
	if err := os.WriteFile(filepath.Join(s.data(), "pg_hba.conf"), []byte(hba), folderMode); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(s.data(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(`
listen_addresses = '127.0.0.1'
fsync = on
full_page_writes = on
synchronous_commit = on
max_connections = 200
shared_buffers = 16MB
min_wal_size = 32MB
max_wal_size = 256MB
autovacuum_naptime = 1h
logging_collector = off
log_min_messages = warning
`)
	return errors.Join(err, f.Close())
}

// Up starts the server, which must be down, and returns when it answers.
func (s *Server) Up() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Port == 0 {
		port, err := freePort()
		if err != nil {
			return err
		}
		s.Port = port
	}
	s.out, s.done = new(bytes.Buffer), make(chan struct{})
	s.run = exec.CommandContext(context.Background(), filepath.Join(s.bin, "postgres"), "-D", s.data(), "-k", s.Dir, "-p", strconv.Itoa(s.Port))
	s.run.Dir, s.run.SysProcAttr, s.run.Stdout, s.run.Stderr = s.Dir, s.attr, s.out, s.out
	if err := s.run.Start(); err != nil {
		return err
	}
	go func(run *exec.Cmd, done chan struct{}) {
		defer close(done)
		_ = run.Wait() // how it ended is told by what it printed
	}(s.run, s.done)
	return s.awaitAnswer()
}

func (s *Server) awaitAnswer() error {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		err := s.Exec(ctx, "postgres", "SELECT 1")
		if err == nil {
			return nil
		}
		select {
		case <-look.C:
		case <-s.done:
			return fmt.Errorf("the server ended: %s", s.out.String())
		case <-ctx.Done():
			return fmt.Errorf("the server does not answer: %w: %s", err, s.out.String())
		}
	}
}

// Down ends the server: SIGINT breaks its connections off and writes all out,
// SIGQUIT and SIGKILL are a crash that Up recovers from.
func (s *Server) Down(how syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.run.Process.Signal(how); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	late := time.NewTimer(stopLimit)
	defer late.Stop()
	select {
	case <-s.done:
		return nil
	case <-late.C:
		return errors.Join(errors.New("PostgreSQL did not stop"), s.run.Process.Kill())
	}
}

// Stop ends the server and removes its folder.
func (s *Server) Stop() error {
	return errors.Join(s.Down(syscall.SIGINT), os.RemoveAll(s.Dir))
}

// Exec runs statements in a database, as User.
func (s *Server) Exec(ctx context.Context, database, text string) error {
	conn, err := pgx.Connect(ctx, s.URL(User, database))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, text)
	return errors.Join(err, conn.Close(ctx))
}

// URL is where a user finds a database, over TCP and without TLS.
func (s *Server) URL(who, database string) string {
	return fmt.Sprintf("postgres://%s@127.0.0.1:%d/%s?sslmode=disable", who, s.Port, database)
}

// Database makes an empty database for a test and returns its URL. It stays
// until the server's end.
func (s *Server) Database(tb testing.TB) string {
	tb.Helper()
	s.mu.Lock()
	s.made++
	name := fmt.Sprintf("t%d", s.made)
	s.mu.Unlock()
	if err := s.Exec(tb.Context(), "postgres", "CREATE DATABASE "+name); err != nil {
		tb.Fatal(err)
	}
	return s.URL(User, name)
}
