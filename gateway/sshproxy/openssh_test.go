package sshproxy_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
)

// The stock client through the gateway to the stock server.

// S-01: the exit status comes through, and each stream stays its own.
func TestExecExitCodesAndStreams(t *testing.T) {
	w := newWorld(t)
	w.sshd()
	for _, code := range []int{0, 1, 42, 255} {
		cmd := w.ssh("-T", fmt.Sprintf("echo out; echo err >&2; exit %d", code))
		cmd.Args = insertHost(cmd.Args)
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		err := cmd.Run()
		if exitCode(err) != code || out.String() != "out\n" || errs.String() != "err\n" {
			t.Errorf("exit %d: got %d, stdout %q, stderr %q", code, exitCode(err), out.String(), errs.String())
		}
		l := w.lastLive()
		if e := w.done(l); e.Reason != gateway.EndClientLeft {
			t.Errorf("cause %v", e)
		}
		if got := w.recorded(l); got != "out\n" {
			t.Errorf("recorded %q", got)
		}
	}
}

// insertHost puts the host before the command, after the options.
func insertHost(args []string) []string {
	last := len(args) - 1
	return append(args[:last:last], "127.0.0.1", args[last])
}

func (w *world) run(stdin io.Reader, args ...string) (stdout, stderr string, code int) {
	w.t.Helper()
	cmd := w.ssh(args...)
	cmd.Args = insertHost(cmd.Args)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, &errs
	err := cmd.Run()
	return out.String(), errs.String(), exitCode(err)
}

// S-03: no channel is closed before both of its streams are drained.
//
// 3 MB, or some packets, written in the last breath of a command arrive whole,
// each time.
func TestNothingLostAtExit(t *testing.T) {
	const size, small = 3 << 20, 70_000 // more than a channel's window, more than one packet
	w := newWorld(t)
	w.sshd()
	for _, tc := range []struct{ name, flag, command string }{
		{"without a pty", "-T", "head -c %d /dev/zero | tr '\\0' x; exit 7"},
		{"with a pty", "-tt", "stty raw; head -c %d /dev/zero | tr '\\0' x; exit 7"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for i := range 5 { // the stock client, a connection each
				out, errs, code := w.run(nil, tc.flag, fmt.Sprintf(tc.command, size))
				if n := strings.Count(out, "x"); n != size || code != 7 {
					t.Fatalf("round %d: %d of %d bytes, exit %d, stderr %q", i, n, size, code, errs)
				}
				w.lastLive()
			}
			c := w.mustClient()
			for i := range 50 { // one connection, a channel each
				size := size
				if i%10 > 0 {
					size = small
				}
				s, err := c.NewSession()
				if err != nil {
					t.Fatal(err)
				}
				if tc.flag == "-tt" {
					if err := s.RequestPty("vt100", 24, 80, nil); err != nil {
						t.Fatal(err)
					}
				}
				out, err := s.Output(fmt.Sprintf(tc.command, size))
				var status interface{ ExitStatus() int }
				if n := bytes.Count(out, []byte("x")); n != size || !errors.As(err, &status) || status.ExitStatus() != 7 {
					t.Fatalf("round %d: %d of %d bytes, %v", i, n, size, err)
				}
			}
			w.lastLive()
		})
	}
}

// S-36: both directions of one channel at once, byte for byte.
func TestBigUploadAndDownloadAtOnce(t *testing.T) {
	w := newWorld(t)
	w.sshd()
	in := make([]byte, 5<<20)
	_, _ = rand.Read(in)
	out, errs, code := w.run(bytes.NewReader(in), "-T", "cat")
	if code != 0 || out != string(in) {
		t.Fatalf("exit %d, %d of %d bytes, stderr %q", code, len(out), len(in), errs)
	}
	l := w.lastLive()
	w.done(l)
	if w.recorded(l) != string(in) {
		t.Error("the recording holds other bytes")
	}
	if r := w.store.rows[l.ID()]; r.BytesIn != int64(len(in)) || r.BytesOut != int64(len(in)) {
		t.Errorf("row counts %d in, %d out", r.BytesIn, r.BytesOut)
	}
}

