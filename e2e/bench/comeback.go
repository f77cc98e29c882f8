package main

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"
)

// visitor tries to come back to a console with the cookie of its session.
type visitor struct {
	*web
	wire *wire        // its connection of HTTP/1.1
	kept *http.Client // that of HTTP/2
}

// visits are the ways in which it tries. Each shows a page, or it fails; what
// the gateway itself shows with success counts too.
var visits = []struct {
	name string
	try  func(ctx context.Context, v *visitor) error
}{
	{"kept h1", func(_ context.Context, v *visitor) error { return v.page(v.wire) }},
	{"kept h2", func(ctx context.Context, v *visitor) error { return v.pageH2(ctx, v.kept) }},
	{"new h1", func(ctx context.Context, v *visitor) error {
		c, err := v.open(ctx)
		if err != nil {
			return err
		}
		defer c.Close()
		return v.page(c)
	}},
	{"new h2", func(ctx context.Context, v *visitor) error {
		c := v.client()
		defer c.CloseIdleConnections()
		return v.pageH2(ctx, c)
	}},
	{"new websocket", func(ctx context.Context, v *visitor) error {
		c, err := v.socket(ctx, "/ws")
		if err != nil {
			return err
		}
		return c.Close()
	}},
}

func (v *visitor) page(c *wire) error {
	_, err := c.get(v.head(http.MethodGet, "/small"))
	return err
}

func (v *visitor) pageH2(ctx context.Context, c *http.Client) error {
	r, err := v.request(ctx, http.MethodGet, "/small", nil)
	if err == nil {
		_, _, err = v.fetch(c, r)
	}
	return err
}

func newVisitor(ctx context.Context, w *web) (*visitor, error) {
	c, err := w.open(ctx)
	if err != nil {
		return nil, err
	}
	v := &visitor{w, c, w.client()}
	for _, way := range visits {
		if err := way.try(ctx, v); err != nil {
			return nil, fmt.Errorf("%s does not open before the order: %w", way.name, err)
		}
	}
	return v, nil
}

// backWithin bounds all attempts.
const backWithin = time.Minute

// comeBack has visitors ask before the order, while it is carried out, and
// after its answer until n attempts have begun then. It returns how many of
// these led in.
func comeBack(ctx context.Context, all []*web, n int, cmd *exec.Cmd) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, backWithin)
	defer cancel()
	var visitors []*visitor
	for _, w := range all {
		v, err := newVisitor(ctx, w)
		if err != nil {
			return 0, err
		}
		visitors = append(visitors, v)
	}
	var answered atomic.Bool
	var left, in atomic.Int64
	left.Store(int64(n))
	var asking sync.WaitGroup
	for i, v := range visitors {
		asking.Go(func() {
			for k := i; ctx.Err() == nil; k++ {
				ordered := answered.Load()
				if ordered && left.Add(-1) < 0 {
					return
				}
				if err := visits[k%len(visits)].try(ctx, v); err == nil && ordered {
					in.Add(1)
				}
			}
		})
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		cancel()
		err = fmt.Errorf("%w: %.400s", err, out)
	}
	answered.Store(true)
	asking.Wait()
	if err == nil && left.Load() > 0 {
		err = fmt.Errorf("%d attempts were not made within %s", left.Load(), backWithin)
	}
	return int(in.Load()), err
}
