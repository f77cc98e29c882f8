package sshproxy

import (
	"io"
	"net"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/socket"
)

// How connections end when hundreds end at once: see package socket.

// targetSocket is the socket to a target, as the session closes it.
type targetSocket struct {
	net.Conn
	rest *socket.Rest
}

// Shut ends both directions (shutdown(2)); Close gives the descriptor back.
func (s targetSocket) Shut(over <-chan struct{}) {
	s.rest.Set(over)
	socket.Shut(s.Conn)
}

// Part tells every channel why the session is over and ends our half of the
// connection, all in one write. It does nothing where somebody is writing: that
// may be to a client that takes nothing. A connection inside another one is
// left alone too: it has no socket of its own.
func (l leave) Part(why *gateway.Ended, over <-chan struct{}) {
	if w := l.c.h.wire; w != nil && w.raw != nil {
		l.c.contained(func() { l.c.part(w, why, over) })()
	}
}

func (c *conn) part(w *wire, why *gateway.Ended, over <-chan struct{}) {
	list := c.carried()
	for i, ch := range list {
		if !ch.take() {
			for _, taken := range list[:i] {
				taken.release()
			}
			return
		}
	}
	w.rest.Set(over)
	w.gather()
	for _, ch := range list {
		if ch.ends() {
			ch.tellEnd(why)
		}
		ch.err.Unlock()
		ch.out.Unlock()
	}
	w.part()
}

// take locks the channel if nobody uses it.
func (ch *channel) take() bool {
	if !ch.ctl.TryLock() {
		return false
	}
	if !ch.out.TryLock() {
		ch.ctl.Unlock()
		return false
	}
	if !ch.err.TryLock() {
		ch.out.Unlock()
		ch.ctl.Unlock()
		return false
	}
	return true
}

func (ch *channel) release() {
	ch.err.Unlock()
	ch.out.Unlock()
	ch.ctl.Unlock()
}

// gather begins to keep what the library writes.
func (w *wire) gather() {
	w.gmu.Lock()
	w.gathers = true
	w.gmu.Unlock()
}

// keep takes p if what is written is gathered.
func (w *wire) keep(p []byte) (n int, kept bool, err error) {
	w.gmu.Lock()
	defer w.gmu.Unlock()
	switch {
	case w.parted:
		return 0, true, io.ErrClosedPipe
	case !w.gathers:
		return 0, false, nil
	case w.held != nil: // the first piece of this packet
		w.gathered = append(w.gathered, w.held[:]...)
		heldBuffers.Put(w.held)
		w.held = nil
	}
	w.gathered = append(w.gathered, p...)
	return len(p), true, nil
}

// hasParted reports whether our half has ended: what the other still sends is
// for nobody.
func (w *wire) hasParted() bool {
	w.gmu.Lock()
	defer w.gmu.Unlock()
	return w.parted
}

// part writes what was gathered, as far as the socket takes it at once, and
// ends our half.
func (w *wire) part() {
	w.gmu.Lock()
	p := slices.Clip(w.gathered)
	w.gathered, w.parted = nil, true
	w.gmu.Unlock()
	_ = w.raw.Control(func(fd uintptr) {
		if len(p) > 0 {
			// With more to come, the end goes out in the same segment.
			_, _ = unix.SendmsgN(int(fd), p, nil, nil, unix.MSG_MORE|unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		}
		_ = unix.Shutdown(int(fd), unix.SHUT_WR)
	})
}
