package httpsproxy

import (
	"bufio"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/socket"
)

// closeWait is how long one side may take to answer a close frame.
const closeWait = 5 * time.Second

// wire is one side of a WebSocket.
type wire struct {
	conn    net.Conn
	r       *bufio.Reader
	browser bool

	mu     sync.Mutex  // held over a write
	closed bool        // a close frame was sent: nothing may follow
	ending atomic.Bool // somebody waits for mu to send one
}

var errClosed = errors.New("a close frame was sent")

func (w *wire) write(p []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return errClosed
	}
	if err := w.conn.SetWriteDeadline(time.Now().Add(BodyIdleTime)); err != nil {
		return err
	}
	if w.ending.Load() { // whose deadline the one above may have put off
		return errClosed
	}
	_, err := w.conn.Write(p)
	return err
}

// close sends a close frame, unless one was sent. What is being written has
// until wait to be taken, so that whoever closes beside another does not cut
// the connection under the other's frame.
func (w *wire) close(payload []byte, wait time.Duration) {
	w.ending.Store(true)
	_ = w.conn.SetWriteDeadline(time.Now().Add(wait))
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	w.closed = true
	var b [frameHead + maxControl]byte
	n := copy(b[frameHead:], payload)
	if w.conn.SetWriteDeadline(time.Now().Add(wait)) == nil {
		_, _ = w.conn.Write(putFrame(b[:], n, opClose, true, !w.browser)) // it may have gone
	}
}

// relay is one WebSocket.
type relay struct {
	x               *exchange
	browser, target *wire
}

// relay passes messages both ways until either side closes, or the session
// ends. It returns when both directions have.
func (x *exchange) relay(browser, target *wire) {
	r := &relay{x, browser, target}
	c := x.c
	defer r.cut()
	c.mu.Lock()
	over := c.over
	c.relays[r] = struct{}{}
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.relays, r)
		c.mu.Unlock()
	}()
	if over {
		r.bye(closePolicy, c.overError().Text)
		return
	}
	var up error
	var both sync.WaitGroup
	both.Go(func() {
		defer func() { c.p.contained(recover(), c) }()
		up = r.pass(browser, target)
		r.after(up, browser, target)
	})
	down := r.pass(target, browser)
	r.after(down, target, browser)
	both.Wait()
	x.end(r.word(up, down))
}

// word says why it stopped short; empty: it was closed as it should be.
func (r *relay) word(up, down error) string {
	switch {
	case r.x.c.cause() != nil:
		return r.x.c.cause().Error()
	case broke(up) != 0:
		return "the browser broke the protocol: " + up.Error()
	case broke(down) != 0:
		return "the console broke the protocol: " + down.Error()
	case up != nil && down != nil:
		return "the connection broke"
	}
	return ""
}

// broke is the close code for a side that broke the protocol; 0: it did not.
func broke(err error) uint16 {
	var b breach
	if errors.As(err, &b) {
		return uint16(b)
	}
	return 0
}

// after is the end of one direction. A close that was passed on is given time
// to be answered; anything else ends the other direction too.
func (r *relay) after(err error, from, to *wire) {
	switch cause := r.x.c.cause(); {
	case cause != nil:
		r.bye(closePolicy, cause.Error())
	case err == nil:
		_ = to.conn.SetReadDeadline(time.Now().Add(closeWait))
		return
	case broke(err) != 0:
		from.close(closePayload(broke(err), ""), FarewellTime)
		if to.browser {
			to.close(closePayload(closeGateway, "the console broke the protocol"), FarewellTime)
		} else {
			to.close(closePayload(closeAway, ""), FarewellTime)
		}
	case errors.Is(err, errClosed):
		return // the other direction closes
	case to.browser:
		to.close(closePayload(closeGateway, "the console broke off"), FarewellTime)
	default:
		to.close(closePayload(closeAway, ""), FarewellTime)
	}
	r.cut()
}

// bye tells the browser why it is over.
func (r *relay) bye(code uint16, reason string) {
	r.browser.close(closePayload(code, reason), FarewellTime)
}

// part is bye and the end of the browser's connection, without a wait: one
// that takes nothing at once hears nothing.
func (r *relay) part(payload []byte, over <-chan struct{}) {
	raw := beneath(r.browser.conn)
	if b, ok := raw.(*browserSocket); ok {
		b.rest.Set(over)
	}
	if socket.Takes(raw) {
		r.browser.close(payload, FarewellTime)
	}
	socket.Shut(raw)
}

