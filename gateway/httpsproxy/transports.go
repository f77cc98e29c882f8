package httpsproxy

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
)

// transports are how a session's requests reach its target: over HTTP/1.1 while
// there are few at once, which takes a tenth less CPU for each and a sixth less
// for a long body; beyond that, and where trailers are asked for, over HTTP/2,
// which carries any number.
type transports struct {
	small *pool           // of HTTP/1.1, for requests that are at hand whole
	plain *http.Transport // of HTTP/1.1, for the others
	mixed *http.Transport // HTTP/2 where the target speaks it
	slots chan struct{}   // of small and plain, taken
	newer atomic.Bool     // the target speaks no HTTP/1.1

	warm atomic.Pointer[tls.Conn] // dialled at the opening, for the first request
}

// noProtocol reports the alert of a server that speaks none of those offered
// (RFC 7301 clause 3.2), which crypto/tls gives no type.
func noProtocol(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && strings.HasSuffix(op.Err.Error(), "no application protocol")
}

func (c *console) newTransports() *transports {
	t := &transports{slots: make(chan struct{}, MaxPlain)}
	t.plain, t.mixed = c.newTransport("http/1.1"), c.newTransport("h2", "http/1.1")
	t.small = &pool{dial: func(ctx context.Context) (*kept, error) {
		conn, err := t.dial(ctx, c, "http/1.1")
		if err != nil {
			return nil, err
		}
		return newKept(conn), nil
	}}
	return t
}

// reach dials the target for the first time and learns what it speaks.
func (t *transports) reach(ctx context.Context, c *console) error {
	conn, err := c.dialTLS(ctx, "http/1.1")
	if noProtocol(err) {
		t.newer.Store(true)
		conn, err = c.dialTLS(ctx, "h2")
	}
	if err == nil {
		t.warm.Store(conn)
	}
	return err
}

// dial opens a connection, or takes the one of the opening.
func (t *transports) dial(ctx context.Context, c *console, protocols ...string) (*tls.Conn, error) {
	if t.newer.Load() == (protocols[0] == "h2") {
		if warm := t.warm.Swap(nil); warm != nil {
			return warm, nil
		}
	}
	return c.dialTLS(ctx, protocols...)
}

// newTransport is a pool of connections of the session's own.
func (c *console) newTransport(protocols ...string) *http.Transport {
	known := &http.Protocols{}
	known.SetHTTP1(true)
	known.SetHTTP2(protocols[0] == "h2")
	return &http.Transport{
		DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, err := c.target.dial(ctx, c, protocols...)
			if err != nil {
				return nil, err // and no nil of a type
			}
			return conn, nil
		},
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			return nil, errors.New("only TLS reaches a target")
		},
		Protocols:              known,
		MaxConnsPerHost:        MaxTargetConns,
		MaxIdleConnsPerHost:    MaxIdleConns,
		IdleConnTimeout:        TargetIdleTime,
		ResponseHeaderTimeout:  AnswerTime,
		ExpectContinueTimeout:  ContinueTime,
		MaxResponseHeaderBytes: MaxReplyHeader,
		ReadBufferSize:         targetBuffer,
		WriteBufferSize:        targetBuffer,
		DisableCompression:     true,
	}
}

// RoundTrip implements http.RoundTripper.
func (t *transports) RoundTrip(r *http.Request) (*http.Response, error) {
	if t.newer.Load() || r.Header["Te"] != nil || strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
		return t.mixed.RoundTrip(r)
	}
	select {
	case t.slots <- struct{}{}:
	default:
		return t.mixed.RoundTrip(r)
	}
	var over http.RoundTripper = t.plain
	if t.small.takes(r) {
		over = t.small
	}
	res, err := over.RoundTrip(r)
	if err != nil {
		<-t.slots
		return nil, err
	}
	if res.Body == http.NoBody {
		<-t.slots
	} else {
		res.Body = &slotted{ReadCloser: res.Body, slots: t.slots}
	}
	return res, nil
}

// CloseIdleConnections closes those that carry nothing.
func (t *transports) CloseIdleConnections() {
	t.small.close()
	t.plain.CloseIdleConnections()
	t.mixed.CloseIdleConnections()
}

// slotted gives its slot back at its end.
type slotted struct {
	io.ReadCloser
	slots chan struct{}
	once  sync.Once
}

// Close ends the body.
func (s *slotted) Close() error {
	err := s.ReadCloser.Close()
	s.once.Do(func() { <-s.slots })
	return err
}
