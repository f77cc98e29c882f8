package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/portcullis/portcullis/e2e/rig"
)

// The ways to a console, in the order in which figures are told.
const (
	webGateway = iota
	webDirect
	webNginx
	webCaddy
	webWays
)

const (
	h1 = "h1"
	h2 = "h2"
)

// web is one way to the console. Every way does the same key exchange, full.
type web struct {
	name   string
	addr   string // host:port that is dialled
	host   string // of the URL, with port
	cookie string
	tls    *tls.Config
	pids   func() []int // what the way costs: of the direct one, the target itself
}

// ways opens ana's session and returns all ways.
func (l *lab) ways(ctx context.Context) ([]*web, error) {
	roots, err := l.console.cert.Roots()
	if err != nil {
		return nil, err
	}
	host, cookie, err := l.opened(ctx, "ana")
	if err != nil {
		return nil, err
	}
	k := l.console
	plain := func(name, addr string, pid int) *web {
		return newWeb(name, addr, addr, "", roots, func() []int { return rig.Tree(pid) })
	}
	return []*web{
		webGateway: newWeb("gateway", l.Web, host, cookie, roots, func() []int { return []int{l.PID()} }),
		webDirect:  plain("direct", k.addr(), k.target.cmd.Process.Pid),
		webNginx:   plain("nginx", k.nginx.Addr, k.nginx.PID()),
		webCaddy:   plain("caddy", k.caddy.Addr, k.caddy.PID()),
	}, nil
}

func newWeb(name, addr, host, cookie string, roots *x509.CertPool, pids func() []int) *web {
	return &web{name: name, addr: addr, host: host, cookie: cookie, pids: pids,
		tls: &tls.Config{RootCAs: roots, ServerName: hostname(host), MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{tls.X25519}}}
}

func (w *web) dial(ctx context.Context) (net.Conn, error) {
	return (&net.Dialer{Timeout: dialWithin}).DialContext(ctx, "tcp", w.addr)
}

// client keeps to HTTP/2 over one connection, to which all its requests go.
func (w *web) client() *http.Client {
	t := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return w.dial(ctx) }, TLSClientConfig: w.tls.Clone(), DisableCompression: true, Protocols: new(http.Protocols)}
	t.Protocols.SetHTTP2(true)
	return &http.Client{Transport: t}
}

func (w *web) request(ctx context.Context, method, path string, body io.Reader) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, method, "https://"+w.host+path, body)
	if err == nil && w.cookie != "" {
		r.Header.Set("Cookie", w.cookie)
	}
	return r, err
}

// fetch does one request over HTTP/2 and returns how long the answer was, and
// its beginning.
func (w *web) fetch(c *http.Client, r *http.Request) (int64, []byte, error) {
	res, err := c.Do(r)
	if err != nil {
		return 0, nil, fmt.Errorf("%s: %w", w.name, err)
	}
	defer res.Body.Close()
	var begins limited
	n, err := io.Copy(&begins, res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", w.name, res.Status, begins)
	}
	return n, begins, err
}

// wire is one connection of HTTP/1.1, for one goroutine. It does little, since
// it shares the machine with what it measures.
type wire struct {
	net.Conn
	r    *bufio.Reader
	name string
}

func (w *web) open(ctx context.Context) (*wire, error) {
	raw, err := w.dial(ctx)
	if err != nil {
		return nil, err
	}
	cfg := w.tls.Clone()
	cfg.NextProtos = []string{"http/1.1"}
	c := tls.Client(raw, cfg)
	if err := c.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, fmt.Errorf("%s: %w", w.name, err)
	}
	if by, ok := ctx.Deadline(); ok {
		err = c.SetDeadline(by)
	}
	return &wire{c, bufio.NewReaderSize(c, 32<<10), w.name}, err
}

// head is a request's head.
func (w *web) head(method, path string, fields ...string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, path, w.host)
	if w.cookie != "" {
		fmt.Fprintf(&b, "Cookie: %s\r\n", w.cookie)
	}
	for _, f := range fields {
		b.WriteString(f + "\r\n")
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

// get sends a request and drops the answer, whose length it returns.
func (c *wire) get(head []byte) (int64, error) {
	if _, err := c.Write(head); err != nil {
		return 0, err
	}
	n, err := c.answer(http.StatusOK)
	if err != nil {
		return 0, err
	}
	return io.CopyN(io.Discard, c.r, n)
}

// answer reads an answer's head, of which the status must be that one, and
// returns the announced length.
func (c *wire) answer(status int) (length int64, err error) {
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	if len(line) < 12 || string(line[9:12]) != strconv.Itoa(status) {
		rest, _ := c.r.Peek(c.r.Buffered())
		return 0, fmt.Errorf("%s: %s%.800s", c.name, line, rest)
	}
	for length = -1; ; {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		name, value, ok := bytes.Cut(bytes.TrimSpace(line), []byte(":"))
		switch {
		case !ok && length < 0 && status == http.StatusOK:
			return 0, errors.New(c.name + ": an answer without a length")
		case !ok:
			return length, nil
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 64); err != nil {
				return 0, err
			}
		}
	}
}

// socket opens a WebSocket.
func (w *web) socket(ctx context.Context, path string) (*wire, error) {
	const key = "dGhlIHNhbXBsZSBub25jZQ==" // of RFC 6455 clause 1.3
	c, err := w.open(ctx)
	if err != nil {
		return nil, err
	}
	if _, err = c.Write(w.head("GET", path, "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: "+key)); err == nil {
		_, err = c.answer(http.StatusSwitchingProtocols)
	}
	if err == nil {
		err = c.SetDeadline(time.Time{})
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// route is the way as those of SSH are measured: its processes.
func (w *web) route() route { return route{name: w.name, pids: w.pids} }

// webFigures prints a figure of each way: the gateway's against all others.
func (l *lab) webFigures(name string, v []float64, unit string, more bool) {
	l.print(name, v[webGateway], unit, v[webDirect], more)
	l.print(name+".nginx", v[webGateway], unit, v[webNginx], more)
	l.print(name+".caddy", v[webGateway], unit, v[webCaddy], more)
}
