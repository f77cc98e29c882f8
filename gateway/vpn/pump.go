package vpn

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/waiter"
)

// buffers are what pumps read into. One that waits for bytes has none.
type buffers struct{ pool sync.Pool }

func (b *buffers) get() *[bulk]byte {
	if p, ok := b.pool.Get().(*[bulk]byte); ok {
		return p
	}
	return new([bulk]byte)
}

func (b *buffers) put(p *[bulk]byte) { b.pool.Put(p) }

// targetReader reads a target's socket, and holds memory only while there is
// something to read.
type targetReader struct {
	conn net.Conn
	raw  syscall.RawConn
	pool *buffers
}

func newTargetReader(c net.Conn, pool *buffers) *targetReader {
	r := &targetReader{conn: c, pool: pool}
	if s, ok := c.(syscall.Conn); ok {
		r.raw, _ = s.SyscallConn()
	}
	return r
}

// next gives what came, at most so many bytes; the caller gives the memory
// back. io.EOF, or nothing without an error, is the end of a stream.
func (r *targetReader) next(most int) (*[bulk]byte, int, error) {
	if r.raw == nil {
		b := r.pool.get()
		n, err := r.conn.Read(b[:most])
		return b, n, err
	}
	var b *[bulk]byte
	var n int
	var got error
	err := r.raw.Read(func(fd uintptr) bool {
		b = r.pool.get()
		if n, got = readSome(int(fd), b[:most]); errors.Is(got, unix.EAGAIN) {
			r.pool.put(b)
			b = nil
			return false
		}
		return true
	})
	if err == nil {
		err = got
	}
	if err != nil {
		if b != nil {
			r.pool.put(b)
		}
		return nil, 0, err
	}
	return b, n, nil
}

func readSome(fd int, b []byte) (n int, err error) {
	for {
		if n, err = unix.Read(fd, b); err != unix.EINTR {
			return n, err
		}
	}
}

// end is one side of a connection inside the tunnel: an endpoint of the stack.
type end struct {
	ep tcpip.Endpoint
	wq *waiter.Queue

	mu     sync.Mutex // guards closed: what is closed is not to be aborted
	closed bool
}

// abort resets the connection.
func (e *end) abort() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed {
		e.ep.Abort()
	}
}

// close gives the endpoint back; what was written is still delivered.
func (e *end) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	e.ep.Close()
}

var errReset = errors.New("reset inside the tunnel")

// next gives what the client sent, or io.EOF at the end of its stream.
func (e *end) next(ctx context.Context, ready <-chan struct{}, pool *buffers) (*[bulk]byte, int, error) {
	for {
		b := pool.get()
		w := tcpip.SliceWriter(b[:])
		res, err := e.ep.Read(&w, tcpip.ReadOptions{})
		if err == nil {
			return b, res.Count, nil
		}
		pool.put(b)
		switch err.(type) {
		case *tcpip.ErrWouldBlock:
		case *tcpip.ErrClosedForReceive:
			return nil, 0, io.EOF
		default:
			return nil, 0, errReset
		}
		select {
		case <-ready:
		case <-ctx.Done():
			return nil, 0, context.Cause(ctx)
		}
	}
}

// write sends all of p to the client, as fast as it takes it.
func (e *end) write(ctx context.Context, room <-chan struct{}, p []byte, sent func(int)) error {
	for len(p) > 0 {
		n, err := e.ep.Write(bytes.NewReader(p), tcpip.WriteOptions{})
		if n > 0 {
			sent(int(n))
			p = p[n:]
			continue
		}
		if _, full := err.(*tcpip.ErrWouldBlock); !full {
			return errReset
		}
		select {
		case <-room:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
