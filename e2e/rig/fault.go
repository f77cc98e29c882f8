package rig

import (
	"net"
	"sync"
	"time"
)

// Weather is what a Fault does to what passes.
type Weather int

// The kinds of weather. What is held is lost: whoever meant it is reset when
// the weather changes.
const (
	Fair   Weather = iota
	Cut            // everything is reset, and nobody is let through
	Silent         // nothing passes either way; connections stay open
	Deaf           // what the server says does not arrive
	Dumb           // what is said to the server does not arrive
)

// String names it.
func (w Weather) String() string { return [...]string{"fair", "cut", "silent", "deaf", "dumb"}[w] }

// Fault is a TCP proxy between a node and a server that weather comes over.
type Fault struct {
	l    net.Listener
	to   string
	work sync.WaitGroup

	mu      sync.Mutex
	weather Weather
	turned  chan struct{} // closed when the weather changes
	over    bool
	conns   map[net.Conn]struct{}
}

// NewFault begins to listen, in fair weather.
func NewFault(to string) (*Fault, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &Fault{l: l, to: to, turned: make(chan struct{}), conns: map[net.Conn]struct{}{}}
	f.work.Go(f.serve)
	return f, nil
}

// Addr is where the node finds the server.
func (f *Fault) Addr() string { return f.l.Addr().String() }

// Turn changes the weather. Connections of before are reset unless it is only
// their bytes that are held.
func (f *Fault) Turn(w Weather) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if w == Fair || w == Cut {
		for c := range f.conns {
			if t, ok := c.(*net.TCPConn); ok && f.weather != w {
				_ = t.SetLinger(0)
				t.Close()
			}
		}
	}
	f.weather = w
	close(f.turned)
	f.turned = make(chan struct{})
}

// Close ends it.
func (f *Fault) Close() {
	f.mu.Lock()
	f.over = true
	f.mu.Unlock()
	f.l.Close()
	f.Turn(Cut)
	f.work.Wait()
}

func (f *Fault) serve() {
	for {
		c, err := f.l.Accept()
		if err != nil {
			return
		}
		if !f.keep(c) {
			c.Close()
			continue
		}
		f.work.Go(func() { f.carry(c) })
	}
}

// keep puts a connection on the list; false where nobody is let through.
func (f *Fault) keep(c net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over || f.weather == Cut {
		return false
	}
	f.conns[c] = struct{}{}
	return true
}

func (f *Fault) carry(c net.Conn) {
	defer f.drop(c)
	up, err := net.DialTimeout("tcp", f.to, time.Second)
	if err != nil {
		return
	}
	if !f.keep(up) {
		up.Close()
		return
	}
	defer f.drop(up)
	var both sync.WaitGroup
	for _, way := range []struct {
		from, to net.Conn
		lost     Weather
	}{{c, up, Dumb}, {up, c, Deaf}} {
		both.Go(func() {
			defer way.to.Close()
			defer way.from.Close()
			f.pass(way.from, way.to, way.lost)
		})
	}
	both.Wait()
}

func (f *Fault) pass(from, to net.Conn, lost Weather) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		f.mu.Lock()
		weather, turned := f.weather, f.turned
		f.mu.Unlock()
		if weather == Silent || weather == lost {
			<-turned
			return // what was held is lost, and the connection with it
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (f *Fault) drop(c net.Conn) {
	f.mu.Lock()
	delete(f.conns, c)
	f.mu.Unlock()
	c.Close()
}
