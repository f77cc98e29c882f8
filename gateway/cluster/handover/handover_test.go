package handover_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/cluster/handover"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func key(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// node is one that listens; h answers callers of the pages, root what root asks.
func node(t *testing.T, name string, k ed25519.PrivateKey, h, root http.Handler) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := peers(t, name, k, k, map[string]string{name: l.Addr().String()})
	srv := &http.Server{Handler: p.Handler(h, root), TLSConfig: p.ServerTLS(), ReadHeaderTimeout: time.Second}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.ServeTLS(l, "", "") }()
	t.Cleanup(func() { _ = srv.Close(); <-done })
	return l.Addr().String()
}

func peers(t *testing.T, name string, k, trusted ed25519.PrivateKey, nodes map[string]string) *handover.Peers {
	t.Helper()
	p, err := handover.New(handover.Config{Node: name, Nodes: nodes, Key: k, Trusted: []ed25519.PublicKey{trusted.Public().(ed25519.PublicKey)}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// hand makes one call of node a that is b's, and returns what the caller gets.
func hand(t *testing.T, p *handover.Peers, r *http.Request) (*httptest.ResponseRecorder, error) {
	t.Helper()
	w := httptest.NewRecorder()
	var failed error
	p.Hand(w, r, "b", func(err error) { failed = err })
	return w, failed
}

func echo(who string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = io.WriteString(w, strings.Join([]string{who, r.Method, r.Host, r.URL.RequestURI(), r.RemoteAddr, r.Header.Get("Cookie"), r.Header.Get("Portcullis-Root"), string(body)}, "|"))
	})
}

// A call arrives as its caller made it, and as nobody else's.
func TestHanded(t *testing.T) {
	k := key(t)
	p := peers(t, "a", k, k, map[string]string{"a": "127.0.0.1:1", "b": node(t, "b", k, echo("pages"), echo("root"))})
	call := func() *http.Request {
		r := httptest.NewRequest(http.MethodPost, "https://gate.example/touch/b~X?q=1", strings.NewReader("body"))
		r.RemoteAddr = "192.0.2.7:4711"
		r.Header.Set("Cookie", "c=1")
		r.Header.Set("Portcullis-Source", "10.0.0.1:1") // a forger's
		r.Header.Set("Portcullis-Root", "yes")
		return r
	}
	for _, c := range []struct {
		name, want string
		r          *http.Request
	}{
		{"a browser's", "pages|POST|gate.example|/touch/b~X?q=1|192.0.2.7:4711|c=1||body", call()},
		{"root's at the local socket", "root|POST|gate.example|/touch/b~X?q=1|192.0.2.7:4711|c=1||body", handover.AsRoot(call())},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, err := hand(t, p, c.r)
			if err != nil || w.Body.String() != c.want {
				t.Errorf("answered %q (%v), want %q", w.Body, err, c.want)
			}
		})
	}
	if err := p.Reach(t.Context(), "b"); err != nil {
		t.Errorf("a node that is there: %v", err)
	}
}

// Who holds no key of the cluster is neither answered nor believed, and a
// wrong address in the list is noticed.
func TestStrangers(t *testing.T) {
	k, other := key(t), key(t)
	for _, c := range []struct {
		name string
		p    func() *handover.Peers
	}{
		{"a caller with another key", func() *handover.Peers {
			return peers(t, "a", other, k, map[string]string{"a": "127.0.0.1:1", "b": node(t, "b", k, echo("b"), echo("b"))})
		}},
		{"an answerer with another key", func() *handover.Peers {
			return peers(t, "a", k, k, map[string]string{"a": "127.0.0.1:1", "b": node(t, "b", other, echo("b"), echo("b"))})
		}},
		{"another node at the address", func() *handover.Peers {
			return peers(t, "a", k, k, map[string]string{"a": "127.0.0.1:1", "b": node(t, "c", k, echo("c"), echo("c"))})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := c.p()
			w, err := hand(t, p, httptest.NewRequest(http.MethodGet, "https://gate.example/", nil))
			if !gateway.IsCode(err, gateway.CodeUnavailable) || w.Body.Len() != 0 {
				t.Errorf("answered %q, %v", w.Body, err)
			}
			if p.Reach(t.Context(), "b") == nil {
				t.Error("is said to be there")
			}
		})
	}
}

// A node that is frozen, whose kernel still takes connections, is given up
// within DialTime, and nothing of the call has reached it.
func TestFrozen(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // accepts nothing
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	k := key(t)
	p := peers(t, "a", k, k, map[string]string{"a": "127.0.0.1:1", "b": l.Addr().String()})
	begun := time.Now()
	_, err = hand(t, p, httptest.NewRequest(http.MethodPost, "https://gate.example/", strings.NewReader("x")))
	if took := time.Since(begun); !gateway.IsCode(err, gateway.CodeUnavailable) || took > handover.DialTime+time.Second {
		t.Errorf("after %s: %v", took, err)
	}
	if !strings.Contains(err.Error(), "node b") {
		t.Errorf("%q does not name the node", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if p.Reach(ctx, "b") == nil {
		t.Error("is said to be there")
	}
}

func TestNodesThatAreNot(t *testing.T) {
	k := key(t)
	if _, err := handover.New(handover.Config{Node: "z", Nodes: map[string]string{"a": "127.0.0.1:1"}, Key: k}); err == nil {
		t.Error("a node that is not on the list was made")
	}
	p := peers(t, "a", k, k, map[string]string{"a": "127.0.0.1:1", "b": "127.0.0.1:2"})
	if p.Other("a") || p.Other("q") || !p.Other("b") || len(p.Names()) != 1 {
		t.Errorf("the others are %v", p.Names())
	}
	var failed error
	p.Hand(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil), "q", func(err error) { failed = err })
	if !gateway.IsCode(failed, gateway.CodeNotFound) {
		t.Errorf("a call for no node: %v", failed)
	}
}
