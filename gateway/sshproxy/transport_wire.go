package sshproxy

import (
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"github.com/portcullis/portcullis/gateway/socket"
)

const (
	wireRead = 128 << 10 // bytes of one read: about four full packets
	// libraryBuffer is how much the library gathers before it writes. A packet
	// that is larger comes as a piece of this size and the rest.
	libraryBuffer = 4 << 10

	// promptReads is how many reads of a connection are acknowledged at once:
	// those of its handshake and its first channel. OpenSSH writes small packets
	// there and lets Nagle's algorithm hold the second until the first is
	// acknowledged, for which this side's kernel would take 40 ms.
	promptReads = 48
)

// wire is a socket as the library wants it for speed: it reads as much as has
// arrived at once, keeps no buffer while nothing has, and writes a packet with
// one system call. The library reads from one goroutine and writes from one at
// a time.
type wire struct {
	net.Conn
	counted
	brake
	raw  syscall.RawConn // nil: not a socket
	head []byte          // read before the library began
	mute []byte          // of what the library writes, sent already

	prompt int // reads that are still acknowledged at once

	chunk *[wireRead]byte // from wireBuffers; nil while all of it was taken
	left  []byte          // of chunk

	rest    *socket.Rest
	ended   chan struct{} // closed by the reader when the other side has ended its half
	endOnce sync.Once

	gmu      sync.Mutex // guards what follows; never held over a write
	gathers  bool       // what the library writes is kept for part
	parted   bool       // part has written: nothing more goes out
	gathered []byte

	join atomic.Bool // larger packets are AES-GCM's, see joinWrites
	held *[libraryBuffer]byte
}

var (
	wireBuffers = sync.Pool{New: func() any { return new([wireRead]byte) }}
	heldBuffers = sync.Pool{New: func() any { return new([libraryBuffer]byte) }}
)

func newWire(nc net.Conn, head []byte, mute string) *wire {
	w := &wire{Conn: nc, head: head, mute: []byte(mute), prompt: promptReads, rest: &socket.Rest{}, ended: make(chan struct{})}
	if s, ok := nc.(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil {
			w.raw = raw
			_ = raw.Control(acknowledge) // it only makes it quicker
		}
	}
	return w
}

// Read implements net.Conn.
func (w *wire) Read(p []byte) (int, error) {
	if len(w.head) > 0 {
		n := copy(p, w.head)
		if w.head = w.head[n:]; len(w.head) == 0 {
			w.head = nil
		}
		return n, nil
	}
	if len(w.left) == 0 {
		if w.raw == nil || len(p) == 0 {
			n, err := w.Conn.Read(p)
			if n > 0 {
				w.reads.Add(1)
			}
			return n, err
		}
		if err := w.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, w.left)
	if w.left = w.left[n:]; len(w.left) == 0 {
		wireBuffers.Put(w.chunk)
		w.chunk, w.left = nil, nil
	}
	return n, nil
}

// fill waits until something has arrived, and only then takes a buffer. Once we
// have parted, what arrives is dropped until the other side ends as well.
func (w *wire) fill() error {
	for {
		err := w.take()
		switch {
		case err != nil:
			w.endOnce.Do(func() { close(w.ended) })
			w.rest.Wait()
			return err
		case !w.hasParted():
			return nil
		}
		wireBuffers.Put(w.chunk)
		w.chunk, w.left = nil, nil
	}
}

func (w *wire) take() error {
	var n int
	var failed error
	w.hold()
	err := w.raw.Read(func(fd uintptr) bool {
		w.chunk = wireBuffers.Get().(*[wireRead]byte)
		for {
			n, failed = syscall.Read(int(fd), w.chunk[:])
			if !errors.Is(failed, syscall.EINTR) {
				break
			}
		}
		if n > 0 {
			if w.prompt > 0 { // the kernel falls back by itself
				w.prompt--
				acknowledge(fd)
			}
			return true
		}
		wireBuffers.Put(w.chunk)
		w.chunk = nil
		return !errors.Is(failed, syscall.EAGAIN)
	})
	switch {
	case err != nil:
		return err
	case failed != nil:
		return &net.OpError{Op: "read", Net: "tcp", Addr: w.RemoteAddr(), Err: failed}
	case n <= 0:
		return io.EOF
	}
	w.reads.Add(1)
	w.came(n)
	w.left = w.chunk[:n]
	return nil
}

// acknowledge has the kernel acknowledge what has come and comes next without
// waiting for something to send along (tcp(7), TCP_QUICKACK). A socket that is
// none of TCP's refuses, which is as well.
func acknowledge(fd uintptr) {
	_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1)
}

var errVersionLine = errors.New("the library began with another version line than was sent")

// Write implements net.Conn.
func (w *wire) Write(p []byte) (int, error) {
	w.writing.Store(true)
	w.writes.Add(1)
	defer w.writing.Store(false)
	if n, kept, err := w.keep(p); kept {
		return n, err
	}
	switch {
	case len(w.mute) > 0:
		if !bytes.HasPrefix(w.mute, p) {
			return 0, errVersionLine
		}
		w.mute = w.mute[len(p):]
		return len(p), nil
	case w.held != nil:
		return w.writeJoined(p)
	case len(p) == libraryBuffer && w.join.Load():
		w.held = heldBuffers.Get().(*[libraryBuffer]byte)
		copy(w.held[:], p)
		return len(p), nil
	}
	return w.Conn.Write(p)
}

// writeJoined writes the piece that is held and what follows it.
func (w *wire) writeJoined(p []byte) (int, error) {
	n, err := (&net.Buffers{w.held[:], p}).WriteTo(w.Conn)
	heldBuffers.Put(w.held)
	w.held = nil
	return max(0, int(n)-libraryBuffer), err
}

// joinWrites lets a first piece of libraryBuffer bytes wait for the rest of its
// packet. That there is a rest is certain with AES-GCM alone: 4 bytes of
// length, whole blocks of 16 and a tag of 16 are never libraryBuffer in all.
func (w *wire) joinWrites(c ssh.Conn) {
	m, ok := c.(ssh.AlgorithmsConnMetadata)
	if ok && w.raw != nil && slices.Contains(gcmCiphers, m.Algorithms().Write.Cipher) {
		w.join.Store(true)
	}
}
