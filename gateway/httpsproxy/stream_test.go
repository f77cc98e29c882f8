package httpsproxy

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// TestW03EventsAreNotHeldBack: each event comes at once, and the stream ends
// with the session.
func TestW03EventsAreNotHeldBack(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		next := make(chan string, 1)
		w := newWorld(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Type", "text/event-stream")
			for {
				select {
				case s := <-next:
					fmt.Fprintf(rw, "data: %s\n\n", s)
					_ = http.NewResponseController(rw).Flush()
				case <-r.Context().Done():
					return
				}
			}
		}))
		w.enter()
		next <- "first"
		res, err := w.client(h2).Do(w.request("GET", "/events", nil))
		check(t, err)
		defer res.Body.Close()
		b := bufio.NewReader(res.Body)
		for i := range 5 {
			if i > 0 {
				next <- fmt.Sprint(i)
			}
			if line, err := b.ReadString('\n'); err != nil || !strings.HasPrefix(line, "data: ") {
				t.Fatalf("h2 %v: %q %v", h2, line, err)
			}
			_, _ = b.ReadString('\n')
		}
		w.live.End(gateway.EndWindow, "", "")
		if _, err := b.ReadByte(); err == nil || err == io.EOF {
			t.Errorf("h2 %v: after the end of the session: %v", h2, err)
		}
	}
}

// TestW04OneStalledStreamBlocksNoOther: 100 streams of one connection, of
// which one is never read.
func TestW04OneStalledStreamBlocksNoOther(t *testing.T) {
	big := bytes.Repeat([]byte("x"), 1<<20)
	w := newWorld(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/big" {
			for range 64 {
				if _, err := rw.Write(big); err != nil {
					return
				}
			}
			return
		}
		fmt.Fprint(rw, "small")
	}))
	w.enter()
	c := w.client(true)
	stalled, err := c.Do(w.request("GET", "/big", nil))
	check(t, err)
	defer stalled.Body.Close()
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			res, err := c.Do(w.request("GET", "/small", nil))
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			if b, _ := io.ReadAll(res.Body); string(b) != "small" || res.ProtoMajor != 2 {
				t.Errorf("%s %q", res.Proto, b)
			}
		})
	}
	all.Wait()
}

// TestW06Trailers: both ways, announced or not, as gRPC needs them.
func TestW06Trailers(t *testing.T) {
	w := newWorld(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Te") != "trailers" {
			t.Errorf("TE is %q", r.Header.Get("Te"))
		}
		rw.Header().Set("Content-Type", "application/grpc")
		rw.Header().Set("Trailer", "Grpc-Status")
		_ = http.NewResponseController(rw).Flush()
		b, err := io.ReadAll(r.Body)
		fmt.Fprintf(rw, "%s %v %s", b, err, r.Trailer.Get("X-Sum"))
		rw.Header().Set("Grpc-Status", "0")
		rw.Header().Set(http.TrailerPrefix+"Grpc-Message", "fine")
	}))
	w.enter()
	for _, h2 := range []bool{false, true} {
		pr, pw := io.Pipe()
		r := w.request("POST", "/svc/Method", pr, "Content-Type", "application/grpc", "Te", "trailers")
		r.Trailer = http.Header{"X-Sum": nil}
		go func() {
			_, _ = io.WriteString(pw, "abc")
			r.Trailer.Set("X-Sum", "42")
			_ = pw.Close()
		}()
		res, body := w.do(w.client(h2), r)
		if body != "abc <nil> 42" || res.Trailer.Get("Grpc-Status") != "0" || res.Trailer.Get("Grpc-Message") != "fine" {
			t.Errorf("h2 %v: %q, trailers %v", h2, body, res.Trailer)
		}
	}
	waitFor(t, func() bool { return len(w.live.ch.of(gateway.HTTPEnd)) == 2 })
	if f, ok := field(w.live.ch.of(gateway.HTTPEnd)[1].Header, "Grpc-Status"); !ok || f.Value != "0" {
		t.Error("the trailers are not recorded")
	}
}

