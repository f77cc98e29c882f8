package httpsproxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"
)

// smallBody is what a request may send through a pool. The target has room for
// it, so that whoever writes it can wait with reading until it is out.
const smallBody = 16 << 10

// pool is a session's connections of HTTP/1.1 for requests that are at hand
// whole. Each is sent, and its answer read, in the goroutine that asks:
// net/http's Transport has two more for each connection and hands a request
// from one to the other four times, a third of what a small one costs.
//
// What it answers is what the Transport would: the same library reads the
// answers, within the same bounds.
type pool struct {
	dial func(context.Context) (*kept, error)

	mu    sync.Mutex
	idle  []*kept     // the last one used at the end
	tidy  *time.Timer // nil: none is idle
	ended bool
}

// takes reports whether a request may go through a pool.
func (p *pool) takes(r *http.Request) bool {
	switch {
	case r.Body == nil || r.Body == http.NoBody:
		return len(r.Trailer) == 0
	case r.GetBody == nil || len(r.Trailer) > 0 || r.Header["Expect"] != nil:
		return false
	}
	return r.ContentLength > 0 && r.ContentLength <= smallBody
}

// RoundTrip implements http.RoundTripper. A request is sent anew only where the
// Transport does so: the target has closed a connection that was used before,
// nothing of an answer has come, and once more changes nothing more.
func (p *pool) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := wellFormed(r); err != nil {
		return nil, err
	}
	for {
		k, err := p.get(r.Context())
		if err != nil {
			return nil, orCause(r.Context(), err)
		}
		res, err := k.roundTrip(r)
		var silent *silentError
		if err == nil || !errors.As(err, &silent) || !silent.reused || !replayable(r) {
			return res, err
		}
		if r, err = rewound(r); err != nil {
			return nil, err
		}
	}
}

// wellFormed refuses what the library would write in a way of its own.
func wellFormed(r *http.Request) error {
	for name, values := range r.Header {
		if !httpguts.ValidHeaderFieldName(name) || !all(values, httpguts.ValidHeaderFieldValue) {
			return fmt.Errorf("the header field %q is none", name)
		}
	}
	return nil
}

func all(list []string, is func(string) bool) bool {
	return !slices.ContainsFunc(list, func(s string) bool { return !is(s) })
}

// replayable reports whether a request changes nothing more when it is sent
// twice, as net/http understands it.
func replayable(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return true
	}
	return r.Header["Idempotency-Key"] != nil || r.Header["X-Idempotency-Key"] != nil
}

// rewound is the request with its body from the beginning.
func rewound(r *http.Request) (*http.Request, error) {
	if r.GetBody == nil {
		return r, nil
	}
	body, err := r.GetBody()
	if err != nil {
		return nil, err
	}
	again := *r
	again.Body = body
	return &again, nil
}

// orCause is why a request was given up, if it was.
func orCause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// get is a connection that is at rest, or a new one.
func (p *pool) get(ctx context.Context) (*kept, error) {
	for k := p.last(); k != nil; k = p.last() {
		if k.quiet() {
			return k, nil
		}
		k.close()
	}
	k, err := p.dial(ctx)
	if err == nil {
		k.pool = p
	}
	return k, err
}

func (p *pool) last() *kept {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle) - 1
	if n < 0 {
		return nil
	}
	k := p.idle[n]
	p.idle[n] = nil
	p.idle = p.idle[:n]
	return k
}

// put keeps a connection for the next request, if there is room.
func (p *pool) put(k *kept) {
	k.reused, k.since = true, time.Now()
	p.mu.Lock()
	full := p.ended || len(p.idle) >= MaxIdleConns
	if !full {
		p.idle = append(p.idle, k)
		if p.tidy == nil {
			p.tidy = time.AfterFunc(TargetIdleTime, p.clean)
		}
	}
	p.mu.Unlock()
	if full {
		k.close()
	}
}

// clean closes what nobody has used for long.
func (p *pool) clean() {
	now := time.Now()
	p.mu.Lock()
	n := slices.IndexFunc(p.idle, func(k *kept) bool { return now.Sub(k.since) < TargetIdleTime })
	if n < 0 {
		n = len(p.idle)
	}
	old := slices.Clone(p.idle[:n])
	p.idle = slices.Delete(p.idle, 0, n)
	p.tidy = nil
	if len(p.idle) > 0 {
		p.tidy = time.AfterFunc(TargetIdleTime-now.Sub(p.idle[0].since), p.clean)
	}
	p.mu.Unlock()
	for _, k := range old {
		k.close()
	}
}

// close closes the idle ones, and from now on each that becomes idle.
func (p *pool) close() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.ended = nil, true
	if p.tidy != nil {
		p.tidy.Stop()
	}
	p.mu.Unlock()
	for _, k := range idle {
		k.close()
	}
}
