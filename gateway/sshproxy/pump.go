package sshproxy

import (
	"io"
	"sync"
)

var chunks = sync.Pool{New: func() any { return new([chunk]byte) }}

// pump reads from until its end and gives each read to take, until that errs.
// A stream that waits for somebody holds little; one that fills what it holds
// is read in chunks until it waits again.
func pump(from io.Reader, take func([]byte) error) {
	small := make([]byte, quiet)
	buf := small
	var large *[chunk]byte
	defer func() {
		if large != nil {
			putChunk(large)
		}
	}()
	for {
		n, err := from.Read(buf)
		if n > 0 && take(buf[:n]) != nil || err != nil {
			return
		}
		switch {
		case large == nil && n == len(small):
			large = chunks.Get().(*[chunk]byte)
			buf = large[:]
		case large != nil && n <= len(small):
			putChunk(large)
			large, buf = nil, small
		}
	}
}

// putChunk gives a chunk back without what was in it: it is plain text.
func putChunk(large *[chunk]byte) {
	clear(large[:])
	chunks.Put(large)
}
