package main

import (
	"bufio"
	"context"
	"crypto/sha1" // RFC 6455 clause 4.2.2 asks for it
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Opcodes of WebSocket frames (RFC 6455 clause 5.2).
const (
	frameText  = 1
	frameClose = 8
	framePing  = 9
	framePong  = 10

	maxFrame = 64 << 10
)

// writeFrame writes a whole frame of at most 64 KiB less one byte; a client's
// is masked, with zeroes.
func writeFrame(w io.Writer, op byte, p []byte, client bool) error {
	b := make([]byte, 0, len(p)+8)
	mask := byte(0)
	if client {
		mask = 0x80
	}
	if b = append(b, 0x80|op); len(p) < 126 {
		b = append(b, mask|byte(len(p)))
	} else {
		b = binary.BigEndian.AppendUint16(append(b, mask|126), uint16(len(p)))
	}
	if client {
		b = append(b, 0, 0, 0, 0)
	}
	_, err := w.Write(append(b, p...))
	return err
}

// readFrame reads one and takes its mask off.
func readFrame(r *bufio.Reader) (op byte, p []byte, err error) {
	var h [2]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return 0, nil, err
	}
	n := uint64(h[1] & 0x7f)
	if n >= 126 {
		var long [8]byte
		size := 2
		if n == 127 {
			size = 8
		}
		if _, err := io.ReadFull(r, long[8-size:]); err != nil {
			return 0, nil, err
		}
		n = binary.BigEndian.Uint64(long[:])
	}
	if n > maxFrame {
		return 0, nil, errors.New("a frame is too long")
	}
	var mask [4]byte
	if h[1]&0x80 != 0 {
		if _, err := io.ReadFull(r, mask[:]); err != nil {
			return 0, nil, err
		}
	}
	p = make([]byte, n)
	if _, err := io.ReadFull(r, p); err != nil {
		return 0, nil, err
	}
	for i := range p {
		p[i] ^= mask[i%4]
	}
	return h[0] & 0x0f, p, nil
}

// socketAnswer is Sec-WebSocket-Accept.
func socketAnswer(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// echoSocket is the target's WebSocket: it sends back what comes, and with
// ?ticks also the time, each tick.
func echoSocket(w http.ResponseWriter, r *http.Request) {
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		http.Error(w, "this is a WebSocket", http.StatusUpgradeRequired)
		return
	}
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusHTTPVersionNotSupported)
		return
	}
	defer conn.Close()
	if say(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "+socketAnswer(r.Header.Get("Sec-WebSocket-Key"))+"\r\n\r\n") != nil {
		return
	}
	var mu sync.Mutex
	send := func(op byte, p []byte) error {
		mu.Lock()
		defer mu.Unlock()
		return writeFrame(conn, op, p, false)
	}
	if r.URL.Query().Has("ticks") {
		ctx, stop := context.WithCancel(r.Context())
		var ticking sync.WaitGroup
		defer ticking.Wait()
		defer conn.Close()
		defer stop()
		ticking.Go(func() { tickSocket(ctx, send) })
	}
	for {
		op, p, err := readFrame(rw.Reader)
		switch {
		case err != nil:
			return
		case op == framePing:
			op = framePong
		}
		if send(op, p) != nil || op == frameClose {
			return
		}
	}
}

func tickSocket(ctx context.Context, send func(byte, []byte) error) {
	tick := time.NewTicker(pieceEvery)
	defer tick.Stop()
	for send(frameText, fmt.Appendf(nil, "%s%d", tickMark, time.Now().UnixMicro())) == nil {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
