package sshproxy_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/sshproxy"
)

// S-01: each exit status that there is comes through as it is.
func TestEveryExitStatus(t *testing.T) {
	w := newWorld(t)
	w.fake(signer(t), echoes)
	c := w.mustClient()
	for status := range 256 {
		s, err := c.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		out, err := s.Output(fmt.Sprint(status))
		if string(out) != fmt.Sprint(status) {
			t.Errorf("exit %d: said %q", status, out)
		}
		var exit *ssh.ExitError
		if status == 0 && err != nil || status > 0 && (!errors.As(err, &exit) || exit.ExitStatus() != status) {
			t.Errorf("exit %d: %v", status, err)
		}
	}
}

// echoes is a target that says a command back and exits with the number that
// it ends in.
func echoes(_ *ssh.ServerConn, ch ssh.Channel, reqs <-chan *ssh.Request) {
	for r := range reqs {
		_ = r.Reply(true, nil)
		if r.Type != "exec" {
			continue
		}
		var m struct{ Command string }
		_ = ssh.Unmarshal(r.Payload, &m)
		_, _ = io.WriteString(ch, m.Command)
		number, _ := strconv.Atoi(m.Command[strings.LastIndexByte(m.Command, ' ')+1:])
		_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ N uint32 }{uint32(number)}))
		_ = ch.Close()
	}
}

// requested is what a target was asked for on one channel.
type requested struct {
	kind    string
	payload []byte
}

// notes has a target that says yes to everything and notes it.
func (w *world) notes() <-chan requested {
	asked := make(chan requested, 1<<14)
	w.fake(signer(w.t), func(_ *ssh.ServerConn, ch ssh.Channel, reqs <-chan *ssh.Request) {
		for r := range reqs {
			asked <- requested{r.Type, r.Payload}
			_ = r.Reply(true, nil)
		}
		_ = ch.Close()
	})
	return asked
}

type ptyRequest struct {
	Term       string
	C, R, W, H uint32
	Modes      string
}

// S-09: a terminal's name, its size in columns, rows and pixels and its modes
// reach the target to the byte, and the recording has the size; a name with
// control characters in it is refused, and no second terminal on a channel.
func TestTerminalRequestToTheByte(t *testing.T) {
	w := newWorld(t)
	asked := w.notes()
	ch, reqs, err := w.mustClient().OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	go ssh.DiscardRequests(reqs)
	modes := "\x01\x00\x00\x00\x03\x35\x00\x00\x00\x01\x80\x00\x00\x96\x00\x81\x00\x00\x96\x00\x00"
	for _, term := range []string{"xterm\x1b]0;x\a", "vt100\n", "vt\x00100", "vt\xff", strings.Repeat("x", 65)} {
		if ok, err := ch.SendRequest("pty-req", true, ssh.Marshal(ptyRequest{term, 80, 24, 0, 0, modes})); ok || err != nil {
			t.Errorf("%q: %t, %v", term, ok, err)
		}
	}
	want := ssh.Marshal(ptyRequest{"xterm-256color", 101, 41, 1010, 820, modes})
	if ok, err := ch.SendRequest("pty-req", true, want); !ok || err != nil {
		t.Fatalf("%t, %v", ok, err)
	}
	if ok, _ := ch.SendRequest("pty-req", true, want); ok {
		t.Error("a second terminal")
	}
	if ok, err := ch.SendRequest("shell", true, nil); !ok || err != nil {
		t.Fatalf("%t, %v", ok, err)
	}
	if got := <-asked; got.kind != "pty-req" || !bytes.Equal(got.payload, want) {
		t.Errorf("the target got %s %x", got.kind, got.payload)
	}
	if got := <-asked; got.kind != "shell" {
		t.Errorf("then %s", got.kind)
	}
	_ = ch.Close()
	l := w.lastLive()
	w.endsAtOnce(l)
	var cast bytes.Buffer
	if err := w.vault.Asciicast(&cast, l.ID(), 2); err != nil || !strings.Contains(cast.String(), `"width":101`) || !strings.Contains(cast.String(), `"height":41`) {
		t.Errorf("recorded %q, %v", cast.String(), err)
	}
}