// TestW06BothWaysAtOnce: a target answers while the browser still sends.
func TestW06BothWaysAtOnce(t *testing.T) {
	w := newWorld(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(rw)
		_ = rc.EnableFullDuplex()
		rw.WriteHeader(http.StatusOK)
		_ = rc.Flush()
		b := make([]byte, 4)
		for {
			if _, err := io.ReadFull(r.Body, b); err != nil {
				return
			}
			_, _ = rw.Write(b)
			_ = rc.Flush()
		}
	}))
	w.enter()
	pr, pw := io.Pipe()
	res, err := w.client(true).Do(w.request("POST", "/bidi", pr, "Content-Type", "application/grpc"))
	check(t, err)
	defer res.Body.Close()
	got := make([]byte, 4)
	for range 3 {
		_, err := io.WriteString(pw, "ping")
		check(t, err)
		if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != "ping" {
			t.Fatalf("%q %v", got, err)
		}
	}
	check(t, pw.Close())
	if _, err := io.ReadFull(res.Body, got); err != io.EOF {
		t.Errorf("after the end: %v", err)
	}
}

// asked notes whether a body was read.
type asked struct {
	io.Reader
	read bool
}

func (a *asked) Read(p []byte) (int, error) { a.read = true; return a.Reader.Read(p) }

// TestW07ContinueIsTheTargets: a body is not sent before the target wants it,
// and an early no leaves nothing behind. Over HTTP/2 the library answers 100 by
// itself and tells nobody that it was asked.
func TestW07ContinueIsTheTargets(t *testing.T) {
	got := make(chan string, 8)
	w := newWorld(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/no" {
			rw.WriteHeader(http.StatusExpectationFailed)
			return
		}
		b, _ := io.ReadAll(r.Body)
		got <- string(b)
	}))
	w.enter()
	for _, h2 := range []bool{false, true} {
		c := w.client(h2)
		n := len(w.live.ch.of(gateway.HTTPSent))
		body := &asked{Reader: strings.NewReader("body")}
		r := w.request("PUT", "/no", body, "Expect", "100-continue", "Content-Type", "text/plain")
		r.ContentLength = 4
		if res, _ := w.do(c, r); res.StatusCode != http.StatusExpectationFailed || !h2 && (body.read || len(w.live.ch.of(gateway.HTTPSent)) > n) {
			t.Errorf("h2 %v: %d, the body was read: %v", h2, res.StatusCode, body.read)
		}
		r = w.request("PUT", "/yes", strings.NewReader("body"), "Expect", "100-continue", "Content-Type", "text/plain")
		if res, _ := w.do(c, r); res.StatusCode != http.StatusOK || <-got != "body" {
			t.Errorf("h2 %v: %d", h2, res.StatusCode)
		}
	}
}

// pattern is an endless body.
type pattern struct{ at int64 }

func (p *pattern) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(p.at>>10 ^ p.at)
		p.at++
	}
	return len(b), nil
}

// TestW09LargeBodies: both ways, of known and unknown length; the sums agree,
// and no more than what is kept stands in the recording.
func TestW09LargeBodies(t *testing.T) {
	const size = 5 << 20
	var mu sync.Mutex
	var sums []string
	w := newWorld(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			h := sha256.New()
			_, err := io.Copy(h, r.Body)
			mu.Lock()
			sums = append(sums, fmt.Sprintf("%x %v", h.Sum(nil), err))
			mu.Unlock()
			return
		}
		rw.Header().Set("Content-Type", "application/octet-stream")
		if r.URL.Path == "/known" {
			rw.Header().Set("Content-Length", fmt.Sprint(size))
		}
		_, _ = io.Copy(rw, io.LimitReader(&pattern{}, size))
	}))
	w.enter()
	want := sumOf(sha256.New(), size)
	for _, h2 := range []bool{false, true} {
		c := w.client(h2)
		for _, path := range []string{"/known", "/unknown"} {
			res, err := c.Do(w.request("GET", path, nil))
			check(t, err)
			h := sha256.New()
			_, err = io.Copy(h, res.Body)
			res.Body.Close()
			if got := fmt.Sprintf("%x", h.Sum(nil)); err != nil || got != want {
				t.Errorf("h2 %v %s: %v %s", h2, path, err, got)
			}
			r := w.request("PUT", path, io.LimitReader(&pattern{}, size), "Content-Type", "application/octet-stream")
			if path == "/known" {
				r.ContentLength = size
			}
			if res, _ := w.do(c, r); res.StatusCode != http.StatusOK {
				t.Errorf("h2 %v: upload answered %d", h2, res.StatusCode)
			}
		}
	}
	if in, out := w.live.ch.in.Load(), w.live.ch.out.Load(); in != 4*size || out < 4*size {
		t.Errorf("the session counts %d bytes in, %d out, want %d", in, out, 4*size)
	}
	for _, s := range sums {
		if s != want+" <nil>" {
			t.Errorf("uploaded %s", s)
		}
	}
	waitFor(t, func() bool { return len(w.live.ch.of(gateway.HTTPEnd)) == 8 })
	for _, e := range w.live.ch.of(gateway.HTTPEnd) {
		b := e.Shown
		if e.Sent != nil {
			b = e.Sent
		}
		if b.Bytes != size || b.SHA256.String() != want || b.Kept > 256<<10 {
			t.Errorf("account %+v", b)
		}
	}
	if n := len(w.live.ch.body(gateway.HTTPShown)); n > 4*256<<10 {
		t.Errorf("%d bytes of answers were kept", n)
	}
}

