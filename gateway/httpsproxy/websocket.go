package httpsproxy

import (
	"bufio"
	"crypto/sha1" //nolint:gosec // RFC 6455 clause 4.2.2 asks for it; nothing rests on it
	"encoding/base64"
	"errors"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/httpsproxy/capture"
)

// wireBuffer is what waits to be read of one WebSocket: little, since most of
// them are idle.
const wireBuffer = 1 << 10

// isWebSocket reports whether a request asks for one (RFC 6455 clause 4.1).
func isWebSocket(r *http.Request) bool {
	return r.ProtoMajor == 1 && strings.EqualFold(r.Header.Get("Upgrade"), "websocket") && hasToken(r.Header["Connection"], "upgrade")
}

func hasToken(lines []string, token string) bool {
	for _, line := range lines {
		for t := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(t), token) {
				return true
			}
		}
	}
	return false
}

// webSocket carries the handshake, then messages until either side closes.
// What it returns does that: it needs nothing of the request any more.
func (x *exchange) webSocket() (relay func()) {
	r := x.r
	key, err := base64.StdEncoding.DecodeString(r.Header.Get("Sec-Websocket-Key"))
	if r.Method != http.MethodGet || r.ProtoMinor < 1 || err != nil || len(key) != 16 || r.Header.Get("Sec-Websocket-Version") != "13" || r.ContentLength != 0 {
		x.failed(gateway.Invalid("websocket", "this is no handshake of RFC 6455"))
		return nil
	}
	res, target, err := x.shakeIn()
	if err != nil {
		x.failed(err)
		return nil
	}
	defer func() {
		if relay == nil {
			_ = target.conn.Close()
		}
	}()
	if res.StatusCode != http.StatusSwitchingProtocols {
		defer res.Body.Close()
		x.answer(res)
		return nil
	}
	if err := agreed(r, res); err != nil {
		x.failed(err)
		return nil
	}
	rec := gateway.HTTPRecord{Part: gateway.HTTPResponse, N: x.n, Proto: res.Proto, Status: res.StatusCode, Header: x.c.capture.Fields(res.Header)}
	if x.ends(x.c.record(rec)) {
		return nil
	}
	browser, err := x.switched(res)
	if err != nil {
		x.end("the browser left")
		panic(http.ErrAbortHandler)
	}
	slim := &exchange{c: x.c, n: x.n}
	return func() { slim.relay(browser, target) }
}

// shake asks the target for the WebSocket, on a connection of its own. No
// extension is offered: what passes can be read, recorded and looked through as
// it is, and nothing has to be unpacked.
func (x *exchange) shake() (*http.Response, *wire, error) {
	c := x.c
	ctx := x.r.Context()
	out, err := x.outgoing(nil)
	if err != nil {
		return nil, nil, err
	}
	delete(out.Header, "Sec-Websocket-Extensions")
	delete(out.Header, "Accept-Encoding")
	out.Header["Connection"], out.Header["Upgrade"] = []string{"Upgrade"}, []string{"websocket"}
	conn, err := c.dialTLS(ctx, "http/1.1")
	if err != nil {
		return nil, nil, err
	}
	fail := func(err error) (*http.Response, *wire, error) {
		_ = conn.Close()
		return nil, nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(ProveTime)); err != nil {
		return fail(err)
	}
	if err := out.Write(conn); err != nil {
		return fail(err)
	}
	head := &io.LimitedReader{R: conn, N: MaxReplyHeader}
	br := bufio.NewReaderSize(head, wireBuffer)
	res, err := http.ReadResponse(br, out)
	for err == nil && res.StatusCode < http.StatusOK && res.StatusCode != http.StatusSwitchingProtocols {
		res, err = http.ReadResponse(br, out) // of 1xx only 101 is an answer; head bounds them all
	}
	if err != nil {
		return fail(err)
	}
	head.N = math.MaxInt64
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return fail(err)
	}
	return res, &wire{conn: conn, r: br}, nil
}

