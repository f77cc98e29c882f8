package access_test

import (
	"context"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/access"
	"github.com/portcullis/portcullis/gateway/trust/trusttest"
)

func TestWindowOpensAndEnds(t *testing.T) {
	w := newWorld(t)
	from := w.Now().Add(time.Hour).Truncate(time.Second)
	g := w.granted(func(i *access.AskInput) { i.Length, i.From, i.To = 0, from, from.Add(time.Hour) })
	if g.State != gateway.GrantPlanned {
		t.Fatalf("grant %+v", g)
	}
	w.svc.Turn(t.Context())
	_, err := w.entitle(g.ID)
	refused(t, "before the window", err, "window")

	w.Advance(from.Sub(w.Now()) - time.Second)
	if d := w.svc.Turn(t.Context()); d <= 0 || d > time.Second {
		t.Fatalf("the keeper sleeps %s", d)
	}
	w.Advance(time.Second)
	w.svc.Turn(t.Context())
	if g, err = w.svc.Grant(t.Context(), g.ID); err != nil || g.State != gateway.GrantOpen {
		t.Fatalf("grant %+v %v", g, err)
	}
	if _, err := w.entitle(g.ID); err != nil {
		t.Fatal(err)
	}

	w.Advance(time.Hour)
	_, err = w.entitle(g.ID)
	refused(t, "at the window's end, the keeper asleep", err, "window")
	w.svc.Turn(t.Context())
	if g, err = w.svc.Grant(t.Context(), g.ID); err != nil || g.State != gateway.GrantClosed || g.Why != gateway.EndWindow {
		t.Fatalf("grant %+v %v", g, err)
	}
	if len(w.ended) != 1 || w.ended[0] != g.ID+" window-ended gateway" {
		t.Fatalf("told %v", w.ended)
	}
	if got := names(w.events("grant.")); got != "grant.made grant.opened grant.closed" {
		t.Fatalf("events %s", got)
	}
}

func TestWindowWentByWhileTheGatewayWasDown(t *testing.T) {
	w := newWorld(t)
	from := w.Now().Add(time.Hour).Truncate(time.Second)
	w.granted(func(i *access.AskInput) { i.Length, i.From, i.To = 0, from, from.Add(time.Hour) })
	w.Advance(5 * time.Hour)
	w.svc.Turn(t.Context())
	if got := names(w.events("grant.")); got != "grant.made grant.closed" {
		t.Fatalf("events %s", got)
	}
}

// A grant opens by itself when it is used before the keeper woke.
func TestPlannedGrantOpensWhenUsed(t *testing.T) {
	w := newWorld(t)
	from := w.Now().Add(time.Hour).Truncate(time.Second)
	g := w.granted(func(i *access.AskInput) { i.Length, i.From, i.To = 0, from, from.Add(time.Hour) })
	w.Advance(from.Sub(w.Now()))
	together(8, func(int) {
		if _, _, err := w.svc.Usable(t.Context(), w.p(trusttest.Engineer), trusttest.Target, ""); err != nil {
			t.Error(err)
		}
	})
	if got := names(w.events("grant.")); got != "grant.made grant.opened" {
		t.Fatalf("events %s (%s)", got, g.ID)
	}
}

func TestClockSetBackExtendsNothing(t *testing.T) {
	w := newWorld(t)
	mono := time.Duration(0)
	w.svc.SetMono(func() time.Duration { return mono })
	step := func(wall, passed time.Duration) { w.Advance(wall); mono += passed }
	g := w.granted(nil)
	w.svc.Turn(t.Context())
	if got := len(w.events("clock.")); got != 0 {
		t.Fatalf("%d steps before any", got)
	}
	step(119*time.Minute, 119*time.Minute)
	w.svc.Turn(t.Context())
	step(-time.Hour, time.Second)
	w.svc.Turn(t.Context())
	if e := w.events("clock.stepped"); len(e) != 1 || e[0].Detail["by"] != "-1h0m1s" {
		t.Fatalf("events %+v", e)
	}
	step(2*time.Minute, 2*time.Minute)
	_, err := w.entitle(g.ID)
	refused(t, "two real hours after it opened", err, "window")
	w.svc.Turn(t.Context())
	if g, err = w.svc.Grant(t.Context(), g.ID); err != nil || g.State != gateway.GrantClosed {
		t.Fatalf("grant %+v %v", g, err)
	}
}

func TestClockSetAheadCloses(t *testing.T) {
	w := newWorld(t)
	mono := time.Duration(0)
	w.svc.SetMono(func() time.Duration { return mono })
	g := w.granted(nil)
	w.svc.Turn(t.Context())
	w.Advance(3 * time.Hour)
	w.svc.Turn(t.Context())
	w.Advance(-3 * time.Hour)
	w.svc.Turn(t.Context())
	if len(w.events("clock.stepped")) != 2 {
		t.Fatalf("events %s", names(w.events("clock.")))
	}
	_, err := w.entitle(g.ID)
	refused(t, "a closed grant stays closed", err, "window")
}

// Run wakes by itself for what is written while it sleeps, and ends with its
// context.
func TestRun(t *testing.T) {
	w := newWorld(t)
	changes, cancel := w.svc.Subscribe()
	defer cancel()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.svc.Run(ctx) }()
	g := w.granted(nil)
	w.Advance(2 * time.Hour)
	for c := range changes {
		if c.Kind == "grant" && c.State == string(gateway.GrantClosed) {
			if c.ID != g.ID || c.Person != trusttest.Engineer {
				t.Fatalf("change %+v", c)
			}
			break
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	cancel()
	cancel()
	for range changes { // closed: what is left, then the end
	}
}

func TestSlowSubscriberIsToldThatItMissed(t *testing.T) {
	w := newWorld(t)
	changes, cancel := w.svc.Subscribe()
	for range 40 {
		r := w.ask(nil)
		_, err := w.svc.Withdraw(t.Context(), w.p(trusttest.Engineer), r.ID)
		w.ok(err)
	}
	cancel()
	missed, n := false, 0
	for c := range changes {
		missed, n = missed || c.Missed, n+1
	}
	if !missed || n != 64 {
		t.Fatalf("%d changes, missed %t", n, missed)
	}
}
