package recording

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// Asciicast writes what was shown as an asciicast of version 2 or 3. Channels
// are told in the order of their bytes, each beginning with a marker. Bytes
// that are not UTF-8 become U+FFFD; Raw has them as they were. A recording that
// was cut short ends with a marker that says so, and a live one ends where it
// is now.
func (v *Vault) Asciicast(w io.Writer, session string, version int) error {
	return v.cast(w, session, version, output)
}

// Input writes what was typed as an asciicast v2 of "i" events. It may hold
// passwords: it is for the few whom the caller lets. What a transfer or a
// forward carried is left out; RawChannel has it.
func (v *Vault) Input(w io.Writer, session string) error { return v.cast(w, session, 2, input) }

func (v *Vault) cast(w io.Writer, session string, version int, st stream) error {
	if version != 2 && version != 3 {
		return gateway.Invalid("version", "asciicast version %d is not one of 2, 3", version)
	}
	info, err := v.Find(session)
	if err != nil {
		return err
	}
	dir, err := v.find(session)
	if err != nil {
		return err
	}
	b := bufio.NewWriter(w)
	c := &castWriter{version: version, info: info, caster: newCaster(), line: func(line []byte) error {
		_, err := b.Write(append(line, '\n'))
		return err
	}}
	if st == input {
		if err := c.caster.learn(dir); err != nil {
			return err
		}
	}
	t := newTape(dir, st)
	defer t.close()
	for {
		f, err := t.next()
		if isEnd(err) {
			return errors.Join(c.finish(err), b.Flush())
		}
		if err != nil {
			return err
		}
		if err := c.frame(f); err != nil {
			return err
		}
	}
}

// castWriter writes one asciicast.
type castWriter struct {
	line    func([]byte) error // takes one line without its break
	version int
	info    Info
	caster  *caster
	begun   bool
	last    time.Duration
	exit    string // the last exit status: asciicast v3 has it at the end
}

// frame writes the header before the first frame, because only the first
// channel knows the terminal.
func (c *castWriter) frame(f frame) error {
	if !c.begun {
		if err := c.header(f); err != nil {
			return err
		}
	}
	for _, e := range c.caster.events(f) {
		if e.Code == "x" {
			c.exit = e.Data
			e.Code, e.Data = "m", "exit "+e.Data
		}
		if err := c.event(e); err != nil {
			return err
		}
	}
	return nil
}

func (c *castWriter) event(e Frame) error {
	at := e.At
	if c.version == 3 {
		at -= c.last
	}
	c.last = e.At
	return c.line(e.line(at))
}

// header writes the first line.
func (c *castWriter) header(first frame) error {
	c.begun = true
	pty := gateway.Pty{}
	if o, err := parseOpen(first.payload); first.kind == kindChannel && err == nil && o.Pty != nil {
		pty = *o.Pty
	}
	pty.Cols, pty.Rows = cells(pty.Cols, defaultCols), cells(pty.Rows, defaultRows)
	c.caster.cols, c.caster.rows = pty.Cols, pty.Rows
	m := c.info.Meta
	h := map[string]any{
		"version": c.version, "timestamp": c.info.Begun.Unix(),
		"title": fmt.Sprintf("%s: %s at %s as %s", m.Session, m.Person, m.Target, m.Account),
	}
	if c.version == 3 {
		h["term"] = map[string]any{"cols": pty.Cols, "rows": pty.Rows, "type": pty.Term}
	} else {
		h["width"], h["height"], h["env"] = pty.Cols, pty.Rows, map[string]string{"TERM": pty.Term}
	}
	raw, err := json.Marshal(h)
	if err != nil {
		return gateway.Internal(err)
	}
	return c.line(raw)
}

// finish says how the recording ended.
func (c *castWriter) finish(end error) error {
	if !c.begun {
		if err := c.header(frame{}); err != nil {
			return err
		}
	}
	if why := c.info.cutShort(end); why != "" {
		if err := c.event(Frame{At: c.last, Code: "m", Data: why}); err != nil {
			return err
		}
	}
	if c.version == 3 && c.exit != "" {
		return c.event(Frame{At: c.last, Code: "x", Data: c.exit})
	}
	return nil
}

// cutShort is the sentence about what is not there, empty when all is.
func (i Info) cutShort(end error) string {
	switch {
	case i.State == Interrupted:
		return fmt.Sprintf("this recording was cut short (%s); %d bytes after its last whole frame are kept aside", i.Reason.Sentence(), i.Torn)
	case i.State == Unsealed:
		return "this recording was cut short and has not been recovered yet"
	case i.State == Live:
		return ""
	case errors.Is(end, errTorn):
		return "this recording is damaged from here on: " + end.Error()
	}
	return ""
}

// learn finds out which channels are mute. The track of what was typed does
// not say.
func (c *caster) learn(dir string) error {
	_, err := read(dir, output, func(f frame) error {
		if o, err := parseOpen(f.payload); f.kind == kindChannel && err == nil && mute(o.Kind) {
			c.channels[f.channel] = &castChannel{kind: o.Kind}
		}
		return nil
	})
	return err
}

// Raw writes one output stream of a session, byte for byte as the target sent
// it, all channels in the order of their bytes. A damaged recording is written
// up to the damage, and the error names it.
func (v *Vault) Raw(w io.Writer, session string, s Stream) error {
	if s != Stdout && s != Stderr {
		return gateway.Invalid("stream", "stream %d is not one of standard output and standard error", s)
	}
	return v.raw(w, session, output, func(f frame) bool { return f.kind == kind(s) })
}

// RawChannel writes one stream of one channel, byte for byte: of a transfer, the
// protocol's own bytes, with the file in them; of a forward, the first FlowKeep.
// Stdin may hold passwords: it is for the few whom the caller lets. A damaged
// recording is written up to the damage, and the error names it.
func (v *Vault) RawChannel(w io.Writer, session string, channel uint32, s Stream) error {
	st := output
	switch s {
	case Stdout, Stderr:
	case Stdin:
		st = input
	default:
		return gateway.Invalid("stream", "stream %d is not known", s)
	}
	return v.raw(w, session, st, func(f frame) bool { return f.kind == kind(s) && f.channel == channel })
}

func (v *Vault) raw(w io.Writer, session string, st stream, takes func(frame) bool) error {
	dir, err := v.find(session)
	if err != nil {
		return err
	}
	end, err := read(dir, st, func(f frame) error {
		if !takes(f) {
			return nil
		}
		_, err := w.Write(f.payload)
		return err
	})
	if err != nil {
		return err
	}
	return v.damaged(dir, end)
}

// read tells the frames of a track that are there by now; end is io.EOF or
// errTorn.
func read(dir string, st stream, tell func(frame) error) (end, err error) {
	t := newTape(dir, st)
	defer t.close()
	return tellAll(context.Background(), t, tell)
}
