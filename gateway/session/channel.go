package session

import (
	"context"
	"io"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/recording"
)

// Channel is one channel of a session: a shell, a command, a transfer, a
// forward. Every byte goes through it, so
// that nothing is shown before it is written (P3).
type Channel struct {
	l     *Live
	t     Track
	kind  gateway.ChannelKind
	ended atomic.Bool // Exit was called
}

// Channel judges and begins one channel. The event is durable and the
// recording has its header when it returns.
func (l *Live) Channel(ctx context.Context, ch gateway.Channel) (*Channel, error) {
	kind := string(ch.Kind)
	if err := l.alive(); err != nil {
		return nil, err
	}
	if err := l.notFrozen(ctx, kind); err != nil {
		return nil, err
	}
	if !l.ent.Abilities.Lets(ch) {
		err := l.lacks(needs(ch))
		l.Refuse(ctx, kind, err.Sentence())
		return nil, err
	}
	id := l.channels.Add(1) - 1
	e := l.event(audit.SessionChannel)
	// The command itself may hold a secret: it stands in the recording, where
	// reading it is an event of its own.
	e.Detail = map[string]string{"channel": strconv.FormatUint(uint64(id), 10), "kind": kind, "pty": strconv.FormatBool(ch.Pty != nil)}
	if ch.To != "" {
		e.Detail["to"] = ch.To
	}
	if err := l.m.act(ctx, e); err != nil {
		return nil, err
	}
	t, err := l.rec.Channel(id, ch)
	if gateway.IsCode(err, gateway.CodeInvalid) { // it cannot be written, so it does not begin; the rest goes on
		l.Refuse(ctx, kind, gateway.AsError(err).Sentence())
		return nil, err
	}
	if err != nil {
		return nil, l.recorderFailed(err)
	}
	c := &Channel{l: l, t: t, kind: ch.Kind}
	l.runs(c.kind, 1)
	// A freeze that came while the event was written stops this one too.
	if err := l.notFrozen(ctx, kind); err != nil {
		c.Exit(nil, "")
		return nil, err
	}
	return c, l.alive()
}

// needs words what a channel needs for the one who lacks it.
func needs(ch gateway.Channel) string {
	switch {
	case ch.Kind == gateway.ChannelForward:
		return "forward to " + ch.To
	case ch.Kind == gateway.ChannelSFTP:
		return "upload or download, which sftp needs"
	case ch.Upload && ch.Download:
		return "upload and download, which " + string(ch.Kind) + " needs"
	case ch.Upload:
		return "upload, which this use of " + string(ch.Kind) + " needs"
	case ch.Download:
		return "download, which this use of " + string(ch.Kind) + " needs"
	}
	return string(ch.Kind)
}

func (l *Live) lacks(what string) *gateway.Error {
	return gateway.Refused("abilities", "ask for a grant that lets it", "this grant lets %s, and no %s", joinAbilities(l.ent.Abilities), what)
}

// Judge says whether an operation of a file transfer may happen. An error is
// a *gateway.Error whose sentence the engineer may read, or the cause that the
// session ends with. The refusal itself is recorded by File.
func (c *Channel) Judge(op gateway.FileOp) error {
	if err := c.l.alive(); err != nil {
		return err
	}
	if c.l.ent.Abilities.LetsFile(op) {
		return nil
	}
	what := "upload"
	if op == gateway.FileRead {
		what = "download"
	}
	return c.l.lacks(what)
}

// File records what a file transfer did. What was refused of it is an event
// too, without the path: only reviewers see paths.
func (c *Channel) File(f gateway.File) {
	c.wrote(c.t.File(f))
	if f.Verdict == gateway.FileRefused {
		c.l.Refuse(context.WithoutCancel(c.l.Context()), "file "+string(f.Op), f.Why)
	}
}

// Exchange records one part of an HTTP exchange, with the bytes of it that are
// kept, before that part passes. An error means that nothing of it may pass:
// the session is ending, or the part cannot be recorded. A proxy calls Hold
// before what comes from the engineer, and Carried after what has passed.
func (c *Channel) Exchange(r gateway.HTTPRecord, body []byte) error {
	return c.exchange(&r, func() error { return c.t.Exchange(r, body) })
}

// Exchanges is Exchange for parts that pass together, of which none is of the
// request.
func (c *Channel) Exchanges(pieces ...gateway.HTTPPiece) error {
	return c.exchange(&gateway.HTTPRecord{}, func() error { return c.t.Exchanges(pieces...) })
}

