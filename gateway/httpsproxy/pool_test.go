package httpsproxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// overKept is a world whose target writes to its connections by itself: answer
// gets each of them, after a request was read, and how many it carried before.
func overKept(t *testing.T, answer func(c *tls.Conn, r *http.Request, carried int) (goOn bool)) (w *world, conns *atomic.Int32) {
	t.Helper()
	conns = &atomic.Int32{}
	w = newWorld(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		c, br, err := http.NewResponseController(rw).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		conns.Add(1)
		for n := 0; ; n++ {
			if _, err := io.Copy(io.Discard, r.Body); err != nil || !answer(c.(*tls.Conn), r, n) {
				return
			}
			if r, err = http.ReadRequest(br.Reader); err != nil {
				return
			}
		}
	}), func(w *world) { w.target.EnableHTTP2 = false })
	w.enter()
	return w, conns
}

const fine = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nfine"

// TestAConnectionIsUsedAgain: with bodies and without.
func TestAConnectionIsUsedAgain(t *testing.T) {
	w, conns := overKept(t, func(c *tls.Conn, r *http.Request, _ int) bool {
		switch r.URL.Path {
		case "/none":
			_, _ = io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
		case "/chunks":
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nfi\r\n2\r\nne\r\n0\r\n\r\n")
		case "/last":
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nfine")
		default:
			_, _ = io.WriteString(c, fine)
		}
		return true
	})
	c := w.client(false)
	for _, path := range []string{"/", "/chunks", "/none", "/", "/last"} {
		if _, got := w.do(c, w.request("GET", path, nil)); got != "fine" && path != "/none" {
			t.Errorf("%s: %q", path, got)
		}
		if _, got := w.do(c, w.request("POST", "/", strings.NewReader("a=b"), "Content-Type", "application/x-www-form-urlencoded")); got != "fine" {
			t.Errorf("a form: %q", got)
		}
	}
	if n := conns.Load(); n != 2 {
		t.Errorf("%d connections, want one and one after that was closed", n)
	}
}

// TestWhatNobodyAskedForIsNoAnswer: bytes that come behind an answer, at once
// or later, are never taken for the next one.
func TestWhatNobodyAskedForIsNoAnswer(t *testing.T) {
	const evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
	for name, later := range map[string]bool{"at once": false, "later": true} {
		let, sent := make(chan struct{}), make(chan struct{}, 8)
		w, conns := overKept(t, func(c *tls.Conn, _ *http.Request, _ int) bool {
			if !later {
				_, _ = io.WriteString(c, fine+evil)
				return true
			}
			_, _ = io.WriteString(c, fine)
			<-let
			_, _ = io.WriteString(c, evil)
			sent <- struct{}{}
			return true
		})
		c := w.client(false)
		for range 3 {
			if _, got := w.do(c, w.request("GET", "/", nil)); got != "fine" {
				t.Errorf("%s: %q", name, got)
			}
			if later {
				let <- struct{}{}
				<-sent
			}
		}
		if n := conns.Load(); n != 3 {
			t.Errorf("%s: %d connections, want one each", name, n)
		}
	}
}

// TestAClosedConnectionIsAskedAnewOnce: what changes nothing more, and only
// over a connection that was used before.
func TestAClosedConnectionIsAskedAnewOnce(t *testing.T) {
	for _, x := range []struct {
		name, method, key string
		first             bool // the very first request is let down
		want, asked       int
	}{
		{"read again", "GET", "", false, 200, 2},
		{"written once", "POST", "", false, 502, 1},
		{"written twice, with a key", "POST", "k1", false, 200, 2},
		{"a fresh connection", "GET", "", true, 502, 1},
	} {
		var asked atomic.Int32
		w, _ := overKept(t, func(c *tls.Conn, r *http.Request, carried int) bool {
			if r.URL.Path == "/" {
				n := asked.Add(1)
				if x.first || n == 1 && carried > 0 {
					return false // without a word
				}
			}
			_, _ = io.WriteString(c, fine)
			return true
		})
		c := w.client(false)
		if !x.first {
			w.do(c, w.request("GET", "/before", nil))
		}
		var body io.Reader
		header := []string{"Content-Type", "application/x-www-form-urlencoded"}
		if x.method == "POST" {
			body = strings.NewReader("a=b")
		}
		if x.key != "" {
			header = append(header, "Idempotency-Key", x.key)
		}
		if res, _ := w.do(c, w.request(x.method, "/", body, header...)); res.StatusCode != x.want || int(asked.Load()) != x.asked {
			t.Errorf("%s: %d, asked %d times", x.name, res.StatusCode, asked.Load())
		}
	}
}

