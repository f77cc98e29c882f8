package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// sizes are the small answers: 200 bytes of text, and 8 KiB of JSON, which is
// looked through for names of secrets.
var sizes = []struct{ name, path string }{{"200b", "/small"}, {"8k", "/json"}}

// measureSmall counts small requests a second over several connections of
// HTTP/1.1, and as many streams of one of HTTP/2.
func measureSmall(ctx context.Context, l *lab) error {
	return l.small(ctx, func(name string, rate, _ [][]float64) {
		l.webFigures("https.rps."+name, medians(rate), "1/s", true)
	})
}

// measureSmallCPU is the CPU that each of them takes on the way.
func measureSmallCPU(ctx context.Context, l *lab) error {
	return l.small(ctx, func(name string, _, cpu [][]float64) {
		l.webFigures("https.cpu."+name, medians(cpu), "us", false)
	})
}

func (l *lab) small(ctx context.Context, tell func(name string, rate, cpu [][]float64)) error {
	ways, err := l.ways(ctx)
	if err != nil {
		return err
	}
	for _, size := range sizes {
		for _, proto := range []string{h1, h2} {
			rate, cpu := make([][]float64, webWays), make([][]float64, webWays)
			for range l.volume.webRounds {
				for i, w := range ways {
					r, c, err := l.window(ctx, w, proto, size.path)
					if err != nil {
						return fmt.Errorf("%s %s: %w", proto, size.path, err)
					}
					rate[i], cpu[i] = append(rate[i], r), append(cpu[i], c)
				}
			}
			tell(proto+"."+size.name, rate, cpu)
		}
	}
	return nil
}

// window asks for a path for a while. It returns how often a second that
// succeeded, and the CPU µs of each.
func (l *lab) window(ctx context.Context, w *web, proto, path string) (rate, cpu float64, err error) {
	ask, stop, err := w.askers(ctx, proto, path, l.volume.webAtOnce)
	defer stop()
	if err != nil {
		return 0, 0, err
	}
	for _, do := range ask { // what opens a connection, and warms up, is not counted
		if err := do(); err != nil {
			return 0, 0, err
		}
	}
	var done atomic.Int64
	errs := make(chan error, len(ask))
	before, began := w.route().cpu(), time.Now()
	var all sync.WaitGroup
	for _, do := range ask {
		all.Go(func() {
			for time.Since(began) < l.volume.webWindow {
				if err := do(); err != nil {
					errs <- err
					return
				}
				done.Add(1)
			}
		})
	}
	all.Wait()
	took := time.Since(began)
	used := w.route().cpu() - before
	select {
	case err := <-errs:
		return 0, 0, err
	default:
	}
	n := float64(done.Load())
	return n / took.Seconds(), used.Seconds() * 1e6 / n, nil
}

// askers are n functions that ask for a path and drop the answer.
func (w *web) askers(ctx context.Context, proto, path string, n int) (ask []func() error, stop func(), err error) {
	if proto == h2 {
		c := w.client()
		r, err := w.request(ctx, http.MethodGet, path, nil)
		for range n {
			ask = append(ask, func() error { _, _, err := w.fetch(c, r.Clone(ctx)); return err })
		}
		return ask, c.CloseIdleConnections, err
	}
	var open []*wire
	stop = func() {
		for _, c := range open {
			c.Close()
		}
	}
	head := w.head(http.MethodGet, path)
	for range n {
		c, err := w.open(ctx)
		if err != nil {
			return nil, stop, err
		}
		open = append(open, c)
		ask = append(ask, func() error { _, err := c.get(head); return err })
	}
	return ask, stop, nil
}

// measureAdded is what the way adds to one request at a time, at a modest rate
// over a kept connection, in ms.
func measureAdded(ctx context.Context, l *lab) error {
	ways, err := l.ways(ctx)
	if err != nil {
		return err
	}
	for _, proto := range []string{h1, h2} {
		took, err := l.paced(ctx, ways, proto)
		if err != nil {
			return err
		}
		for _, q := range []struct {
			name string
			of   float64
		}{{".p50", 0.5}, {"", 0.99}} {
			name, v := "https.p99."+proto+q.name, make([]float64, webWays)
			for i := range v {
				v[i] = quantile(took[i], q.of)
			}
			l.webFigures(name, v, "ms", false)
			l.print(name+".added", v[webGateway]-v[webDirect], "ms", v[webCaddy]-v[webDirect], false)
		}
	}
	return nil
}

// paced asks by each way in turn, a block at a time; the first one warms up.
func (l *lab) paced(ctx context.Context, ways []*web, proto string) ([][]float64, error) {
	took := make([][]float64, len(ways))
	var asks []func() error
	for _, w := range ways {
		ask, stop, err := w.askers(ctx, proto, sizes[0].path, 1)
		defer stop()
		if err != nil {
			return nil, err
		}
		asks = append(asks, ask[0])
	}
	tick := time.NewTicker(pacedEvery)
	defer tick.Stop()
	for block := range l.volume.pacedBlocks + 1 {
		for i, do := range asks {
			for range pacedBlock {
				select {
				case <-tick.C:
				case <-ctx.Done():
					return nil, ctx.Err()
				}
				began := time.Now()
				if err := do(); err != nil {
					return nil, err
				}
				if block > 0 {
					took[i] = append(took[i], ms(time.Since(began)))
				}
			}
		}
	}
	return took, nil
}

const (
	pacedEvery = 5 * time.Millisecond // between two requests
	pacedBlock = 100                  // requests by one way before the next
)
