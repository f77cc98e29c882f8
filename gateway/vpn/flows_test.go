package vpn

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// N-01: a handshake with a granted key, and a flow through it: recorded before
// its first byte, told with its exact account at its end.
func TestFlowThroughTunnel(t *testing.T) {
	w := newWorld(t)
	w.put("tcp", plc4+":502", w.echoTCP())
	c := w.open().connect()
	conn, err := c.dial("tcp", plc4+":502")
	check(t, err)
	sent := bytes.Repeat([]byte("engineer "), 1<<17) // 1.1 MiB
	go func() {
		_, _ = conn.Write(sent)
		_ = conn.(interface{ CloseWrite() error }).CloseWrite()
	}()
	got, err := io.ReadAll(conn)
	check(t, err)
	conn.Close()
	if sha256.Sum256(got) != sha256.Sum256(sent) {
		t.Fatalf("%d bytes came back of %d, or others", len(got), len(sent))
	}
	eventually(t, "the flow's end is told", func() bool { l := c.live.ch.last(); return len(l) == 1 && l[0].Ended })
	f := c.live.ch.last()[0]
	if f.Verdict != gateway.FlowOpen || f.EndedBy != gateway.FlowByClient || f.BytesIn != int64(len(sent)) || f.BytesOut != int64(len(sent)) || f.Name != "plc7.plant" || f.To.String() != plc4+":502" || f.From.Addr() != c.tun.Address4 {
		t.Errorf("record %+v", f)
	}
	if in, out := c.live.ch.in.Load(), c.live.ch.out.Load(); in != int64(len(sent)) || out != in {
		t.Errorf("carried %d in, %d out", in, out)
	}
	s, ok := w.g.State(c.tun.Session)
	if !ok || s.Handshake.IsZero() || s.Endpoint == "" || s.BytesIn != int64(len(sent)) || s.Ended != nil {
		t.Errorf("state %+v", s)
	}
	if c.live.up != 1 {
		t.Errorf("up was said %d times", c.live.up)
	}
}

func TestUDPAndIPv6(t *testing.T) {
	w := newWorld(t)
	w.put("udp", plc4+":161", w.echoUDP())
	w.put("udp", "["+plc6+"]:161", w.echoUDP())
	w.put("tcp", "["+plc6+"]:502", w.echoTCP())
	c := w.open().connect()
	for _, x := range []struct{ network, addr string }{{"udp", plc4 + ":161"}, {"udp", "[" + plc6 + "]:161"}, {"tcp", "[" + plc6 + "]:502"}} {
		conn, err := c.dial(x.network, x.addr)
		check(t, err)
		for _, size := range []int{1, 1000, 3000} { // the last is cut to fragments, both ways
			check(t, conn.SetDeadline(time.Now().Add(5*time.Second)))
			_, err = conn.Write(bytes.Repeat([]byte{7}, size))
			check(t, err)
			b := make([]byte, 4000)
			n, err := io.ReadFull(conn, b[:size])
			if err != nil || n != size {
				t.Fatalf("%s %s: %d bytes of %d: %v", x.network, x.addr, n, size, err)
			}
		}
		conn.Close()
	}
}

// A target that refuses is a refusal to the client, and not a connection that
// ends at once: it was dialled before the handshake inside was completed.
func TestDeadTargetRefuses(t *testing.T) {
	w := newWorld(t)
	c := w.open().connect()
	if _, err := c.dial("tcp", plc4+":502"); err == nil {
		t.Fatal("a connection to a target that is not there")
	}
	f := c.live.ch.last()[0]
	if f.Verdict != gateway.FlowFailed || f.Why == "" || !f.Ended {
		t.Errorf("record %+v", f)
	}
}

// N-21, P3: what cannot be recorded does not pass, and no target is dialled.
func TestNothingUnrecordedPasses(t *testing.T) {
	w := newWorld(t)
	reached := make(chan struct{}, 8)
	w.put("tcp", plc4+":502", w.serveTCP(func(netConn) { reached <- struct{}{} }))
	c := w.open().connect()
	c.live.ch.mu.Lock()
	c.live.ch.fail = errNobody
	c.live.ch.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	if _, err := c.net.DialContext(ctx, "tcp", plc4+":502"); err == nil {
		t.Fatal("a connection that was not recorded")
	}
	select {
	case <-reached:
		t.Fatal("the target was dialled")
	default:
	}
}

// The target speaks first; the engineer reads to the end after closing his
// own half.
func TestHalfClose(t *testing.T) {
	w := newWorld(t)
	w.put("tcp", plc4+":502", w.serveTCP(func(c netConn) {
		b, _ := io.ReadAll(c)
		_, _ = c.Write(bytes.Repeat(b, 1000))
	}))
	c := w.open().connect()
	conn, err := c.dial("tcp", plc4+":502")
	check(t, err)
	_, err = conn.Write([]byte("query"))
	check(t, err)
	check(t, conn.(interface{ CloseWrite() error }).CloseWrite())
	b, err := io.ReadAll(conn)
	if err != nil || len(b) != 5000 {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	conn.Close()
}
