package socket

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// pair is a connection over loopback.
func pair(t *testing.T) (ours, theirs *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s.(*net.TCPConn), c.(*net.TCPConn)
}

// fill writes until the kernel takes nothing more.
func fill(t *testing.T, c net.Conn) {
	t.Helper()
	for c.SetWriteDeadline(time.Now().Add(50*time.Millisecond)) == nil {
		if _, err := c.Write(make([]byte, 1<<20)); err != nil {
			break
		}
	}
	if err := c.SetWriteDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
}

func TestShut(t *testing.T) {
	ours, theirs := pair(t)
	if _, err := io.WriteString(ours, "last"); err != nil {
		t.Fatal(err)
	}
	Shut(ours)
	if got, err := io.ReadAll(theirs); err != nil || string(got) != "last" {
		t.Errorf("the other side read %q, %v", got, err)
	}
	if n, err := ours.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("our reader: %d, %v", n, err)
	}
}

// What a slow reader has not taken yet is lost to him, though a writer of ours
// is stuck meanwhile and our own reader waits.
func TestAbort(t *testing.T) {
	ours, theirs := pair(t)
	if !Takes(ours) {
		t.Error("a fresh socket takes nothing")
	}
	fill(t, ours)
	if Takes(ours) {
		t.Error("a full socket takes something")
	}
	ended := make(chan error, 2)
	go func() { _, err := ours.Write(make([]byte, 1<<20)); ended <- err }()
	go func() { _, err := ours.Read(make([]byte, 1)); ended <- err }()
	Abort(ours)
	for range 2 {
		if err := <-ended; err == nil {
			t.Error("a call ended without an error")
		}
	}
	if Takes(ours) {
		t.Error("a dead socket takes something")
	}
	if _, err := io.Copy(io.Discard, theirs); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the other side read to its end: %v", err)
	}
	if err := ours.Close(); err != nil {
		t.Error(err)
	}
}

// A glance at a socket says whether a read would wait.
func TestQuiet(t *testing.T) {
	ours, theirs := pair(t)
	if !Quiet(ours) {
		t.Error("a fresh socket has something to read")
	}
	for _, come := range []func(){
		func() { _, _ = io.WriteString(theirs, "x") },
		func() { _, _ = ours.Read(make([]byte, 1)); _ = theirs.Close() },
	} {
		come()
		for by := time.Now().Add(5 * time.Second); Quiet(ours); {
			if time.Now().After(by) {
				t.Fatal("what came is not seen")
			}
		}
	}
	Abort(ours)
	if Quiet(ours) {
		t.Error("a dead socket is quiet")
	}
}

// What is no socket is left alone.
func TestNoSocket(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	Shut(a)
	Abort(a)
	if Takes(a) {
		t.Error("a pipe takes something")
	}
	if Quiet(a) {
		t.Error("nobody can say that a pipe is quiet")
	}
}

func TestRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r Rest
		begun := time.Now()
		r.Wait()
		over := make(chan struct{})
		r.Set(over)
		time.AfterFunc(time.Millisecond, func() { close(over) })
		r.Wait()
		if d := time.Since(begun); d != time.Millisecond {
			t.Errorf("it rested for %s", d)
		}
		r.Set(make(chan struct{}))
		r.Wait()
		if d := time.Since(begun); d != time.Millisecond+restTime {
			t.Errorf("it rested for %s where nobody said so", d)
		}
	})
}
