package recording

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/portcullis/portcullis/gateway"
)

// Frame is one event of an asciicast, as Follow tells it.
type Frame struct {
	At      time.Duration // since the recording began
	Channel uint32
	Code    string // "o" output, "i" input, "r" resize ("80x24"), "m" marker, "x" exit status
	Data    string // valid UTF-8
}

// Line is the frame as a line of an asciicast v2 event stream, without its
// line break: [seconds,"code","data"].
func (f Frame) Line() []byte { return f.line(f.At) }

// line is the same with another time, as v3 counts from the event before.
func (f Frame) line(at time.Duration) []byte {
	b := fmt.Appendf(nil, "[%d.%06d,", at/time.Second, at%time.Second/time.Microsecond)
	b = append(strconv.AppendQuote(b, f.Code), ',')
	return append(quoteJSON(b, f.Data), ']')
}

// quoteJSON appends s as a JSON string. Bytes that are not UTF-8 become U+FFFD.
func quoteJSON(b []byte, s string) []byte {
	var w strings.Builder
	enc := json.NewEncoder(&w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string always encodes
	return append(b, strings.TrimSuffix(w.String(), "\n")...)
}

// What a terminal may claim to be. A claim beyond makes the player of whoever
// watches take memory for it.
const (
	defaultCols = 80
	defaultRows = 24
	maxCells    = 1000 // columns, and rows
)

// caster turns frames into asciicast events. A character that is split over
// two frames is held back until it is whole.
type caster struct {
	cols, rows uint32
	channels   map[uint32]*castChannel
}

// castChannel is what is known of one channel.
type castChannel struct {
	pty  bool
	kind gateway.ChannelKind   // empty where it is not known
	held [kindInput + 1][]byte // by kind: the begin of a character
	bare bool                  // the last byte was a carriage return
}

func newCaster() *caster { return &caster{channels: map[uint32]*castChannel{}} }

func (c *caster) channel(id uint32) *castChannel {
	ch, ok := c.channels[id]
	if !ok {
		ch = &castChannel{pty: true}
		c.channels[id] = ch
	}
	return ch
}

// events answers what a frame looks like on the screen: nothing, one event, or
// two.
func (c *caster) events(f frame) []Frame {
	out := func(code, data string) Frame { return Frame{At: f.at, Channel: f.channel, Code: code, Data: data} }
	ch := c.channel(f.channel)
	switch f.kind {
	case kindStdout, kindStderr, kindInput:
		if mute(ch.kind) {
			return nil
		}
		if text := ch.text(f.kind, f.payload); text != "" {
			code := "o"
			if f.kind == kindInput {
				code = "i"
			}
			return []Frame{out(code, text)}
		}
	case kindChannel:
		return c.opened(f, out)
	case kindResize:
		if cols, rows, ok := parseResize(f.payload); ok {
			return c.resized(cols, rows, out)
		}
	case kindExit:
		return c.exited(f, ch, out)
	case kindNote:
		return []Frame{out("m", strings.ToValidUTF8(string(f.payload), "\ufffd"))}
	case kindFile, kindFlow, kindNetworkFlow:
		if text := marker(f); text != "" {
			return []Frame{out("m", text)}
		}
	}
	return nil
}

func (c *caster) opened(f frame, out func(code, data string) Frame) []Frame {
	o, err := parseOpen(f.payload)
	if err != nil {
		return []Frame{out("m", "a channel was opened whose description cannot be read")}
	}
	c.channels[f.channel] = &castChannel{pty: o.Pty != nil, kind: o.Kind}
	var events []Frame
	if o.Pty != nil {
		events = c.resized(o.Pty.Cols, o.Pty.Rows, out)
	}
	return append(events, out("m", o.title()))
}

// title names the channel in a list of markers.
func (o channelOpen) title() string {
	switch {
	case o.To != "":
		return string(o.Kind) + " to " + shown(o.To)
	case o.Command == "":
		return string(o.Kind)
	}
	return string(o.Kind) + ": " + o.Command
}

// mute reports whether a channel of this kind carries what is for no screen.
func mute(k gateway.ChannelKind) bool { return k.Transfers() || k == gateway.ChannelForward }

// resized tells a new size where it is one.
func (c *caster) resized(cols, rows uint32, out func(code, data string) Frame) []Frame {
	cols, rows = cells(cols, defaultCols), cells(rows, defaultRows)
	if cols == c.cols && rows == c.rows {
		return nil
	}
	c.cols, c.rows = cols, rows
	return []Frame{out("r", fmt.Sprintf("%dx%d", cols, rows))}
}

func cells(n, usual uint32) uint32 {
	if n == 0 {
		return usual
	}
	return min(n, maxCells)
}

// exited gives up what was held back and tells how the program ended.
func (c *caster) exited(f frame, ch *castChannel, out func(code, data string) Frame) []Frame {
	var events []Frame
	for _, held := range ch.held {
		if len(held) > 0 {
			events = append(events, out("o", "\ufffd"))
		}
	}
	delete(c.channels, f.channel)
	e, err := parseExit(f.payload)
	switch {
	case err != nil:
		return append(events, out("m", "a channel ended whose status cannot be read"))
	case e.Status != nil:
		return append(events, out("x", strconv.FormatUint(uint64(*e.Status), 10)))
	case e.Signal != "":
		return append(events, out("m", "ended by signal "+e.Signal))
	case ch.kind == gateway.ChannelForward: // its flow has told the end
		return events
	}
	return append(events, out("m", "ended without a status"))
}

// text decodes one frame's bytes. Without a terminal at the target nobody puts
// a carriage return before a line feed, so we do: otherwise the lines come out
// as a staircase. The raw stream stays as it was.
func (ch *castChannel) text(k kind, p []byte) string {
	p = append(ch.held[k], p...)
	whole, held := splitRune(p)
	ch.held[k] = append([]byte(nil), held...)
	text := strings.ToValidUTF8(string(whole), "\ufffd")
	if ch.pty || k == kindInput || text == "" {
		return text
	}
	bare := ch.bare
	ch.bare = strings.HasSuffix(text, "\r")
	if bare {
		return strings.TrimPrefix(crlf("\r"+text), "\r")
	}
	return crlf(text)
}

func crlf(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\n", "\r\n")
}

// splitRune cuts off the begin of a character at the end of p, if there is
// one that more bytes could make whole.
func splitRune(p []byte) (whole, held []byte) {
	for i := len(p) - 1; i >= 0 && i >= len(p)-utf8.UTFMax+1; i-- {
		if utf8.RuneStart(p[i]) {
			if !utf8.FullRune(p[i:]) {
				return p[:i], p[i:]
			}
			break
		}
	}
	return p, nil
}

func parseOpen(b []byte) (o channelOpen, err error) { return o, json.Unmarshal(b, &o) }
func parseExit(b []byte) (e channelExit, err error) { return e, json.Unmarshal(b, &e) }

func parseResize(b []byte) (cols, rows uint32, ok bool) {
	if len(b) != 8 {
		return 0, 0, false
	}
	be := func(b []byte) uint32 { return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3]) }
	return be(b), be(b[4:]), true
}

// isEnd reports whether err is where a stream ends: in order, or torn.
func isEnd(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, errTorn) }