// S-05: an end of one direction is passed on and leaves the other open.
func TestHalfClose(t *testing.T) {
	w := newWorld(t)
	w.sshd()
	// The client ends its input; the target still writes.
	out, _, code := w.run(strings.NewReader("abc\n"), "-T", "cat; sleep 0.3; echo more")
	if out != "abc\nmore\n" || code != 0 {
		t.Errorf("got %q, exit %d", out, code)
	}
	// The target ends its output; the client still writes.
	r, in := io.Pipe()
	cmd := w.ssh("-T", "exec >&- 2>&-; cat > "+w.dir+"/sink; exit 3")
	cmd.Args = insertHost(cmd.Args)
	cmd.Stdin = r
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		_, _ = fmt.Fprintln(in, "line")
		time.Sleep(100 * time.Millisecond) // a person types; nothing is waited for here
	}
	_ = in.Close()
	if code := exitCode(cmd.Wait()); code != 3 {
		t.Errorf("exit %d", code)
	}
	if b, err := exec.Command("cat", w.dir+"/sink").Output(); err != nil || strings.Count(string(b), "line\n") != 5 {
		t.Errorf("sink holds %q, %v", b, err)
	}
}

// S-05: a client that closes its channel once both directions have ended, as
// OpenSSH does for those who share a connection (ControlMaster), hears the exit
// status of a command that closed its output long before it ended.
func TestExitStatusAfterAnEarlyEndOfOutput(t *testing.T) {
	w := newWorld(t)
	w.sshd()
	ch, reqs, err := w.mustClient().OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	command := struct{ Command string }{"exec >&- 2>&-; sleep 0.5; exit 7"} // well after ExitGrace
	if ok, err := ch.SendRequest("exec", true, ssh.Marshal(command)); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if err := ch.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if out, err := io.ReadAll(ch); err != nil || len(out) > 0 {
		t.Errorf("it said %q, %v", out, err)
	}
	_ = ch.Close()
	var status struct{ Status uint32 }
	for r := range reqs {
		if r.Type == "exit-status" {
			_ = ssh.Unmarshal(r.Payload, &status)
		}
	}
	if status.Status != 7 {
		t.Errorf("the exit status is %d", status.Status)
	}
}

