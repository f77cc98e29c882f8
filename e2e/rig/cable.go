package rig

import (
	"io"
	"net"
	"strings"
	"sync"
)

// Cable is a way to the pages that can be pulled out: what passes is cut off
// without a word, and nothing new gets through until it is put back.
type Cable struct {
	l    net.Listener
	work sync.WaitGroup

	mu    sync.Mutex
	to    string
	out   bool
	conns map[net.Conn]struct{}
}

// NewCable lays a cable to nowhere.
func NewCable() (*Cable, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c := &Cable{l: l, conns: map[net.Conn]struct{}{}}
	c.work.Go(c.serve)
	return c, nil
}

// URL is what people type to come by this cable.
func (c *Cable) URL() string {
	_, port, _ := strings.Cut(c.l.Addr().String(), ":")
	return "http://localhost:" + port
}

// Plug leads it to an address.
func (c *Cable) Plug(to string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.to = to
}

// Pull pulls it out, or puts it back.
func (c *Cable) Pull(out bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = out
	if !out {
		return
	}
	for nc := range c.conns {
		if t, ok := nc.(*net.TCPConn); ok {
			_ = t.SetLinger(0) // a reset, not a goodbye
		}
		nc.Close()
	}
}

// Close ends it.
func (c *Cable) Close() {
	c.l.Close()
	c.Pull(true)
	c.work.Wait()
}

func (c *Cable) serve() {
	for {
		near, err := c.l.Accept()
		if err != nil {
			return
		}
		c.work.Go(func() { c.carry(near) })
	}
}

func (c *Cable) carry(near net.Conn) {
	defer near.Close()
	c.mu.Lock()
	to := c.to
	c.mu.Unlock()
	far, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer far.Close()
	if !c.keep(near, far) {
		return
	}
	defer c.drop(near, far)
	var both sync.WaitGroup
	both.Go(func() { _, _ = io.Copy(far, near); far.Close() })
	both.Go(func() { _, _ = io.Copy(near, far); near.Close() })
	both.Wait()
}

func (c *Cable) keep(conns ...net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out {
		return false
	}
	for _, nc := range conns {
		c.conns[nc] = struct{}{}
	}
	return true
}

func (c *Cable) drop(conns ...net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, nc := range conns {
		delete(c.conns, nc)
	}
}
