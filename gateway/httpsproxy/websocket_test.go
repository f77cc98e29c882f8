package httpsproxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/portcullis/portcullis/gateway"
)

// echoTarget answers every message with itself.
func echoTarget(t *testing.T) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			_, _ = io.WriteString(rw, "page")
			return
		}
		if r.Header.Get("Sec-Websocket-Extensions") != "" {
			t.Error("an extension was offered to the target")
		}
		c, err := websocket.Accept(rw, r, &websocket.AcceptOptions{Subprotocols: []string{"chat"}, CompressionMode: websocket.CompressionContextTakeover})
		if err != nil {
			t.Errorf("accept: %v", err)
			return
		}
		defer c.CloseNow()
		c.SetReadLimit(64 << 20)
		for {
			kind, p, err := c.Read(r.Context())
			if err != nil {
				return
			}
			if string(p) == "bye" {
				_ = c.Close(4001, "as you say")
				return
			}
			if c.Write(r.Context(), kind, p) != nil {
				return
			}
		}
	})
}

func (w *world) dial(path string, header ...string) (*websocket.Conn, *http.Response, error) {
	w.t.Helper()
	h := http.Header{"Cookie": {w.cookie}, "Origin": {"https://" + testHost}}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	c, res, err := websocket.Dial(w.t.Context(), "wss://"+testHost+path, &websocket.DialOptions{HTTPClient: w.client(false), HTTPHeader: h, Subprotocols: []string{"chat"}, CompressionMode: websocket.CompressionContextTakeover})
	if err == nil {
		c.SetReadLimit(64 << 20)
		w.t.Cleanup(func() { _ = c.CloseNow() })
	}
	return c, res, err
}

// TestW01WebSocket: messages of all sizes, pings and close codes pass both
// ways, each recorded before it passes; no extension is agreed on.
func TestW01WebSocket(t *testing.T) {
	w := newWorld(t, echoTarget(t))
	w.enter()
	c, res, err := w.dial("/ws?token=" + canary)
	check(t, err)
	if res.Header.Get("Sec-Websocket-Extensions") != "" || c.Subprotocol() != "chat" {
		t.Errorf("agreed on %q, %q", res.Header.Get("Sec-Websocket-Extensions"), c.Subprotocol())
	}
	ctx := t.Context()
	for _, size := range []int{0, 1, 125, 126, 65535, 65536, 200_000, 16 << 20} {
		sent := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
		check(t, c.Write(ctx, websocket.MessageBinary, sent))
		kind, got, err := c.Read(ctx)
		if err != nil || kind != websocket.MessageBinary || !bytes.Equal(got, sent) {
			t.Fatalf("%d bytes: %v, %d bytes came back", size, err, len(got))
		}
	}
	check(t, c.Write(ctx, websocket.MessageText, []byte(`{"auth":{"password":"`+canary+`"},"x":1}`)))
	if _, got, err := c.Read(ctx); err != nil || !strings.Contains(string(got), canary) {
		t.Fatalf("%v %q", err, got)
	}
	reading, stop := context.WithCancel(ctx)
	closed := make(chan error, 1)
	go func() { _, _, err := c.Read(reading); closed <- err }()
	check(t, c.Ping(ctx))
	check(t, c.Write(ctx, websocket.MessageText, []byte("bye")))
	err = <-closed
	stop()
	var ce websocket.CloseError
	if !errors.As(err, &ce) || ce.Code != 4001 || ce.Reason != "as you say" {
		t.Errorf("closed with %v", err)
	}
	if got := w.live.ch.body(gateway.HTTPMessage); strings.Contains(got, canary) || !strings.Contains(got, "redacted:") {
		t.Error("a password in a message stands in the recording")
	}
	both := map[bool]int64{}
	for _, m := range w.live.ch.of(gateway.HTTPMessage) {
		if m.Shown != nil && m.Opcode <= 2 {
			both[m.Client] += m.Shown.Bytes
		}
	}
	if both[true] < 16<<20 || both[true]-both[false] != 3 { // "bye" was not echoed
		t.Errorf("recorded %v bytes", both)
	}
	waitFor(t, func() bool { return len(w.live.ch.of(gateway.HTTPEnd)) == 1 })
	if end := w.live.ch.of(gateway.HTTPEnd)[0]; end.Cut != "" {
		t.Errorf("ended with %q", end.Cut)
	}
}

