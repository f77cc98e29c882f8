package main

import (
	"context"
	"io"
	"sync"
	"time"
)

const (
	echoEvery  = 500 * time.Millisecond // between two keys of one session
	echoWithin = 10 * time.Second       // for one to come back; then its session is lost
)

// trip is one key typed until it came back.
type trip struct{ began, back time.Time }

// talks types in all sessions of a vendor, until it is stopped.
type talks struct {
	all  []*held
	quit context.CancelFunc
	done sync.WaitGroup

	mu    sync.Mutex
	trips []trip
}

// noteEcho keeps when something came back. Of what is typed, one key is under
// way at a time.
func noteEcho(h *held, _ []byte) {
	h.last = time.Now()
	select {
	case h.back <- h.last:
	default:
	}
}

// talk begins in each session at a moment of its own.
func talk(ctx context.Context, all []*held) *talks {
	ctx, quit := context.WithCancel(ctx)
	t := &talks{all: all, quit: quit}
	for i, h := range all {
		t.done.Go(func() {
			select {
			case <-time.After(echoEvery * time.Duration(i) / time.Duration(len(all))):
				t.keys(ctx, h)
			case <-ctx.Done():
			}
		})
	}
	return t
}

func (t *talks) keys(ctx context.Context, h *held) {
	gap := time.NewTicker(echoEvery)
	defer gap.Stop()
	select { // what came before the first key
	case <-h.back:
	default:
	}
	for {
		x := trip{began: time.Now()}
		if _, err := io.WriteString(h.in, "x"); err != nil {
			return
		}
		select {
		case x.back = <-h.back:
		case <-time.After(echoWithin):
			return
		case <-ctx.Done():
			return
		}
		t.mu.Lock()
		t.trips = append(t.trips, x)
		t.mu.Unlock()
		select {
		case <-gap.C:
		case <-ctx.Done():
			return
		}
	}
}

// stop ends the typing; the sessions live.
func (t *talks) stop() {
	t.quit()
	t.done.Wait()
}

// told stops it and returns ms of the trips that were over before began and of
// those that were under way between began and until, and how many sessions are
// lost.
func (t *talks) told(began, until time.Time) (before, during []float64, lost int) {
	t.stop()
	for _, x := range t.trips {
		switch took := ms(x.back.Sub(x.began)); {
		case x.back.Before(began):
			before = append(before, took)
		case x.began.Before(until):
			during = append(during, took)
		}
	}
	for _, h := range t.all {
		select {
		case at := <-h.ended:
			h.ended <- at
			lost++
		default:
		}
	}
	return before, during, lost
}
