package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
)

// part is this program again, in a process of its own. It says its address,
// and what else there is to know, on its first line.
type part struct {
	cmd  *exec.Cmd
	said []string // the words of that line
}

func startPart(ctx context.Context, args ...string) (*part, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &part{cmd: exec.CommandContext(ctx, self, args...)}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if p.said = strings.Fields(line); err != nil || len(p.said) == 0 {
		p.stop()
		return nil, fmt.Errorf("%s said %q: %w", args[0], line, err)
	}
	return p, nil
}

// key is the host key that it said, as an authorized_keys line.
func (p *part) key() string { return strings.Join(p.said[1:], " ") }

func (p *part) stop() {
	if p == nil {
		return
	}
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// relayCommand makes this program a bare TCP relay to the address given: what
// a gateway that did nothing could hope for.
const relayCommand = "relay-to"

// relay copies between whoever connects and target until SIGUSR1, which shuts
// everything at once.
func relay(target string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	var mu sync.Mutex
	var open []net.Conn
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGUSR1)
	go func() { // ends with the process
		for range told {
			mu.Lock()
			for _, c := range open {
				c.Close()
			}
			open = nil
			mu.Unlock()
		}
	}()
	fmt.Println(l.Addr())
	for {
		in, err := l.Accept()
		if err != nil {
			return err
		}
		out, err := net.Dial("tcp", target)
		if err != nil {
			return err
		}
		mu.Lock()
		open = append(open, in, out)
		mu.Unlock()
		for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
			go func() {
				_, _ = io.Copy(pair[0], pair[1]) // until either side is shut
				pair[0].Close()
			}()
		}
	}
}
