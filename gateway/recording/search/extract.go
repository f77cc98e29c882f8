package search

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/recording"
)

// maxScreens bounds the terminals of one session that work at once. The output
// of further ones is not searched.
const maxScreens = 64

// errEnough ends a reading early.
var errEnough = errors.New("as many lines as were asked for")

// extractor makes lines of a recording's events.
type extractor struct {
	add      func(line) error
	channels map[uint32]*channel
	flows    *recording.FlowTeller
	screens  int
	cut      bool // there was output beyond maxScreens
	now      time.Duration
	err      error
}

// channel is what is known of a channel that works.
type channel struct {
	kind    gateway.ChannelKind
	pty     *gateway.Pty
	screens [3]*screen // by stream
	flow    *gateway.Flow
	flowAt  time.Duration
}

func newExtractor(add func(line) error) *extractor {
	x := &extractor{add: add, channels: map[uint32]*channel{}}
	x.flows = recording.NewFlowTeller(func(f recording.TunnelFlow) error {
		x.say(f.At, Flow, recording.FlowText(f.NetworkFlow))
		return x.err
	})
	return x
}

// keep keeps the first error.
func (x *extractor) keep(err error) {
	if x.err == nil {
		x.err = err
	}
}

// event takes the next event of a recording.
func (x *extractor) event(e recording.Event) error {
	x.now = e.At
	c := x.channel(e)
	switch {
	case e.Opened != nil:
		x.say(e.At, Command, e.Opened.Command)
	case len(e.Output) > 0:
		x.output(c, e)
	case e.Size != nil && c.screens[recording.Stdout] != nil:
		c.screens[recording.Stdout].resize(int(e.Size.Cols), int(e.Size.Rows))
	case e.Size != nil:
		c.pty = e.Size
	case e.Entered && c.screens[recording.Stdout] != nil:
		c.screens[recording.Stdout].enter(e.At)
	case e.Note != "":
		x.say(e.At, Note, e.Note)
	case e.File != nil:
		x.say(e.At, File, fileLine(*e.File))
	case e.Flow != nil:
		if c.flow == nil {
			c.flowAt = e.At
		}
		c.flow = e.Flow
	case e.HTTP != nil:
		x.exchange(e.At, *e.HTTP)
	case e.Network != nil:
		x.keep(x.flows.Take(e.At, *e.Network))
	case e.Exited:
		x.close(e.Channel)
	}
	return x.err
}

// exchange tells what was asked for, what was refused of it, and files.
func (x *extractor) exchange(at time.Duration, r gateway.HTTPRecord) {
	switch {
	case r.Part == gateway.HTTPRequest && r.Refused != "":
		x.say(at, Request, r.Method+" "+r.URL+", refused: "+r.Refused)
	case r.Part == gateway.HTTPRequest:
		x.say(at, Request, r.Method+" "+r.URL)
	}
	if r.File == "" {
		return
	}
	if r.Part == gateway.HTTPRequest {
		x.say(at, File, "upload "+r.File)
	} else {
		x.say(at, File, "download "+r.File)
	}
}

// channel answers the channel of an event. One whose beginning cannot be read
// is taken for a shell.
func (x *extractor) channel(e recording.Event) *channel {
	c, ok := x.channels[e.Channel]
	if e.Opened != nil {
		x.close(e.Channel)
		c, ok = &channel{kind: e.Opened.Kind, pty: e.Opened.Pty}, false
	}
	if c == nil {
		c = &channel{kind: gateway.ChannelShell, pty: &gateway.Pty{}}
	}
	if !ok && e.Note == "" {
		x.channels[e.Channel] = c
	}
	return c
}

// output shows what the target sent. Of a file transfer only the complaints
// are text.
func (x *extractor) output(c *channel, e recording.Event) {
	if c.kind == gateway.ChannelForward || c.kind.Transfers() && e.Stream != recording.Stderr || int(e.Stream) >= len(c.screens) {
		return
	}
	s := c.screens[e.Stream]
	if s == nil {
		if x.screens == maxScreens {
			x.cut = true
			return
		}
		x.screens++
		s = x.screen(c.pty)
		c.screens[e.Stream] = s
	}
	s.write(e.At, e.Output)
}

func (x *extractor) screen(pty *gateway.Pty) *screen {
	s := newScreen(0, 0, x.say)
	if pty != nil {
		s.resize(int(pty.Cols), int(pty.Rows))
	}
	s.plain = pty == nil
	return s
}

// close tells what still stands on a channel's screens, and its flow.
func (x *extractor) close(id uint32) {
	c, ok := x.channels[id]
	if !ok {
		return
	}
	delete(x.channels, id)
	for _, s := range c.screens {
		if s != nil {
			s.now = x.now
			s.close()
			x.screens--
		}
	}
	if c.flow != nil {
		x.say(c.flowAt, Flow, flowLine(*c.flow))
	}
}

// finish tells what stands where the recording ends.
func (x *extractor) finish() error {
	for id := range x.channels {
		x.close(id)
	}
	x.keep(x.flows.Finish(""))
	return x.err
}

func (x *extractor) say(at time.Duration, k Kind, text string) {
	for text != "" && x.err == nil {
		piece := text[:min(len(text), maxLine*utf8.UTFMax)]
		text = text[len(piece):]
		if piece = strings.TrimSpace(strings.ToValidUTF8(piece, "\ufffd")); piece != "" {
			x.err = x.add(line{at: at, kind: k, text: piece})
		}
	}
}

// fileLine is a file operation as it is searched: by path, by hash, by what
// became of it.
func fileLine(f gateway.File) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", f.Op, f.Path)
	if f.To != "" {
		fmt.Fprintf(&b, " to %s", f.To)
	}
	if f.Op == gateway.FileRead || f.Op == gateway.FileWrite {
		fmt.Fprintf(&b, ", %d bytes", f.Bytes)
	}
	if f.SHA256 != (gateway.Digest{}) {
		fmt.Fprintf(&b, ", %s", f.SHA256)
	}
	fmt.Fprintf(&b, ", %s", f.Verdict)
	if f.Why != "" {
		fmt.Fprintf(&b, ": %s", f.Why)
	}
	return b.String()
}

func flowLine(f gateway.Flow) string {
	return fmt.Sprintf("forward to %s from %s, %d bytes in, %d out", f.To, f.From, f.BytesIn, f.BytesOut)
}
