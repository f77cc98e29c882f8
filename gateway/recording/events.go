package recording

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// Event is one frame as an index reads it. Beside At and Channel one of the
// other fields is set. What was typed is not there, only that a line of it
// was sent.
type Event struct {
	At      time.Duration // since the recording began
	Channel uint32
	Opened  *gateway.Channel
	Output  []byte // as the target sent it; holds until the next event
	Stream  Stream // of Output
	Size    *gateway.Pty
	Entered bool // a line was sent with Enter
	Note    string
	File    *gateway.File
	Flow    *gateway.Flow
	HTTP    *gateway.HTTPRecord // without the bytes of bodies and messages
	Network *gateway.NetworkFlow
	Exited  bool
}

// Events tells what a recording holds by now, output and what was entered in
// the order of their times, until tell answers an error (that error) or ctx
// ends (its cause). A recording that is damaged, cut short or live is told as
// far as it goes.
func (v *Vault) Events(ctx context.Context, session string, tell func(Event) error) error {
	dir, err := v.find(session)
	if err != nil {
		return err
	}
	out, in := newTape(dir, output), newTape(dir, input)
	defer out.close()
	defer in.close()
	m := merger{tell: tell, enters: in, ptys: map[uint32]bool{}}
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		f, err := out.next()
		if isEnd(err) {
			return m.entered(1<<63 - 1)
		}
		if err != nil {
			return err
		}
		if err := m.frame(f); err != nil {
			return err
		}
	}
}

// Live answers the sessions whose recordings this process is writing.
func (v *Vault) Live() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Collect(maps.Keys(v.live))
}

// Room is nil while the disk has room for more than the recordings' reserve.
func (v *Vault) Room() error {
	if err := v.room(v.reserve); err != nil {
		return gateway.Unavailable("recorder", err)
	}
	return nil
}

// merger joins the two streams of a recording by time.
type merger struct {
	tell   func(Event) error
	enters *tape
	next   frame // of enters, where there is one
	have   bool
	done   bool
	ptys   map[uint32]bool // the channels with a terminal: elsewhere Enter means nothing
}

func (m *merger) frame(f frame) error {
	if err := m.entered(f.at); err != nil {
		return err
	}
	e, ok := m.event(f)
	if !ok {
		return nil
	}
	return m.tell(e)
}

// entered tells each Enter that was typed up to a time: what was typed is
// written before the target can answer it.
func (m *merger) entered(before time.Duration) error {
	for {
		if !m.have && !m.done {
			f, err := m.enters.next()
			if err != nil && !isEnd(err) {
				return err
			}
			m.next, m.have, m.done = f, err == nil, err != nil
		}
		if !m.have || m.next.at > before {
			return nil
		}
		m.have = false
		f := m.next
		if !m.ptys[f.channel] {
			continue
		}
		for range bytes.Count(f.payload, []byte{'\r'}) + bytes.Count(f.payload, []byte{'\n'}) {
			if err := m.tell(Event{At: f.at, Channel: f.channel, Entered: true}); err != nil {
				return err
			}
		}
	}
}

// event is a frame of the output stream. What cannot be read is left out:
// Verify is there to complain.
func (m *merger) event(f frame) (Event, bool) {
	e := Event{At: f.at, Channel: f.channel}
	var err error
	switch f.kind {
	case kindStdout, kindStderr:
		e.Output, e.Stream = f.payload, Stream(f.kind)
	case kindChannel:
		var o channelOpen
		o, err = parseOpen(f.payload)
		e.Opened = &gateway.Channel{Kind: o.Kind, Command: o.Command, Pty: o.Pty, To: o.To}
		m.ptys[f.channel] = err == nil && o.Pty != nil
	case kindResize:
		cols, rows, ok := parseResize(f.payload)
		e.Size = &gateway.Pty{Cols: cols, Rows: rows}
		return e, ok
	case kindExit:
		e.Exited = true
		delete(m.ptys, f.channel)
	case kindNote:
		e.Note = string(f.payload)
	case kindFile:
		e.File = new(gateway.File)
		err = json.Unmarshal(f.payload, e.File)
	case kindFlow:
		e.Flow = new(gateway.Flow)
		err = json.Unmarshal(f.payload, e.Flow)
	case kindHTTP:
		e.HTTP = new(gateway.HTTPRecord)
		err = json.Unmarshal(f.payload, e.HTTP)
	case kindNetworkFlow:
		e.Network = new(gateway.NetworkFlow)
		err = json.Unmarshal(f.payload, e.Network)
	default:
		return e, false
	}
	return e, err == nil
}
