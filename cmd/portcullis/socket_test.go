package main

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener whose connections are made by the test.
type pipes struct {
	next chan net.Conn
	over chan struct{}
	once sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.next:
		return c, nil
	case <-p.over:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.over) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// who is slow before he has asked is let go, and so is who asks for
// more than there is room to read.
func TestSlowAskersAreLetGo(t *testing.T) {
	const pace = time.Second // of one byte
	for name, c := range map[string]struct {
		says   string
		within time.Duration
	}{
		"says nothing":            {"", webHeaderTimeout},
		"a header without an end": {"GET / HTTP/1.1\r\nHost: gate\r\nX-Slow: " + strings.Repeat("a", 200), webHeaderTimeout},
		"a body without an end":   {"POST / HTTP/1.1\r\nHost: gate\r\nContent-Length: 1000\r\n\r\n" + strings.Repeat("a", 200), 2 * webReadTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				read := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
				srv, l := bounded(read, slog.New(slog.DiscardHandler)), &pipes{next: make(chan net.Conn), over: make(chan struct{})}
				var wg sync.WaitGroup
				wg.Go(func() {
					if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
						t.Error(err)
					}
				})
				near, far := net.Pipe()
				l.next <- far
				begun := time.Now()
				wg.Go(func() {
					head, dribble, whole := strings.Cut(c.says, "\r\n\r\n")
					if whole {
						_, _ = io.WriteString(near, head+"\r\n\r\n")
					} else {
						dribble = head
					}
					for i := range dribble {
						if _, err := near.Write([]byte{dribble[i]}); err != nil {
							return
						}
						time.Sleep(pace) // the asker's own slowness
					}
				})
				_, err := io.Copy(io.Discard, near)
				if took := time.Since(begun); took > c.within {
					t.Errorf("let go after %s: %v", took, err)
				}
				_ = near.Close()
				if err := srv.Close(); err != nil {
					t.Error(err)
				}
				wg.Wait()
			})
		})
	}
	if webMaxHeader > 64<<10 {
		t.Errorf("%d bytes of header are read of a stranger", webMaxHeader)
	}
}
