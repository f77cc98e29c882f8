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
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Lab is a plant with addresses of its own and the sites of engineers, each in
// a network namespace. What leads to the plant leads from the namespace that
// the gateway runs in, so a site reaches it through the gateway or not at all.
//
//	site: wg-quick, clients --veth--> Outer: gateway --veth--> plant: Net, Net6
//
// The addresses are of networks that are set aside for tests (RFC 2544, RFC
// 4193). It needs root.
type Lab struct {
	Outer string // address that sites find the gateway at
	Net   string // of the plant, a /28; its first address is the gateway's side
	Net6  string // likewise, a /64

	id     string // begins the names of everything that the lab makes
	number int
	dir    string
	shim   string // folder with what wg-quick calls
	Plant  *Space
	sites  []*Site
	procs  []*Process
}

// dialWithin bounds a connection's begin.
const dialWithin = 3 * time.Second

// Space is a network namespace.
type Space struct{ name string }

// labs counts the labs of this process.
var labs atomic.Int32

// labNumbers is how many labs a machine has room for: the third byte of their
// addresses.
const labNumbers = 250

// NewLab makes the plant. dir takes what the lab writes.
func NewLab(dir string) (*Lab, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("network namespaces and TUN devices need root: run the tests as root")
	}
	l := &Lab{dir: dir, shim: filepath.Join(dir, "bin")}
	var err error
	if l.number, err = freeLab(); err != nil {
		return nil, err
	}
	l.id = fmt.Sprintf("pc%d", l.number)
	l.Net, l.Net6 = fmt.Sprintf("198.18.%d.0/28", l.number), fmt.Sprintf("fdc0:%d::/64", l.number)
	l.Outer = fmt.Sprintf("198.19.%d.254", l.number)
	if err := l.build(); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// freeLab is a number whose addresses this machine does not have.
func freeLab() (int, error) {
	has := map[string]bool{}
	all, err := net.InterfaceAddrs()
	if err != nil {
		return 0, err
	}
	for _, a := range all {
		has[a.String()] = true
	}
	begin := os.Getpid() * 7
	for range labNumbers {
		n := (begin+int(labs.Add(1)))%labNumbers + 1
		if !has[fmt.Sprintf("198.18.%d.1/28", n)] {
			return n, nil
		}
	}
	return 0, errors.New("no room for another lab: remains of others?")
}

func (l *Lab) build() error {
	if err := l.tools(); err != nil {
		return err
	}
	var err error
	if l.Plant, err = l.space("plant"); err != nil {
		return err
	}
	return l.ip(
		"link add ID-p type veth peer name eth0 netns PLANT",
		"addr add 198.18.N.1/28 dev ID-p",
		"addr add OUTER/32 dev ID-p",
		"addr add fdc0:N::1/64 dev ID-p nodad",
		"link set ID-p up",
		"-n PLANT addr add 198.18.N.2/28 dev eth0",
		"-n PLANT addr add 198.18.N.3/28 dev eth0",
		"-n PLANT addr add fdc0:N::2/64 dev eth0 nodad",
		"-n PLANT link set eth0 up",
	)
}

// ip runs ip(8) for each line.
func (l *Lab) ip(lines ...string) error {
	fill := strings.NewReplacer("ID", l.id, "PLANT", l.Plant.name, "OUTER", l.Outer, "N", fmt.Sprint(l.number))
	for _, line := range lines {
		if err := ip(fill.Replace(line)); err != nil {
			return err
		}
	}
	return nil
}