// TestAConnectionThatClosedAtRestIsLeft: before it is asked over, so that even
// what must not be sent twice gets through.
func TestAConnectionThatClosedAtRestIsLeft(t *testing.T) {
	closed := make(chan struct{}, 8)
	w, _ := overKept(t, func(c *tls.Conn, _ *http.Request, _ int) bool {
		_, _ = io.WriteString(c, fine)
		_ = c.Close()
		closed <- struct{}{}
		return false
	})
	c := w.client(false)
	for range 3 {
		if res, _ := w.do(c, w.request("POST", "/", nil)); res.StatusCode != http.StatusOK {
			t.Errorf("answered %d", res.StatusCode)
		}
		<-closed
	}
}

// TestABrowserThatLeavesIsTold: the target's connection closes, and is not used
// again, before an answer and in the middle of one.
func TestABrowserThatLeavesIsTold(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		for _, begun := range []bool{false, true} {
			come, gone := make(chan struct{}, 1), make(chan error, 1)
			w, _ := overKept(t, func(c *tls.Conn, _ *http.Request, _ int) bool {
				if begun {
					_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun")
				}
				come <- struct{}{}
				_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
				_, err := c.Read(make([]byte, 1))
				gone <- err
				return false
			})
			ctx, leave := context.WithCancel(t.Context())
			var asks sync.WaitGroup
			asks.Go(func() {
				res, err := w.client(h2).Do(w.request("GET", "/", nil).WithContext(ctx))
				if err == nil {
					_, err = io.Copy(io.Discard, res.Body)
					res.Body.Close()
				}
				if !errors.Is(err, context.Canceled) {
					t.Errorf("the browser: %v", err)
				}
			})
			<-come
			leave()
			asks.Wait()
			var late interface{ Timeout() bool }
			if err := <-gone; err == nil || asTimeout(err, &late) {
				t.Errorf("h2 %v, begun %v: the target saw %v", h2, begun, err)
			}
		}
	}
}

// TestIdleConnectionsAreFew: no more are kept than may be, none for longer, and
// none once the session is over.
func TestIdleConnectionsAreFew(t *testing.T) {
	here, let := make(chan struct{}), make(chan struct{})
	w := newWorld(t, http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		here <- struct{}{}
		<-let
		fmt.Fprint(rw, "fine")
	}))
	w.enter()
	c := w.client(true)
	many := func(n int) {
		var all sync.WaitGroup
		for range n {
			all.Go(func() { w.do(c, w.request("GET", "/", nil)) })
		}
		for range n {
			<-here
		}
		for range n {
			let <- struct{}{}
		}
		all.Wait()
	}
	many(MaxIdleConns + 4)
	p := w.console().target.small
	idle := func() int {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.idle)
	}
	if n := idle(); n != MaxIdleConns {
		t.Errorf("%d are kept", n)
	}
	p.mu.Lock()
	for _, k := range p.idle[:MaxIdleConns-1] {
		k.since = k.since.Add(-TargetIdleTime)
	}
	p.mu.Unlock()
	p.clean()
	if n := idle(); n != 1 {
		t.Errorf("%d are kept for long", n)
	}
	p.close()
	many(1)
	if n := idle(); n != 0 {
		t.Errorf("%d are kept after the end", n)
	}
}

// console is the one that is open.
func (w *world) console() *console {
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	for _, c := range w.p.consoles {
		return c
	}
	w.t.Fatal("none is open")
	return nil
}

// TestOnlyWhatIsAtHandGoesOverThePool: the rest is the Transport's.
func TestOnlyWhatIsAtHandGoesOverThePool(t *testing.T) {
	var p pool
	again := func() (io.ReadCloser, error) { return http.NoBody, nil }
	body := io.NopCloser(bufio.NewReader(strings.NewReader("x")))
	for name, x := range map[string]struct {
		r    http.Request
		want bool
	}{
		"no body":           {http.Request{}, true},
		"none, by the word": {http.Request{Body: http.NoBody}, true},
		"at hand":           {http.Request{Body: body, GetBody: again, ContentLength: 1}, true},
		"long":              {http.Request{Body: body, GetBody: again, ContentLength: smallBody + 1}, false},
		"streamed":          {http.Request{Body: body, ContentLength: 1}, false},
		"of no length":      {http.Request{Body: body, GetBody: again, ContentLength: -1}, false},
		"that waits":        {http.Request{Body: body, GetBody: again, ContentLength: 1, Header: http.Header{"Expect": {"100-continue"}}}, false},
		"with trailers":     {http.Request{Body: body, GetBody: again, ContentLength: 1, Trailer: http.Header{"X": nil}}, false},
	} {
		if got := p.takes(&x.r); got != x.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	for _, h := range []http.Header{{"X": {"a\nb"}}, {"X\r\nY": {"a"}}, {"X": {"a\x00"}}} {
		if _, err := p.RoundTrip(&http.Request{Header: h}); err == nil {
			t.Errorf("%q was sent", h)
		}
	}
}
