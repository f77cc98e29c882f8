package sshproxy

import (
	"bytes"
	"io"
	"sync"

	"golang.org/x/crypto/ssh"
)

// held is a session channel that was accepted before its session exists. To
// the code behind it is a channel that is still to be accepted: it gives the
// same channel, and the requests that came meanwhile. Those are answered when
// they come, because clients wait for the answer before they show anything,
// and given on without the wish for one.
type held struct {
	ssh.NewChannel
	c      *conn
	client ssh.Channel
	text   string
	ahead  *typed // nil without a terminal

	out         chan *ssh.Request
	freed       chan struct{} // closed when the hold is over
	ready       chan struct{} // closed when run has seen that
	over        chan struct{} // closed when the client closed the channel before
	interrupted chan struct{} // by Ctrl-C

	// Of run's goroutine.
	kept  []*ssh.Request
	size  *ssh.Request // the last window-change
	pty   bool
	begun bool
	env   int
}

func (h *held) isOver() bool {
	select {
	case <-h.over:
		return true
	default:
		return false
	}
}

// Accept implements ssh.NewChannel.
func (h *held) Accept() (ssh.Channel, <-chan *ssh.Request, error) {
	select {
	case <-h.ready:
	case <-h.over:
	}
	if h.ahead == nil {
		return h.client, h.out, nil
	}
	h.ahead.free()
	return readAhead{h.client, h.ahead}, h.out, nil
}

// Reject implements ssh.NewChannel for a channel that its client sees open.
func (h *held) Reject(_ ssh.RejectionReason, why string) error {
	exitWith(h.client, new(sync.Mutex), why)
	h.c.wg.Go(func() { ssh.DiscardRequests(h.out) })
	return nil
}

// run takes the client's requests: it keeps them while held and passes them
// on after.
func (h *held) run(reqs <-chan *ssh.Request, by *holding) {
	defer close(h.out)
	for waiting := true; waiting; {
		select {
		case r, ok := <-reqs:
			if !ok {
				close(h.over)
				h.left(by)
				return
			}
			if !h.keep(r) {
				h.giveUp()
			}
		case <-h.interrupted:
			h.giveUp()
		case <-h.freed:
			waiting = false
		}
	}
	close(h.ready)
	if h.size != nil {
		h.kept = append(h.kept, h.size)
	}
	for _, r := range h.kept {
		if !h.pass(r) {
			return
		}
	}
	h.kept = nil
	for r := range reqs {
		if !h.pass(r) {
			return
		}
	}
}

func (h *held) pass(r *ssh.Request) bool {
	select {
	case h.out <- r:
		return true
	case <-h.c.gone:
		return false
	}
}

// left tells the hold that the client has closed this channel; what it was
// told before it did is not known.
func (h *held) left(by *holding) {
	h.c.wg.Go(func() {
		select {
		case by.gaveUp <- h:
		case <-by.done:
		case <-h.c.gone:
		}
	})
}

func (h *held) giveUp() {
	exitWith(h.client, new(sync.Mutex), "given up before the touch; nothing was opened")
}

// keep answers one request and keeps it. False is the wish to give up.
func (h *held) keep(r *ssh.Request) bool {
	ok := false
	switch r.Type {
	case "pty-req":
		if _, ok = parsePty(r.Payload); ok && (h.pty || h.begun) {
			ok = false
		}
		h.pty = h.pty || ok
	case "env":
		name, fit := parseEnv(r.Payload)
		h.env++
		ok = fit && h.env <= MaxEnv && !h.begun && envAllowed(name)
	case "shell", "exec", "subsystem":
		if ok = !h.begun && wellFormed(r); ok {
			h.keepOne(r)
			_ = r.Reply(true, nil)
			h.begin()
			return true
		}
	case "window-change":
		if _, _, fit := parseResize(r.Payload); fit && h.pty {
			h.size, ok = given(r), true
		}
		_ = r.Reply(ok, nil)
		return true
	case "signal":
		_ = r.Reply(false, nil)
		return !h.begun
	case "x11-req", "auth-agent-req@openssh.com": // refused, and written down, once there is a session
		h.keepOne(r)
	}
	if ok {
		h.keepOne(r)
	}
	_ = r.Reply(ok, nil)
	return true
}

// wellFormed is whether the request can be answered with yes.
func wellFormed(r *ssh.Request) bool {
	var m struct{ Text string }
	if r.Type == "shell" {
		return len(r.Payload) == 0
	}
	return ssh.Unmarshal(r.Payload, &m) == nil && len(m.Text) <= MaxCommand
}

func (h *held) keepOne(r *ssh.Request) {
	if len(h.kept) < maxHeldReqs {
		h.kept = append(h.kept, given(r))
	}
}

// given is the request for those behind, its answer being given.
func given(r *ssh.Request) *ssh.Request { return &ssh.Request{Type: r.Type, Payload: r.Payload} }

// begin says what is waited for. From here on a terminal's Ctrl-C is read by
// the gateway; without a terminal what is piped in stays in the window.
func (h *held) begin() {
	h.begun = true
	end := "\n"
	if h.pty {
		end = "\r\n"
		h.ahead = &typed{done: make(chan struct{})}
		h.c.wg.Go(func() { h.ahead.read(h.client, h.interrupted) })
	}
	_, _ = io.WriteString(h.client.Stderr(), h.text+end)
}

// typed is what was typed into a held terminal. It is not lost: the shell
// gets it, as it would from a terminal that was slow.
type typed struct {
	mu    sync.Mutex
	buf   []byte
	err   error
	freed bool
	done  chan struct{} // closed when nothing more is put into buf
}

func (t *typed) free() {
	t.mu.Lock()
	t.freed = true
	t.mu.Unlock()
}

// read collects until it is freed, full or at the end. The read that it is in
// when it is freed is its last.
func (t *typed) read(from io.Reader, interrupted chan<- struct{}) {
	defer close(t.done)
	buf := make([]byte, maxTyped)
	for {
		n, err := from.Read(buf)
		t.mu.Lock()
		t.buf, t.err = append(t.buf, buf[:n]...), err
		stop := t.freed || err != nil || len(t.buf) >= maxTyped
		freed := t.freed
		t.mu.Unlock()
		if !freed && bytes.IndexByte(buf[:n], 3) >= 0 {
			interrupted <- struct{}{} // holds one, and this is the last
			return
		}
		if stop {
			return
		}
	}
}

// readAhead reads what was typed ahead, then the channel.
type readAhead struct {
	ssh.Channel
	t *typed
}

// Read implements io.Reader.
func (r readAhead) Read(p []byte) (int, error) {
	r.t.mu.Lock()
	n := copy(p, r.t.buf)
	r.t.buf = r.t.buf[n:]
	r.t.mu.Unlock()
	if n > 0 || len(p) == 0 {
		return n, nil
	}
	<-r.t.done // what is typed next ends it
	return r.rest(p)
}

func (r readAhead) rest(p []byte) (int, error) {
	r.t.mu.Lock()
	n, err := copy(p, r.t.buf), r.t.err
	r.t.buf = r.t.buf[n:]
	r.t.mu.Unlock()
	if n > 0 {
		return n, nil
	}
	if err != nil {
		return 0, err
	}
	return r.Channel.Read(p)
}
