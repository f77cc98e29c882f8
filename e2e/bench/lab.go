package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/portcullis/portcullis/e2e/rig"
)

// lab is the stage with its three routes to one sshd.
type lab struct {
	*rig.Stage
	grant  rig.Grant
	jump   *rig.Plant // the second sshd, which ssh -J goes through
	client *rig.Client
	out    io.Writer
}

// route is one way to the target.
type route struct {
	name  string
	ready func(context.Context) error // before each connection; not counted
	args  func(options ...string) []string
	pids  func() []int // whose memory the route costs besides the target's own
}

func newLab(ctx context.Context, bin, dir string, out io.Writer) (*lab, error) {
	client, err := rig.NewClient(filepath.Join(dir, "direct"), "")
	if err != nil {
		return nil, err
	}
	l := &lab{client: client, out: out}
	if l.Stage, err = rig.NewStage(ctx, bin, dir, rig.Options{Authorized: client.PublicKey + "\n"}); err != nil {
		return nil, err
	}
	if l.jump, err = rig.StartPlant(ctx, filepath.Join(dir, "jump"), "", client.PublicKey+"\n"); err != nil {
		l.Close()
		return nil, err
	}
	known := rig.KnownHost(l.Plant.Addr, l.Plant.HostKey) + rig.KnownHost(l.jump.Addr, l.jump.HostKey)
	if err := os.WriteFile(filepath.Join(client.Dir, "known_hosts"), []byte(known), 0o600); err != nil {
		l.Close()
		return nil, err
	}
	if l.grant, err = l.Granted(ctx, "ana", "pump", 8*time.Hour); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// Close ends all that was started.
func (l *lab) Close() {
	if l.jump != nil {
		_ = l.jump.Stop()
	}
	l.Stage.Close()
}

// routes returns them in the order: the gateway, direct, ssh -J.
func (l *lab) routes() []route {
	nothing := func(context.Context) error { return nil }
	config := filepath.Join(l.client.Dir, "config")
	return []route{
		{"gateway", func(ctx context.Context) error { return l.Ticket(ctx, "ana", l.grant.ID) },
			func(o ...string) []string { return l.Args("ana", "pump", o...) }, func() []int { return []int{l.PID()} }},
		{"direct", nothing, func(o ...string) []string { return l.client.Args(l.Plant.Login, l.Plant.Addr, o...) }, func() []int { return nil }},
		{"jump", nothing, func(o ...string) []string {
			// ssh -J hands no -F on to its inner client, so it is spelled out.
			proxy := fmt.Sprintf("ssh -F %s -p %s -l %s -W %%h:%%p 127.0.0.1", config, l.jump.Addr[len("127.0.0.1:"):], l.jump.Login)
			return l.client.Args(l.Plant.Login, l.Plant.Addr, append(o, "-o", "ProxyCommand="+proxy)...)
		}, func() []int { return rig.Tree(l.jump.PID()) }},
	}
}

// run runs one command over a route and returns how long it took.
func (r route) run(ctx context.Context, in io.Reader, out io.Writer, command string, options ...string) (time.Duration, error) {
	if err := r.ready(ctx); err != nil {
		return 0, fmt.Errorf("%s: %w", r.name, err)
	}
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

// limited keeps the first kilobyte for a message.
type limited []byte

func (l *limited) Write(p []byte) (int, error) {
	if room := 1024 - len(*l); room > 0 {
		*l = append(*l, p[:min(room, len(p))]...)
	}
	return len(p), nil
}

// print prints one figure. more says that a higher value is better.
func (l *lab) print(name string, value float64, unit string, baseline float64, more bool) {
	ratio := 1.0
	switch {
	case value == baseline: // nothing lost on either side is as good
	case more:
		ratio = value / baseline
	default:
		ratio = baseline / value
	}
	line := fmt.Sprintf("%-18s %10.3f %-8s %10.3f %8.3f\n", name, value, unit, baseline, ratio)
	fmt.Print(line)
	_, _ = io.WriteString(l.out, line) // Sync at the end tells
}

func median(v []float64) float64 { return quantile(v, 0.5) }

func quantile(v []float64, q float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[min(len(v)-1, int(q*float64(len(v))))]
}
