package sshproxy_test

import (
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/sshproxy"
)

// A client that is stopped, as by ~^Z or a shell's Ctrl-Z, says nothing, but
// its machine acknowledges what we send. The times are short; that between two
// signs of a machine that is there is what TCP counts in, a second.
const (
	stoppedLook  = 200 * time.Millisecond
	stoppedQuiet = time.Second
	stoppedMax   = 3 * time.Second // of the machine
)

// typist is the stock client with a shell, and somebody who types.
func typist(t *testing.T, w *world, args ...string) (cmd *exec.Cmd, in func(string), out *screen) {
	t.Helper()
	cmd = w.ssh(append(args, "-tt")...)
	cmd.Args = append(cmd.Args, "127.0.0.1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out = newScreen()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd, func(s string) { _, _ = fmt.Fprintln(stdin, s) }, out
}

func TestStoppedClientComesBack(t *testing.T) {
	for name, typed := range map[string]string{
		"idle":                       "",
		"with output that fits":      "for i in $(seq 80); do sleep 0.1; echo tick; done; echo all-$((6*7))",
		"with more output than fits": "sleep 1; yes | head -c 14000000; echo all-$((6*7))",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, sshproxy.BeatsStopped(stoppedLook, stoppedQuiet, stoppedMax, time.Minute))
			w.sshd()
			cmd, in, out := typist(t, w)
			in("echo here-$((6*7)); " + typed)
			out.wait(t, "here-42")
			l := w.lastLive()
			if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			stands := time.NewTimer(2*stoppedMax + stoppedQuiet)
			defer stands.Stop()
			select {
			case <-l.Done():
				t.Fatalf("ended: %v", w.done(l))
			case <-stands.C:
			}
			if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			if typed != "" {
				out.wait(t, "all-42")
			}
			in("echo back-$((40+2))")
			out.wait(t, "back-42")
		})
	}
}

// One that does not come back is not waited for longer than is promised.
func TestStoppedClientIsLetGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sshproxy.BeatsStopped(stoppedLook, stoppedQuiet, stoppedMax, 6*time.Second))
	w.sshd()
	cmd, in, out := typist(t, w)
	in("echo here-$((6*7))")
	out.wait(t, "here-42")
	l := w.lastLive()
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	e := w.done(l)
	if took := time.Since(begun); took < 2*stoppedMax-stoppedLook {
		t.Errorf("let go after %s", took)
	}
	if e.Reason != gateway.EndClientLeft || !strings.Contains(e.Detail, "answered nothing for 6s") {
		t.Errorf("ended by %v", e)
	}
}
