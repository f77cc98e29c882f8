package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/e2e/rig"
)

// The routes, in the order in which figures are told.
const (
	gateway = iota // ACCOUNT+TARGET@gateway
	direct         // to the target's sshd
	jump           // ssh -J through a second sshd
	inner          // the gateway's -J form
)

// keyExchange is what every route uses: both ends of each know it.
const keyExchange = ssh.KeyExchangeCurve25519

// dialWithin bounds one connection.
const dialWithin = 30 * time.Second

// route is one way to the target.
type route struct {
	name  string
	touch func(context.Context) error                // gives one touch ahead; not counted
	args  func(options ...string) []string           // of the stock ssh, before the command
	dial  func(context.Context) (*ssh.Client, error) // the same from this process; nil where nobody needs it
	pids  func() []int                               // the processes that the way costs
}

// routes returns the ways under one cipher.
func (l *lab) routes(cipher string) []route {
	nothing := func(context.Context) error { return nil }
	touch := func(ctx context.Context) error { return l.ticket(ctx, "ana", l.grant) }
	own := func() []int { return []int{l.PID()} }
	crypto := []string{"-c", cipher, "-o", "KexAlgorithms=" + keyExchange}
	with := func(o []string) []string { return append(append([]string{}, crypto...), o...) }
	jumpOver := func(config, login, addr string) []string {
		host, port, _ := net.SplitHostPort(addr)
		// ssh -J takes no options for the first leg, so it is spelled out.
		return []string{"-o", fmt.Sprintf("ProxyCommand=ssh -F %s -c %s -o KexAlgorithms=%s -p %s -l %s -W %%h:%%p %s",
			filepath.Join(config, "config"), cipher, keyExchange, port, login, host)}
	}
	ana := l.Clients["ana"]
	return []route{
		gateway: {"gateway", touch, func(o ...string) []string { return l.Args("ana", "pump", with(o)...) },
			func(ctx context.Context) (*ssh.Client, error) { return dial(ana, "ops+pump", l.SSH, cipher, nil) }, own},
		direct: {"direct", nothing, func(o ...string) []string { return l.client.Args(l.Plant.Login, l.Plant.Addr, with(o)...) },
			func(ctx context.Context) (*ssh.Client, error) {
				return dial(l.client, l.Plant.Login, l.Plant.Addr, cipher, nil)
			}, func() []int { return rig.Tree(l.Plant.PID()) }},
		jump: {"jump", nothing, func(o ...string) []string {
			return l.client.Args(l.Plant.Login, l.Plant.Addr, append(with(o), jumpOver(l.client.Dir, l.jump.Login, l.jump.Addr)...)...)
		}, func(ctx context.Context) (*ssh.Client, error) {
			return dial(l.client, l.Plant.Login, l.Plant.Addr, cipher, l.jump)
		}, func() []int { return rig.Tree(l.jump.PID()) }},
		inner: {"inner", touch, func(o ...string) []string {
			return ana.Args("ops", "pump:22", append(with(o), jumpOver(ana.Dir, "jump", l.SSH)...)...)
		}, nil, own},
	}
}

// dial opens a connection from this process, through a jump host if there is
// one.
func dial(c *rig.Client, user, addr, cipher string, over *rig.Plant) (*ssh.Client, error) {
	key, err := signer(c)
	if err != nil {
		return nil, err
	}
	config := &ssh.ClientConfig{
		Config: ssh.Config{Ciphers: []string{cipher}, KeyExchanges: []string{keyExchange}},
		User:   user, Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, Timeout: dialWithin,
		HostKeyCallback: ssh.InsecureIgnoreHostKey(), // our own process on loopback
	}
	if over == nil {
		return ssh.Dial("tcp", addr, config)
	}
	first, err := dial(c, over.Login, over.Addr, cipher, nil)
	if err != nil {
		return nil, err
	}
	nc, err := first.Dial("tcp", addr)
	if err != nil {
		first.Close()
		return nil, err
	}
	conn, chans, reqs, err := ssh.NewClientConn(nc, addr, config)
	if err != nil {
		first.Close()
		return nil, err
	}
	go func() { _ = conn.Wait(); first.Close() }() // the outer connection goes with the inner one
	return ssh.NewClient(conn, chans, reqs), nil
}

// run runs one command over a route, for which a touch was given, and returns
// how long it took.
func (r route) run(ctx context.Context, in io.Reader, out io.Writer, command string, options ...string) (time.Duration, error) {
	cmd := exec.CommandContext(ctx, "ssh", append(r.args(options...), command)...)
	cmd.Stdin, cmd.Stdout = in, out
	var said limited
	cmd.Stderr = &said
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("%s: ssh %s: %w: %s", r.name, command, err, said)
	}
	return time.Since(began), nil
}

// touched gives a touch and runs one command.
func (r route) touched(ctx context.Context, in io.Reader, out io.Writer, command string, options ...string) (time.Duration, error) {
	if err := r.touch(ctx); err != nil {
		return 0, fmt.Errorf("%s: %w", r.name, err)
	}
	return r.run(ctx, in, out, command, options...)
}

// cpu is what the route's processes have used so far, those included that
// have ended.
func (r route) cpu() time.Duration {
	var sum time.Duration
	for _, pid := range r.pids() {
		if used, err := rig.CPU(pid); err == nil { // one that has just ended is counted by its parent
			sum += used
		}
	}
	return sum
}

// settled waits until the route's processes have come to rest, and returns
// what they have used.
func (r route) settled(ctx context.Context) (time.Duration, error) {
	last, since := r.cpu(), time.Now()
	err := rig.Until(ctx, dialWithin, func() error {
		if now := r.cpu(); now != last {
			last, since = now, time.Now()
		}
		if time.Since(since) < atRest {
			return fmt.Errorf("%s: its processes do not come to rest", r.name)
		}
		return nil
	})
	return last, err
}

// atRest is how long a process uses no CPU before it counts as at rest.
const atRest = 200 * time.Millisecond

// limited keeps the first kilobyte for a message.
type limited []byte

func (l *limited) Write(p []byte) (int, error) {
	if room := 1024 - len(*l); room > 0 {
		*l = append(*l, p[:min(room, len(p))]...)
	}
	return len(p), nil
}

// count counts what is written to it.
type count int64

func (c *count) Write(p []byte) (int, error) {
	*c += count(len(p))
	return len(p), nil
}