// S-09, S-10: the terminal has its name and size, and outlives a storm of
// window changes.
func TestTerminal(t *testing.T) {
	w := newWorld(t)
	w.sshd()
	c := w.mustClient()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.RequestPty("xterm-256color", 41, 101, nil); err != nil {
		t.Fatal(err)
	}
	in, _ := s.StdinPipe()
	out := newScreen()
	s.Stdout = out
	if err := s.Shell(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(in, "echo [$TERM]; stty size")
	out.wait(t, "[xterm-256color]")
	out.wait(t, "41 101")
	for i := range 1000 { // a storm of resizes, and silly ones
		_ = s.WindowChange(i%3, 65535*(i%2))
	}
	if err := s.WindowChange(50, 132); err != nil {
		t.Fatal(err)
	}
	// Requests and data are two streams in the library, so what is typed may
	// overtake the last resize.
	fmt.Fprintln(in, `while [ "$(stty size)" != "50 132" ]; do sleep 0.05; done; echo size-$((50+132))`)
	out.wait(t, "size-182")
	fmt.Fprintln(in, "exit 5")
	var status interface{ ExitStatus() int }
	if err := s.Wait(); !errors.As(err, &status) || status.ExitStatus() != 5 {
		t.Errorf("exit: %v", err)
	}
}

func TestExitSignal(t *testing.T) {
	w := newWorld(t)
	w.sshd()
	s, err := w.mustClient().NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run("kill -KILL $$"); err == nil || !strings.Contains(err.Error(), "KILL") {
		t.Errorf("exit: %v", err)
	}
}

// S-13: variables that are not listed are answered with a failure, and the
// session goes on.
func TestEnvironmentIsLanguageOnly(t *testing.T) {
	w := newWorld(t)
	w.sshd()
	c := w.mustClient()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	for name, ok := range map[string]bool{"LC_TIME": true, "LANG": true, "SECRET": false, "LD_PRELOAD": false, "LC_": false, "lc_all": false} {
		if err := s.Setenv(name, "C.UTF-8"); (err == nil) != ok {
			t.Errorf("env %s: %v", name, err)
		}
	}
	if err := s.Setenv("LC_NAME", "a\nb"); err == nil {
		t.Error("a value with a line break passed")
	}
	out, err := s.Output("echo [$LC_TIME] [$SECRET]")
	if err != nil || string(out) != "[C.UTF-8] []\n" {
		t.Errorf("got %q, %v", out, err)
	}
}

// Suspending ends a shell with its sentence on the terminal, and the client
// that comes again is told why not.
func TestSuspendedInTheMiddle(t *testing.T) {
	w := newWorld(t)
	w.sshd()
	cmd := w.ssh("-T", "echo up; sleep 60")
	cmd.Args = insertHost(cmd.Args)
	out, errs := newScreen(), newScreen()
	cmd.Stdout, cmd.Stderr = out, errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out.wait(t, "up")
	l := w.lastLive()
	w.store.mu.Lock()
	w.store.closed = true
	w.store.mu.Unlock()
	// The three bytes of "up" may be counted: a write that has reached the
	// client may not have returned here yet.
	report := w.m.EndAll(func(gateway.Session) bool { return true }, &gateway.Ended{Reason: gateway.EndSuspended})
	if len(report) != 1 || !report[0].Closed || report[0].After > time.Second || report[0].BytesAfter > 3 {
		t.Errorf("report = %+v", report)
	}
	if code := exitCode(cmd.Wait()); code != 255 {
		t.Errorf("exit %d", code)
	}
	errs.wait(t, "access was suspended by the operator")
	w.done(l)
	_, again, code := w.run(nil, "-T", "id")
	if code != 255 || !strings.Contains(again, "suspended by the operator") {
		t.Errorf("again: exit %d, %q", code, again)
	}
	if !w.store.has(audit.SessionRefused, audit.Refused, "suspended") {
		t.Error("no event of the refusal")
	}
}

func TestWindowEndsOnTheTerminal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.sshd()
	w.acc.to = gateway.Instant(time.Now().Add(3 * time.Second))
	cmd := w.ssh("-tt", "sleep 60")
	cmd.Args = insertHost(cmd.Args)
	all := newScreen()
	cmd.Stdout, cmd.Stderr = all, all
	err := cmd.Run()
	late := time.Since(w.acc.to)
	if exitCode(err) != 255 || late > time.Second || late < 0 {
		t.Errorf("exit %v, %v after the window's end", err, late)
	}
	all.wait(t, "this session ends in")
	all.wait(t, "the window that was agreed is over")
}

