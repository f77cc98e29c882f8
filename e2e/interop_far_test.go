package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
)

// far is a web server behind the target that keeps files by their paths, and
// knows what each connection brought and took.
type far struct {
	net.Listener
	addr string

	mu    sync.Mutex
	conns []*counted
}

func newFar(t *testing.T) *far {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &far{Listener: l, addr: l.Addr().String()}
	server := &http.Server{Handler: http.HandlerFunc(keep)}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(f) }()
	t.Cleanup(func() { server.Close(); <-done })
	return f
}

// keep writes and reads files.
func keep(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPut {
		http.ServeFile(w, r, r.URL.Path)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = os.WriteFile(r.URL.Path, body, 0o600)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// Accept keeps the connection in view.
func (f *far) Accept() (net.Conn, error) {
	c, err := f.Listener.Accept()
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.conns = append(f.conns, &counted{Conn: c, in: sha256.New(), out: sha256.New()})
	return f.conns[len(f.conns)-1], nil
}

// last returns the digests of what the newest connection brought and took.
func (f *far) last() (in, out string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.conns[len(f.conns)-1].sums()
}

// counted is one connection with the digests of what passed.
type counted struct {
	net.Conn
	mu      sync.Mutex
	in, out hash.Hash
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.in.Write(p[:n])
	return n, err
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out.Write(p[:n])
	return n, err
}

func (c *counted) sums() (in, out string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return hex.EncodeToString(c.in.Sum(nil)), hex.EncodeToString(c.out.Sum(nil))
}
