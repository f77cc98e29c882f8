package handover_test

import (
	"context"
	"crypto/ed25519"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway/cluster/handover"
)

// asker is the context of a browser's call at node a; what it forges comes
// with it.
func asker(root bool) context.Context {
	r := httptest.NewRequest(http.MethodPost, "https://gate.example/board", strings.NewReader("x"))
	r.RemoteAddr = "192.0.2.7:4711"
	r.Header.Set("Cookie", "c=1")
	r.Header.Set("Portcullis-Source", "10.0.0.1:1")
	r.Header.Set("Portcullis-Root", "yes")
	if root {
		r = handover.AsRoot(r)
	}
	return handover.For(r).Context()
}

func TestAsked(t *testing.T) {
	k := key(t)
	p := peers(t, "a", k, k, map[string]string{"a": "127.0.0.1:1", "b": node(t, "b", k, echo("pages"), echo("root"))})
	for _, c := range []struct {
		name, want string
		ctx        context.Context
	}{
		{"as a browser", "pages|GET|gate.example|/api/v1/live?a=b|192.0.2.7:4711|c=1||", asker(false)},
		{"as root at the local socket", "root|GET|gate.example|/api/v1/live?a=b|192.0.2.7:4711|c=1||", asker(true)},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := p.Ask(c.ctx, "b", "/api/v1/live?a=b", nil)
			if err != nil || string(got) != c.want {
				t.Errorf("answered %q (%v), want %q", got, err, c.want)
			}
		})
	}
	if got := p.Others(asker(false)); len(got) != 1 || got[0] != "b" {
		t.Errorf("the others are %v", got)
	}
}

// Who was asked asks nobody: a call that came from another node bears no note
// of its caller, or two nodes would ask each other for ever.
func TestAskedAsksNobody(t *testing.T) {
	k := key(t)
	p := peers(t, "a", k, k, map[string]string{"a": "127.0.0.1:1", "b": node(t, "b", k, echo("b"), echo("b"))})
	var at []string
	h := p.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		at = p.Others(r.Context())
		if _, err := p.Ask(r.Context(), "b", "/", nil); err == nil {
			t.Error("a node was asked in nobody's name")
		}
	}), nil)
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "https://gate.example/", nil))
	if len(at) != 0 {
		t.Errorf("who was asked may ask %v", at)
	}
}

// patience is how long the one who asks waits here; AskTime bounds who does not say.
const patience = time.Second

// TestNotAnswered: what is no whole answer of that node is none.
func TestNotAnswered(t *testing.T) {
	k := key(t)
	frozen, err := net.Listen("tcp", "127.0.0.1:0") // accepts nothing
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = frozen.Close() }) // after those that run beside each other
	refuses := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	endless := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for part := strings.Repeat("x", 1<<20); ; {
			if _, err := io.WriteString(w, part); err != nil {
				return
			}
		}
	})
	begins := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	for _, c := range []struct {
		name, addr string
		silent     bool // and the next one who asks is told so at once
	}{
		{"frozen", frozen.Addr().String(), true},
		{"a stranger", node(t, "b", key(t), echo("b"), echo("b")), false},
		{"it refuses", node(t, "b", k, refuses, nil), false},
		{"it never ends", node(t, "b", k, endless, nil), false},
		{"it begins and says no more", node(t, "b", k, begins, nil), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := peers(t, "a", k, k, map[string]string{"a": "127.0.0.1:1", "b": c.addr})
			ctx, cancel := context.WithTimeout(asker(false), patience)
			defer cancel()
			begun := time.Now()
			got, err := p.Ask(ctx, "b", "/", nil)
			if err == nil || len(got) > 0 {
				t.Errorf("answered with %d bytes, %v", len(got), err)
			}
			if took := time.Since(begun); took > patience+time.Second {
				t.Errorf("given up after %s", took)
			}
			begun = time.Now()
			if _, err := p.Ask(ctx, "b", "/", nil); err == nil || c.silent && time.Since(begun) > patience/2 {
				t.Errorf("asked again it took %s: %v", time.Since(begun), err)
			}
		})
	}
}

// A node that was not reached is left alone for AskRest, and no longer; one
// that answers with a no is not.
func TestAskedAgain(t *testing.T) {
	k, now := key(t), time.Unix(1_800_000_000, 0)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nodes := map[string]string{"a": "127.0.0.1:1", "b": l.Addr().String()}
	_ = l.Close()
	p, err := handover.New(handover.Config{Node: "a", Nodes: nodes, Key: k, Trusted: []ed25519.PublicKey{k.Public().(ed25519.PublicKey)}, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	ask := func() error { _, err := p.Ask(asker(false), "b", "/", nil); return err }
	if ask() == nil {
		t.Fatal("a node that is not there answered")
	}
	nodes["b"] = node(t, "b", k, echo("b"), echo("b"))
	if ask() == nil {
		t.Error("it was asked again at once")
	}
	now = now.Add(handover.AskRest)
	if err := ask(); err != nil {
		t.Errorf("after its rest: %v", err)
	}
}