// waitFor looks until it is so: what a handler records last comes after the
// browser has its answer.
func waitFor(t *testing.T, is func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.After(5 * time.Second); !is(); {
		select {
		case <-tick.C:
		case <-end:
			t.Fatal("it did not come about in 5 s")
		}
	}
}

// TestW01TheEndHasItsCode: a WebSocket hears 1008 and why; nothing comes after.
func TestW01TheEndHasItsCode(t *testing.T) {
	w := newWorld(t, echoTarget(t))
	w.enter()
	var all []*websocket.Conn
	for range 20 {
		c, _, err := w.dial("/ws")
		check(t, err)
		check(t, c.Write(t.Context(), websocket.MessageText, []byte("x")))
		_, _, err = c.Read(t.Context())
		check(t, err)
		all = append(all, c)
	}
	begun := time.Now()
	w.live.End(gateway.EndSuspended, "", "")
	for _, c := range all {
		_, _, err := c.Read(t.Context())
		var ce websocket.CloseError
		if !errors.As(err, &ce) || ce.Code != 1008 || !strings.HasPrefix(ce.Reason, "access was suspended") {
			t.Errorf("closed with %v", err)
		}
	}
	if d := time.Since(begun); d > 2*time.Second {
		t.Errorf("the end took %s", d)
	}
	if _, res, err := w.dial("/ws"); err == nil || res == nil || res.StatusCode != http.StatusUnauthorized || res.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("a new one: %v %+v", err, res)
	}
}

// TestNobodyCutsAnothersClose: of two that end a WebSocket at once, the later
// one does not shut the connection under the close frame of the first.
func TestNobodyCutsAnothersClose(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	writing := make(chan struct{})
	w := &wire{conn: &toldConn{Conn: near, writing: writing}, browser: true}
	go w.close(closePayload(closePolicy, "suspended"), 5*time.Second)
	<-writing
	cut := make(chan struct{})
	go func() {
		defer close(cut)
		w.close(closePayload(closeAway, ""), 5*time.Second)
		near.Close()
	}()
	select {
	case <-cut:
	case <-time.After(50 * time.Millisecond): // it waits for the frame to be read
	}
	got, err := io.ReadAll(far)
	<-cut
	if err != nil || !strings.HasSuffix(string(got), "suspended") {
		t.Errorf("%q, %v", got, err)
	}
}

// toldConn tells of its first write.
type toldConn struct {
	net.Conn
	writing chan struct{}
	once    sync.Once
}

func (c *toldConn) Write(p []byte) (int, error) {
	c.once.Do(func() { close(c.writing) })
	return c.Conn.Write(p)
}

// TestCrossSiteWebSocket: another site, and a sister console, cannot open one
// in the engineer's name.
func TestCrossSiteWebSocket(t *testing.T) {
	w := newWorld(t, echoTarget(t))
	w.enter()
	for _, origin := range []string{"https://evil.example", "https://other." + testApps, "null", "http://" + testHost, "https://" + testHost + ".evil.example"} {
		if _, res, err := w.dial("/ws", "Origin", origin); err == nil || res.StatusCode != http.StatusForbidden {
			t.Errorf("origin %s: %v", origin, err)
		}
	}
	if _, _, err := w.dial("/ws", "Sec-Fetch-Site", "same-site"); err == nil {
		t.Error("a sister host opened one")
	}
}

// TestWebSocketNeedsItsAbility: and a target that cheats at the handshake gets
// no further.
func TestWebSocketNeedsItsAbility(t *testing.T) {
	w := newWorld(t, echoTarget(t), func(w *world) { w.live.abilities.WebSocket = false })
	w.enter()
	if _, res, err := w.dial("/ws"); err == nil || res.StatusCode != http.StatusForbidden {
		t.Errorf("%v", err)
	}
	for name, head := range map[string]string{
		"wrong accept":      "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAA\r\n\r\n",
		"no accept":         "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
		"another protocol":  "HTTP/1.1 101 X\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
		"endless head":      "HTTP/1.1 101 X\r\nX: " + strings.Repeat("a", MaxReplyHeader) + "\r\n\r\n",
		"not HTTP":          "SSH-2.0-x\r\n",
		"nothing and close": "",
	} {
		w := newWorld(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			conn, _, err := http.NewResponseController(rw).Hijack()
			if err == nil {
				_, _ = io.WriteString(conn, head)
				_ = conn.Close()
			}
		}))
		w.enter()
		if _, res, err := w.dial("/ws"); err == nil || res == nil || res.StatusCode != http.StatusBadGateway {
			t.Errorf("%s: %v %v", name, res, err)
		}
	}
}

