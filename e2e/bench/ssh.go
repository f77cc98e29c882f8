package main

import (
	"context"
	"fmt"
	"io"
	"time"
)

// How much is measured.
const (
	setupRounds = 15
	bulkRounds  = 5
	bulkMiB     = 64
	tailRounds  = 10
	tailBytes   = 1 << 20
)

// three holds a figure of each route: gateway, direct, jump.
type three [3]float64

// both prints the figure against the direct route and against ssh -J.
func (l *lab) both(name string, v three, unit string, more bool) {
	l.print(name, v[0], unit, v[1], more)
	l.print(name+".jump", v[0], unit, v[2], more)
}

func measureSSH(ctx context.Context, l *lab) error {
	// Memory first: after bulk, a process gives back more than idle shells take.
	if err := l.idle(ctx); err != nil {
		return err
	}
	for _, m := range []struct {
		name, unit string
		more       bool
		rounds     int
		once       func(context.Context, route) (float64, error)
	}{
		{"ssh.setup", "ms", false, setupRounds, setup},
		{"ssh.down", "MiB/s", true, bulkRounds, down},
		{"ssh.up", "MiB/s", true, bulkRounds, up},
	} {
		v, err := l.turns(ctx, m.rounds, m.once)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		l.both(m.name, v, m.unit, m.more)
	}
	for _, part := range []func(context.Context) error{l.echo, l.tail} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

// turns measures each route in turn, one round after the other; the first
// round warms up. It returns the medians.
func (l *lab) turns(ctx context.Context, rounds int, once func(context.Context, route) (float64, error)) (three, error) {
	var all [3][]float64
	for round := range rounds + 1 {
		for i, r := range l.routes() {
			v, err := once(ctx, r)
			if err != nil {
				return three{}, err
			}
			if round > 0 {
				all[i] = append(all[i], v)
			}
		}
	}
	return three{median(all[0]), median(all[1]), median(all[2])}, nil
}

func setup(ctx context.Context, r route) (float64, error) {
	took, err := r.run(ctx, nil, nil, "true", "-T")
	return float64(took) / float64(time.Millisecond), err
}

func down(ctx context.Context, r route) (float64, error) {
	var n count
	took, err := r.run(ctx, nil, &n, fmt.Sprintf("head -c %d /dev/zero", bulkMiB<<20), "-T")
	if err == nil && int64(n) != bulkMiB<<20 {
		err = fmt.Errorf("%s: %d of %d bytes came down", r.name, n, bulkMiB<<20)
	}
	return bulkMiB / took.Seconds(), err
}

func up(ctx context.Context, r route) (float64, error) {
	var n count
	took, err := r.run(ctx, io.LimitReader(zeroes{}, bulkMiB<<20), &n, "cat > /dev/null", "-T")
	return bulkMiB / took.Seconds(), err
}

// count counts what is written to it.
type count int64

func (c *count) Write(p []byte) (int, error) {
	*c += count(len(p))
	return len(p), nil
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// tail counts bytes that a command wrote just before it ended and that never
// arrived, without and with a terminal. Nothing may be lost.
func (l *lab) tail(ctx context.Context) error {
	for _, c := range []struct{ name, option string }{{"ssh.tail", "-T"}, {"ssh.tail.pty", "-tt"}} {
		var lost three
		for range tailRounds {
			for i, r := range l.routes() {
				var n count
				if _, err := r.run(ctx, nil, &n, fmt.Sprintf("head -c %d /dev/zero", tailBytes), c.option); err != nil {
					return fmt.Errorf("%s: %w", c.name, err)
				}
				lost[i] += float64(tailBytes - int64(n))
			}
		}
		l.both(c.name, lost, "bytes", false)
	}
	return nil
}
