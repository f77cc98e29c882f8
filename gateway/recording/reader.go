package recording

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	"github.com/portcullis/portcullis/gateway"
)

const (
	readBuffer = 64 << 10
	maxMicros  = 1 << 53 // 285 years, and what JSON numbers hold
)

// errTorn is a frame that is not whole: too short, or its checksum does not
// hold. At the end of a live recording it means "not yet".
var errTorn = errors.New("torn frame")

// reader reads one segment. Nothing in the file is trusted before its checksum
// is right, and no length makes it take more than one frame's memory. After
// io.EOF or errTorn the same call may be made again: the file may have grown.
type reader struct {
	src     io.ReaderAt
	header  header
	footer  *footer // set when the segment is closed
	counts  counts
	off     int64 // of the next frame; everything before is good
	seed    uint32
	started bool
	hash    hash.Hash      // of what is before off; nil when nobody asks
	body    gateway.Digest // hash before the footer frame

	buf []byte // bytes of the file from off on
	mem []byte
}

func newReader(src io.ReaderAt, hashed bool) *reader {
	r := &reader{src: src, mem: make([]byte, readBuffer)}
	if hashed {
		r.hash = sha256.New()
	}
	return r
}

// next answers the next frame; its payload holds until the call after. io.EOF
// after a footer is the end of the segment, and r.footer is set; io.EOF
// without one means that no more is there.
func (r *reader) next() (frame, error) {
	f, err := r.read()
	if err != nil {
		r.buf = nil // what was not whole may be by the next call, or have been replaced
	}
	return f, err
}

func (r *reader) read() (frame, error) {
	if !r.started {
		if err := r.start(); err != nil {
			return frame{}, err
		}
	}
	if r.footer != nil {
		return frame{}, io.EOF
	}
	f, n, err := r.frame()
	if err != nil {
		return frame{}, err
	}
	if f.kind == kindFooter {
		return frame{}, r.close(f, n)
	}
	r.take(n)
	r.counts.add(f.kind, len(f.payload), f.at)
	return f, nil
}

func (r *reader) start() error {
	if err := r.fill(headerSize); err != nil {
		return err
	}
	h, seed, err := parseHeader(r.buf[:headerSize])
	if err != nil {
		return fmt.Errorf("%w: %w", errTorn, err)
	}
	r.header, r.seed, r.started = h, seed, true
	r.take(headerSize)
	return nil
}

// frame reads a whole frame of n bytes without taking it.
func (r *reader) frame() (f frame, n int, err error) {
	if err := r.fill(frameHead); err != nil {
		return f, 0, err
	}
	head := r.buf[:frameHead]
	size, at := binary.BigEndian.Uint32(head), binary.BigEndian.Uint64(head[9:])
	f = frame{kind: kind(head[4]), channel: binary.BigEndian.Uint32(head[5:]), at: micros(int64(at % maxMicros))}
	if size > maxPayload || !f.kind.known() || at >= maxMicros {
		return f, 0, fmt.Errorf("%w: no frame begins like this", errTorn)
	}
	n = frameHead + int(size) + frameTail
	if err := r.fill(n); err != nil {
		return f, 0, err
	}
	f.payload = r.buf[frameHead : n-frameTail]
	if checksum(r.seed, r.buf[:frameHead], f.payload) != binary.BigEndian.Uint32(r.buf[n-frameTail:]) {
		return f, 0, fmt.Errorf("%w: the checksum does not hold", errTorn)
	}
	return f, n, nil
}

func (r *reader) close(f frame, n int) error {
	foot, err := parseFooter(f.payload)
	if err != nil {
		return fmt.Errorf("%w: %w", errTorn, err)
	}
	if r.hash != nil {
		r.hash.Sum(r.body[:0])
	}
	r.take(n)
	r.footer = &foot
	return io.EOF
}

// fill makes n bytes available in buf, or says io.EOF when there is none and
// errTorn when there are fewer.
func (r *reader) fill(n int) error {
	if len(r.buf) >= n {
		return nil
	}
	if len(r.mem) < n {
		r.mem = make([]byte, frameHead+maxPayload+frameTail)
	}
	have := copy(r.mem, r.buf)
	got, err := r.src.ReadAt(r.mem[have:], r.off+int64(have))
	r.buf = r.mem[:have+got]
	switch {
	case len(r.buf) >= n:
		return nil
	case err != nil && !errors.Is(err, io.EOF):
		return err
	case len(r.buf) == 0:
		return io.EOF
	default:
		return fmt.Errorf("%w: the file ends within it", errTorn)
	}
}

func (r *reader) take(n int) {
	if r.hash != nil {
		r.hash.Write(r.buf[:n])
	}
	r.buf = r.buf[n:]
	r.off += int64(n)
}

// digest is the SHA-256 of everything before off.
func (r *reader) digest() (d gateway.Digest) {
	r.hash.Sum(d[:0])
	return d
}

// tape reads one stream of a recording through all its segments. Like a
// reader it may be asked again after io.EOF while the recording is live.
type tape struct {
	dir    string
	stream stream
	seq    uint32 // of the open segment
	file   *os.File
	reader *reader
}

func newTape(dir string, s stream) *tape { return &tape{dir: dir, stream: s} }

// next answers the next frame, io.EOF where there is no more for now, and
// errTorn with the file and the offset where what follows is not whole.
func (t *tape) next() (frame, error) {
	for {
		if t.file == nil {
			if err := t.advance(); err != nil {
				return frame{}, err
			}
		}
		f, err := t.reader.next()
		switch {
		case err == nil:
			return f, nil
		case errors.Is(err, io.EOF) && t.reader.footer != nil:
			t.close()
		case errors.Is(err, errTorn):
			return f, fmt.Errorf("segment %s, offset %d: %w", segmentName(t.stream, t.seq), t.reader.off, err)
		default:
			return f, err
		}
	}
}

// advance opens the next segment; there may be none.
func (t *tape) advance() error {
	f, err := os.Open(filepath.Join(t.dir, segmentName(t.stream, t.seq+1)))
	if errors.Is(err, os.ErrNotExist) {
		return io.EOF
	}
	if err != nil {
		return gateway.Unavailable("recorder", err)
	}
	t.file, t.reader, t.seq = f, newReader(f, false), t.seq+1
	return nil
}

func (t *tape) close() {
	if t.file != nil {
		_ = t.file.Close()
		t.file = nil
	}
}