// rawSocket shakes hands by hand, so that any frame can be sent. No extension
// is ever agreed on.
func (w *world) rawSocket(fields ...string) *tls.Conn {
	w.t.Helper()
	c := w.raw()
	_, err := io.WriteString(c, "GET /ws HTTP/1.1\r\nHost: "+testHost+"\r\nCookie: "+w.cookie+"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"+strings.Join(append(fields, "\r\n"), "\r\n"))
	check(w.t, err)
	var head []byte
	for b := make([]byte, 1); !bytes.HasSuffix(head, []byte("\r\n\r\n")); head = append(head, b...) {
		if _, err := io.ReadFull(c, b); err != nil {
			w.t.Fatalf("%v after %q", err, head)
		}
	}
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 101 ")) {
		w.t.Fatalf("%s", head)
	}
	if bytes.Contains(head, []byte("Extensions")) {
		w.t.Errorf("an extension was agreed on: %s", head)
	}
	return c
}

func (w *world) raw(protocols ...string) *tls.Conn {
	w.t.Helper()
	nc, err := net.Dial("tcp", w.gw.Listener.Addr().String())
	check(w.t, err)
	w.t.Cleanup(func() { _ = nc.Close() })
	c := tls.Client(nc, &tls.Config{RootCAs: w.ca.pool, ServerName: testHost, NextProtos: protocols})
	check(w.t, c.SetDeadline(time.Now().Add(20*time.Second)))
	check(w.t, c.Handshake())
	return c
}

// TestWebSocketFrames has the cases of Autobahn's list that a relay can get
// wrong: framing, reserved bits, opcodes, control frames, fragments, close
// codes. What breaks the protocol never reaches the target.
func TestWebSocketFrames(t *testing.T) {
	mask := []byte{1, 2, 3, 4}
	masked := func(head []byte, payload string) []byte {
		b := append(bytes.Clone(head), mask...)
		for i := range payload {
			b = append(b, payload[i]^mask[i&3])
		}
		return b
	}
	text := masked([]byte{0x81, 0x85}, "hello")
	for name, x := range map[string]struct {
		send []byte
		want string // answer's first bytes
	}{
		"1 text":                           {text, "\x81\x05hello"},
		"1 empty text":                     {masked([]byte{0x81, 0x80}, ""), "\x81\x00"},
		"1 binary by 16 bits":              {masked([]byte{0x82, 0xfe, 0, 126}, strings.Repeat("z", 126)), "\x82\x7e\x00\x7ezz"},
		"1 length in too many bytes":       {masked([]byte{0x82, 0xfe, 0, 5}, "hello"), "\x88\x02\x03\xea"},
		"1 length in far too many bytes":   {masked([]byte{0x82, 0xff, 0, 0, 0, 0, 0, 0, 0, 5}, "hello"), "\x88\x02\x03\xea"},
		"1 length with its first bit set":  {masked([]byte{0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 5}, "hello"), "\x88\x02\x03\xea"},
		"2 ping":                           {masked([]byte{0x89, 0x84}, "ping"), "\x8a\x04ping"},
		"2 ping of 125":                    {masked([]byte{0x89, 0xfd}, strings.Repeat("p", 125)), "\x8a\x7dppp"},
		"2 ping of 126":                    {masked([]byte{0x89, 0xfe, 0, 126}, strings.Repeat("p", 126)), "\x88\x02\x03\xea"},
		"2 pong unasked":                   {append(masked([]byte{0x8a, 0x81}, "x"), text...), "\x81\x05hello"},
		"3 reserved bit 1":                 {masked([]byte{0xc1, 0x85}, "hello"), "\x88\x02\x03\xea"},
		"3 reserved bit 2":                 {masked([]byte{0xa1, 0x85}, "hello"), "\x88\x02\x03\xea"},
		"3 reserved bit 3":                 {masked([]byte{0x91, 0x85}, "hello"), "\x88\x02\x03\xea"},
		"4 opcode 3":                       {masked([]byte{0x83, 0x80}, ""), "\x88\x02\x03\xea"},
		"4 opcode 7":                       {masked([]byte{0x87, 0x81}, "x"), "\x88\x02\x03\xea"},
		"4 opcode 11":                      {masked([]byte{0x8b, 0x80}, ""), "\x88\x02\x03\xea"},
		"4 opcode 15":                      {masked([]byte{0x8f, 0x80}, ""), "\x88\x02\x03\xea"},
		"5 fragments":                      {append(masked([]byte{0x01, 0x82}, "he"), masked([]byte{0x80, 0x83}, "llo")...), "\x81\x05hello"},
		"5 fragments around a ping":        {append(append(masked([]byte{0x01, 0x82}, "he"), masked([]byte{0x89, 0x81}, "p")...), masked([]byte{0x80, 0x83}, "llo")...), "\x8a\x01p\x81\x05hello"},
		"5 fragmented ping":                {masked([]byte{0x09, 0x81}, "p"), "\x88\x02\x03\xea"},
		"5 continuation of nothing":        {masked([]byte{0x80, 0x81}, "x"), "\x88\x02\x03\xea"},
		"5 a message within another":       {append(masked([]byte{0x01, 0x82}, "he"), text...), "\x88\x02\x03\xea"},
		"7 close":                          {masked([]byte{0x88, 0x82}, "\x03\xe8"), "\x88\x02\x03\xe8"},
		"7 close without code":             {masked([]byte{0x88, 0x80}, ""), "\x88\x00"},
		"7 close of one byte":              {masked([]byte{0x88, 0x81}, "\x03"), "\x88\x02\x03\xea"},
		"7 close with 1005":                {masked([]byte{0x88, 0x82}, "\x03\xed"), "\x88\x02\x03\xea"},
		"7 close with 999":                 {masked([]byte{0x88, 0x82}, "\x03\xe7"), "\x88\x02\x03\xea"},
		"7 close with 2000":                {masked([]byte{0x88, 0x82}, "\x07\xd0"), "\x88\x02\x03\xea"},
		"7 close with 4999":                {masked([]byte{0x88, 0x82}, "\x13\x87"), "\x88\x02\x13\x87"},
		"8 not masked":                     {[]byte("\x81\x05hello"), "\x88\x02\x03\xea"},
		"9 two messages at once":           {append(bytes.Clone(text), text...), "\x81\x05hello\x81\x05hello"},
		"9 closed in the middle of a head": {[]byte{0x81}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, echoTarget(t))
			w.enter()
			c := w.rawSocket()
			_, err := c.Write(x.send)
			check(t, err)
			if x.want == "" {
				check(t, c.CloseWrite())
			}
			got := make([]byte, len(x.want))
			if n, err := io.ReadFull(c, got); err != nil || string(got) != x.want {
				t.Errorf("%v: got %q, want %q", err, got[:n], x.want)
			}
		})
	}
}

