package main

import (
	"context"
	"fmt"
	"time"

	"github.com/portcullis/portcullis/e2e/rig"
)

const (
	idleWarm     = 3 // open already when the counting begins
	idleSessions = 20
	echoKeys     = 200
	shellWithin  = 30 * time.Second
)

// open opens a raw terminal that echoes by cat on the far side.
func (r route) open(ctx context.Context) (*rig.Terminal, error) {
	if err := r.ready(ctx); err != nil {
		return nil, fmt.Errorf("%s: %w", r.name, err)
	}
	t, err := rig.OpenTerminal(80, 24, "ssh", append(r.args("-tt", "-e", "none"), "stty raw -echo; echo up; exec cat")...)
	if err != nil {
		return nil, err
	}
	if _, err := t.Expect(ctx, shellWithin, "up"); err != nil {
		t.Close()
		return nil, fmt.Errorf("%s: %w", r.name, err)
	}
	return t, nil
}

// echo types one key at a time and times its return.
func (l *lab) echo(ctx context.Context) error {
	routes := l.routes()
	var terminals [3]*rig.Terminal
	for i, r := range routes {
		t, err := r.open(ctx)
		if err != nil {
			return fmt.Errorf("ssh.echo: %w", err)
		}
		defer t.Close()
		terminals[i] = t
	}
	var all [3][]float64
	for n := range echoKeys {
		key := string(rune('a' + n%26))
		for i, t := range terminals {
			began := time.Now()
			if err := t.Type(key); err != nil {
				return err
			}
			if _, err := t.Expect(ctx, shellWithin, key); err != nil {
				return fmt.Errorf("ssh.echo: %s: %w", routes[i].name, err)
			}
			if n >= echoKeys/10 { // the first ones warm up
				all[i] = append(all[i], float64(time.Since(began))/float64(time.Millisecond))
			}
		}
	}
	l.both("ssh.echo", three{median(all[0]), median(all[1]), median(all[2])}, "ms", false)
	l.both("ssh.echo.p99", three{quantile(all[0], 0.99), quantile(all[1], 0.99), quantile(all[2], 0.99)}, "ms", false)
	return nil
}

// idle is what one idle session costs in memory on the way: the gateway's
// process, or for the baselines the sshd that a session needs (direct: the
// target's own; jump: the one in between).
func (l *lab) idle(ctx context.Context) error {
	var each three
	for i, r := range l.routes() {
		pids := r.pids
		if r.name == "direct" {
			pids = func() []int { return rig.Tree(l.Plant.PID()) }
		}
		v, err := idleOne(ctx, r, pids)
		if err != nil {
			return fmt.Errorf("ssh.idle: %w", err)
		}
		each[i] = v
	}
	l.both("ssh.idle", each, "KiB", false)
	return nil
}

func idleOne(ctx context.Context, r route, pids func() []int) (float64, error) {
	var open []*rig.Terminal
	defer func() {
		for _, t := range open {
			t.Close()
		}
	}()
	var before int64
	for n := range idleWarm + idleSessions {
		if n == idleWarm {
			before = memory(pids())
		}
		t, err := r.open(ctx)
		if err != nil {
			return 0, err
		}
		open = append(open, t)
	}
	return float64(memory(pids())-before) / idleSessions, nil
}

// memory is the proportional share of all these processes in KiB; one that
// has ended holds none.
func memory(pids []int) int64 {
	var sum int64
	for _, pid := range pids {
		if kb, err := rig.Shared(pid); err == nil {
			sum += kb
		}
	}
	return sum
}
