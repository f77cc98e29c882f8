package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/e2e/rig"
)

const (
	gateShells  = 200
	gateWithin  = 30 * time.Second
	gateOpening = 8
)

// live is one shell held by this process: stock clients in hundreds would
// cost more CPU at their end than the end that is measured.
type live struct {
	client *ssh.Client
	ended  chan time.Time // when the channel was closed or the connection gone
}

// measureGate opens many shells and drops the gate; the figure is from the
// command's start to the last shell's end. The baseline is a bare relay that
// shuts all its sockets when it is told.
func measureGate(ctx context.Context, l *lab) error {
	relay, addr, err := l.startRelay(ctx)
	if err != nil {
		return err
	}
	defer relay.Process.Kill()
	key, err := os.ReadFile(filepath.Join(l.client.Dir, "id"))
	if err != nil {
		return err
	}
	bare, err := l.hold(ctx, key, l.Plant.Login, addr, func() error { return nil })
	if err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	baseline, err := drop(bare, exec.CommandContext(ctx, "kill", "-USR1", fmt.Sprint(relay.Process.Pid)))
	if err != nil {
		return fmt.Errorf("relay: %w", err)
	}

	if key, err = os.ReadFile(filepath.Join(l.Clients["ana"].Dir, "id")); err != nil {
		return err
	}
	shells, err := l.hold(ctx, key, "ops+pump", l.SSH, func() error { return l.Ticket(ctx, "ana", l.grant.ID) })
	if err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	value, err := drop(shells, exec.CommandContext(ctx, l.Bin, "suspend", "vendor", rig.Acme, "--reason", "bench", "--config", l.Config))
	if err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	l.print("gate.ssh", value.last, "ms", baseline.last, false)
	l.print("gate.ssh.median", value.median, "ms", baseline.median, false)
	return nil
}

type dropped struct{ last, median float64 }

// drop runs the command and waits for every shell's end.
func drop(shells []live, cmd *exec.Cmd) (dropped, error) {
	began := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return dropped{}, fmt.Errorf("%w: %s", err, out)
	}
	var after []float64
	late := time.After(gateWithin)
	for _, s := range shells {
		select {
		case at := <-s.ended:
			after = append(after, float64(at.Sub(began))/float64(time.Millisecond))
		case <-late:
			return dropped{}, fmt.Errorf("%d of %d shells ended within %s", len(after), len(shells), gateWithin)
		}
	}
	for _, s := range shells {
		s.client.Close()
	}
	return dropped{slices.Max(after), median(after)}, nil
}

// hold opens the shells. Tickets are one at a time; so are connections.
func (l *lab) hold(ctx context.Context, key []byte, user, addr string, ready func() error) ([]live, error) {
	signer, err := ssh.ParsePrivateKey(key)
	if err != nil {
		return nil, err
	}
	config := &ssh.ClientConfig{
		User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, Timeout: gateWithin,
		HostKeyCallback: ssh.InsecureIgnoreHostKey(), // our own process on loopback
	}
	var all []live
	for range gateShells {
		if err := errors.Join(ctx.Err(), ready()); err != nil {
			return nil, err
		}
		s, err := holdOne(config, addr)
		if err != nil {
			return nil, fmt.Errorf("shell %d: %w", len(all)+1, err)
		}
		all = append(all, s)
	}
	return all, nil
}

func holdOne(config *ssh.ClientConfig, addr string) (live, error) {
	client, err := ssh.Dial("tcp", addr, config)
	if err != nil {
		return live{}, err
	}
	session, err := client.NewSession()
	if err != nil {
		return live{}, err
	}
	if err := session.RequestPty("xterm", 24, 80, ssh.TerminalModes{ssh.ECHO: 0}); err != nil {
		return live{}, err
	}
	out, err := session.StdoutPipe()
	if err != nil {
		return live{}, err
	}
	if _, err := session.StdinPipe(); err != nil { // kept open
		return live{}, err
	}
	if err := session.Start("echo up; exec cat"); err != nil {
		return live{}, err
	}
	buf := make([]byte, 256)
	var shown strings.Builder
	for !strings.Contains(shown.String(), "up") {
		n, err := out.Read(buf)
		if err != nil {
			return live{}, fmt.Errorf("%w after %q", err, shown.String())
		}
		shown.Write(buf[:n])
	}
	s := live{client: client, ended: make(chan time.Time, 1)}
	go func() {
		_, _ = io.Copy(io.Discard, out) // until the channel or the connection ends
		s.ended <- time.Now()
	}()
	return s, nil
}

// relayCommand makes this program a bare TCP relay to the address given.
const relayCommand = "relay-to"

func (l *lab) startRelay(ctx context.Context) (*exec.Cmd, string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	cmd := exec.CommandContext(ctx, self, relayCommand, l.Plant.Addr)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, "", err
	}
	if err := cmd.Start(); err != nil {
		return nil, "", err
	}
	var addr string
	_, err = fmt.Fscanln(out, &addr)
	return cmd, addr, err
}

// relay copies between whoever connects and target until SIGUSR1, which shuts
// everything at once.
func relay(target string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	var mu sync.Mutex
	var open []net.Conn
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGUSR1)
	go func() {
		<-told
		mu.Lock()
		defer mu.Unlock()
		for _, c := range open {
			c.Close()
		}
	}()
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
