package httpsproxy

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/socket"
)

// targetSockets are a session's connections to its target: no other session
// ever uses one of them (an NTLM login belongs to its connection). The session
// closes them all at its end.
type targetSockets struct {
	mu   sync.Mutex
	open map[*targetSocket]struct{}
	over bool
	rest socket.Rest
}

// targetSocket is one of them, beneath TLS.
type targetSocket struct {
	net.Conn
	all    *targetSockets
	glance bool // Read waits for nothing; its reader's own
}

var errOver = errors.New("the session is over")

// errQuiet is what a glance finds at a connection over which nothing comes. TLS
// goes on after an error that says that it is temporary.
var errQuiet net.Error = quietError{}

type quietError struct{}

func (quietError) Error() string   { return "nothing has come" }
func (quietError) Timeout() bool   { return true }
func (quietError) Temporary() bool { return true }

func (s *targetSockets) add(c net.Conn) (*targetSocket, error) {
	t := &targetSocket{Conn: c, all: s}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		_ = c.Close()
		return nil, errOver
	}
	if s.open == nil {
		s.open = map[*targetSocket]struct{}{}
	}
	s.open[t] = struct{}{}
	return t, nil
}

// Read rests before it tells the end of a connection that was shut.
func (t *targetSocket) Read(p []byte) (int, error) {
	if t.glance && socket.Quiet(t.Conn) {
		return 0, errQuiet
	}
	n, err := t.Conn.Read(p)
	if err != nil {
		t.all.rest.Wait()
	}
	return n, err
}

// Close closes one connection.
func (t *targetSocket) Close() error {
	t.all.mu.Lock()
	delete(t.all.open, t)
	t.all.mu.Unlock()
	return t.Conn.Close()
}

func (s *targetSockets) end() []*targetSocket {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	list := make([]*targetSocket, 0, len(s.open))
	for t := range s.open {
		list = append(list, t)
	}
	return list
}

// Close ends them all; none opens any more.
func (s *targetSockets) Close() error {
	for _, t := range s.end() {
		_ = t.Close()
	}
	return nil
}

// Shut ends both directions of them all and waits for nobody. Close gives the
// descriptors back.
func (s *targetSockets) Shut(over <-chan struct{}) {
	s.rest.Set(over)
	for _, t := range s.end() {
		socket.Shut(t.Conn)
	}
}

// listener hands out connections of browsers that can be kept still.
type listener struct{ net.Listener }

// Listener is what the server that Server prepared must listen on.
func (p *Proxy) Listener(l net.Listener) net.Listener { return listener{l} }

// Accept waits for the next connection.
func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if t, ok := c.(*net.TCPConn); ok {
		return &browserSocket{TCPConn: t}, nil
	}
	return c, err
}

// browserSocket is a connection of a browser beneath TLS.
type browserSocket struct {
	*net.TCPConn
	rest socket.Rest

	mu       sync.Mutex
	gathered []byte // written, not sent yet; nil: what is written is sent
}

// Write sends p, or gathers it.
func (b *browserSocket) Write(p []byte) (int, error) {
	b.mu.Lock()
	if b.gathered == nil {
		b.mu.Unlock()
		return b.TCPConn.Write(p)
	}
	defer b.mu.Unlock()
	b.gathered = append(b.gathered, p...)
	return len(p), nil
}

// gather has what is written wait for send, in buf while there is room.
func (b *browserSocket) gather(buf []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.gathered = buf
}

// send sends what was gathered. An error stays the connection's: whoever writes
// or reads next meets it.
func (b *browserSocket) send() {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.gathered
	b.gathered = nil
	_, _ = b.TCPConn.Write(p)
}

// Read rests before it tells the end of a connection that was shut.
func (b *browserSocket) Read(p []byte) (int, error) {
	n, err := b.TCPConn.Read(p)
	if err != nil {
		b.rest.Wait()
	}
	return n, err
}

// browser is one connection of an engineer's browser. It may have carried
// requests of more than one session, one after the other.
type browser struct {
	raw  net.Conn    // beneath TLS
	soft atomic.Bool // a WebSocket: its close frame is to arrive

	mu   sync.Mutex
	uses map[*console]int // exchanges under way
	last *console
}

type browserKey struct{}

// browserOf is the connection that a request came over.
func browserOf(ctx context.Context) *browser {
	b, _ := ctx.Value(browserKey{}).(*browser)
	return b
}

func (p *Proxy) connContext(before func(context.Context, net.Conn) context.Context) func(context.Context, net.Conn) context.Context {
	return func(ctx context.Context, c net.Conn) context.Context {
		if before != nil {
			ctx = before(ctx, c)
		}
		b := &browser{raw: beneath(c), uses: map[*console]int{}}
		p.mu.Lock()
		p.browsers[c] = b
		p.mu.Unlock()
		return context.WithValue(ctx, browserKey{}, b)
	}
}

func (p *Proxy) connState(before func(net.Conn, http.ConnState)) func(net.Conn, http.ConnState) {
	return func(c net.Conn, s http.ConnState) {
		if before != nil {
			before(c, s)
		}
		if s != http.StateClosed && s != http.StateHijacked {
			return
		}
		p.mu.Lock()
		b := p.browsers[c]
		delete(p.browsers, c)
		p.mu.Unlock()
		if b != nil && s == http.StateClosed {
			b.gone()
		}
	}
}

// gone takes a closed connection out of the sessions that it was of.
func (b *browser) gone() {
	b.mu.Lock()
	last := b.last
	b.last = nil
	b.mu.Unlock()
	if last != nil {
		last.forget(b)
	}
}

// abort closes the connection and throws away what the kernel still held of
// it: what was sent to a slow browser before the end is not to arrive after it.
func (b *browser) abort() {
	if !b.soft.Load() {
		socket.Abort(b.raw)
	}
	_ = b.raw.Close()
}

// cut is abort, but leaves the descriptor to Close.
func (b *browser) cut(over <-chan struct{}) {
	if b.soft.Load() {
		return
	}
	if t, ok := b.raw.(*browserSocket); ok {
		t.rest.Set(over)
	}
	socket.Abort(b.raw)
}

// enter counts an exchange of the session in, over that connection.
func (c *console) enter(b *browser) *gateway.Error {
	former, err := c.admit(b)
	if former != nil {
		former.forget(b) // outside the lock of this one
	}
	return err
}

func (c *console) admit(b *browser) (former *console, err *gateway.Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return nil, c.overError()
	}
	if c.exchanges >= MaxExchanges {
		return nil, &gateway.Error{Code: gateway.CodeTooMany, Rule: "exchanges", Text: "this session has too many requests under way", Next: "wait until some of them are answered"}
	}
	c.exchanges++
	c.browsers[b] = struct{}{}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.uses[c]++
	if b.last != nil && b.last != c && b.uses[b.last] == 0 {
		former = b.last
	}
	b.last = c
	return former, nil
}

func (c *console) leave(b *browser) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.exchanges--
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.uses[c]--; b.uses[c] == 0 {
		delete(b.uses, c)
		if b.last != c {
			delete(c.browsers, b)
		}
	}
}

func (c *console) forget(b *browser) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.browsers, b)
}
