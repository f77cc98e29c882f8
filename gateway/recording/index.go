package recording

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

const (
	// MaxIndex bounds each list of an Index.
	MaxIndex = 10_000

	maxIndexWord  = 4096     // bytes of a command, a path or a sentence in it
	maxIndexWords = 16 << 20 // bytes of them all
)

// Index says what happened in a recording, each list in the order of time.
// Times are since the recording began.
type Index struct {
	Channels []IndexChannel `json:"channels"`
	Files    []IndexFile    `json:"files"`
	Flows    []IndexFlow    `json:"flows"`
	Notes    []IndexNote    `json:"notes"`
	Requests int            `json:"requests,omitempty"` // of a console
	Refused  int            `json:"refused,omitempty"`  // of them, or of a tunnel's flows, by us
	Tunnel   []TunnelFlow   `json:"tunnel,omitempty"`   // a tunnel's flows
	Capture  *IndexCapture  `json:"capture,omitempty"`  // nil: no packet is kept
	Cut      bool           `json:"cut,omitempty"`      // there is more than the bounds let in
}

// IndexChannel is one channel. Of a forward, the bytes are those that passed,
// as far as its flow was told, and not those that were kept.
type IndexChannel struct {
	At       time.Duration       `json:"at_ns"`
	Channel  uint32              `json:"channel"`
	Kind     gateway.ChannelKind `json:"kind"`
	Command  string              `json:"command,omitempty"`
	To       string              `json:"to,omitempty"` // forward: host:port
	Pty      bool                `json:"pty,omitempty"`
	Ended    time.Duration       `json:"ended_ns,omitempty"` // zero: it has not, or the recording was cut short
	Status   *uint32             `json:"status,omitempty"`
	Signal   string              `json:"signal,omitempty"` // without "SIG"
	BytesOut int64               `json:"bytes_out"`
	BytesIn  int64               `json:"bytes_in"`
}

// IndexFile is one operation of a file transfer, at the time it was over.
type IndexFile struct {
	At      time.Duration `json:"at_ns"`
	Channel uint32        `json:"channel"`
	gateway.File
}

// IndexFlow is one forwarded connection as it was last told, at the time it
// began.
type IndexFlow struct {
	At      time.Duration `json:"at_ns"`
	Channel uint32        `json:"channel"`
	gateway.Flow
}

// IndexNote is a warning, who watched, a freeze.
type IndexNote struct {
	At   time.Duration `json:"at_ns"`
	Text string        `json:"text"`
}

// Index reads what happened in a recording, of a live one up to now. It holds
// commands and paths as the client sent them, but nothing that was typed or
// shown. A damaged recording is read up to the damage; the error names it, and
// the index holds what came before.
func (v *Vault) Index(ctx context.Context, session string) (Index, error) {
	b := newIndexer()
	dir, err := v.find(session)
	if err != nil {
		return b.index, err
	}
	var damaged error
	for _, st := range []stream{output, input} { // what was typed is only counted
		t := newTape(dir, st)
		end, err := tellAll(ctx, t, b.frame)
		t.close()
		if err != nil {
			return b.index, err
		}
		damaged = errors.Join(damaged, v.damaged(dir, end))
	}
	ended := exists(filepath.Join(dir, sealName))
	if ended {
		b.cutOff()
	}
	b.countFlows()
	b.countTunnel(ended)
	return b.index, damaged
}

// indexer puts an Index together.
type indexer struct {
	index   Index
	channel map[uint32]int      // by channel: the place in Channels
	flow    map[uint32]int      // by channel: the place in Flows
	passing map[uint32]*passing // by exchange
	body    *passing            // whose bytes the next frame holds; nil: nobody's that matters
	tunnel  map[uint64]int      // by number: the place in Tunnel
	words   int                 // bytes of text so far
}

func newIndexer() *indexer {
	return &indexer{
		index:   Index{Channels: []IndexChannel{}, Files: []IndexFile{}, Flows: []IndexFlow{}, Notes: []IndexNote{}}, // JSON: [], not null
		channel: map[uint32]int{}, flow: map[uint32]int{}, passing: map[uint32]*passing{},
		tunnel: map[uint64]int{},
	}
}

