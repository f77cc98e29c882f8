package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"
)

// streamKind is what a live stream can be.
type streamKind struct{ path, over string }

// overSocket is a WebSocket, which is over HTTP/1.1.
const overSocket = "websocket"

// streamKinds are taken in turn: a third are WebSockets, a third event streams
// and a third slow downloads, the latter two over either version of HTTP.
var streamKinds = []streamKind{
	{"/ws?ticks", overSocket}, {"/events", h1}, {"/slow?bytes=1073741824", h1},
	{"/ws?ticks", overSocket}, {"/events", h2}, {"/slow?bytes=1073741824", h2},
}

// stream is one that is open, and what was seen of it.
type stream struct {
	kind  streamKind
	ended chan time.Time
	leave func()

	answered *atomic.Int64 // Unix ns when the command had answered, for all of them; 0: not yet
	after    atomic.Int64  // bytes that came later
	last     atomic.Int64  // Unix ns of the last bytes
	since    atomic.Int64  // Unix ns from which gap counts; 0: it does not
	gap      atomic.Int64  // the longest ns between two bytes
}

// stream opens one and returns when its first bytes have come. Those of HTTP/2
// share the client's connection.
func (w *web) stream(ctx context.Context, k streamKind, kept *http.Client, answered *atomic.Int64) (*stream, error) {
	s := &stream{kind: k, ended: make(chan time.Time, 1), answered: answered}
	read, err := w.streamed(ctx, k, kept, s)
	if err != nil {
		return nil, fmt.Errorf("%s over %s: %w", k.path, k.over, err)
	}
	first := make(chan struct{})
	go s.follow(read, first) // until the stream ends
	select {
	case <-first:
		return s, nil
	case <-s.ended:
		err = errors.New("it ended before its first bytes")
	case <-time.After(dialWithin):
		err = fmt.Errorf("nothing came within %s", dialWithin)
	}
	s.leave()
	return nil, fmt.Errorf("%s over %s: %w", k.path, k.over, err)
}

func (w *web) streamed(ctx context.Context, k streamKind, kept *http.Client, s *stream) (func([]byte) (int, error), error) {
	switch k.over {
	case overSocket:
		c, err := w.socket(ctx, k.path)
		if err != nil {
			return nil, err
		}
		s.leave = func() { c.Close() }
		return c.message, nil
	case h1:
		c, err := w.open(ctx)
		if err != nil {
			return nil, err
		}
		s.leave = func() { c.Close() }
		return c.answered(w.head(http.MethodGet, k.path))
	}
	ctx, s.leave = context.WithCancel(ctx)
	r, err := w.request(ctx, http.MethodGet, k.path, nil)
	if err != nil {
		return nil, err
	}
	res, err := kept.Do(r) // leave cancels it
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, errors.New(res.Status)
	}
	return res.Body.Read, nil
}

// answered sends the head of a request and has the whole answer read, its head
// and the marks of its chunks too.
func (c *wire) answered(head []byte) (func([]byte) (int, error), error) {
	if _, err := c.Write(head); err != nil {
		return nil, err
	}
	line, err := c.r.ReadSlice('\n')
	if err == nil && !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
		err = fmt.Errorf("%s", bytes.TrimSpace(line))
	}
	return c.r.Read, err
}

var errCloseFrame = errors.New("a close frame came")

// message reads one of a WebSocket.
func (c *wire) message([]byte) (int, error) {
	op, p, err := readFrame(c.r)
	if err == nil && op == frameClose {
		return 0, errCloseFrame
	}
	return len(p), err
}

// follow reads to the end. What comes behind a close frame still counts.
func (s *stream) follow(read func([]byte) (int, error), first chan<- struct{}) {
	buf := make([]byte, 32<<10)
	for up := false; ; {
		n, err := read(buf)
		now := time.Now()
		if n > 0 {
			s.came(n, now.UnixNano())
			if !up {
				up = true
				close(first)
			}
		}
		if err != nil {
			select {
			case s.ended <- now:
			default: // it ended by the close frame
			}
		}
		if err != nil && !errors.Is(err, errCloseFrame) {
			return
		}
	}
}

func (s *stream) came(n int, now int64) {
	if at := s.answered.Load(); at > 0 && now > at {
		s.after.Add(int64(n))
	}
	if since := s.since.Load(); since > 0 {
		s.gap.Store(max(s.gap.Load(), now-max(since, s.last.Load())))
	}
	s.last.Store(now)
}

// measure begins to look for the longest gap anew, and returns the one so far.
func (s *stream) measure(now time.Time) float64 {
	was := s.gap.Swap(0)
	s.since.Store(now.UnixNano())
	return ms(time.Duration(was))
}

func (s *stream) lastRead() time.Time { return time.Unix(0, s.last.Load()) }

func (s *stream) isOver() bool { return len(s.ended) > 0 }

// end waits for the stream's end.
func (s *stream) end(ctx context.Context) (time.Time, bool) {
	select {
	case at := <-s.ended:
		return at, true
	case <-ctx.Done():
		return time.Time{}, false
	}
}