// S-16, S-30, V-93: an unknown subsystem, a forward from the target and an
// agent get a sentence each, and none of them reaches the target.
//
// What the gateway does not carry is refused with a sentence, by the stock
// client's own ways of asking.
func TestNotCarriedByStockClient(t *testing.T) {
	w := newWorld(t)
	w.sshd()
	for _, tc := range []struct {
		name string
		args []string
		want string
	}{
		{"subsystem", []string{"-s", "netconf"}, "of the subsystems only sftp is carried"},
		{"remote forward", []string{"-R", "0:127.0.0.1:22", "echo done"}, "forwarding from the target is not carried"},
		{"jump", []string{"-W", "127.0.0.1:22", "x"}, "no forward to 127.0.0.1:22"},
		{"agent", []string{"-A", "echo done"}, "agent forwarding is not carried"},
	} {
		cmd := w.ssh(tc.args...)
		cmd.Args = insertHost(cmd.Args)
		if tc.name == "agent" {
			sock := w.dir + "/agent"
			agent := exec.Command("ssh-agent", "-D", "-a", sock)
			if err := agent.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = agent.Process.Signal(syscall.SIGTERM); _ = agent.Wait() }()
			waitFile(t, sock)
			cmd.Env = append(cmd.Env, "SSH_AUTH_SOCK="+sock)
		}
		if tc.name == "jump" {
			cmd.Args = cmd.Args[:len(cmd.Args)-1]
		}
		out, _ := cmd.CombinedOutput()
		if !strings.Contains(string(out), tc.want) {
			t.Errorf("%s: said %q", tc.name, out)
		}
		w.lastLive()
	}
	if !w.store.has(audit.SessionChannel, audit.Refused, "not carried") {
		t.Error("no event")
	}
}

// screen collects output and waits for text in it.
type screen struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	more chan struct{}
}

func newScreen() *screen { return &screen{more: make(chan struct{}, 1)} }

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.more <- struct{}{}:
	default:
	}
	return s.buf.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

func (s *screen) wait(t testing.TB, text string) {
	t.Helper()
	limit := time.After(patience)
	for from := 0; ; {
		var found bool
		if found, from = s.has(text, from); found {
			return
		}
		select {
		case <-s.more:
		case <-limit:
			saw := s.String()
			t.Fatalf("waited for %q, saw %d bytes, the last of them %q", text, len(saw), saw[max(0, len(saw)-2000):])
		}
	}
}

// has looks for text from an offset on, and says from where to look next: a
// screen of many megabytes is not searched anew for each piece that comes.
func (s *screen) has(text string, from int) (found bool, next int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.buf.Bytes()
	return bytes.Contains(b[from:], []byte(text)), max(0, len(b)-len(text))
}

func waitFile(t testing.TB, path string) {
	t.Helper()
	limit, tick := time.After(patience), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for {
		if err := exec.Command("test", "-e", path).Run(); err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("%s did not appear", path)
		}
	}
}

// a warning is for who sits at a terminal. What a command says, and a
// file that is carried meanwhile, are to the byte what they are without it.
func TestWarningsStayOutOfStreams(t *testing.T) {
	w := newWorld(t)
	w.sshd()
	w.may(gateway.Abilities{Shell: true, Exec: true, Upload: true, Download: true})
	w.acc.to = gateway.Instant(time.Now().Add(50 * time.Second)) // inside the last warning
	var out, errOut bytes.Buffer
	cmd := w.ssh("127.0.0.1", "sleep 1; head -c 1000000 /dev/zero; echo said >&2")
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil || !bytes.Equal(out.Bytes(), make([]byte, 1000000)) || errOut.String() != "said\n" {
		t.Errorf("%v, %d bytes, stderr %q", err, out.Len(), errOut.String())
	}
	from, to := filepath.Join(w.dir, "from"), filepath.Join(w.dir, "to")
	write(t, from, bytes.Repeat([]byte("firmware"), 500_000))
	errOut.Reset()
	sftp := exec.Command("sftp", "-q", "-l", "16000", "-S", w.transport(), "-b", "-", "127.0.0.1")
	sftp.Stdin, sftp.Stderr = strings.NewReader("get "+from+" "+to+"\n"), &errOut
	if err := sftp.Run(); err != nil || errOut.String() != "" {
		t.Fatalf("sftp: %v, %q", err, errOut.String())
	}
	a, err1 := os.ReadFile(from)
	b, err2 := os.ReadFile(to)
	if err := errors.Join(err1, err2); err != nil || !bytes.Equal(a, b) {
		t.Errorf("%v, %d of %d bytes", err, len(b), len(a))
	}
}
