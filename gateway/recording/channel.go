package recording

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/portcullis/portcullis/gateway"
)

const (
	// maxText bounds a command, a terminal's name and a note, in bytes. An SSH
	// packet could carry more; nobody could read it.
	maxText = 256 << 10

	// maxWord bounds a path, a sentence and a name that share a frame, in bytes.
	// JSON writes some bytes as six: three such words still fit.
	maxWord = 32 << 10
)

// Channel is one channel of a session. Every method returns after the frame
// is with the kernel, and answers *gateway.Error "recorder" when it is not:
// then what was to be shown must not be.
type Channel struct {
	rec  *Recorder
	id   uint32
	flow *flow // of a forward, else nil
}

// Channel notes that a channel begins to work. id must be its own within the
// session. A forward has its first flow frame as well when it returns.
func (r *Recorder) Channel(id uint32, ch gateway.Channel) (*Channel, error) {
	o := channelOpen{Kind: ch.Kind, Command: ch.Command, Pty: ch.Pty, To: ch.To}
	if !utf8.ValidString(ch.Command) {
		o.Bytes = []byte(ch.Command)
	}
	if len(ch.Command) > maxText || ch.Pty != nil && len(ch.Pty.Term) > maxText {
		return nil, gateway.Invalid("command", "the command or the terminal's name has more than %d bytes, which is not recorded and so not run", maxText)
	}
	c := &Channel{rec: r, id: id}
	if err := c.json(kindChannel, o); err != nil {
		return nil, err
	}
	if ch.Kind == gateway.ChannelForward {
		return c, c.beginFlow(ch)
	}
	return c, nil
}

// Output writes p, which the target has sent, before it is shown. It does not
// keep p. Of a forward, FlowKeep bytes are written and the rest is counted.
func (c *Channel) Output(s Stream, p []byte) error {
	if s != Stdout && s != Stderr {
		return gateway.Internal(fmt.Errorf("record output of unknown stream %d", s))
	}
	if c.flow != nil {
		return c.flow.pass(c.rec.out, kind(s), p)
	}
	return c.data(c.rec.out, kind(s), p)
}

// Input writes p, which the engineer has typed, before it is sent on. It does
// not keep p. Of a forward, FlowKeep bytes are written and the rest is counted.
func (c *Channel) Input(p []byte) error {
	if c.flow != nil {
		return c.flow.pass(c.rec.in, kindInput, p)
	}
	return c.data(c.rec.in, kindInput, p)
}

func (c *Channel) data(j *journal, k kind, p []byte) error {
	for len(p) > 0 {
		n := min(len(p), maxPayload)
		if err := j.append(k, c.id, p[:n]); err != nil {
			return sayClosed(err)
		}
		p = p[n:]
	}
	return nil
}

// Resize notes a new size of the terminal.
func (c *Channel) Resize(cols, rows uint32) error {
	b := binary.BigEndian.AppendUint32(nil, cols)
	return c.event(kindResize, binary.BigEndian.AppendUint32(b, rows))
}

// Exit notes how the channel's program ended: by a status, by a signal (RFC
// 4254 clause 6.10, without "SIG"), or by neither when the target did not say.
// A forward's flow is told to its end first.
func (c *Channel) Exit(status *uint32, signal string) error {
	if c.flow != nil {
		if err := c.flow.end(); err != nil {
			return err
		}
	}
	return c.json(kindExit, channelExit{Status: status, Signal: word(signal)})
}

// Note keeps a sentence beside the output: a warning that was shown, who
// watched. It is cut after maxText bytes.
func (c *Channel) Note(text string) error { return c.event(kindNote, []byte(cut(text))) }

// File notes what a file transfer did.
func (c *Channel) File(f gateway.File) error {
	f.Path, f.To, f.Why = word(f.Path), word(f.To), word(f.Why)
	return c.json(kindFile, f)
}

// word is s as a frame of JSON can hold it.
func word(s string) string { return clip(s, maxWord) }

// clip is the first n bytes of s, what is no character replaced.
func clip(s string, n int) string { return strings.ToValidUTF8(s[:min(len(s), n)], "\ufffd") }

// sessionChannel stands in a frame that is about the whole session and none of
// its channels.
const sessionChannel = ^uint32(0)

// Note keeps a sentence about the whole session: that it was frozen, who
// watched. It is cut after maxText bytes.
func (r *Recorder) Note(text string) error {
	return sayClosed(r.out.append(kindNote, sessionChannel, []byte(cut(text))))
}

func (c *Channel) json(k kind, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return gateway.Internal(err)
	}
	if len(raw) > maxPayload { // no reader would take it for a frame
		return gateway.Invalid("command", "the command needs %d bytes in the recording and %d is the most, so it is not run", len(raw), maxPayload)
	}
	return c.event(k, raw)
}

func (c *Channel) event(k kind, payload []byte) error {
	return sayClosed(c.rec.out.append(k, c.id, payload))
}

func cut(s string) string { return s[:min(len(s), maxText)] }

// sayClosed turns a byte that comes after the seal into a refusal.
func sayClosed(err error) error {
	if errors.Is(err, errSealed) {
		return gateway.Conflict("recorder", "the session is over and its recording is sealed, so nothing more passes")
	}
	return err
}
