package main

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// betweenTrips is how often each of the quiet tunnels asks.
const betweenTrips = 50 * time.Millisecond

// measureFair times what is small in tunnels of its own, a connection and 16
// bytes there and back, while another tunnel carries what one connection can.
func measureFair(ctx context.Context, l *lab) error {
	k, err := startPulses(l.network)
	if err != nil {
		return err
	}
	defer k.close()
	open, err := l.tunnels(ctx, "ana", flowsTarget)
	if err != nil {
		return err
	}
	f, err := l.network.startForwarder(ctx, l.volume.quiet+1)
	if err != nil {
		return err
	}
	var alone, beside [2][]float64
	for i, w := range []struct {
		space string
		next  func(context.Context) (peering, error)
		pid   int
	}{{"tunnelled", open, l.PID()}, {"routed", f.next, f.cmd.Process.Pid}} {
		p, err := w.next(ctx)
		if err != nil {
			return err
		}
		bulk, err := l.network.join(ctx, w.space, p, w.pid)
		if err != nil {
			return err
		}
		peers, err := quietPeers(ctx, l.volume.quiet, w.next)
		if err != nil {
			return err
		}
		if alone[i], beside[i], err = k.besideBulk(ctx, l, peers, bulk); err != nil {
			return fmt.Errorf("%s: %w", w.space, err)
		}
		for _, p := range peers {
			p.leave()
		}
	}
	l.print("wg.fair", quantile(beside[0], 0.99), "ms", quantile(beside[1], 0.99), false)
	l.print("wg.fair.alone", quantile(beside[0], 0.99), "ms", quantile(alone[0], 0.99), false)
	return nil
}

func quietPeers(ctx context.Context, n int, next func(context.Context) (peering, error)) (list []*peer, err error) {
	for range n {
		made, err := next(ctx)
		if err != nil {
			return nil, err
		}
		p, err := newPeer(made)
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

// besideBulk returns how long trips took, in ms, before the bulk and beside it.
func (k *pulses) besideBulk(ctx context.Context, l *lab, peers []*peer, bulk flowWay) (alone, beside []float64, err error) {
	if _, err = k.trips(ctx, peers, time.Second); err != nil { // shakes hands
		return nil, nil, err
	}
	if alone, err = k.trips(ctx, peers, l.volume.flowTime); err != nil {
		return nil, nil, err
	}
	carried := make(chan error, 1)
	go func() {
		_, _, err := l.network.iperf(ctx, bulk, 1, l.volume.flowTime+time.Second, true)
		carried <- err
	}()
	if err := rest(ctx, time.Second/2); err != nil { // until it runs
		return nil, nil, err
	}
	if beside, err = k.trips(ctx, peers, l.volume.flowTime); err != nil {
		return nil, nil, err
	}
	return alone, beside, <-carried
}

// trips has each peer ask again and again for so long.
func (k *pulses) trips(ctx context.Context, peers []*peer, d time.Duration) (took []float64, err error) {
	var mu sync.Mutex // guards took and err
	var all sync.WaitGroup
	until := time.Now().Add(d)
	for _, p := range peers {
		all.Go(func() {
			for time.Now().Before(until) {
				t, failed := k.trip(p)
				mu.Lock()
				if took = append(took, ms(t)); failed != nil {
					err = failed
				}
				mu.Unlock()
				if failed != nil || rest(ctx, betweenTrips) != nil {
					return
				}
			}
		})
	}
	all.Wait()
	return took, err
}
