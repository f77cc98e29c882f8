package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// measureSetup times sessions that do nothing, one after the other, and what
// CPU the way takes for one. Touches of a batch are given ahead, so that the
// CPU is that of the sessions alone, their sealing included.
func measureSetup(ctx context.Context, l *lab) error {
	routes := l.routes(ssh.CipherAES128GCM)
	wall, cpu := make([][]float64, len(routes)), make([][]float64, len(routes))
	for round := range l.volume.setupRounds + 1 {
		for i, r := range routes {
			took, used, err := l.batch(ctx, r)
			if err != nil {
				return err
			}
			if round > 0 { // the first round warms up
				wall[i], cpu[i] = append(wall[i], took...), append(cpu[i], used)
			}
		}
	}
	l.figures("ssh.setup", medians(wall), "ms", false)
	l.figures("ssh.setup.cpu", medians(cpu), "ms", false)
	return nil
}

// batch returns how long each session took and the CPU of one, in ms.
func (l *lab) batch(ctx context.Context, r route) (wall []float64, cpu float64, err error) {
	if err := r.touches(ctx, l.volume.setupBatch); err != nil {
		return nil, 0, err
	}
	before, err := r.settled(ctx)
	if err != nil {
		return nil, 0, err
	}
	for range l.volume.setupBatch {
		took, err := r.run(ctx, nil, nil, "true", "-T")
		if err != nil {
			return nil, 0, err
		}
		wall = append(wall, ms(took))
	}
	after, err := r.settled(ctx)
	return wall, ms(after-before) / float64(len(wall)), err
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// touches gives n touches ahead: each is good for a minute.
func (r route) touches(ctx context.Context, n int) error {
	for range n {
		if err := r.touch(ctx); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
	}
	return nil
}

// measureParallel counts sessions a second with atOnce clients at once.
func measureParallel(ctx context.Context, l *lab) error {
	routes := l.routes(ssh.CipherAES128GCM)[:inner]
	rate := make([][]float64, len(routes))
	for round := range l.volume.burstRounds + 1 {
		for i, r := range routes {
			if err := r.touches(ctx, l.volume.burst); err != nil {
				return err
			}
			began := time.Now()
			err := together(l.volume.burst, func() error {
				_, err := r.run(ctx, nil, nil, "true", "-T")
				return err
			})
			if err != nil {
				return err
			}
			if round > 0 {
				rate[i] = append(rate[i], float64(l.volume.burst)/time.Since(began).Seconds())
			}
		}
	}
	l.figures("ssh.parallel", medians(rate), "sessions/s", true)
	return nil
}

// together calls do n times, atOnce at once, and returns its first error.
func together(n int, do func() error) error {
	var mu sync.Mutex
	var first error
	left := n
	next := func() bool {
		mu.Lock()
		defer mu.Unlock()
		left--
		return left >= 0 && first == nil
	}
	var all sync.WaitGroup
	for range atOnce {
		all.Go(func() {
			for next() {
				if err := do(); err != nil {
					mu.Lock()
					if first == nil {
						first = err
					}
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	return first
}
