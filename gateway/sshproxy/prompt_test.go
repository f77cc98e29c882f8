package sshproxy

import (
	"io"
	"net"
	"testing"
	"time"
)

// TestHandshakePacketsAreAcknowledgedAtOnce: a peer that lets Nagle's algorithm
// hold its second small packet until the first is acknowledged does not wait
// for the 40 ms that the kernel would take.
func TestHandshakePacketsAreAcknowledgedAtOnce(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	peer, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	if err := peer.(*net.TCPConn).SetNoDelay(false); err != nil {
		t.Fatal(err)
	}
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	w := newWire(nc, nil, "")
	best := time.Hour
	buf := make([]byte, 60)
	for range 10 { // other work on the machine may delay some
		began := time.Now()
		for _, n := range []int{16, 44} {
			if _, err := peer.Write(buf[:n]); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := io.ReadFull(w, buf); err != nil {
			t.Fatal(err)
		}
		best = min(best, time.Since(began))
		if _, err := w.Write(buf); err != nil { // a dialogue, which the kernel delays for
			t.Fatal(err)
		}
		if _, err := io.ReadFull(peer, buf); err != nil {
			t.Fatal(err)
		}
	}
	if best > 20*time.Millisecond {
		t.Errorf("the second packet came after %s at best", best)
	}
}
