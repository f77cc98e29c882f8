package httpsproxy

import (
	"errors"
	"io"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/portcullis/portcullis/gateway"
)

// sweep ends the session as hundreds are ended at once, but for the descriptors,
// which are left to End.
func (l *fakeLive) sweep(told <-chan struct{}) {
	why := &gateway.Ended{Reason: gateway.EndSuspended}
	l.cancel(why)
	for _, c := range l.targets {
		c.(interface{ Shut(<-chan struct{}) }).Shut(told)
	}
	for _, c := range l.clients {
		c.(interface {
			Part(*gateway.Ended, <-chan struct{})
		}).Part(why, told)
	}
}

// TestSweep: an order over many sessions waits for no browser, the WebSockets
// that listen hear 1008, and what the kernel held of a download is gone.
func TestSweep(t *testing.T) {
	piece := make([]byte, 1<<20)
	w := newWorld(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/flood" {
			if r.URL.Path == "/ws" {
				echoTarget(t).ServeHTTP(rw, r)
				return
			}
			for range 256 {
				if _, err := rw.Write(piece); err != nil {
					return
				}
			}
			return
		}
		c, err := websocket.Accept(rw, r, nil)
		if err != nil {
			t.Errorf("accept: %v", err)
			return
		}
		defer c.CloseNow()
		for c.Write(r.Context(), websocket.MessageBinary, piece) == nil {
		}
	}))
	w.enter()
	listens, _, err := w.dial("/ws")
	check(t, err)
	for range 3 { // they read nothing
		_, _, err = w.dial("/flood")
		check(t, err)
	}
	var downloads []io.Reader
	for _, h2 := range []bool{false, true} {
		res, err := w.client(h2).Do(w.request("GET", "/large", nil))
		check(t, err)
		defer res.Body.Close()
		_, err = io.ReadFull(res.Body, make([]byte, 1<<10))
		check(t, err)
		downloads = append(downloads, res.Body)
	}
	var shown int64
	waitFor(t, func() bool { // until nobody takes anything any more
		before := shown
		shown = w.live.ch.out.Load()
		return before > 0 && shown == before
	})
	told := make(chan struct{})
	begun := time.Now()
	w.live.sweep(told)
	if d := time.Since(begun); d > FarewellTime {
		t.Errorf("the sweep waited for %s", d)
	}
	var ce websocket.CloseError
	if _, _, err := listens.Read(t.Context()); !errors.As(err, &ce) || ce.Code != 1008 {
		t.Errorf("the WebSocket heard %v", err)
	}
	for i, body := range downloads {
		if _, err := io.Copy(io.Discard, body); err == nil || i == 0 && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("download %d ended with %v", i, err)
		}
	}
	if now := w.live.ch.out.Load(); now != shown {
		t.Errorf("%d bytes were shown after it", now-shown)
	}
	close(told)
}