// S-10: a storm of window changes, none and huge ones among them, reaches the
// target in order; the recording has few of them and the session lives.
func TestWindowChangeStorm(t *testing.T) {
	const storm = 5000
	w := newWorld(t)
	asked := w.notes()
	c := w.mustClient()
	ch, reqs, err := c.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	go ssh.DiscardRequests(reqs)
	if ok, err := ch.SendRequest("pty-req", true, ssh.Marshal(ptyRequest{"vt100", 80, 24, 0, 0, ""})); !ok || err != nil {
		t.Fatalf("%t, %v", ok, err)
	}
	if ok, err := ch.SendRequest("shell", true, nil); !ok || err != nil {
		t.Fatalf("%t, %v", ok, err)
	}
	<-asked
	<-asked
	begun := time.Now()
	type size struct{ C, R, W, H uint32 }
	sizes := []size{{0, 0, 0, 0}, {65535, 65535, 65535, 65535}, {0xFFFFFFFF, 0xFFFFFFFF, 0, 0xFFFFFFFF}, {80, 24, 640, 480}}
	for i := range storm {
		if _, err := ch.SendRequest("window-change", false, ssh.Marshal(sizes[i%len(sizes)])); err != nil {
			t.Fatal(err)
		}
	}
	for i := range storm {
		if got := <-asked; got.kind != "window-change" || !bytes.Equal(got.payload, ssh.Marshal(sizes[i%len(sizes)])) {
			t.Fatalf("change %d: the target got %s %x", i, got.kind, got.payload)
		}
	}
	if ok, err := ch.SendRequest("exec", true, ssh.Marshal(struct{ S string }{"x"})); ok || err != nil { // it is still read
		t.Errorf("%t, %v", ok, err)
	}
	_ = ch.Close()
	l := w.lastLive()
	w.endsAtOnce(l)
	if _, err := w.vault.Index(t.Context(), l.ID()); err != nil {
		t.Errorf("the recording: %v", err)
	}
	all := w.resizes(l)
	if most := 2 + int(time.Since(begun)/sshproxy.ResizeEvery); len(all) > most || len(all) == 0 {
		t.Errorf("%d of %d sizes are recorded, %d would do", len(all), storm, most)
	}
}

// S-13: of a thousand variables the few that may be are passed on, the rest is
// answered with a failure, and the session goes on.
func TestManyVariables(t *testing.T) {
	w := newWorld(t)
	asked := w.notes()
	s, err := w.mustClient().NewSession()
	if err != nil {
		t.Fatal(err)
	}
	passed := 0
	for i := range 1000 {
		name := fmt.Sprintf("LC_%d", i)
		if i%2 == 0 {
			name = fmt.Sprintf("LD_%d", i)
		}
		if s.Setenv(name, "x") == nil {
			passed++
			if got := <-asked; got.kind != "env" || !bytes.Contains(got.payload, []byte(name)) {
				t.Errorf("the target got %s %q", got.kind, got.payload)
			}
		}
	}
	if passed == 0 || passed > sshproxy.MaxEnv {
		t.Errorf("%d variables passed", passed)
	}
	if err := s.Start("x"); err != nil {
		t.Error(err)
	}
	if got := <-asked; got.kind != "exec" {
		t.Errorf("the target got %s", got.kind)
	}
}

// S-39: host keys that a target announces reach nobody, and ours are not
// proven on demand: what a client keeps of the gateway is the gateway's alone.
// S-30: a port is not opened on the target's side, not one of its choice
// either, and the taking back of one is answered too.
func TestGlobalRequestsAreAnswered(t *testing.T) {
	w := newWorld(t)
	w.fake(signer(t), exits(0))
	c := w.mustClient()
	for _, port := range []uint32{0, 22, 8080, 0xFFFFFFFF} {
		where := ssh.Marshal(struct {
			Host string
			Port uint32
		}{"", port})
		for _, name := range []string{"tcpip-forward", "cancel-tcpip-forward"} {
			if ok, reply, err := c.SendRequest(name, true, where); ok || len(reply) > 0 || err != nil {
				t.Errorf("%s %d: %t, %x, %v", name, port, ok, reply, err)
			}
		}
	}
	if ok, reply, err := c.SendRequest("hostkeys-prove-00@openssh.com", true, ssh.Marshal(struct{ K []byte }{w.host.Marshal()})); ok || len(reply) > 0 || err != nil {
		t.Errorf("%t, %x, %v", ok, reply, err)
	}
	if !w.store.hasDetail(audit.SessionChannel, "channel", "tcpip-forward") && !w.store.has(audit.SessionChannel, audit.Refused, "forwarding from the target") {
		t.Error("no event")
	}
}
