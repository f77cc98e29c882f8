package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Terminal is a program in a pseudo-terminal of its own, as a person would
// run it. Everything that it shows is kept.
type Terminal struct {
	cmd    *exec.Cmd
	master *os.File
	done   chan struct{}
	mu     sync.Mutex
	shown  []byte
	more   chan struct{} // closed and replaced at each change of shown
	seen   int           // where the next Expect begins to look
}

// OpenTerminal runs a program in a terminal of cols by rows characters.
func OpenTerminal(cols, rows uint16, name string, args ...string) (*Terminal, error) {
	master, slave, err := pty(cols, rows)
	if err != nil {
		return nil, err
	}
	defer slave.Close()
	t := &Terminal{cmd: exec.Command(name, args...), master: master, done: make(chan struct{}), more: make(chan struct{})}
	t.cmd.Stdin, t.cmd.Stdout, t.cmd.Stderr = slave, slave, slave
	t.cmd.Env = append(os.Environ(), "TERM=xterm-256color", "LC_ALL=C.UTF-8")
	t.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0, Pdeathsig: syscall.SIGKILL}
	if err := t.cmd.Start(); err != nil {
		master.Close()
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go t.read()
	return t, nil
}

// pty opens a pseudo-terminal (pts(4)).
func pty(cols, rows uint16) (master, slave *os.File, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("open /dev/ptmx: %w", err)
	}
	master = os.NewFile(uintptr(fd), "/dev/ptmx")
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Col: cols, Row: rows})
	}
	if err == nil {
		slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		master.Close()
		return nil, nil, fmt.Errorf("open a pseudo-terminal: %w", err)
	}
	return master, slave, nil
}

func (t *Terminal) read() {
	defer close(t.done)
	buf := make([]byte, 32<<10)
	for {
		n, err := t.master.Read(buf)
		t.mu.Lock()
		t.shown = append(t.shown, buf[:n]...)
		close(t.more)
		t.more = make(chan struct{})
		t.mu.Unlock()
		if err != nil { // EIO: the last holder of the other end has gone
			_ = t.cmd.Wait()
			t.master.Close()
			return
		}
	}
}

// Type types.
func (t *Terminal) Type(s string) error {
	_, err := t.master.WriteString(s)
	return err
}

// Resize changes the window's size.
func (t *Terminal) Resize(cols, rows uint16) error {
	return unix.IoctlSetWinsize(int(t.master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: cols, Row: rows})
}

// Expect waits until what was shown since the last Expect matches, and
// returns the submatches.
func (t *Terminal) Expect(ctx context.Context, limit time.Duration, pattern string) ([]string, error) {
	re := regexp.MustCompile(pattern)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		t.mu.Lock()
		more := t.more
		if at := re.FindSubmatchIndex(t.shown[t.seen:]); at != nil {
			var found []string
			for i := 0; i < len(at); i += 2 {
				found = append(found, sub(t.shown[t.seen:], at[i], at[i+1]))
			}
			t.seen += at[1]
			t.mu.Unlock()
			return found, nil
		}
		t.mu.Unlock()
		select {
		case <-more:
		case <-t.done:
			if !re.Match(t.rest()) {
				return nil, fmt.Errorf("the program ended without showing %q; it showed:\n%s", pattern, t.Shown())
			}
		case <-ctx.Done():
			return nil, fmt.Errorf("%q was not shown within %s; shown:\n%s", pattern, limit, t.Shown())
		}
	}
}

func sub(b []byte, from, to int) string {
	if from < 0 {
		return ""
	}
	return string(b[from:to])
}

func (t *Terminal) rest() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.shown[t.seen:]
}

// Shown is everything that was shown so far.
func (t *Terminal) Shown() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.shown)
}

// Done is closed when the program has ended and all its output is kept.
func (t *Terminal) Done() <-chan struct{} { return t.done }

// Wait waits for the program's end and returns its exit status; -1 where a
// signal ended it.
func (t *Terminal) Wait(limit time.Duration) (int, error) {
	select {
	case <-t.done:
		return t.cmd.ProcessState.ExitCode(), nil
	case <-time.After(limit):
		return 0, errors.New("the program did not end within " + limit.String() + "; shown:\n" + t.Shown())
	}
}

// Close kills the program where it still runs, and waits.
func (t *Terminal) Close() {
	_ = t.cmd.Process.Kill()
	<-t.done
}
