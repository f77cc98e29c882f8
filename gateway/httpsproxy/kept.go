package httpsproxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"time"
)

// headBuffer is what is written of a request at once.
const headBuffer = 4 << 10

// kept is one connection of a pool. One goroutine has it at a time.
type kept struct {
	pool   *pool
	conn   *tls.Conn
	raw    *targetSocket // beneath it
	r      *bufio.Reader
	w      *bufio.Writer
	left   int64 // bytes that may still be read
	reused bool
	since  time.Time   // when it became idle
	stop   func() bool // no longer closes it when the request is given up
}

func newKept(conn *tls.Conn) *kept {
	k := &kept{conn: conn, w: bufio.NewWriterSize(conn, headBuffer)}
	k.raw, _ = conn.NetConn().(*targetSocket)
	k.r = bufio.NewReaderSize((*bounded)(k), targetBuffer)
	return k
}

// bounded reads a connection up to what is left.
type bounded kept

// Read gives the next bytes.
func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errLongHead
	}
	n, err := b.conn.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

var errLongHead = fmt.Errorf("the answer's head is longer than %d bytes", MaxReplyHeader)

// silentError is a connection that ended before anything of an answer came.
type silentError struct {
	reused bool
	cause  error
}

func (e *silentError) Error() string { return "the target closed the connection: " + e.cause.Error() }
func (e *silentError) Unwrap() error { return e.cause }

// quiet reports whether a connection at rest is still whole. One over which
// something has come that nobody asked for is not: it would be taken for the
// answer to what is asked next.
func (k *kept) quiet() bool {
	k.left, k.raw.glance = MaxReplyHeader, true
	_, err := k.r.Peek(1) // through TLS, which may have tickets of its own to read
	k.raw.glance = false
	return errors.Is(err, errQuiet)
}

// roundTrip sends a request and reads the head of its answer.
func (k *kept) roundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	k.stop = context.AfterFunc(ctx, func() { _ = k.raw.Close() })
	res, err := k.ask(r)
	if err != nil {
		k.done(false)
		return nil, orCause(ctx, err)
	}
	again := !res.Close && res.StatusCode >= http.StatusOK
	if res.Body == http.NoBody {
		k.done(again)
		return res, nil
	}
	if int64(k.r.Buffered()) < res.ContentLength || res.ContentLength < 0 {
		if err := k.conn.SetDeadline(time.Time{}); err != nil {
			k.done(false)
			return nil, orCause(ctx, err)
		}
	}
	res.Body = &keptBody{from: res.Body, k: k, ctx: ctx, again: again}
	return res, nil
}

func (k *kept) ask(r *http.Request) (*http.Response, error) {
	if err := k.conn.SetDeadline(time.Now().Add(AnswerTime)); err != nil {
		return nil, err
	}
	if err := r.Write(k.w); err != nil {
		return nil, err
	}
	if err := k.w.Flush(); err != nil {
		return nil, err
	}
	k.left = MaxReplyHeader
	if _, err := k.r.Peek(1); err != nil {
		return nil, &silentError{k.reused, err}
	}
	res, err := http.ReadResponse(k.r, r)
	for err == nil && res.StatusCode < http.StatusOK && res.StatusCode != http.StatusSwitchingProtocols {
		res, err = http.ReadResponse(k.r, r) // of 1xx only 101 is an answer; left bounds them all
	}
	if err != nil && k.left <= 0 {
		err = errLongHead
	}
	k.left = math.MaxInt64
	return res, err
}

// done gives a connection back, if another request may follow.
func (k *kept) done(again bool) {
	if k.stop() && again && k.r.Buffered() == 0 {
		k.pool.put(k)
		return
	}
	k.close()
}

func (k *kept) close() { _ = k.conn.Close() }

// keptBody is an answer's body. Its connection is used again once it was read
// to its end, and never otherwise.
type keptBody struct {
	from  io.Reader
	k     *kept // nil: given back
	ctx   context.Context
	again bool
}

// Read gives the next piece.
func (b *keptBody) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	if err == nil || b.k == nil {
		return n, err
	}
	whole := errors.Is(err, io.EOF)
	b.end(whole && b.again)
	if !whole {
		err = orCause(b.ctx, err)
	}
	return n, err
}

// Close gives up what was not read.
func (b *keptBody) Close() error {
	b.end(false)
	return nil
}

func (b *keptBody) end(again bool) {
	if k := b.k; k != nil {
		b.k = nil
		k.done(again)
	}
}
