package sshproxy_test

import (
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// nothing is dialled before the recording has begun, and what the target
// says then is shown.
func TestNothingIsDialledBeforeTheRecording(t *testing.T) {
	w := newWorld(t)
	asked, let := make(chan struct{}), make(chan struct{})
	w.disk.slow = func() { close(asked); <-let }
	w.sshd()
	var dials atomic.Int32
	behind := w.target.Address
	w.target.Address = w.tcp(func(nc net.Conn) {
		dials.Add(1)
		far, err := net.Dial("tcp", behind)
		if err != nil {
			return
		}
		defer far.Close()
		go func() { _, _ = io.Copy(far, nc); _ = far.Close() }()
		_, _ = io.Copy(nc, far)
	}).String()
	out := newScreen()
	cmd := w.ssh("127.0.0.1", "echo said")
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-asked
	waits := time.NewTimer(500 * time.Millisecond)
	defer waits.Stop()
	<-waits.C
	if dials.Load() != 0 || out.String() != "" {
		t.Errorf("dialled %d times, shown %q", dials.Load(), out.String())
	}
	close(let)
	if err := cmd.Wait(); err != nil || out.String() != "said\n" || dials.Load() != 1 {
		t.Errorf("%v, dialled %d times, shown %q", err, dials.Load(), out.String())
	}
	l := w.lastLive()
	if e := w.done(l); e.Reason != gateway.EndClientLeft && e.Reason != gateway.EndTargetLeft {
		t.Errorf("ended: %v", e)
	}
	if got := w.recorded(l); got != "said\n" {
		t.Errorf("recorded %q", got)
	}
}
