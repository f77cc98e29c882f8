package sshproxy_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/sshproxy"
	"github.com/portcullis/portcullis/gateway/statement"
)

// held starts the stock client in a way that cannot ask, and waits until it
// is held.
func (w *world) held(stdin io.Reader, args ...string) (cmd *exec.Cmd, out, errs *screen, wt *waiting) {
	w.t.Helper()
	cmd = w.ssh(append([]string{"-o", "BatchMode=yes"}, args...)...)
	cmd.Args = insertHost(cmd.Args)
	out, errs = newScreen(), newScreen()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, out, errs
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	wt = w.waits()
	errs.wait(w.t, "portcullis: waiting for your touch to open root on pump-7 (until ")
	return cmd, out, errs, wt
}

func (w *world) waits() *waiting {
	w.t.Helper()
	select {
	case wt := <-w.id.waiting:
		return wt
	case <-time.After(patience):
		w.t.Fatal("nothing waits for a touch")
		return nil
	}
}

func (w *world) touches(wt *waiting) {
	wt.touched <- touched{s: w.touch(statement.BindSSH, wt.TransportID)}
}

// quietTarget fails the test when anything reaches the target.
func (w *world) untouched() {
	w.t.Helper()
	select {
	case <-w.opened:
		w.t.Error("a session was opened before the touch")
	default:
	}
}

// A client that cannot ask is held with the link on its stderr; the touch
// lets what it piped in through, and nothing of the wait is in its output.
func TestHeldThenTouched(t *testing.T) {
	for _, flags := range [][]string{nil, {"-q"}, {"-o", "LogLevel=ERROR"}} {
		w := newWorld(t)
		w.acc.noTicket = true
		w.sshd()
		in := strings.Repeat("line\n", 100_000)
		cmd, out, errs, wt := w.held(strings.NewReader(in), append(flags, "-T", "cat; exit 7")...)
		for _, want := range []string{"http://localhost:8080/touch/abc123", "K7-4Q2", w.acc.to.UTC().Format("15:04 UTC")} {
			errs.wait(t, want)
		}
		if strings.Contains(errs.String(), "the code K7-4Q2; Ctrl-C gives up.\r") {
			t.Error("a carriage return where there is no terminal")
		}
		if len(flags) == 0 && !strings.Contains(errs.String(), "Touch your security key to open root on pump-7") {
			t.Errorf("no banner: %q", errs.String())
		}
		w.untouched()
		w.touches(wt)
		if code := exitCode(cmd.Wait()); code != 7 || out.String() != in {
			t.Errorf("exit %d, %d of %d bytes, stderr %q", code, len(out.String()), len(in), errs.String())
		}
		<-wt.closed
		if got := w.recorded(w.lastLive()); got != in {
			t.Errorf("recorded %d bytes", len(got))
		}
	}
}

// A held terminal starts as if nothing had been: size, type, language and
// what was typed ahead reach it.
func TestHeldTerminal(t *testing.T) {
	w := newWorld(t)
	w.acc.noTicket = true
	w.sshd()
	s, in, out := w.heldShell(t)
	wt := w.waits()
	out.wait(t, "Ctrl-C gives up.\r\n")
	if err := s.WindowChange(44, 111); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(in, "echo [$TERM $LC_NAME]; stty size\n")
	w.untouched()
	w.touches(wt)
	out.wait(t, "[vt220 C.UTF-8]")
	out.wait(t, "44 111")
	fmt.Fprint(in, "exit 5\n")
	var status interface{ ExitStatus() int }
	if err := s.Wait(); !errors.As(err, &status) || status.ExitStatus() != 5 {
		t.Errorf("exit: %v", err)
	}
}

func (w *world) heldShell(t *testing.T) (*ssh.Session, io.Writer, *screen) {
	t.Helper()
	s, err := w.mustClient().NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Setenv("LC_NAME", "C.UTF-8"); err != nil {
		t.Fatal(err)
	}
	if err := s.Setenv("LD_PRELOAD", "x"); err == nil {
		t.Error("env was taken that is not allowed")
	}
	if err := s.RequestPty("vt220", 24, 80, nil); err != nil {
		t.Fatal(err)
	}
	in, _ := s.StdinPipe()
	out := newScreen()
	s.Stdout, s.Stderr = out, out
	if err := s.Shell(); err != nil {
		t.Fatal(err)
	}
	return s, in, out
}