func ip(line string) error {
	if out, err := exec.CommandContext(context.Background(), "ip", strings.Fields(line)...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", line, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// resolvconf is what wg-quick hands the tunnel's DNS to: the namespace's
// /etc/resolv.conf is a file of its own (ip-netns(8)).
const resolvconf = "#!/bin/sh\nif [ \"$1\" = -a ]; then cat > /etc/resolv.conf; else : > /etc/resolv.conf; fi\n"

func (l *Lab) tools() error {
	if err := os.MkdirAll(l.shim, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(l.shim, "resolvconf"), []byte(resolvconf), 0o755)
}

// space makes a namespace with a loopback and a resolv.conf of its own.
func (l *Lab) space(name string) (*Space, error) {
	s := &Space{l.id + "-" + name}
	if err := ip("netns add " + s.name); err != nil {
		return nil, err
	}
	etc := filepath.Join("/etc/netns", s.name)
	if err := os.MkdirAll(etc, 0o755); err != nil {
		return s, err
	}
	if err := os.WriteFile(filepath.Join(etc, "resolv.conf"), nil, 0o644); err != nil {
		return s, err
	}
	return s, ip("-n " + s.name + " link set lo up")
}

// IP is the plant's address: 0 its first, 1 its second.
func (l *Lab) IP(n int) string { return fmt.Sprintf("198.18.%d.%d", l.number, 2+n) }

// IP6 is the plant's address of IPv6.
func (l *Lab) IP6() string { return fmt.Sprintf("fdc0:%d::2", l.number) }

// Gateway is the address that the plant sees the gateway come from.
func (l *Lab) Gateway() string { return fmt.Sprintf("198.18.%d.1", l.number) }

// Gateway6 is Gateway of IPv6.
func (l *Lab) Gateway6() string { return fmt.Sprintf("fdc0:%d::1", l.number) }

// SSHD runs an sshd at port 22 of the plant's first address, which takes the
// public key for whoever runs the test, and returns its host key.
func (l *Lab) SSHD(ctx context.Context, dir, authorized string) (hostKey string, err error) {
	file := func(name string) string { return filepath.Join(dir, name) }
	if hostKey, err = Keygen(file("host_key")); err != nil {
		return "", err
	}
	config := fmt.Sprintf(sshdConfig, "22", file("host_key"), file("sshd.pid"), file("authorized_keys"), "none", "none")
	config = strings.Replace(config, "127.0.0.1", l.IP(0)+"\nListenAddress "+l.IP6(), 1)
	for name, text := range map[string]string{"authorized_keys": authorized + "\n", "sshd_config": config} {
		if err := os.WriteFile(file(name), []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		return "", err
	}
	_, err = l.Serve(ctx, net.JoinHostPort(l.IP(0), "22"), "/usr/sbin/sshd", "-D", "-e", "-f", file("sshd_config"))
	return hostKey, err
}

// Serve starts a program in the plant and waits until it listens at addr
// (TCP).
func (l *Lab) Serve(ctx context.Context, addr, name string, args ...string) (*Process, error) {
	p, err := start("ip", nil, append([]string{"netns", "exec", l.Plant.name, name}, args...)...)
	if err != nil {
		return nil, err
	}
	l.procs = append(l.procs, p)
	err = Until(ctx, 15*time.Second, func() error {
		c, err := l.Plant.Dial(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		return c.Close()
	})
	if err != nil {
		return nil, fmt.Errorf("%s does not listen at %s: %w\n%s", name, addr, err, p.Log())
	}
	return p, nil
}

// Close ends what runs in the lab and takes it away.
func (l *Lab) Close() error {
	var all []error
	for _, s := range l.sites {
		all = append(all, s.close())
	}
	for _, p := range l.procs {
		p.Kill()
	}
	if l.Plant != nil {
		all = append(all, l.Plant.close())
	}
	return errors.Join(all...)
}

// Command is a program in the space.
func (s *Space) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", s.name, name}, args...)...)
}

// inside runs f with its thread in the space: a socket that f opens stays
// there. The thread goes home afterwards. It must not end instead: what it has
// started would be killed with it (PR_SET_PDEATHSIG).
func (s *Space) inside(f func() error) error {
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer home.Close()
	there, err := os.Open(filepath.Join("/run/netns", s.name))
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
	err := s.inside(func() (err error) {
		l, err = (&net.ListenConfig{}).Listen(context.Background(), network, addr)
		return err
	})
	return l, err
}

// ListenPacket takes datagrams (UDP) in the space.
func (s *Space) ListenPacket(addr string) (net.PacketConn, error) {
	var p net.PacketConn
	err := s.inside(func() (err error) {
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
	err := s.inside(func() (err error) {
		c, err = (&net.Dialer{Timeout: dialWithin}).DialContext(ctx, network, addr)
		return err
	})
	return c, err
}

// close ends what is left running in the space, which the lab has started, and
// removes it.
func (s *Space) close() error {
	pids, _ := exec.CommandContext(context.Background(), "ip", "netns", "pids", s.name).Output()
	for _, f := range strings.Fields(string(pids)) {
		var pid int
		if n, _ := fmt.Sscan(f, &pid); n == 1 && pid > 1 && pid != os.Getpid() {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
	return errors.Join(ip("netns del "+s.name), os.RemoveAll(filepath.Join("/etc/netns", s.name)))
}
