package recording

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// passing is a file on its way: from its request or response until its
// exchange ends.
type passing struct {
	op      gateway.FileOp
	path    string
	channel uint32
	at      time.Duration // when something of it was last told
	bytes   int64         // as far as they were told
}

// sessionOver is why what never ended in a sealed recording stopped short:
// there was nobody left to record its end.
const sessionOver = "the session was over"

// exchange counts a console's requests, and lists the files that they carried.
func (b *indexer) exchange(f frame) {
	var r gateway.HTTPRecord
	b.body = nil
	if err := json.Unmarshal(f.payload, &r); err != nil {
		b.unreadable(f)
		return
	}
	switch r.Part {
	case gateway.HTTPRequest:
		b.index.Requests++
		if r.Refused != "" {
			b.index.Refused++
			if r.File != "" {
				b.carried(f, gateway.File{Op: gateway.FileWrite, Path: r.File, Verdict: gateway.FileRefused, Why: r.Refused})
			}
			return
		}
		b.passes(f, r, gateway.FileWrite)
	case gateway.HTTPResponse:
		b.passes(f, r, gateway.FileRead)
	case gateway.HTTPSent:
		b.grows(f, r.N, gateway.FileWrite, r.Sent)
	case gateway.HTTPShown:
		b.grows(f, r.N, gateway.FileRead, r.Shown)
	case gateway.HTTPEnd:
		b.exchanged(f, r)
	}
}

// passes keeps what carries a file until the exchange's end says how it went.
func (b *indexer) passes(f frame, r gateway.HTTPRecord, op gateway.FileOp) {
	if r.File != "" && len(b.passing) < MaxIndex {
		b.passing[r.N] = &passing{op: op, path: r.File, channel: f.channel, at: f.at}
	}
}

// grows takes what is told of a file while it passes; the frame behind it may
// hold bytes of it.
func (b *indexer) grows(f frame, n uint32, op gateway.FileOp, so *gateway.HTTPBody) {
	if p := b.passing[n]; p != nil && p.op == op {
		p.at, p.bytes, b.body = f.at, max(p.bytes, passed(so)), p
	}
}

func (b *indexer) exchanged(f frame, end gateway.HTTPRecord) {
	if i, ok := b.channel[f.channel]; ok {
		c := &b.index.Channels[i]
		c.BytesIn += passed(end.Sent)
		c.BytesOut += passed(end.Shown)
	}
	p := b.passing[end.N]
	if p == nil {
		return
	}
	delete(b.passing, end.N)
	file, body := gateway.File{Op: p.op, Path: p.path, Verdict: gateway.FileDone}, end.Shown
	if p.op == gateway.FileWrite {
		body = end.Sent
	}
	if end.Cut != "" {
		file.Verdict, file.Why = gateway.FileCut, end.Cut
	}
	if body != nil {
		file.Bytes, file.SHA256, file.Whole = body.Bytes, body.SHA256, end.Cut == ""
	}
	b.carried(f, file)
}

// cutOff lists the files that were on their way when the session ended.
func (b *indexer) cutOff() {
	for _, n := range slices.Sorted(maps.Keys(b.passing)) {
		p := b.passing[n]
		b.carried(frame{at: p.at, channel: p.channel}, gateway.File{Op: p.op, Path: p.path, Bytes: p.bytes, Verdict: gateway.FileCut, Why: sessionOver})
	}
}

func (b *indexer) carried(f frame, file gateway.File) {
	if b.room(len(b.index.Files), &file.Path, &file.Why) {
		b.index.Files = append(b.index.Files, IndexFile{At: f.at, Channel: f.channel, File: file})
	}
}

func passed(b *gateway.HTTPBody) int64 {
	if b == nil {
		return 0
	}
	return b.Bytes
}
