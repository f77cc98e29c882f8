package main

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/e2e/rig"
)

const (
	idleSettle   = 5 * time.Second  // after which memory is read
	afterSettle  = 20 * time.Second // the same once all have left: recordings are sealed and searched then
	openWithin   = 90 * time.Second // for all sessions of a route
	outputWithin = 90 * time.Second
)

// pools is what one route's processes hold, in KiB: none open, each idle
// session, each after its output, and when all are closed.
type pools struct{ fresh, idle, output, after float64 }

// measureIdle is what sessions cost in memory on the way: the gateway's
// process, or for the baselines the sshd that a session needs (direct: the
// target's own; jump: the one in between).
func measureIdle(ctx context.Context, l *lab) error {
	// A process that has enrolled people and applied a plant is not fresh.
	if err := l.Stop(); err != nil {
		return err
	}
	if err := l.Start(ctx); err != nil {
		return err
	}
	var all []pools
	for i, r := range l.routes(ssh.CipherAES128GCM)[:inner] {
		n := l.volume.idleBase
		if i == gateway {
			n = l.volume.idle
		}
		p, err := l.pools(ctx, r, n)
		if err != nil {
			return err
		}
		all = append(all, p)
	}
	column := func(of func(pools) float64) (v []float64) {
		for _, p := range all {
			v = append(v, of(p))
		}
		return v
	}
	l.figures("ssh.idle", column(func(p pools) float64 { return p.idle }), "KiB", false)
	l.figures("ssh.idle.output", column(func(p pools) float64 { return p.output }), "KiB", false)
	l.print("ssh.idle.fresh", all[gateway].fresh, "KiB", all[direct].fresh, false)
	l.print("ssh.idle.after", all[gateway].after, "KiB", all[gateway].fresh, false)
	return nil
}

func (l *lab) pools(ctx context.Context, r route, n int) (p pools, err error) {
	if p.fresh, err = memory(ctx, r, idleSettle); err != nil {
		return p, err
	}
	size := l.volume.outputMiB << 20
	talk := min(n, l.volume.talk)
	var full sync.WaitGroup
	full.Add(talk)
	took := func(h *held, p []byte) {
		if h.note == nil {
			h.note = []int64{0}
		}
		before := h.note[0]
		h.note[0] += int64(bytes.Count(p, []byte{0}))
		if before < int64(size) && h.note[0] >= int64(size) {
			full.Done()
		}
	}
	// A line of input sets the output off; then it waits again.
	command := fmt.Sprintf("stty raw -echo; echo %s; head -c 1 > /dev/null; head -c %d /dev/zero; exec cat", upMark, size)
	opening, cancel := context.WithTimeout(ctx, openWithin)
	all, err := hold(opening, r, n, command, upMark, took)
	cancel()
	defer func() { leave(all) }()
	if err != nil {
		return p, err
	}
	idle, err := memory(ctx, r, idleSettle)
	if err != nil {
		return p, err
	}
	err = together(talk, next(all, func(h *held) error { _, err := h.in.Write([]byte("\n")); return err }))
	if err != nil {
		return p, err
	}
	if err := within(&full, outputWithin); err != nil {
		return p, fmt.Errorf("%s: output: %w", r.name, err)
	}
	output, err := memory(ctx, r, idleSettle)
	if err != nil {
		return p, err
	}
	p.idle = (idle - p.fresh) / float64(n)
	p.output = p.idle + (output-idle)/float64(talk)
	leave(all)
	p.after, err = memory(ctx, r, afterSettle)
	return p, err
}

// next makes of a function of one session one that takes the next of all.
func next(all []*held, do func(*held) error) func() error {
	var mu sync.Mutex
	i := 0
	return func() error {
		mu.Lock()
		h := all[i]
		i++
		mu.Unlock()
		return do(h)
	}
}

// within waits for all.
func within(all *sync.WaitGroup, limit time.Duration) error {
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }() // left behind by a run that fails
	select {
	case <-done:
		return nil
	case <-time.After(limit):
		return fmt.Errorf("not all of it came within %s", limit)
	}
}

// memory is the proportional share of all the route's processes in KiB, after
// they had that time to come to rest; one that has ended holds none.
func memory(ctx context.Context, r route, rest time.Duration) (float64, error) {
	select {
	case <-time.After(rest):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	var sum int64
	for _, pid := range r.pids() {
		if kb, err := rig.Shared(pid); err == nil {
			sum += kb
		}
	}
	return float64(sum), nil
}
