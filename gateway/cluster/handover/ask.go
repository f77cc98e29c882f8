package handover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"time"

	"github.com/portcullis/portcullis/gateway"
)

// Bounds of one answer that a node asks another for.
const (
	AskTime   = 15 * time.Second // from the call to the answer's last byte
	MaxAnswer = 8 << 20
	AskRest   = 3 * time.Second // how long a node that was not reached is asked nothing: pages need not wait for it each time
)

var errRests = errors.New("it was not reached a moment ago")

// asCaller are the headers by which a caller is known.
var asCaller = []string{"Cookie", "Authorization", "User-Agent"}

type callerKey struct{}

// For notes in a call's context whose call it is, so that other nodes can be
// asked in that caller's name. What another node hands over or asks for bears
// no such note: who was asked asks nobody.
func For(r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), callerKey{}, r))
}

// Others names the nodes that can be asked in the name of ctx's caller, in
// order; none without a caller.
func (p *Peers) Others(ctx context.Context) []string {
	if _, ok := ctx.Value(callerKey{}).(*http.Request); !ok {
		return nil
	}
	return p.Names()
}

// Ask makes a GET at another node as ctx's caller, with more headers where
// more is not nil, and returns the body. That node finds out who calls and
// what he may, as for any call; anything but 200 is an error.
func (p *Peers) Ask(ctx context.Context, node, path string, more http.Header) ([]byte, error) {
	caller, ok := ctx.Value(callerKey{}).(*http.Request)
	if !ok || !p.Other(node) {
		return nil, gateway.NotFound("node", node)
	}
	if p.rests(node) {
		return nil, fmt.Errorf("ask node %q: %w", node, errRests)
	}
	ctx, cancel := context.WithTimeout(ctx, AskTime)
	defer cancel()
	to, err := url.Parse("https://" + p.cfg.Nodes[node] + path)
	if err != nil {
		return nil, fmt.Errorf("ask node %q: %w", node, err)
	}
	ask := (&http.Request{Method: http.MethodGet, URL: to, Host: caller.Host, Header: http.Header{}}).WithContext(ctx)
	for name, values := range more {
		ask.Header[name] = values
	}
	for _, name := range asCaller {
		if values := caller.Header.Values(name); len(values) > 0 {
			ask.Header[name] = values
		}
	}
	vouch(ask, caller)
	answer, err := p.ways[node].RoundTrip(ask)
	if err != nil {
		if !errors.Is(err, context.Canceled) { // who has left says nothing of the node
			p.rest(node)
		}
		return nil, fmt.Errorf("ask node %q: %w", node, err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, MaxAnswer+1))
	if err == nil {
		err = ctx.Err() // our hanging up may have ended the answer in good order
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("ask node %q: %w", node, err)
	case answer.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("ask node %q: it answers %s", node, answer.Status)
	case len(body) > MaxAnswer:
		return nil, fmt.Errorf("ask node %q: its answer has more than %d bytes", node, MaxAnswer)
	}
	return body, nil
}

func (p *Peers) rests(node string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cfg.Now().Before(p.resting[node])
}

func (p *Peers) rest(node string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.resting[node] = p.cfg.Now().Add(AskRest)
}

// vouch tells the other node, in headers that it believes of a node alone,
// where the caller is.
func vouch(out, caller *http.Request) {
	out.Header.Set(sourceHeader, caller.RemoteAddr)
	out.Header.Del(rootHeader)
	if root, _ := caller.Context().Value(rootKey{}).(bool); root {
		out.Header.Set(rootHeader, "yes")
	}
}
