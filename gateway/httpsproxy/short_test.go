package httpsproxy

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/socket"
)

// TestAShortAnswerIsRecordedWithItsEnd: when the browser has it, the whole
// exchange stands in the recording.
func TestAShortAnswerIsRecordedWithItsEnd(t *testing.T) {
	body := strings.Repeat("0123456789abcdef", shortAnswer/16)
	w := newWorld(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/plain")
		http.ServeContent(rw, r, "", time.Time{}, strings.NewReader(body))
	}))
	w.enter()
	for i, h2 := range []bool{false, true} {
		if _, got := w.do(w.client(h2), w.request("GET", "/", nil)); got != body {
			t.Errorf("h2 %v: %d bytes", h2, len(got))
		}
		if end := w.live.ch.of(gateway.HTTPEnd); len(end) != i+1 || end[i].Shown.Bytes != shortAnswer || end[i].Shown.SHA256 != gateway.DigestOf([]byte(body)) {
			t.Errorf("h2 %v: recorded %+v", h2, end)
		}
	}
}

// TestAnEarlyAnswerIsNotTheEnd: a target that answers before it has taken all
// of an upload; what was sent is told once it is known.
func TestAnEarlyAnswerIsNotTheEnd(t *testing.T) {
	w := newWorld(t, http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		_ = http.NewResponseController(rw).EnableFullDuplex() // or it waits for all of the body
		rw.Header().Set("Content-Length", "4")
		_, _ = io.WriteString(rw, "full")
	}))
	w.enter()
	pr, pw := io.Pipe()
	res, body := w.do(w.client(true), w.request("PUT", "/", pr, "Content-Type", "text/plain"))
	_ = pw.CloseWithError(errors.New("enough"))
	if res.StatusCode != http.StatusOK || body != "full" {
		t.Errorf("answered %d %q", res.StatusCode, body)
	}
	waitFor(t, func() bool { return len(w.live.ch.of(gateway.HTTPEnd)) == 1 })
}

// TestWhatIsGatheredLeavesAtOnce: and not before.
func TestWhatIsGatheredLeavesAtOnce(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	far, err := net.Dial("tcp", l.Addr().String())
	check(t, err)
	defer far.Close()
	near, err := listener{l}.Accept()
	check(t, err)
	defer near.Close()
	b := near.(*browserSocket)
	b.gather(make([]byte, 0, 4))
	for _, s := range []string{"one", "two", "three"} { // more than there is room for
		_, err := io.WriteString(b, s)
		check(t, err)
	}
	if !socket.Quiet(far) {
		t.Error("something has left")
	}
	b.send()
	_, err = io.WriteString(b, "four")
	check(t, err)
	got := make([]byte, len("onetwothreefour"))
	if _, err := io.ReadFull(far, got); err != nil || string(got) != "onetwothreefour" {
		t.Errorf("%q %v", got, err)
	}
}

// TestABufferThatMayBeReadIsGone: a frame of a stream that was reset may still
// read it, and another session's bytes must not come there.
func TestABufferThatMayBeReadIsGone(t *testing.T) {
	var b buffers
	p := b.get()
	s := &p.shown
	*s = shown{x: &exchange{w: failing{}}, most: 4}
	if err := s.put([]byte("lost")); err == nil || !s.lost {
		t.Fatalf("%v, lost %v", err, s.lost)
	}
	b.put(p)
	if b.get() == p {
		t.Error("it is used again")
	}
}

// failing is a browser that has gone.
type failing struct{ http.ResponseWriter }

func (failing) Write([]byte) (int, error) { return 0, bytes.ErrTooLarge }
