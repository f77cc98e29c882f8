package redistest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

const (
	// Patience bounds every wait for a server.
	Patience = 20 * time.Second
	// lookEvery is how often a condition is looked at again.
	lookEvery = 20 * time.Millisecond
	tries     = 5 // with other ports, if somebody was faster
)

// Server is one redis-server.
type Server struct {
	Addr string // host:port
	port int
	dir  string
	conf []string
	tls  *TLS
	cmd  *exec.Cmd
	t    testing.TB

	user, password string
}

// Option changes how a server is set up.
type Option func(*Server)

// Conf adds lines of redis.conf.
func Conf(lines ...string) Option {
	return func(s *Server) { s.conf = append(s.conf, lines...) }
}

// WithUser lets in nobody but this ACL user, with the rules of an ACL line.
// The user admin, with the same password, may do everything.
func WithUser(name, password, rules string) Option {
	return func(s *Server) {
		s.conf = append(s.conf, "user default off", "user admin on >"+password+" ~* &* +@all", "user "+name+" on >"+password+" "+rules)
		s.user, s.password = "admin", password
	}
}

// Start starts a server that keeps nothing on disk.
func Start(t testing.TB, opts ...Option) *Server {
	t.Helper()
	var err error
	for range tries {
		s := &Server{t: t, dir: t.TempDir(), port: freePort(t)}
		s.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port))
		for _, o := range opts {
			o(s)
		}
		if err = s.run(); err == nil {
			t.Cleanup(s.Kill)
			return s
		}
		s.Kill()
	}
	t.Fatalf("no redis-server: %v", err)
	return nil
}

func (s *Server) run() error {
	lines := append([]string{"bind 127.0.0.1", "daemonize no", "save \"\"", "appendonly no", "dir " + s.dir, "maxmemory-policy noeviction"}, s.ports()...)
	path := filepath.Join(s.dir, "redis.conf")
	if err := os.WriteFile(path, []byte(strings.Join(append(lines, s.conf...), "\n")+"\n"), 0o600); err != nil {
		return err
	}
	if err := s.exec("redis-server", path); err != nil {
		return err
	}
	return s.answers()
}

func (s *Server) ports() []string {
	if s.tls == nil {
		return []string{"port " + strconv.Itoa(s.port)}
	}
	return append([]string{"port 0", "tls-port " + strconv.Itoa(s.port)}, s.tls.conf()...)
}

func (s *Server) exec(args ...string) error {
	out, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close() // the process has its own
	s.cmd = exec.Command(args[0], args[1:]...)
	s.cmd.Stdout, s.cmd.Stderr = out, out
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	return s.cmd.Start()
}

// answers waits until the server answers or has ended.
func (s *Server) answers() error {
	ended := make(chan struct{})
	cmd := s.cmd
	go func() { _ = cmd.Wait(); close(ended) }() // ends with the process, which Kill ends
	c := s.Client()
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	return until(ctx, func() error {
		select {
		case <-ended:
			log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			return stopError{fmt.Errorf("%s ended: %s", s.Addr, log)}
		default:
			return c.Ping(ctx).Err()
		}
	})
}

// stopError ends a wait.
type stopError struct{ error }

// until calls f until it returns nil.
func until(ctx context.Context, f func() error) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		err := f()
		var stop stopError
		if err == nil || errors.As(err, &stop) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited long enough: %w", err)
		case <-tick.C:
		}
	}
}

// Client is a client with all rights; its owner closes it.
func (s *Server) Client() *goredis.Client {
	goredis.SetLogger(silent{})
	o := &goredis.Options{Addr: s.Addr, Username: s.user, Password: s.password, Protocol: 2, MaxRetries: -1, DialerRetries: 1, DisableIdentity: true, PoolSize: 2}
	if s.tls != nil {
		o.TLSConfig = s.tls.client()
	}
	return goredis.NewClient(o)
}

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// Do runs one command as administrator and fails the test if it fails.
func (s *Server) Do(args ...any) any {
	s.t.Helper()
	c := s.Client()
	defer c.Close()
	v, err := c.Do(context.Background(), args...).Result()
	if err != nil && !errors.Is(err, goredis.Nil) {
		s.t.Fatalf("redis %v: %v", args, err)
	}
	return v
}

// Kill ends the server as kill -9 does; nothing is left of what it knew.
func (s *Server) Kill() {
	if s.cmd != nil && s.cmd.Process != nil {
		_ = s.cmd.Process.Kill() // may be over already
		_ = until(context.Background(), func() error {
			if s.cmd.Process.Signal(syscall.Signal(0)) == nil {
				return errors.New("still there")
			}
			return nil
		})
	}
}

// Restart starts a killed server again, at the same address.
func (s *Server) Restart() {
	s.t.Helper()
	if err := s.run(); err != nil {
		s.t.Fatalf("restart: %v", err)
	}
}

// Freeze stops the process where it stands (SIGSTOP): connections stay open
// and nothing is answered.
func (s *Server) Freeze() { s.signal(syscall.SIGSTOP) }

// Thaw lets a frozen process go on.
func (s *Server) Thaw() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatalf("%v: %v", sig, err)
	}
}

// freePort is below the range that outgoing connections take their ports
// from, so that none of them is in the way when the server starts, and above
// what the end-to-end tests give to gateways that they stop and start again.
func freePort(t testing.TB) int {
	t.Helper()
	const low, span = 30_000, 1500
	for i := range span {
		p := low + (os.Getpid()*97+int(time.Now().UnixNano()/1000)+i)%span
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p)))
		if err == nil {
			_ = l.Close()
			return p
		}
	}
	t.Fatal("no free port")
	return 0
}
