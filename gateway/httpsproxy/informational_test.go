package httpsproxy

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/portcullis/portcullis/gateway"
)

// TestEarlyHintsAreDropped: of what a target says before its answer the
// browser sees nothing, and neither does the recording, over either protocol.
func TestEarlyHintsAreDropped(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		w := newWorld(t, http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Link", "</early.css>; rel=preload")
			rw.Header().Set("Set-Cookie", "__Host-portcullis-app=evil")
			rw.WriteHeader(http.StatusEarlyHints)
			rw.WriteHeader(http.StatusProcessing)
			clear(rw.Header())
			_, _ = io.WriteString(rw, "the page")
		}), func(w *world) { w.target.EnableHTTP2 = h2 })
		w.enter()
		r := w.request("GET", "/", nil)
		r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			t.Errorf("the browser got a %d with %v", code, h)
			return nil
		}}))
		res, body := w.do(w.client(h2), r)
		if res.StatusCode != http.StatusOK || body != "the page" || res.Header.Get("Link") != "" || len(res.Cookies()) != 0 {
			t.Errorf("h2 %v: %d %q with %v", h2, res.StatusCode, body, res.Header)
		}
		if l := w.live.ch.of(gateway.HTTPResponse); len(l) != 1 || l[0].Status != http.StatusOK {
			t.Errorf("recorded %+v", l)
		}
	}
}

// TestEarlyHintsBeforeAWebSocket: they are no answer to the handshake.
func TestEarlyHintsBeforeAWebSocket(t *testing.T) {
	early := "HTTP/1.1 103 Early Hints\r\nLink: </early.css>; rel=preload\r\n\r\n"
	for hints, opens := range map[string]bool{early: true, strings.Repeat(early, 3): true, strings.Repeat(early, MaxReplyHeader/len(early)+1): false} {
		target := &wsTarget{conns: make(chan net.Conn, 1), early: hints}
		w := newWorld(t, target)
		w.enter()
		c, res, err := w.dial("/ws")
		if opens != (err == nil) {
			t.Errorf("%d bytes of hints: %v %v", len(hints), res, err)
		}
		far := <-target.conns
		if c != nil {
			_ = c.CloseNow()
		}
		_ = far.Close()
	}
}

// TestNoExtensionFromTheTarget: a target that compresses unasked is not heard.
func TestNoExtensionFromTheTarget(t *testing.T) {
	target := &wsTarget{conns: make(chan net.Conn, 1), reply: "Sec-WebSocket-Extensions: permessage-deflate\r\n"}
	w := newWorld(t, target)
	w.enter()
	_, res, err := w.dial("/ws")
	if err == nil || res == nil || res.StatusCode != http.StatusBadGateway {
		t.Errorf("%v %v", res, err)
	}
	_ = (<-target.conns).Close()
}

// TestNoWebSocketOverHTTP2: RFC 8441 is not offered, so that browsers fall
// back to HTTP/1.1; who sends an extended CONNECT all the same is refused, on
// that stream alone, and nothing reaches the target.
func TestNoWebSocketOverHTTP2(t *testing.T) {
	asked := make(chan string, 4)
	w := newWorld(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.Method + " " + r.URL.Path }))
	w.enter()
	c := w.raw("h2")
	check(t, c.SetDeadline(time.Now().Add(10*time.Second)))
	_, err := io.WriteString(c, http2.ClientPreface)
	check(t, err)
	f := http2.NewFramer(c, c)
	check(t, f.WriteSettings())
	send := func(stream uint32, fields ...string) {
		var b bytes.Buffer
		e := hpack.NewEncoder(&b)
		for i := 0; i < len(fields); i += 2 {
			check(t, e.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}))
		}
		check(t, f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: b.Bytes(), EndHeaders: true, EndStream: stream == 3}))
	}
	send(1, ":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":authority", testHost, ":path", "/ws", "sec-websocket-version", "13", "origin", "https://"+testHost, "cookie", w.cookie)
	send(3, ":method", "GET", ":scheme", "https", ":authority", testHost, ":path", "/after", "cookie", w.cookie)
	for refused, answered := false, false; !refused || !answered; {
		frame, err := f.ReadFrame()
		if err != nil {
			t.Fatalf("refused %v, answered %v: %v", refused, answered, err)
		}
		switch x := frame.(type) {
		case *http2.SettingsFrame:
			if v, ok := x.Value(http2.SettingEnableConnectProtocol); ok && v != 0 {
				t.Error("RFC 8441 is offered")
			}
		case *http2.RSTStreamFrame:
			refused = x.StreamID == 1 && x.ErrCode == http2.ErrCodeProtocol
		case *http2.HeadersFrame:
			answered = answered || x.StreamID == 3
		case *http2.GoAwayFrame:
			t.Fatalf("the connection ends: %v", x)
		}
	}
	if got := <-asked; got != "GET /after" || len(asked) != 0 {
		t.Errorf("the target saw %q and %d more", got, len(asked))
	}
	res, _ := w.do(w.client(true), w.request("CONNECT", "/ws", nil))
	if res.StatusCode < http.StatusBadRequest {
		t.Errorf("a plain CONNECT: %d", res.StatusCode)
	}
}