// FuzzFrame: whatever a browser sends, a head is refused or means one thing.
func FuzzFrame(f *testing.F) {
	f.Add([]byte{0x81, 0x85, 1, 2, 3, 4}, true)
	f.Add([]byte{0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4}, true)
	f.Add([]byte{0x88, 0x02, 3, 0xe8}, false)
	f.Fuzz(func(t *testing.T, p []byte, browser bool) {
		r := newFrameReader(p)
		h, err := readFrame(r, browser)
		if err != nil {
			return
		}
		if h.length < 0 || h.masked != browser || h.control() && (h.length > maxControl || !h.fin) {
			t.Fatalf("%+v", h)
		}
		if h.length > messageHeld {
			return
		}
		var b [frameHead + messageHeld]byte
		out := putFrame(b[:], int(h.length), h.op, h.fin, false)
		again, err := readFrame(newFrameReader(out), false)
		if err != nil || again.length != h.length || again.op != h.op || again.fin != h.fin {
			t.Fatalf("%+v became %+v, %v", h, again, err)
		}
	})
}

// TestAnIdleWebSocketHoldsNoHandler: it goes on when the server's handler has
// returned, and ends with the session.
func TestAnIdleWebSocketHoldsNoHandler(t *testing.T) {
	var inside atomic.Int32
	w := newWorld(t, echoTarget(t))
	next := w.gw.Config.Handler
	w.gw.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		inside.Add(1)
		defer inside.Add(-1)
		next.ServeHTTP(rw, r)
	})
	w.enter()
	c, _, err := w.dial("/ws")
	check(t, err)
	waitFor(t, func() bool { return inside.Load() == 0 })
	check(t, c.Write(t.Context(), websocket.MessageText, []byte("still there")))
	_, p, err := c.Read(t.Context())
	if err != nil || string(p) != "still there" {
		t.Fatalf("%q %v", p, err)
	}
	w.live.End(gateway.EndSuspended, "ben", "enough")
	if _, _, err := c.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
		t.Errorf("after the end: %v", err)
	}
}
