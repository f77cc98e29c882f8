package sshproxy

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/sshproxy/transfer"
)

// files reads along with a channel that moves files, so that nothing of them
// passes unjudged and untold. A nil *files lets everything pass to the
// recording alone.
type files struct {
	tap    transfer.Tap
	hold   func() error // waits while the session is frozen; an error once it is over
	broken atomic.Bool  // after an error nothing passes in either direction

	// Read-held by who is inside the tap: its Close comes after the last of
	// them.
	use  sync.RWMutex
	over bool
}

// errOver ends a pump whose channel has told its end.
var errOver = errors.New("the transfer is over")

func newFiles(ch gateway.Channel, rec Channel, reply func([]byte) error) *files {
	tap := transfer.New(ch, rec, reply)
	if tap == nil {
		return nil
	}
	return &files{tap: tap, hold: rec.Hold}
}

// fromClient judges p and gives on what may reach the target. The tap sees
// nothing that is held: it would tell of bytes as written that never passed.
func (f *files) fromClient(p []byte, forward func([]byte) error) error {
	if f == nil {
		return forward(p)
	}
	if err := f.hold(); err != nil {
		return err
	}
	f.use.RLock()
	defer f.use.RUnlock()
	if f.over || f.broken.Load() {
		return errOver
	}
	return f.stop(f.tap.Client(p, forward))
}

// fromTarget does the same towards the client.
func (f *files) fromTarget(p []byte, forward func([]byte) error) error {
	if f == nil {
		return forward(p)
	}
	f.use.RLock()
	defer f.use.RUnlock()
	if f.over || f.broken.Load() {
		return errOver
	}
	return f.stop(f.tap.Target(p, forward))
}

func (f *files) stop(err error) error {
	if err != nil {
		f.broken.Store(true)
	}
	return err
}

// close tells what was left in the middle. It waits for who is inside the tap:
// a write to a side that is closed, or about to be.
func (f *files) close() {
	if f == nil {
		return
	}
	f.use.Lock()
	defer f.use.Unlock()
	if !f.over {
		f.over = true
		f.tap.Close()
	}
}

// recognise says what an exec request is. A terminal changes bytes on their
// way, so that what runs in one is a command, whatever its name.
func recognise(command string, pty *gateway.Pty) gateway.Channel {
	if pty != nil {
		return gateway.Channel{Kind: gateway.ChannelExec, Command: command}
	}
	return transfer.Recognise(command)
}

// follow makes the channel's tap, whose answers to the client are recorded and
// ordered like the target's.
func (ch *channel) follow(what gateway.Channel, rec Channel) {
	out := locked{&ch.out, ch.client}
	ch.files = newFiles(what, rec, func(p []byte) error { return rec.Show(false, p, out) })
	ch.kind = what.Kind
}

// showFiles carries the target's output of a transfer to the client.
func (ch *channel) showFiles(from io.Reader, to io.Writer) {
	forward := func(p []byte) error { return ch.rec.Show(false, p, to) }
	pump(from, func(p []byte) error { return ch.orBreak(ch.files.fromTarget(p, forward)) })
}

// orBreak ends a channel whose bytes are not what they should be, and leaves
// the rest of the connection alone.
func (ch *channel) orBreak(err error) error {
	var e *gateway.Error
	if err == nil || !errors.As(err, &e) {
		return err
	}
	ch.ctl.Lock()
	told := ch.over || ch.c.live.Context().Err() != nil
	ch.over = true
	ch.ctl.Unlock()
	if told {
		return err
	}
	ch.c.live.Refuse(ch.c.live.Context(), string(ch.kind), e.Sentence())
	ch.rec.Note(e.Sentence())
	ch.rec.Exit(nil, "")
	exitWith(ch.client, &ch.err, e.Sentence())
	_ = ch.target.Close()
	return err
}

// closeFiles tells of every transfer that the session's end cuts off, before
// the recording is sealed.
func (c *conn) closeFiles() {
	var wg sync.WaitGroup
	for _, ch := range c.carried() {
		if f := ch.following(); f != nil {
			wg.Go(f.close)
		}
	}
	wg.Wait()
}

func (ch *channel) following() *files {
	ch.ctl.Lock()
	defer ch.ctl.Unlock()
	return ch.files
}
