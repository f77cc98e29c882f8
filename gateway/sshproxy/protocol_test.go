package sshproxy_test

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
)

// A channel is one of these for a fake target: told is what it was asked for.
type asked struct {
	kind    string
	want    bool
	payload []byte
}

// answering runs f as the command of every channel, with its words, and exits
// with 0. What is asked for beside it goes to told, and is granted.
func answering(told chan<- asked, f func(command string, ch ssh.Channel)) func(*ssh.ServerConn, ssh.Channel, <-chan *ssh.Request) {
	return func(_ *ssh.ServerConn, ch ssh.Channel, reqs <-chan *ssh.Request) {
		var running sync.WaitGroup
		defer running.Wait()
		for r := range reqs {
			_ = r.Reply(true, nil)
			var m struct{ Command string }
			switch {
			case r.Type == "exec" && ssh.Unmarshal(r.Payload, &m) == nil:
				running.Go(func() {
					f(m.Command, ch)
					_, _ = ch.SendRequest("exit-status", false, make([]byte, 4))
					_ = ch.Close()
				})
			case told != nil:
				told <- asked{r.Type, r.WantReply, r.Payload}
			}
		}
	}
}

// S-42: what the target says before it lets anybody in is shown once, as text
// that no terminal obeys and nobody takes for ours, and stands in the recording.
func TestTargetBannerIsShownAsText(t *testing.T) {
	w := newWorld(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	text := "Für Befugte only\r\n\x1b]0;owned\a\x1b[2Jportcullis: all is well.\r\n\u202etxet\n" + strings.Repeat("x", 64<<10)
	w.fakeOn(l, signer(t), answering(nil, func(_ string, ch ssh.Channel) { _, _ = io.WriteString(ch, "out\n") }), func(c *ssh.ServerConfig) {
		c.BannerCallback = func(ssh.ConnMetadata) string { return text }
	})
	c := w.mustClient()
	var out, errs bytes.Buffer
	run := func() {
		out.Reset()
		errs.Reset()
		s, err := c.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		s.Stdout, s.Stderr = &out, &errs
		if err := s.Run("true"); err != nil || out.String() != "out\n" {
			t.Errorf("stdout %q, %v", out.String(), err)
		}
	}
	run()
	want := "target: Für Befugte only\r\ntarget: ?]0;owned??[2Jportcullis: all is well.\r\ntarget: ?txet\r\ntarget: xxx"
	if got := errs.String(); !strings.HasPrefix(got, want) || len(got) > 5<<10 {
		t.Errorf("shown %.200q, %d bytes", got, len(got))
	}
	run()
	if errs.Len() > 0 {
		t.Errorf("shown again: %.200q", errs.String())
	}
	live := w.lastLive()
	_ = c.Close()
	w.done(live)
	index, err := w.vault.Index(t.Context(), live.ID())
	if err != nil || len(index.Notes) == 0 || !strings.Contains(index.Notes[0].Text, "target: Für Befugte only") {
		t.Errorf("notes %.200v, %v", index.Notes, err)
	}
}

// S-07: stderr is a stream of its own, in order, and data of a type that the
// RFC does not know (4254 clause 5.2) reaches neither the client nor the
// recording, and holds up nothing.
func TestExtendedData(t *testing.T) {
	w := newWorld(t)
	const lines = 2000
	w.fake(signer(t), answering(nil, func(_ string, ch ssh.Channel) {
		odd := ch.(interface {
			Extended(code uint32) io.ReadWriter
		}).Extended(7)
		for i := range lines {
			_, _ = fmt.Fprintf(ch, "out %d\n", i)
			_, _ = fmt.Fprintf(ch.Stderr(), "err %d\n", i)
			_, _ = fmt.Fprintf(odd, "odd %d\n", i)
		}
	}))
	var out, errs, wantOut, wantErrs bytes.Buffer
	for i := range lines {
		_, _ = fmt.Fprintf(&wantOut, "out %d\n", i)
		_, _ = fmt.Fprintf(&wantErrs, "err %d\n", i)
	}
	s, err := w.mustClient().NewSession()
	if err != nil {
		t.Fatal(err)
	}
	s.Stdout, s.Stderr = &out, &errs
	if err := s.Run("both"); err != nil {
		t.Error(err)
	}
	if !bytes.Equal(out.Bytes(), wantOut.Bytes()) || !bytes.Equal(errs.Bytes(), wantErrs.Bytes()) {
		t.Errorf("%d bytes of stdout and %d of stderr, of %d and %d, or others", out.Len(), errs.Len(), wantOut.Len(), wantErrs.Len())
	}
	if got := w.recorded(w.lastLive()); got != wantOut.String() {
		t.Errorf("%d bytes of stdout are recorded, of %d, or others", len(got), wantOut.Len())
	}
}

// S-08: a command that says nothing ends like any other, on both streams.
func TestCommandThatSaysNothing(t *testing.T) {
	w := newWorld(t)
	w.sshd()
	for range 5 {
		if out, errs, code := w.run(nil, "-T", "true"); out != "" || errs != "" || code != 0 {
			t.Errorf("stdout %q, stderr %q, exit %d", out, errs, code)
		}
		w.done(w.lastLive())
	}
}

// S-12: a break (RFC 4335) arrives with its length, and its answer comes back.
func TestBreak(t *testing.T) {
	w := newWorld(t)
	told := make(chan asked, 16)
	ends := make(chan struct{})
	w.fake(signer(t), answering(told, func(string, ssh.Channel) { <-ends }))
	defer close(ends)
	s, err := w.mustClient().NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start("wait"); err != nil {
		t.Fatal(err)
	}
	length := binary.BigEndian.AppendUint32(nil, 750)
	if ok, err := s.SendRequest("break", true, length); !ok || err != nil {
		t.Errorf("answered %v, %v", ok, err)
	}
	select {
	case r := <-told:
		if r.kind != "break" || !bytes.Equal(r.payload, length) {
			t.Errorf("the target was asked for %+v", r)
		}
	case <-time.After(patience):
		t.Error("no break at the target")
	}
}

// S-33, R-29: a channel whose reader has stopped uses up its window and holds
// nothing else up: not the other nine, not the keepalives, not the end.
func TestOneChannelWithoutWindow(t *testing.T) {
	const size = 4 << 20
	w := newWorld(t)
	content := make([]byte, size)
	_, _ = rand.Read(content)
	w.fake(signer(t), answering(nil, func(command string, ch ssh.Channel) {
		for {
			if _, err := ch.Write(content); err != nil || command != "flood" {
				return
			}
		}
	}))
	c := w.mustClient()
	flood, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := flood.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := flood.Start("flood"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(stdout, make([]byte, 1<<20)); err != nil { // and no more
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 9 {
		wg.Go(func() {
			s, err := c.NewSession()
			if err != nil {
				t.Error(err)
				return
			}
			if got, err := s.Output("once"); err != nil || !bytes.Equal(got, content) {
				t.Errorf("%d of %d bytes, %v", len(got), size, err)
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("the others stand still")
	}
	answered := make(chan error, 1)
	go func() { _, _, err := c.SendRequest("keepalive@openssh.com", true, nil); answered <- err }()
	select {
	case err := <-answered:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Error("no answer to a keepalive")
	}
	l := w.lastLive()
	begun := time.Now()
	if err := w.m.End(t.Context(), l.ID(), "staff/olga", "enough"); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took > time.Second {
		t.Errorf("ended after %s", took)
	}
	if e := w.done(l); e.Reason != gateway.EndByStaff {
		t.Errorf("ended by %v", e)
	}
}

// 32 MiB each way while both ends ask for new keys every MiB, on either leg.
func TestNewKeysUnderLoad(t *testing.T) {
	const (
		size = 32 << 20
		keys = 10 // exchanges at least that are seen on each leg; each MiB brings one, if the last is over
	)
	w := newWorld(t)
	log := w.sshd("RekeyLimit 1M", "LogLevel DEBUG1")
	in := make([]byte, size)
	_, _ = rand.Read(in)
	out, errs, code := w.run(bytes.NewReader(in), "-v", "-T", "-o", "RekeyLimit=1M", "cat")
	if code != 0 || !bytes.Equal([]byte(out), in) {
		t.Fatalf("exit %d, %d of %d bytes, or others; stderr %.500q", code, len(out), size, errs)
	}
	const sent = "SSH2_MSG_NEWKEYS received"
	if n := strings.Count(errs, sent); n < keys {
		t.Errorf("new keys %d times with the client", n)
	}
	if n := strings.Count(log.String(), sent); n < keys {
		t.Errorf("new keys %d times with the target", n)
	}
	l := w.lastLive()
	w.done(l)
	if got := w.recorded(l); got != string(in) {
		t.Errorf("the recording holds %d bytes, or others", len(got))
	}
}
