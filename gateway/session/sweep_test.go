package session_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/session"
)

// swift is a socket of either side that a sweep can end.
type swift struct {
	*closer
	shut, parted, wrote atomic.Bool
	stuck               bool // a client that takes nothing: Part returns when it is closed
	others              *atomic.Int32
}

func newSwift(shut *atomic.Int32) *swift { return &swift{closer: newCloser(), others: shut} }

func (s *swift) Shut(<-chan struct{}) {
	s.shut.Store(true)
	s.others.Add(1)
}

func (s *swift) Part(*gateway.Ended, <-chan struct{}) {
	if s.stuck {
		<-s.closed
		return
	}
	s.parted.Store(true)
}

func (s *swift) Closed(*gateway.Ended) { s.wrote.Store(true) }

func suspend(w *world) []gateway.ClosedSession {
	return w.m.EndAll(func(gateway.Session) bool { return true }, &gateway.Ended{Reason: gateway.EndSuspended})
}

// The order of a suspension: every socket first, the answer, and only then the
// recordings. A seal that takes its time keeps nobody waiting, and nothing
// passes once the answer is there.
func TestAnswerDoesNotWaitForSeals(t *testing.T) {
	const many = 50
	w := newWorld(t, time.Hour, nil)
	w.rec.sealing = make(chan struct{})
	var lives []*session.Live
	var tracks []*session.Channel
	var targets, clients []*swift
	var shut atomic.Int32
	for range many {
		l := w.open()
		ch, err := l.Channel(t.Context(), gateway.Channel{Kind: gateway.ChannelShell})
		target, client := newSwift(&shut), newSwift(&shut)
		if err := errors.Join(err, l.Attach(target), l.AttachClient(client, func(*gateway.Ended) {})); err != nil {
			t.Fatal(err)
		}
		lives, tracks, targets, clients = append(lives, l), append(tracks, ch), append(targets, target), append(clients, client)
	}
	release := w.m.PutOff()
	if out := suspend(w); len(out) != many || !out[0].Closed || !out[many-1].Closed {
		t.Fatalf("report = %+v", out)
	}
	for i, ch := range tracks {
		leak := writer(func(p []byte) (int, error) { t.Errorf("%q passed", p); return len(p), nil })
		if ch.Show(false, []byte("shown"), leak) == nil || ch.Send([]byte("typed"), leak) == nil {
			t.Error("no error once it is over")
		}
		if !targets[i].shut.Load() || !clients[i].parted.Load() || clients[i].wrote.Load() {
			t.Errorf("shut %v, parted %v, recorded before the release %v", targets[i].shut.Load(), clients[i].parted.Load(), clients[i].wrote.Load())
		}
		<-targets[i].closed
		<-clients[i].closed
	}
	release()
	select {
	case <-lives[0].Done():
		t.Error("over before its seal")
	default:
	}
	close(w.rec.sealing)
	for i, l := range lives {
		<-l.Done()
		if !clients[i].wrote.Load() {
			t.Error("what the end cut off was not written down")
		}
	}
}

// One client that takes nothing keeps neither another's farewell nor the
// answer back for longer than its time.
func TestStuckClientKeepsNobodyBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, time.Hour, nil)
		var clients []*swift
		var shut atomic.Int32
		for i := range 40 {
			l := w.open()
			c := newSwift(&shut)
			c.stuck = i%4 == 0
			if err := errors.Join(l.Attach(newSwift(&shut)), l.AttachClient(c, func(*gateway.Ended) {})); err != nil {
				t.Fatal(err)
			}
			clients = append(clients, c)
		}
		begun := time.Now()
		out := suspend(w)
		if took := time.Since(begun); took > session.SweepTime+time.Millisecond {
			t.Errorf("took %v", took)
		}
		for _, c := range out {
			if !c.Closed {
				t.Fatalf("report = %+v", out)
			}
		}
		for i, c := range clients {
			if !c.stuck && !c.parted.Load() {
				t.Errorf("client %d was told nothing", i)
			}
		}
	})
}

// Two orders for the same sessions, and their own ends besides: each socket is
// closed once, and each order answers.
func TestSweepsMeet(t *testing.T) {
	w := newWorld(t, time.Hour, nil)
	var lives []*session.Live
	var shut atomic.Int32
	for range 100 {
		l := w.open()
		if err := errors.Join(l.Attach(newSwift(&shut)), l.AttachClient(newSwift(&shut), nil)); err != nil {
			t.Fatal(err)
		}
		lives = append(lives, l)
	}
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for _, c := range suspend(w) {
				if !c.Closed {
					t.Errorf("open: %+v", c)
				}
			}
		})
	}
	for _, l := range lives {
		wg.Go(func() { l.Finish(gateway.EndClientLeft) })
	}
	wg.Wait()
}
