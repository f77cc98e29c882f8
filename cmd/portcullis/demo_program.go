package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

const (
	programReady = 30 * time.Second // for a program of the demo to answer
	programStop  = 20 * time.Second // for it to end when it is asked to
	lookEvery    = 20 * time.Millisecond
)

// program is a process that the demo started. It ends with the demo, whichever
// way that ends: Stop asks it to, and the kernel kills it if the demo is gone.
type program struct {
	name string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

// startProgram runs cmd, both of its outputs to log. Ctrl-C at the terminal is
// for the demo alone, which ends its programs in their order.
func startProgram(name string, cmd *exec.Cmd, log *os.File) (*program, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid, cmd.SysProcAttr.Pdeathsig = true, syscall.SIGKILL
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &program{name: name, cmd: cmd, done: make(chan struct{})}
	go func() { defer close(p.done); _ = cmd.Wait() }() // how it ended stands in its log
	return p, nil
}

// await asks until ok says yes, the program has ended, or programReady is over.
func (p *program) await(ctx context.Context, ok func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, programReady)
	defer cancel()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		err := ok(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended at its start; its log says why", p.name)
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer: %w", p.name, err)
		case <-tick.C:
		}
	}
}

// Stop ends the program by the signal and waits for it; one that stands still
// is let go on, and one that does not end is killed.
func (p *program) Stop(how syscall.Signal) {
	_ = p.cmd.Process.Signal(how) // it may have ended
	_ = p.cmd.Process.Signal(syscall.SIGCONT)
	late := time.NewTimer(programStop)
	defer late.Stop()
	select {
	case <-p.done:
	case <-late.C:
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// The ports that a program of the demo may be told to listen on: below those
// that kernels give to outgoing connections (RFC 6335 clause 6), one of which
// could be gone between being chosen here and being listened on there.
const (
	firstPort = 10_000
	lastPort  = 29_999
	portStep  = 397
)

// freeAddrs finds n addresses of loopback that nothing listens on.
func freeAddrs(ctx context.Context, n int) ([]string, error) {
	const span = lastPort - firstPort + 1
	begin := os.Getpid() * portStep % span // two demos begin apart
	var found []string
	for i := 0; i < span && len(found) < n; i++ {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(firstPort+(begin+i)%span))
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
		if err != nil {
			continue
		}
		l.Close()
		found = append(found, addr)
	}
	if len(found) < n {
		return nil, errors.New("too few ports between 10000 and 29999 are free")
	}
	return found, nil
}

// listening reports whether something accepts at addr.
func listening(ctx context.Context, addr string) error {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err == nil {
		c.Close()
	}
	return err
}
