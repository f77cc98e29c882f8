package rig

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// dialWithin bounds a connection's begin.
const dialWithin = 3 * time.Second

// Space is a network namespace.
type Space struct{ Name string }

// NewSpace makes one with a loopback and a resolv.conf of its own. With an error
// it may be there in part, for Close to remove. It needs root.
func NewSpace(name string) (*Space, error) {
	s := &Space{name}
	if err := IP("netns add " + name); err != nil {
		return nil, err
	}
	etc := filepath.Join("/etc/netns", name)
	if err := os.MkdirAll(etc, 0o755); err != nil {
		return s, err
	}
	if err := os.WriteFile(filepath.Join(etc, "resolv.conf"), nil, 0o644); err != nil {
		return s, err
	}
	return s, IP("-n " + name + " link set lo up")
}

// IP runs ip(8) with the words of a line.
func IP(line string) error {
	if out, err := exec.CommandContext(context.Background(), "ip", strings.Fields(line)...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", line, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// Command is a program in the space.
func (s *Space) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", s.Name, name}, args...)...)
}

// Inside runs f with its thread in the space: a socket that f opens stays
// there. The thread goes home afterwards. It must not end instead: what it has
// started would be killed with it (PR_SET_PDEATHSIG).
func (s *Space) Inside(f func() error) error {
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer home.Close()
	there, err := os.Open(filepath.Join("/run/netns", s.Name))
	if err != nil {
		return err
	}
	defer there.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		return err
	}
	err = f()
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
		return errors.Join(err, back) // and the thread stays this goroutine's
	}
	runtime.UnlockOSThread()
	return err
}

// Listen listens in the space.
func (s *Space) Listen(network, addr string) (net.Listener, error) {
	var l net.Listener
	err := s.Inside(func() (err error) {
		l, err = (&net.ListenConfig{}).Listen(context.Background(), network, addr)
		return err
	})
	return l, err
}

// ListenPacket takes datagrams (UDP) in the space.
func (s *Space) ListenPacket(addr string) (net.PacketConn, error) {
	var p net.PacketConn
	err := s.Inside(func() (err error) {
		p, err = (&net.ListenConfig{}).ListenPacket(context.Background(), "udp", addr)
		return err
	})
	return p, err
}

// Dial connects from the space, to an address and not to a name.
func (s *Space) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if _, err := netip.ParseAddrPort(addr); err != nil {
		return nil, err
	}
	var c net.Conn
	err := s.Inside(func() (err error) {
		c, err = (&net.Dialer{Timeout: dialWithin}).DialContext(ctx, network, addr)
		return err
	})
	return c, err
}

// Close ends what is left running in the space, which whoever made it has
// started, and removes it.
func (s *Space) Close() error {
	pids, _ := exec.CommandContext(context.Background(), "ip", "netns", "pids", s.Name).Output()
	for _, f := range strings.Fields(string(pids)) {
		var pid int
		if n, _ := fmt.Sscan(f, &pid); n == 1 && pid > 1 && pid != os.Getpid() {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
	return errors.Join(IP("netns del "+s.Name), os.RemoveAll(filepath.Join("/etc/netns", s.Name)))
}