func sumOf(h hash.Hash, n int64) string {
	_, _ = io.Copy(h, io.LimitReader(&pattern{}, n))
	return fmt.Sprintf("%x", h.Sum(nil))
}

// TestW09AFastBodyThatStalls: what is gathered of it is less than a buffer, and
// is shown where the target breaks off.
func TestW09AFastBodyThatStalls(t *testing.T) {
	const size, first = 8 << 20, 4<<20 + 1000
	goOn := make(chan bool)
	w := newWorld(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Length", fmt.Sprint(size))
		_, _ = io.CopyN(rw, &pattern{}, first)
		check(t, http.NewResponseController(rw).Flush())
		if !<-goOn {
			panic(http.ErrAbortHandler)
		}
		_, _ = io.CopyN(rw, &pattern{at: first}, size-first)
	}))
	w.enter()
	for _, h2 := range []bool{false, true} {
		for _, whole := range []bool{true, false} {
			res, err := w.client(h2).Do(w.request("GET", "/known", nil))
			check(t, err)
			h := sha256.New()
			_, err = io.CopyN(h, res.Body, first-chunk)
			check(t, err)
			goOn <- whole
			n, err := io.Copy(h, res.Body)
			res.Body.Close()
			if n += first - chunk; whole && (err != nil || n != size) || !whole && (err == nil || n < first-chunk || n > first) {
				t.Errorf("h2 %v, whole %v: %d bytes, %v", h2, whole, n, err)
			}
			if want := sumOf(sha256.New(), n); fmt.Sprintf("%x", h.Sum(nil)) != want {
				t.Errorf("h2 %v, whole %v: other bytes", h2, whole)
			}
		}
	}
}

// TestW10Ranges: single, several, none that can be met.
func TestW10Ranges(t *testing.T) {
	w := newWorld(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Etag", `"v1"`)
		http.ServeContent(rw, r, "x.txt", time.Unix(1, 0), strings.NewReader("0123456789"))
	}))
	w.enter()
	for _, x := range []struct {
		header []string
		status int
		body   string
	}{
		{[]string{"Range", "bytes=2-4"}, 206, "234"}, {[]string{"Range", "bytes=-3"}, 206, "789"}, {[]string{"Range", "bytes=20-"}, 416, ""},
		{[]string{"Range", "bytes=2-4", "If-Range", `"v0"`}, 200, "0123456789"}, {[]string{"If-None-Match", `"v1"`}, 304, ""}, {[]string{"Range", "bytes=0-0,9-9"}, 206, ""},
	} {
		res, body := w.get("/x.txt", x.header...)
		if res.StatusCode != x.status || x.body != "" && body != x.body {
			t.Errorf("%q: %d %q", x.header, res.StatusCode, body)
		}
	}
}

// TestW22ASlowBrowserHoldsTheTargetBack: nothing is piled up for it.
func TestW22ASlowBrowserHoldsTheTargetBack(t *testing.T) {
	var mu sync.Mutex
	sent := 0
	w := newWorld(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		p := make([]byte, 64<<10)
		for r.Context().Err() == nil {
			n, err := rw.Write(p)
			if err != nil {
				return
			}
			mu.Lock()
			sent += n
			mu.Unlock()
		}
	}))
	w.enter()
	res, err := w.client(true).Do(w.request("GET", "/endless", nil))
	check(t, err)
	defer res.Body.Close()
	last := -1
	waitFor(t, func() bool { // until it stands still
		mu.Lock()
		defer mu.Unlock()
		still := sent == last && sent > 0
		last = sent
		time.Sleep(50 * time.Millisecond)
		return still
	})
	if last > 32<<20 {
		t.Errorf("%d bytes were taken for a browser that reads none", last)
	}
	w.live.End(gateway.EndWindow, "", "")
	if _, err := io.Copy(io.Discard, res.Body); err == nil {
		t.Error("the download ended well in its middle")
	}
}
