package main

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/e2e/rig"
)

// measureStock is the gate with stock clients, until the last one's process
// has ended. The baseline is kill -9 of the sshd that serves as many.
func measureStock(ctx context.Context, l *lab) error {
	routes := l.routes(ssh.CipherAES128GCM)
	baseline, err := l.dropStock(ctx, routes[direct], func() *exec.Cmd {
		kill := []string{"-9"}
		for _, pid := range rig.Children(l.Plant.PID()) {
			kill = append(kill, fmt.Sprint(pid))
		}
		return exec.CommandContext(ctx, "kill", kill...)
	})
	if err != nil {
		return err
	}
	value, err := l.dropStock(ctx, routes[gateway], func() *exec.Cmd {
		return exec.CommandContext(ctx, l.Bin, "suspend", "vendor", rig.Acme, "--reason", "bench", "--config", l.Config)
	})
	if err != nil {
		return err
	}
	l.print("gate.stock.last", slices.Max(value), "ms", slices.Max(baseline), false)
	l.print("gate.stock.median", median(value), "ms", median(baseline), false)
	return nil
}

// stock is one stock client whose command runs.
type stock struct {
	cmd   *exec.Cmd
	ended chan time.Time
}

// dropStock opens the clients, runs the command and waits for every client's
// end. The ends are in ms from the command's start.
func (l *lab) dropStock(ctx context.Context, r route, command func() *exec.Cmd) ([]float64, error) {
	var mu sync.Mutex
	var all []*stock
	defer func() {
		for _, s := range all {
			_ = s.cmd.Process.Kill()
		}
	}()
	err := together(l.volume.stock, func() error {
		if err := r.touch(ctx); err != nil {
			return err
		}
		s, err := r.stay(ctx)
		if err == nil {
			mu.Lock()
			all = append(all, s)
			mu.Unlock()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	select {
	case <-time.After(gateQuiet):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	cmd := command()
	began := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", r.name, err, out)
	}
	var ends []float64
	late := time.After(gateWithin)
	for _, s := range all {
		select {
		case at := <-s.ended:
			ends = append(ends, ms(at.Sub(began)))
		case <-late:
			return nil, fmt.Errorf("%s: %d of %d clients ended within %s", r.name, len(ends), len(all), gateWithin)
		}
	}
	return ends, nil
}

// stay starts a stock client with a terminal and waits until its command runs.
func (r route) stay(ctx context.Context) (*stock, error) {
	s := &stock{cmd: exec.CommandContext(ctx, "ssh", append(r.args("-tt", "-e", "none"), "stty raw -echo; echo "+upMark+"; exec cat")...), ended: make(chan time.Time, 1)}
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if _, err := s.cmd.StdinPipe(); err != nil { // stays open
		return nil, err
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	var shown strings.Builder
	buf := make([]byte, 256)
	for !strings.Contains(shown.String(), upMark) {
		n, err := out.Read(buf)
		shown.Write(buf[:n])
		if err != nil {
			return nil, fmt.Errorf("%s: %w after %q", r.name, err, shown.String())
		}
	}
	go func() { // until the client has ended
		_, _ = io.Copy(io.Discard, out)
		_ = s.cmd.Wait()
		s.ended <- time.Now()
	}()
	return s, nil
}
