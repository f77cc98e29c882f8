package recording

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// FuzzSegment reads anything as a segment: it ends in order or torn, what is
// good is good again by itself, and a rewritten good part is the same bytes.
func FuzzSegment(f *testing.F) {
	dir := f.TempDir()
	v := openVault(f, dir)
	r := start(f, v, "ses_1")
	ch := shell(f, r)
	for range 3 {
		must(f, ch.Output(Stdout, []byte("some output\r\n")))
	}
	must(f, ch.Resize(100, 30))
	sealIt(f, r)
	whole, err := os.ReadFile(filepath.Join(r.dir, segmentName(output, 1)))
	must(f, err)
	f.Add(whole)
	f.Add(whole[:len(whole)-20])
	f.Add(whole[:headerSize])
	f.Fuzz(func(t *testing.T, b []byte) {
		again, off := rewrite(t, b)
		if off > int64(len(b)) || !bytes.Equal(again, b[:off]) {
			t.Fatalf("%d good bytes of %d do not come out as they went in", off, len(b))
		}
		if _, same := rewrite(t, b[:off]); same != off {
			t.Fatalf("of %d good bytes %d are good", off, same)
		}
	})
}

// rewrite reads a segment and encodes what it has read.
func rewrite(t *testing.T, b []byte) (again []byte, off int64) {
	t.Helper()
	r := newReader(bytes.NewReader(b), true)
	for {
		f, err := r.next()
		if r.started && len(again) == 0 {
			again = r.header.encode()
		}
		switch {
		case err == nil:
			again = append(again, encodeFrame(r.seed, f)...)
		case errors.Is(err, io.EOF) && r.footer != nil:
			return append(again, b[len(again):r.off]...), r.off // a footer's time and channel are not kept
		case isEnd(err):
			return again, r.off
		default:
			t.Fatal(err)
		}
	}
}

// TestReaderGoesOn asks again after the end of a file that grows.
func TestReaderGoesOn(t *testing.T) {
	h := header{stream: output, seq: 1, session: "ses_1"}.encode()
	_, seed, err := parseHeader(h)
	must(t, err)
	f := encodeFrame(seed, frame{kind: kindNote, payload: []byte("whole")})
	all := append(h, f...)
	for cut := range all {
		src := &growing{b: all[:cut]}
		r := newReader(src, true)
		if _, err := r.next(); !isEnd(err) {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		src.b = all
		got, err := r.next()
		if err != nil || string(got.payload) != "whole" {
			t.Fatalf("cut at %d, then whole: %+v, %v", cut, got, err)
		}
	}
}

// TestFrameOfAnotherSegment is what a power cut may leave in a reused block: a
// frame that is whole, but not of this segment.
func TestFrameOfAnotherSegment(t *testing.T) {
	mine := header{stream: output, seq: 2, session: "ses_1"}.encode()
	other := header{stream: output, seq: 1, session: "ses_1"}.encode()
	_, seed, err := parseHeader(other)
	must(t, err)
	stale := encodeFrame(seed, frame{kind: kindStdout, payload: []byte("stale")})
	for name, tail := range map[string][]byte{"stale frame": stale, "zeros": make([]byte, 4096)} {
		r := newReader(bytes.NewReader(append(bytes.Clone(mine), tail...)), false)
		if f, err := r.next(); !errors.Is(err, errTorn) || r.off != headerSize {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
}

type growing struct{ b []byte }

func (g *growing) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(g.b).ReadAt(p, off)
}