func (b *indexer) frame(f frame) error {
	switch f.kind {
	case kindStdout, kindStderr, kindInput, kindBody:
		b.count(f)
	case kindChannel:
		b.opened(f)
	case kindExit:
		b.exited(f)
	case kindNote:
		b.note(f.at, string(f.payload))
	case kindFile:
		b.file(f)
	case kindFlow:
		b.told(f)
	case kindHTTP:
		b.exchange(f)
	case kindNetworkFlow:
		b.passed(f)
	case kindPackets:
		b.captured(f)
	}
	return nil
}

func (b *indexer) count(f frame) {
	i, ok := b.channel[f.channel]
	switch {
	case !ok:
	case f.kind == kindBody: // of a console, the ends say what passed, where there is one
		if b.body != nil {
			b.body.bytes += int64(len(f.payload))
		}
	case f.kind == kindInput:
		b.index.Channels[i].BytesIn += int64(len(f.payload))
	default:
		b.index.Channels[i].BytesOut += int64(len(f.payload))
	}
}

func (b *indexer) opened(f frame) {
	o, err := parseOpen(f.payload)
	if err != nil {
		b.unreadable(f)
		return
	}
	if b.room(len(b.index.Channels), &o.Command, &o.To) {
		b.channel[f.channel] = len(b.index.Channels)
		b.index.Channels = append(b.index.Channels, IndexChannel{
			At: f.at, Channel: f.channel, Kind: o.Kind, Command: o.Command, To: o.To, Pty: o.Pty != nil,
		})
	}
}

func (b *indexer) exited(f frame) {
	e, err := parseExit(f.payload)
	if err != nil {
		b.unreadable(f)
		return
	}
	if i, ok := b.channel[f.channel]; ok && b.room(0, &e.Signal) {
		c := &b.index.Channels[i]
		c.Ended, c.Status, c.Signal = f.at, e.Status, e.Signal
	}
}

func (b *indexer) file(f frame) {
	file, err := parseFile(f.payload)
	if err != nil {
		b.unreadable(f)
		return
	}
	if b.room(len(b.index.Files), &file.Path, &file.To, &file.Why) {
		b.index.Files = append(b.index.Files, IndexFile{At: f.at, Channel: f.channel, File: file})
	}
}

// told takes a flow's last word.
func (b *indexer) told(f frame) {
	flow, err := parseFlow(f.payload)
	if err != nil {
		b.unreadable(f)
		return
	}
	if i, ok := b.flow[f.channel]; ok {
		old := &b.index.Flows[i].Flow
		flow.To, flow.From = old.To, old.From // clipped already, and never another
		*old = flow
		return
	}
	if b.room(len(b.index.Flows), &flow.To, &flow.From) {
		b.flow[f.channel] = len(b.index.Flows)
		b.index.Flows = append(b.index.Flows, IndexFlow{At: f.at, Channel: f.channel, Flow: flow})
	}
}

func (b *indexer) note(at time.Duration, text string) {
	if b.room(len(b.index.Notes), &text) {
		b.index.Notes = append(b.index.Notes, IndexNote{At: at, Text: text})
	}
}

func (b *indexer) unreadable(f frame) {
	b.note(f.at, fmt.Sprintf("a frame of kind %d cannot be read", f.kind))
}

// room reports whether a list of n entries takes one more with these words,
// and clips the words.
func (b *indexer) room(n int, words ...*string) bool {
	for _, w := range words {
		*w = strings.Clone(clip(*w, maxIndexWord))
		b.words += len(*w)
	}
	fits := n < MaxIndex && b.words <= maxIndexWords
	b.index.Cut = b.index.Cut || !fits
	return fits
}

// countFlows gives forwards the bytes that passed instead of those kept.
func (b *indexer) countFlows() {
	for _, f := range b.index.Flows {
		if i, ok := b.channel[f.Channel]; ok {
			c := &b.index.Channels[i]
			c.BytesOut, c.BytesIn = max(c.BytesOut, f.BytesOut), max(c.BytesIn, f.BytesIn)
		}
	}
}