// agreed holds the target's answer to what was asked.
func agreed(r *http.Request, res *http.Response) error {
	sum := sha1.Sum([]byte(r.Header.Get("Sec-Websocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // as above
	protocol := res.Header.Get("Sec-Websocket-Protocol")
	switch {
	case !strings.EqualFold(res.Header.Get("Upgrade"), "websocket") || !hasToken(res.Header["Connection"], "upgrade"):
		return errors.New("the target switched to something else")
	case res.Header.Get("Sec-Websocket-Accept") != base64.StdEncoding.EncodeToString(sum[:]):
		return errors.New("the target answered another handshake")
	case res.Header.Get("Sec-Websocket-Extensions") != "":
		return errors.New("the target uses an extension that nobody offered")
	case protocol != "" && !hasToken(r.Header["Sec-Websocket-Protocol"], protocol):
		return errors.New("the target chose a subprotocol that nobody offered")
	}
	return nil
}

// switched takes the browser's connection over and tells it that the target
// has agreed.
func (x *exchange) switched(res *http.Response) (*wire, error) {
	h := http.Header{}
	x.c.forBrowser(h, res.Header)
	delete(h, "Content-Type")
	delete(h, "Content-Length")
	h["Connection"], h["Upgrade"] = []string{"Upgrade"}, []string{"websocket"}
	if b := browserOf(x.r.Context()); b != nil {
		b.soft.Store(true)
	}
	conn, rw, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		return nil, err
	}
	early, err := rw.Reader.Peek(rw.Reader.Buffered())
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	var b strings.Builder
	b.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	if err := h.Write(&b); err != nil { // into memory
		_ = conn.Close()
		return nil, err
	}
	b.WriteString("\r\n")
	w := &wire{conn: conn, r: bufio.NewReaderSize(io.MultiReader(strings.NewReader(string(early)), conn), wireBuffer), browser: true}
	if len(early) == 0 {
		w.r = bufio.NewReaderSize(conn, wireBuffer)
	}
	err = conn.SetDeadline(time.Time{})
	if err == nil {
		err = w.write([]byte(b.String()))
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return w, nil
}

// message is one message on its way.
type message struct {
	op    byte // of its first frame
	buf   *[frameHead + messageHeld]byte
	n     int  // bytes in buf
	begun bool // a part of it has passed
	text  textCheck
	acc   *capture.Body
	scrub *capture.Stream
}

// passMessage records what is held of the message and passes it on as one
// frame: intermediaries may cut messages anew where no extension is used
// (clause 5.4).
func (r *relay) passMessage(m *message, to *wire, fin bool) error {
	p := m.buf[frameHead : frameHead+m.n]
	if m.scrub != nil {
		q := m.scrub.Next(p)
		if fin {
			q = append(q, m.scrub.Rest()...)
		}
		m.n = copy(m.buf[frameHead:], q)
		p = m.buf[frameHead : frameHead+m.n]
		if m.n == 0 && !fin {
			return nil
		}
	}
	rec := gateway.HTTPRecord{Part: gateway.HTTPMessage, N: r.x.n, Client: !to.browser, Opcode: m.op}
	if m.begun {
		rec.Opcode = opContinue
	}
	in, out := 0, len(p)
	if rec.Client {
		in, out = len(p), 0
	}
	if err := r.x.c.carry(in, out); err != nil {
		return err
	}
	keep, redacted := m.acc.Add(p)
	if fin {
		keep = append(slices.Clip(keep), m.acc.Rest()...)
		so := m.acc.Account()
		rec.Shown = &so
	}
	rec.Redacted = redacted
	if fin || len(keep) > 0 || m.acc.Bytes()%progressBytes < int64(len(p)) {
		if err := r.x.c.ch.Exchange(rec, keep); err != nil {
			return err
		}
	}
	r.x.c.ch.Carried(in, out)
	op := rec.Opcode
	m.begun = true
	b := putFrame(m.buf[:], m.n, op, fin, !to.browser)
	m.n = 0
	return to.write(b)
}
