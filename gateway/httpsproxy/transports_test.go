package httpsproxy

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

// protoOf answers with the protocol that the target was asked over.
func protoOf(rw http.ResponseWriter, r *http.Request) { fmt.Fprint(rw, r.Proto) }

// TestWhatIsAskedOver: few requests at once go over HTTP/1.1; trailers, and
// what comes when all of those connections are at work, over HTTP/2.
func TestWhatIsAskedOver(t *testing.T) {
	let := make(chan struct{})
	w := newWorld(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		protoOf(rw, r)
		if r.URL.Path == "/wait" {
			_ = http.NewResponseController(rw).Flush()
			<-let
		}
	}))
	w.enter()
	c := w.client(true)
	if _, got := w.do(c, w.request("GET", "/", nil)); got != "HTTP/1.1" {
		t.Errorf("one request: %s", got)
	}
	if _, got := w.do(c, w.request("POST", "/svc/Method", strings.NewReader("x"), "Content-Type", "application/grpc", "Te", "trailers")); got != "HTTP/2.0" {
		t.Errorf("gRPC: %s", got)
	}
	seen := map[string]int{}
	var all []io.Closer
	for range MaxPlain + 2 {
		res, err := c.Do(w.request("GET", "/wait", nil))
		check(t, err)
		proto := make([]byte, len("HTTP/1.1"))
		_, err = io.ReadFull(res.Body, proto)
		check(t, err)
		seen[string(proto)]++
		all = append(all, res.Body)
	}
	if seen["HTTP/1.1"] != MaxPlain || seen["HTTP/2.0"] != 2 {
		t.Errorf("many at once: %v", seen)
	}
	close(let)
	var over sync.WaitGroup
	for _, b := range all {
		over.Go(func() { b.Close() })
	}
	over.Wait()
	waitFor(t, func() bool { _, got := w.do(c, w.request("GET", "/", nil)); return got == "HTTP/1.1" })
}

// TestATargetWithoutHTTP1: one that speaks HTTP/2 alone is served too.
func TestATargetWithoutHTTP1(t *testing.T) {
	w := newWorld(t, http.HandlerFunc(protoOf), func(w *world) {
		lone := w.target.TLS.Clone()
		lone.NextProtos = []string{"h2"}
		strict := lone.Clone()
		strict.NextProtos = []string{"none"} // or crypto/tls takes it for a client that knows no such choice
		w.target.TLS.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			if slices.Contains(h.SupportedProtos, "h2") {
				return lone, nil
			}
			return strict, nil
		}
	})
	w.enter()
	if _, got := w.get("/"); got != "HTTP/2.0" {
		t.Errorf("asked over %s", got)
	}
}