// Ctrl-C in a held shell ends its wait, and the connection with it.
func TestHeldGivesUp(t *testing.T) {
	w := newWorld(t)
	w.acc.noTicket = true
	s, in, out := w.heldShell(t)
	wt := w.waits()
	out.wait(t, "gives up")
	fmt.Fprint(in, "\x03")
	var status interface{ ExitStatus() int }
	if err := s.Wait(); !errors.As(err, &status) || status.ExitStatus() != 255 {
		t.Errorf("exit: %v", err)
	}
	out.wait(t, "given up before the touch; nothing was opened")
	<-wt.closed
	w.untouched()
}

// S-47: a wait that ends without a touch says why.
//
// What ends a hold is said on the held channel.
func TestHeldEndsWithItsSentence(t *testing.T) {
	for _, tc := range []struct {
		name, want string
		end        func(*world, *waiting)
	}{
		{"refused on the page", "this is not you", func(_ *world, wt *waiting) {
			wt.touched <- touched{err: gateway.Refused("touch", "connect again if it was you", "you said on the page that this is not you")}
		}},
		{"window over", "the window is over", func(w *world, _ *waiting) {
			w.acc.mu.Lock()
			defer w.acc.mu.Unlock()
			w.acc.usable = gateway.Refused("window", "ask anew", "the window is over")
		}},
		{"suspended", "suspended by the operator", func(w *world, _ *waiting) {
			w.id.mu.Lock()
			defer w.id.mu.Unlock()
			w.id.owner = func(ssh.PublicKey) error {
				return &gateway.Error{Code: gateway.CodeRefused, Rule: "suspended", Text: "access was suspended by the operator"}
			}
		}},
		{"suspended at the touch", "suspended by the operator", func(w *world, wt *waiting) {
			w.store.mu.Lock()
			w.store.closed = true
			w.store.mu.Unlock()
			w.touches(wt)
		}},
		{"touch of another connection", "bound to another connection", func(w *world, wt *waiting) {
			wt.touched <- touched{s: w.touch(statement.BindSSH, strings.Repeat("ab", 32))}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.acc.noTicket = true
			cmd, out, errs, wt := w.held(nil, "-T", "id")
			tc.end(w, wt)
			if code := exitCode(cmd.Wait()); code != 255 || out.String() != "" || strings.Count(errs.String(), tc.want) != 1 {
				t.Errorf("exit %d, stdout %q, stderr %q", code, out.String(), errs.String())
			}
			<-wt.closed
			w.untouched()
			if !w.store.has(audit.SessionRefused, audit.Refused, tc.want) {
				t.Error("no event")
			}
		})
	}
}

func TestHeldTooLong(t *testing.T) {
	w := newWorld(t, func(c *sshproxy.Config) { c.TouchTime = 500 * time.Millisecond })
	w.acc.noTicket = true
	cmd, _, errs, _ := w.held(nil, "-T", "id")
	if code := exitCode(cmd.Wait()); code != 255 || !strings.Contains(errs.String(), "nobody touched within 500ms") {
		t.Errorf("exit %d, stderr %q", code, errs.String())
	}
}

// S-47: a client that leaves while it is held is noticed.
//
// A held client that is killed waits for nothing any more.
func TestHeldClientVanishes(t *testing.T) {
	w := newWorld(t)
	w.acc.noTicket = true
	cmd, _, _, wt := w.held(nil, "-T", "id")
	gone := time.Now()
	_ = cmd.Process.Kill()
	select {
	case <-wt.closed:
	case <-time.After(patience):
		t.Fatal("it still waits")
	}
	if d := time.Since(gone); d > 2*time.Second {
		t.Errorf("noticed after %v", d)
	}
}

// S-23, S-47: the channels of a master that waits are held one by one.
//
// All channels of a connection wait for one touch, and each shows the link.
// What may not be opened is refused once there is a session to refuse it.
func TestHeldMaster(t *testing.T) {
	w := newWorld(t)
	w.acc.noTicket = true
	w.sshd()
	mux := filepath.Join(w.dir, "mux")
	master, out, _, wt := w.held(nil, "-T", "-M", "-S", mux, "echo first; cat")
	in := []string{"-S", mux, "-T", "echo second"}
	second := w.ssh(in...)
	second.Args = insertHost(second.Args)
	out2, errs2 := newScreen(), newScreen()
	second.Stdout, second.Stderr = out2, errs2
	if err := second.Start(); err != nil {
		t.Fatal(err)
	}
	errs2.wait(t, "/touch/abc123 shows the code K7-4Q2")
	w.untouched()
	w.touches(wt)
	if err := second.Wait(); err != nil || out2.String() != "second\n" {
		t.Errorf("%v, %q %q", err, out2.String(), errs2.String())
	}
	if err := master.Wait(); err != nil || out.String() != "first\n" {
		t.Errorf("%v, %q", err, out.String())
	}
	if len(w.id.waiting) != 0 {
		t.Error("it waited a second time")
	}
}