func (c *Channel) exchange(r *gateway.HTTPRecord, write func() error) error {
	l := c.l
	l.hush()
	l.touched()
	if err := c.record(write); err != nil {
		return err
	}
	if r.Refused != "" {
		l.refuse(context.WithoutCancel(l.ctx), "request", r.Refused, r.Rule)
	}
	return nil
}

// Passes says whether a piece may pass of which nothing is kept. An error means
// that the session is ending.
func (c *Channel) Passes() error {
	c.l.hush()
	if c.l.halted() {
		return c.l.alive()
	}
	return nil
}

// Carried counts the bytes of bodies and messages that have passed: from the
// engineer, and to him.
func (c *Channel) Carried(in, out int) {
	l := c.l
	l.touched()
	l.bytesIn.Add(int64(in))
	l.bytesOut.Add(int64(out))
	if out > 0 && l.stopping.Load() {
		l.bytesAfter.Add(int64(out))
	}
}

// Refuse writes the event of something that this session may not do. At most
// maxRefusals are written for one session.
func (l *Live) Refuse(ctx context.Context, what, sentence string) {
	l.refuse(ctx, what, sentence, "abilities")
}

func (l *Live) refuse(ctx context.Context, what, sentence, rule string) {
	if l.refusals.Add(1) > maxRefusals {
		return
	}
	e := l.event(audit.SessionChannel)
	e.Outcome, e.Reason, e.Rule = audit.Refused, sentence, rule
	e.Detail = map[string]string{"kind": what}
	l.m.record(ctx, e)
}

// Show writes p to the journal, then to w, in that order. It returns the cause
// once the session is ending, and shows nothing then.
func (c *Channel) Show(stderr bool, p []byte, w io.Writer) error {
	l := c.l
	if l.stopping.Load() {
		return l.alive()
	}
	l.writing.Store(time.Now().UnixNano())
	s := recording.Stdout
	if stderr {
		s = recording.Stderr
	}
	err := c.t.Output(s, p)
	l.writing.Store(0)
	if err != nil {
		return l.recorderFailed(err)
	}
	if l.halted() {
		return l.alive()
	}
	l.touched()
	n, err := w.Write(p)
	l.bytesOut.Add(int64(n))
	if l.stopping.Load() {
		l.bytesAfter.Add(int64(n))
	}
	return err
}

// Send writes what the engineer typed to the journal, then to w. While the
// session is frozen it waits: the caller, who reads nothing meanwhile, is what
// holds the engineer's client back. What is held when the session ends is
// never written.
func (c *Channel) Send(p []byte, w io.Writer) error {
	l := c.l
	if err := l.input.enter(l.ctx); err != nil {
		return err
	}
	defer l.input.leave()
	if l.stopping.Load() {
		return l.alive()
	}
	l.touched()
	if err := c.t.Input(p); err != nil {
		return l.recorderFailed(err)
	}
	if l.halted() {
		return l.alive()
	}
	n, err := w.Write(p)
	l.bytesIn.Add(int64(n))
	return err
}

// Hold waits while the session is frozen. A proxy calls it before it passes on
// what is no bytes: a signal, a break, the end of input. An error means that
// the session ended, and nothing may be passed on.
func (c *Channel) Hold() error {
	if err := c.l.input.enter(c.l.ctx); err != nil {
		return err
	}
	c.l.input.leave()
	return c.l.alive()
}

// Resize records the terminal's new size. A proxy calls Hold before it takes a
// size, so that the target hears of it after the thaw; one that was passed on
// before a freeze can still be recorded in it.
func (c *Channel) Resize(cols, rows uint32) {
	if c.l.alive() == nil {
		c.wrote(c.t.Resize(cols, rows))
	}
}

// Exit records how the command ended: a status, or a signal's name. The
// channel does not run any more.
func (c *Channel) Exit(status *uint32, signal string) {
	c.wrote(c.t.Exit(status, signal))
	if !c.ended.Swap(true) {
		c.l.runs(c.kind, -1)
	}
}

// Note records what the gateway itself showed on the channel.
func (c *Channel) Note(text string) { c.wrote(c.t.Note(text)) }

func (c *Channel) wrote(err error) {
	if err != nil {
		_ = c.l.recorderFailed(err)
	}
}

func (l *Live) recorderFailed(err error) error {
	if e := l.alive(); e != nil {
		return e
	}
	l.m.log.Error("recorder failed", "session", l.row.ID, "error", err)
	l.End(gateway.EndRecorder, "", "")
	return context.Cause(l.ctx)
}
