package httpsproxy

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/httpsproxy/capture"
)

// wsCase is one case of Autobahn's list, numbered as there: what one side
// sends, and what has to come of it. Autobahn judges by an echo; here either
// side sends and the other one looks, so that each case is run on both legs.
type wsCase struct {
	number string
	send   []wsFrame
	chop   int      // bytes of one write; 0: all at once
	came   []string // what the other side sees before the end: see wsEvent
	closed uint16   // the code that the sender gets; 0: an empty close frame
	cut    bool     // the sender has broken the protocol
	offer  string   // the browser's Sec-WebSocket-Extensions
	stands int      // for so many cases of the list; 0: for one
}

// wsFrame is one frame as it is sent: its first byte, and its payload.
type wsFrame struct {
	first   byte
	payload string
	claims  uint64 // the length in its head, where that is not the payload's
}

// wsEvent is what a message or a control frame is told by: its kind, and its
// payload, or what stands for a long one.
func wsEvent(op byte, payload []byte) string {
	kind := map[byte]string{opText: "text", opBinary: "binary", opPing: "ping", opPong: "pong", opClose: "close"}[op]
	if len(payload) > 300 {
		return fmt.Sprintf("%s of %d bytes, %s", kind, len(payload), gateway.DigestOf(payload))
	}
	return fmt.Sprintf("%s %q", kind, payload)
}

// wire is the frame as bytes.
func (f wsFrame) wire(masked bool) []byte {
	n := max(uint64(len(f.payload)), f.claims)
	b := []byte{f.first}
	switch {
	case n <= 125:
		b = append(b, byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), n)
	}
	if !masked {
		return append(b, f.payload...)
	}
	mask := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	b[1] |= 0x80
	b = append(b, mask[:]...)
	for i := range len(f.payload) {
		b = append(b, f.payload[i]^mask[i&3])
	}
	return b
}

// wsReader reads frames as a peer does that trusts the gateway.
type wsReader struct {
	*bufio.Reader
	op   byte
	held []byte
}

// next is the next message or control frame, and whether its frames were
// masked.
func (r *wsReader) next() (op byte, payload []byte, masked bool, err error) {
	for {
		var h [8]byte
		if _, err := io.ReadFull(r, h[:2]); err != nil {
			return 0, nil, false, err
		}
		first, n := h[0], uint64(h[1]&0x7f)
		masked = h[1]&0x80 != 0
		if more := map[uint64]int{126: 2, 127: 8}[n]; more > 0 {
			if _, err := io.ReadFull(r, h[8-more:]); err != nil {
				return 0, nil, false, err
			}
			clear(h[:8-more])
			n = binary.BigEndian.Uint64(h[:])
		}
		var mask [4]byte
		if masked {
			if _, err := io.ReadFull(r, mask[:]); err != nil {
				return 0, nil, false, err
			}
		}
		p := make([]byte, n)
		if _, err := io.ReadFull(r, p); err != nil {
			return 0, nil, false, err
		}
		for i := range p {
			p[i] ^= mask[i&3]
		}
		if first&0x0f >= opClose {
			return first & 0x0f, p, masked, nil
		}
		if first&0x0f != opContinue {
			r.op = first & 0x0f
		}
		r.held = append(r.held, p...)
		if first&0x80 != 0 {
			p, r.held = r.held, nil
			return r.op, p, masked, nil
		}
	}
}

// wsTarget is a target whose WebSockets the test holds the far end of.
type wsTarget struct {
	conns chan net.Conn
	reply string // fields that its 101 has besides
	early string // what comes before its 101
}

func (w *wsTarget) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	c, _, err := http.NewResponseController(rw).Hijack()
	if err != nil {
		return
	}
	_, _ = io.WriteString(c, w.early+"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+w.reply+"Sec-WebSocket-Accept: "+acceptOf(r.Header.Get("Sec-Websocket-Key"))+"\r\n\r\n")
	if r.Header.Get("Sec-Websocket-Extensions") != "" {
		_ = c.Close() // nothing may be offered: the case fails at its first byte
	}
	w.conns <- c
}

// TestAutobahn runs Autobahn's cases on both legs. What is whole arrives byte
// by byte and stands in the recording; what breaks the protocol ends with the
// code for it, never passes, and the recording says whose fault it was.
func TestAutobahn(t *testing.T) {
	target := &wsTarget{conns: make(chan net.Conn, 1)}
	w := newWorld(t, target)
	w.enter()
	all := slices.Concat(wsFraming(), wsFragments(), wsTexts(), wsCloses(), wsLimits(), wsDeflate())
	count := map[string]int{}
	for _, x := range all {
		family, _, _ := strings.Cut(x.number, ".")
		count[family] += max(1, x.stands)
		for _, leg := range []string{"browser", "target"} {
			t.Run(x.number+" from the "+leg, func(t *testing.T) { x.run(t, w, target, leg == "browser") })
		}
	}
	if want := map[string]int{"1": 16, "2": 11, "3": 7, "4": 10, "5": 20, "6": 145, "7": 37, "9": 54, "10": 1, "12": 90, "13": 126}; !maps.Equal(count, want) {
		t.Errorf("cases of each family: %v, want %v", count, want)
	}
}