// S-23: a master that was left open opens nothing after the end.
//
// A master that is left open opens nothing after the window or a suspension.
func TestMasterAfterTheEnd(t *testing.T) {
	for _, reason := range []gateway.EndReason{gateway.EndWindow, gateway.EndSuspended} {
		t.Run(string(reason), func(t *testing.T) {
			w := newWorld(t)
			w.sshd()
			mux := filepath.Join(w.dir, "mux")
			master := w.ssh("-T", "-M", "-S", mux, "echo up; sleep 60")
			master.Args = insertHost(master.Args)
			out := newScreen()
			master.Stdout = out
			if err := master.Start(); err != nil {
				t.Fatal(err)
			}
			out.wait(t, "up")
			w.acc.mu.Lock()
			w.acc.usable = gateway.Refused("over", "ask anew", "it is over")
			w.acc.mu.Unlock()
			l := w.lastLive()
			w.m.EndAll(func(gateway.Session) bool { return true }, &gateway.Ended{Reason: reason})
			if code := exitCode(master.Wait()); code != 255 {
				t.Errorf("the master ended with %d", code)
			}
			w.done(l)
			got, said, code := w.run(nil, "-S", mux, "-o", "ControlMaster=no", "-T", "echo again")
			if got != "" || code != 255 || !strings.Contains(said, "it is over") {
				t.Errorf("second channel: %d, %q, %q", code, got, said)
			}
		})
	}
}

// S-47, V-15: a forward waits for the touch like all else.
//
// Channels that are not sessions hold their answer, and are refused by the
// session; the held command goes on.
func TestHeldForward(t *testing.T) {
	w := newWorld(t)
	w.acc.noTicket = true
	w.fake(signer(t), exits(0))
	c := w.mustClient()
	wt := w.waits()
	refused := make(chan error, 1)
	go func() {
		_, err := c.Dial("tcp", "127.0.0.1:22")
		refused <- err
	}()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	s.Stderr = &said
	if err := s.Start("id"); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-refused:
		t.Errorf("answered before the touch: %v", err)
	default:
	}
	w.touches(wt)
	if err := <-refused; err == nil || !strings.Contains(err.Error(), "no forward to 127.0.0.1:22") {
		t.Errorf("forward: %v", err)
	}
	if err := s.Wait(); err != nil {
		t.Errorf("command: %v, %q", err, said.String())
	}
}

// Whoever wants to be asked before its keys is asked, by the stock client too.
func TestAskedWhoAsksFirst(t *testing.T) {
	w := newWorld(t)
	w.acc.noTicket = true
	w.sshd()
	cmd := w.ssh("-o", "PreferredAuthentications=keyboard-interactive,publickey", "-T", "echo in")
	cmd.Args = insertHost(cmd.Args)
	out, errs := newScreen(), newScreen()
	cmd.Stdout, cmd.Stderr = out, errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	wt := w.waits()
	errs.wait(t, "/touch/abc123")
	w.touches(wt)
	if err := cmd.Wait(); err != nil || out.String() != "in\n" || strings.Contains(errs.String(), "waiting for your touch") || strings.Contains(errs.String(), "enrolled") {
		t.Errorf("%v, %q, %q", err, out.String(), errs.String())
	}
}

// A client without any key is told what it lacks.
func TestNoKeyAtAll(t *testing.T) {
	w := newWorld(t)
	var told string
	c, err := ssh.Dial("tcp", w.addr, &ssh.ClientConfig{User: "pump-7", HostKeyCallback: ssh.FixedHostKey(w.host), Auth: []ssh.AuthMethod{
		ssh.KeyboardInteractive(func(_, text string, _ []string, _ []bool) ([]string, error) { told += text; return nil, nil }),
	}})
	if err == nil {
		_ = c.Close()
	}
	if err == nil || !strings.Contains(told, "add one at http://localhost:8080/keys") {
		t.Errorf("%v, told %q", err, told)
	}
}
