package recording

import (
	"encoding/json"

	"github.com/portcullis/portcullis/gateway"
)

// exchange counts a console's requests, and lists the files that they carried.
func (b *indexer) exchange(f frame) {
	var r gateway.HTTPRecord
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
		b.passes(r)
	case gateway.HTTPResponse:
		b.passes(r)
	case gateway.HTTPEnd:
		b.exchanged(f, r)
	}
}

// passes keeps what carries a file until the exchange's end says how it went.
func (b *indexer) passes(r gateway.HTTPRecord) {
	if r.File != "" && len(b.passing) < MaxIndex {
		b.passing[r.N] = gateway.HTTPRecord{Part: r.Part, File: r.File}
	}
}

func (b *indexer) exchanged(f frame, end gateway.HTTPRecord) {
	if i, ok := b.channel[f.channel]; ok {
		c := &b.index.Channels[i]
		c.BytesIn += passed(end.Sent)
		c.BytesOut += passed(end.Shown)
	}
	r, ok := b.passing[end.N]
	if !ok {
		return
	}
	delete(b.passing, end.N)
	file, body := gateway.File{Op: gateway.FileRead, Path: r.File, Verdict: gateway.FileDone}, end.Shown
	if r.Part == gateway.HTTPRequest {
		file.Op, body = gateway.FileWrite, end.Sent
	}
	if end.Cut != "" {
		file.Verdict, file.Why = gateway.FileCut, end.Cut
	}
	if body != nil {
		file.Bytes, file.SHA256, file.Whole = body.Bytes, body.SHA256, end.Cut == ""
	}
	b.carried(f, file)
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
