package rig

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
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
	if l.Plant, err = NewSpace(l.id + "-plant"); err != nil {
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
	fill := strings.NewReplacer("ID", l.id, "PLANT", l.Plant.Name, "OUTER", l.Outer, "N", fmt.Sprint(l.number))
	for _, line := range lines {
		if err := IP(fill.Replace(line)); err != nil {
			return err
		}
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
	p, err := start("ip", nil, append([]string{"netns", "exec", l.Plant.Name, name}, args...)...)
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
		all = append(all, l.Plant.Close())
	}
	return errors.Join(all...)
}
