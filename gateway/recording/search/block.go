package search

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	blockText = 8 << 10 // bytes of text of a block, and one line more
	maxUnpack = 64 << 10

	// MaxText bounds what is indexed of one session, in bytes.
	MaxText = 32 << 20
	// MaxLines bounds the same in lines.
	MaxLines = 500_000
)

// block is some lines of one session, packed. first and last bound their
// times, and kinds has a bit for each kind that is among them.
type block struct {
	first, last time.Duration
	kinds       uint
	packed      []byte
}

// packer makes blocks of lines. It is bounded: the blocks of one session are
// in memory at once.
type packer struct {
	blocks []block
	now    block
	raw    []byte
	at     time.Duration
	lines  int
	text   int
	cut    bool // there were more
}

func (p *packer) add(l line) error {
	if p.lines == MaxLines || p.text+len(l.text) > MaxText {
		p.cut = true
		return nil
	}
	p.lines++
	p.text += len(l.text)
	if len(p.raw) == 0 {
		p.now, p.at = block{first: l.at, last: l.at}, 0
	}
	p.now.first, p.now.last = min(p.now.first, l.at), max(p.now.last, l.at)
	n := l.kind.number()
	p.now.kinds |= 1 << n
	p.raw = binary.AppendVarint(p.raw, int64(l.at-p.at))
	p.raw = append(p.raw, byte(n))
	p.raw = binary.AppendUvarint(p.raw, uint64(len(l.text)))
	p.raw = append(p.raw, l.text...)
	p.at = l.at
	if len(p.raw) >= blockText {
		return p.flush()
	}
	return nil
}

// packers holds compressors: one takes more memory than all else that a short
// session costs.
var packers = sync.Pool{New: func() any {
	w, _ := flate.NewWriter(nil, flate.DefaultCompression) // fails for levels that there are not
	return w
}}

// fill is add that ends the reading when there is no room for more: of
// gigabytes the rest would be read for nothing.
func (p *packer) fill(l line) error {
	if err := p.add(l); err != nil || !p.cut {
		return err
	}
	return errEnough
}

// flush closes the block under way.
func (p *packer) flush() error {
	if len(p.raw) == 0 {
		return nil
	}
	var b bytes.Buffer
	w := packers.Get().(*flate.Writer)
	defer packers.Put(w)
	w.Reset(&b)
	if _, err := w.Write(p.raw); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	p.now.packed = bytes.Clone(b.Bytes())
	p.blocks = append(p.blocks, p.now)
	p.raw = p.raw[:0]
	return nil
}

// errBlock is a block that is not as it was packed: the file is damaged.
var errBlock = errors.New("a block of the index cannot be read")

// unpack tells the lines of a block until tell answers false.
func unpack(packed []byte, tell func(line) bool) error {
	raw, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), maxUnpack))
	if err != nil {
		return fmt.Errorf("%w: %w", errBlock, err)
	}
	var at time.Duration
	for len(raw) > 0 {
		step, n := binary.Varint(raw)
		if n <= 0 || n == len(raw) || int(raw[n]) >= len(kinds) {
			return errBlock
		}
		kind := kinds[raw[n]]
		raw = raw[n+1:]
		size, n := binary.Uvarint(raw)
		if n <= 0 || size > uint64(len(raw)-n) {
			return errBlock
		}
		at += time.Duration(step)
		if !tell(line{at: at, kind: kind, text: string(raw[n : n+int(size)])}) {
			return nil
		}
		raw = raw[n+int(size):]
	}
	return nil
}