// beneath is the connection that TLS is spoken over.
func beneath(c net.Conn) net.Conn {
	if t, ok := c.(interface{ NetConn() net.Conn }); ok {
		return t.NetConn()
	}
	return c
}

// cut ends both connections beneath TLS.
func (r *relay) cut() {
	for _, w := range []*wire{r.browser, r.target} {
		_ = beneath(w.conn).Close()
	}
}

// pass relays one direction. It returns nil when a close frame was passed on.
func (r *relay) pass(from, to *wire) error {
	var m *message
	defer func() {
		if m != nil && m.buf != nil {
			r.x.c.p.messages.put(m.buf)
		}
	}()
	for {
		f, err := readFrame(from.r, from.browser)
		if err != nil {
			return err
		}
		if f.control() {
			if done, err := r.control(f, from, to); done || err != nil {
				return err
			}
			continue
		}
		if (f.op == opContinue) != (m != nil) {
			return errFrame
		}
		if m == nil {
			m = r.begin(f, to)
		}
		if err := r.data(m, f, from, to); err != nil {
			return err
		}
		if f.fin {
			r.x.c.p.messages.put(m.buf)
			m = nil
		}
	}
}

func (r *relay) begin(f frame, to *wire) *message {
	c := r.x.c
	clean := to.browser && f.op == opText
	m := &message{op: f.op, buf: c.p.messages.get(), acc: c.capture.Body("", "", clean)}
	if clean && c.scrub != nil {
		m.scrub = c.scrub.Stream()
	}
	return m
}

// data passes one frame's payload: a message that is small enough as one,
// after its end has come; a longer one in pieces.
func (r *relay) data(m *message, f frame, from, to *wire) error {
	for at := int64(0); at < f.length; {
		room := int64(messageHeld/2 - m.n) // a scrubber's rest needs some
		if room <= 0 {
			if err := r.forward(m, to, false); err != nil {
				return err
			}
			continue
		}
		p := m.buf[frameHead+m.n : frameHead+m.n+int(min(f.length-at, room))]
		n, err := from.r.Read(p) // what has come: text that is none is not waited for
		if err != nil {
			return err
		}
		if p = p[:n]; f.masked {
			maskBytes(p, f.mask, at)
		}
		if m.op == opText && !m.text.next(p) {
			return errText
		}
		m.n += n
		at += int64(n)
	}
	if f.fin && !m.text.whole() {
		return errText
	}
	if f.fin {
		return r.forward(m, to, true)
	}
	return nil
}

func (r *relay) forward(m *message, to *wire, fin bool) error {
	if !to.browser {
		if err := r.x.c.ch.Hold(); err != nil {
			return err
		}
	}
	return r.passMessage(m, to, fin)
}

// control passes a control frame. done: it was a close frame.
func (r *relay) control(f frame, from, to *wire) (done bool, err error) {
	var b [frameHead + maxControl]byte
	p := b[frameHead : frameHead+int(f.length)]
	if _, err := io.ReadFull(from.r, p); err != nil {
		return false, err
	}
	if f.masked {
		maskBytes(p, f.mask, 0)
	}
	if f.op == opClose {
		if err := checkClose(p); err != nil {
			return false, err
		}
	}
	if !to.browser {
		if err := r.x.c.ch.Hold(); err != nil {
			return false, err
		}
	}
	if len(p) > 0 {
		r.x.c.scrub.Mask(p)
		rec := gateway.HTTPRecord{Part: gateway.HTTPMessage, N: r.x.n, Client: from.browser, Opcode: f.op, Shown: &gateway.HTTPBody{Bytes: f.length, Kept: f.length, SHA256: gateway.DigestOf(p)}}
		if err := r.x.c.ch.Exchange(rec, p); err != nil {
			return false, err
		}
	}
	if f.op != opClose {
		return false, to.write(putFrame(b[:], len(p), f.op, true, !to.browser))
	}
	to.close(p, closeWait)
	return true, nil
}

// frames are buffers for messages under way.
type frames struct{ pool sync.Pool }

func (f *frames) get() *[frameHead + messageHeld]byte {
	if p, ok := f.pool.Get().(*[frameHead + messageHeld]byte); ok {
		return p
	}
	return new([frameHead + messageHeld]byte)
}

func (f *frames) put(p *[frameHead + messageHeld]byte) { f.pool.Put(p) }