func (x wsCase) run(t *testing.T, w *world, target *wsTarget, fromBrowser bool) {
	before := len(w.live.ch.of(gateway.HTTPRequest))
	var offer []string
	if x.offer != "" {
		offer = []string{"Sec-WebSocket-Extensions: " + x.offer}
	}
	near := net.Conn(w.rawSocket(offer...))
	far := <-target.conns
	t.Cleanup(func() { _ = near.Close(); _ = far.Close() })
	check(t, far.SetDeadline(time.Now().Add(5*time.Second)))
	from, to := near, far
	if !fromBrowser {
		from, to = far, near
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		x.write(from, fromBrowser)
	}()
	got, code := x.watch(t, to, fromBrowser)
	if !slices.Equal(got, x.came) {
		t.Errorf("the other side saw\n%.400q\nwant\n%.400q", got, x.came)
	}
	if want := x.far(fromBrowser); code != want {
		t.Errorf("the other side was closed with %d, want %d", code, want)
	}
	if code := closeOf(t, &wsReader{Reader: bufio.NewReader(from)}); code != x.closed {
		t.Errorf("the sender was closed with %d, want %d", code, x.closed)
	}
	<-sent
	waitFor(t, func() bool { return len(w.live.ch.of(gateway.HTTPEnd)) == before+1 })
	x.recorded(t, w, uint32(before+1), fromBrowser)
}

// write sends the case's frames in its pieces.
func (x wsCase) write(c net.Conn, masked bool) {
	var all []byte
	for _, f := range x.send {
		all = append(all, f.wire(masked)...)
	}
	if x.chop == 0 {
		x.chop = max(1, len(all))
	}
	for p := range slices.Chunk(all, x.chop) {
		if _, err := c.Write(p); err != nil {
			return // the gateway has seen enough
		}
	}
}

// watch is what the other side sees until a close frame, which it answers.
func (x wsCase) watch(t *testing.T, c net.Conn, masked bool) (events []string, code uint16) {
	t.Helper()
	r := &wsReader{Reader: bufio.NewReader(c)}
	for {
		op, p, was, err := r.next()
		if err != nil {
			t.Fatalf("the other side lost its connection after %.300q: %v", events, err)
		}
		if was != masked {
			t.Errorf("frames are masked: %v", was)
		}
		if op != opClose {
			events = append(events, wsEvent(op, p))
			continue
		}
		_, _ = c.Write(wsFrame{0x80 | opClose, string(p), 0}.wire(!masked))
		if len(p) < 2 {
			return events, 0
		}
		return events, binary.BigEndian.Uint16(p)
	}
}

// far is the code that the other side gets.
func (x wsCase) far(fromBrowser bool) uint16 {
	switch {
	case !x.cut:
		return x.closed
	case fromBrowser:
		return closeAway
	}
	return closeGateway
}

// closeOf is the code that the sender's close is answered with.
func closeOf(t *testing.T, r *wsReader) uint16 {
	t.Helper()
	for {
		op, p, _, err := r.next()
		if err != nil {
			t.Fatalf("no close frame came: %v", err)
		}
		if op == opClose && len(p) >= 2 {
			return binary.BigEndian.Uint16(p)
		}
		if op == opClose {
			return 0
		}
	}
}

// recorded looks for the messages in the recording, and for the end's word.
func (x wsCase) recorded(t *testing.T, w *world, n uint32, fromBrowser bool) {
	t.Helper()
	var got []string
	for _, m := range w.live.ch.messages(n) {
		if m.client == fromBrowser {
			got = append(got, m.event)
		}
	}
	var want []string
	for _, e := range x.came {
		if e != `ping ""` && e != `pong ""` { // there is nothing to keep of them
			want = append(want, e)
		}
	}
	if !x.cut && x.closed != 0 {
		got = slices.DeleteFunc(got, func(s string) bool { return strings.HasPrefix(s, "close") })
	}
	if !slices.Equal(got, want) {
		t.Errorf("recorded\n%.400q\nwant\n%.400q", got, want)
	}
	ends := w.live.ch.of(gateway.HTTPEnd)
	cut := ends[len(ends)-1].Cut
	side := map[bool]string{true: "browser", false: "console"}[fromBrowser]
	if x.cut != strings.HasPrefix(cut, "the "+side+" broke the protocol") || !x.cut && cut != "" {
		t.Errorf("the end says %q", cut)
	}
}

// recordedMessage is one that stands in the recording.
type recordedMessage struct {
	client bool
	event  string
}

// messages puts an exchange's messages together from their pieces. Of one that
// is longer than what is kept, length and digest are held to the account.
func (c *fakeChannel) messages(n uint32) []recordedMessage {
	c.mu.Lock()
	defer c.mu.Unlock()
	var l []recordedMessage
	held, op := map[bool][]byte{}, map[bool]byte{}
	for i, r := range c.records {
		if r.N != n || r.Part != gateway.HTTPMessage {
			continue
		}
		if r.Opcode >= opClose {
			l = append(l, recordedMessage{r.Client, wsEvent(r.Opcode, c.bodies[i])})
			continue
		}
		if r.Opcode != opContinue {
			op[r.Client] = r.Opcode
		}
		held[r.Client] = append(held[r.Client], c.bodies[i]...)
		if r.Shown == nil {
			continue
		}
		event := wsEvent(op[r.Client], held[r.Client])
		if r.Shown.Bytes > capture.KeepBytes {
			event = fmt.Sprintf("%s of %d bytes, %s", strings.Fields(event)[0], r.Shown.Bytes, r.Shown.SHA256)
		} else if gateway.DigestOf(held[r.Client]) != r.Shown.SHA256 || !bytes.Equal(held[r.Client], held[r.Client][:r.Shown.Bytes]) {
			event = "a message whose account is of another one"
		}
		l = append(l, recordedMessage{r.Client, event})
		held[r.Client] = nil
	}
	return l
}
