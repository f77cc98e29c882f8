package httpsproxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/portcullis/portcullis/gateway"
)

// TestTheRateIsHeld: a second's worth may come at once, then one after the
// other; a clock that is set back gives nothing away.
func TestTheRateIsHeld(t *testing.T) {
	l := newLimits(gateway.Abilities{Rate: 2})
	start := time.Unix(1_800_000_000, 0)
	for i, c := range []struct {
		after time.Duration
		ok    bool
		wait  time.Duration
	}{
		{0, true, 0}, {0, true, 0}, {0, false, 500 * time.Millisecond}, {250 * time.Millisecond, false, 250 * time.Millisecond},
		{500 * time.Millisecond, true, 0}, {-time.Hour, false, 500 * time.Millisecond}, {time.Hour, true, 0}, {time.Hour, true, 0}, {time.Hour, false, 500 * time.Millisecond},
	} {
		if wait, ok := l.admit(start.Add(c.after)); ok != c.ok || wait.Round(time.Millisecond) != c.wait {
			t.Errorf("step %d: %v after %s, want %v after %s", i, ok, wait, c.ok, c.wait)
		}
	}
	none := newLimits(gateway.Abilities{})
	for range 1000 {
		if _, ok := none.admit(start); !ok {
			t.Fatal("no bound is one")
		}
	}
}

func TestTooManyRequestsAreToldWhen(t *testing.T) {
	w := newWorld(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), func(w *world) { w.live.abilities.Rate = 1 })
	w.p.c.Now = func() time.Time { return time.Unix(1_800_000_000, 0) }
	w.enter()
	if res, _ := w.get("/"); res.StatusCode != http.StatusOK {
		t.Fatalf("the first request got %d", res.StatusCode)
	}
	res, body := w.get("/")
	if res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Retry-After") != "1" || !strings.Contains(body, "abilities.rate") {
		t.Errorf("the second got %d, Retry-After %q: %s", res.StatusCode, res.Header.Get("Retry-After"), body)
	}
	if r := w.live.ch.of(gateway.HTTPRequest); len(r) != 2 || r[1].Rule != "abilities.rate" {
		t.Errorf("recorded: %+v", r)
	}
}

// TestTheVolumeEndsTheSession: what would go beyond it passes no more, in
// either direction and in a WebSocket, and the session says why.
func TestTheVolumeEndsTheSession(t *testing.T) {
	const limit = 100_000
	page := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = rw.Write(make([]byte, limit/2))
	})
	over := func(t *testing.T, w *world) {
		t.Helper()
		<-w.live.ctx.Done()
		var why *gateway.Ended
		if cause := context.Cause(w.live.ctx); !errors.As(cause, &why) || why.Reason != gateway.EndVolume {
			t.Errorf("the session ended by %v", cause)
		}
		if in, out, a := w.live.ch.in.Load(), w.live.ch.out.Load(), w.live.abilities; a.VolumeIn > 0 && in > limit || a.VolumeOut > 0 && out > limit {
			t.Errorf("%d bytes in and %d out passed", in, out)
		}
		if res, body := w.get("/"); res.StatusCode != http.StatusUnauthorized || !strings.Contains(body, string(gateway.EndVolume)) {
			t.Errorf("afterwards: %d %s", res.StatusCode, body)
		}
	}
	t.Run("out", func(t *testing.T) {
		w := newWorld(t, page, func(w *world) { w.live.abilities.VolumeOut = limit })
		w.enter()
		for range 2 {
			if res, _ := w.get("/"); res.StatusCode != http.StatusOK {
				t.Fatalf("within the volume: %d", res.StatusCode)
			}
		}
		if res, err := w.client(false).Do(w.request("GET", "/", nil)); err == nil {
			if b, _ := io.ReadAll(res.Body); len(b) > 0 {
				t.Errorf("%d bytes came beyond the volume", len(b))
			}
			res.Body.Close()
		}
		over(t, w)
	})
	t.Run("in", func(t *testing.T) {
		w := newWorld(t, page, func(w *world) { w.live.abilities.VolumeIn = limit })
		w.enter()
		if res, err := w.client(false).Do(w.request("POST", "/", bytes.NewReader(make([]byte, limit+1)), "Content-Type", "application/octet-stream")); err == nil {
			res.Body.Close()
		}
		over(t, w)
	})
	t.Run("websocket", func(t *testing.T) {
		w := newWorld(t, echoTarget(t), func(w *world) { w.live.abilities.VolumeOut = limit })
		w.enter()
		c, _, err := w.dial("/ws")
		check(t, err)
		for c.Write(t.Context(), websocket.MessageBinary, make([]byte, limit/3)) == nil {
			if _, _, err := c.Read(t.Context()); err != nil {
				break
			}
		}
		over(t, w)
	})
}
