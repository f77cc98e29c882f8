package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// bulk measures how much a second passes under one cipher, and what CPU the
// way takes for a GiB. The value counts the session's set-up in.
func bulk(name, cipher string) func(context.Context, *lab) error {
	return func(ctx context.Context, l *lab) error {
		// A file without blocks reads as zeroes and costs no disk.
		source := filepath.Join(l.Dir, "zeroes")
		if err := os.WriteFile(source, nil, 0o600); err != nil {
			return err
		}
		if err := os.Truncate(source, int64(l.volume.bulkMiB)<<20); err != nil {
			return err
		}
		bare, stop, err := l.throughLibrary(ctx, cipher)
		if err != nil {
			return err
		}
		defer stop()
		for _, way := range []struct {
			name string
			move func(context.Context, route) (time.Duration, error)
		}{
			{".down", l.down},
			{".up", func(ctx context.Context, r route) (time.Duration, error) { return l.up(ctx, r, source) }},
		} {
			if err := l.moved(ctx, name+way.name, append(l.routes(cipher), bare), way.move); err != nil {
				return fmt.Errorf("%s: %w", name+way.name, err)
			}
		}
		return nil
	}
}

// moved measures one way over each route in turn. The first round warms up.
func (l *lab) moved(ctx context.Context, name string, routes []route, move func(context.Context, route) (time.Duration, error)) error {
	rate, cpu := make([][]float64, len(routes)), make([][]float64, len(routes))
	for round := range l.volume.bulkRounds + 1 {
		for i, r := range routes {
			before := r.cpu()
			took, err := move(ctx, r)
			if err != nil {
				return err
			}
			after, err := r.settled(ctx)
			if err != nil {
				return err
			}
			if round > 0 {
				mib := float64(l.volume.bulkMiB)
				rate[i] = append(rate[i], mib/took.Seconds())
				cpu[i] = append(cpu[i], (after-before).Seconds()/(mib/1024))
			}
		}
	}
	l.figures(name, medians(rate), "MiB/s", true)
	l.print(name+".library", median(rate[gateway]), "MiB/s", median(rate[library]), true)
	l.print(name+".cpu", median(cpu[gateway]), "s/GiB", median(cpu[direct]), false)
	l.print(name+".cpu.library", median(cpu[gateway]), "s/GiB", median(cpu[library]), false)
	l.print(name+".ceiling", median(rate[library]), "MiB/s", median(rate[direct]), true)
	return nil
}

func medians(all [][]float64) []float64 {
	var m []float64
	for _, v := range all {
		m = append(m, median(v))
	}
	return m
}

func (l *lab) down(ctx context.Context, r route) (time.Duration, error) {
	var n count
	size := int64(l.volume.bulkMiB) << 20
	took, err := r.touched(ctx, nil, &n, fmt.Sprintf("head -c %d /dev/zero", size), "-T")
	if err == nil && int64(n) != size {
		err = fmt.Errorf("%s: %d of %d bytes came down", r.name, n, size)
	}
	return took, err
}

func (l *lab) up(ctx context.Context, r route, source string) (time.Duration, error) {
	in, err := os.Open(source)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	var counted strings.Builder
	took, err := r.touched(ctx, in, io.Writer(&counted), "wc -c", "-T")
	if got := strings.TrimSpace(counted.String()); err == nil && got != fmt.Sprint(int64(l.volume.bulkMiB)<<20) {
		err = fmt.Errorf("%s: %s bytes came up of %d MiB", r.name, got, l.volume.bulkMiB)
	}
	return took, err
}
