package transfer

import (
	"crypto/sha256"
	"hash"
	"strings"

	"github.com/portcullis/portcullis/gateway"
)

// stream is the tap of a protocol that is not parsed: it counts and sums the
// bytes that go the way of the files. Each field is of one goroutine.
type stream struct {
	sink       Sink
	file       gateway.File
	up         bool
	sum        hash.Hash
	bytes      int64
	spoke      bool // the target said something at all
	clientFail bool
	targetFail bool
}

const streamWhy = "bytes and sum are of the protocol's stream in this direction, not of one file; how it ended is the channel's exit status"

func newStream(ch gateway.Channel, s Sink) *stream {
	t := &stream{sink: s, up: ch.Upload && !strings.Contains(ch.Command, " --sender"), sum: sha256.New()}
	t.file = gateway.File{Op: gateway.FileRead, Path: clean(strings.Join(calledWith(ch).paths, " "), maxPath), Why: streamWhy}
	if t.up {
		t.file.Op = gateway.FileWrite
	}
	return t
}

// passed counts what the other side has got: what forward did not take whole
// is none of it.
func (t *stream) passed(p []byte, forward func([]byte) error) error {
	if err := forward(p); err != nil {
		return err
	}
	t.bytes += int64(len(p))
	_, _ = t.sum.Write(p) // a hash takes everything
	return nil
}

// Client implements Tap.
func (t *stream) Client(p []byte, forward func([]byte) error) error {
	pass := forward
	if t.up {
		pass = func(p []byte) error { return t.passed(p, forward) }
	}
	err := pass(p)
	t.clientFail = t.clientFail || err != nil
	return err
}

// Target implements Tap.
func (t *stream) Target(p []byte, forward func([]byte) error) error {
	t.spoke = t.spoke || len(p) > 0
	pass := forward
	if !t.up {
		pass = func(p []byte) error { return t.passed(p, forward) }
	}
	err := pass(p)
	t.targetFail = t.targetFail || err != nil
	return err
}

// Close implements Tap.
func (t *stream) Close() {
	f := t.file
	f.Bytes, f.Verdict = t.bytes, gateway.FileDone
	t.sum.Sum(f.SHA256[:0])
	if t.clientFail || t.targetFail || !t.spoke {
		f.Verdict = gateway.FileCut
	}
	t.sink.File(f)
}
