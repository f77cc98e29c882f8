package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/portcullis/portcullis/e2e/rig"
)

// Addresses of a network of tunnels, out of those set aside for benchmarks
// (RFC 2544), and the ports of its plant.
const (
	gatewaySide   = "198.18.251.1"  // of this machine, towards the plant
	plantAddr     = "198.18.251.2"  // of the plant, as the gateway finds it
	routerSide    = "198.18.251.17" // of the router, towards the plant
	plantRouted   = "198.18.251.18" // of the plant, as the baselines find it
	plainRouter   = "198.18.251.33" // of the router, towards the client without a tunnel
	plainClient   = "198.18.251.34"
	forwarderAddr = "10.97.0.1" // of the baseline, inside its tunnels
	forwarderPort = 51899
	flowPort      = 5201 // iperf3
	pulsePort     = 7007 // TCP and UDP, of pulses
	tunnelMTU     = "1420"
)

// wireguardProgram gives a tunnel its TUN device: wireguard-go.
const wireguardProgram = ".tools/wireguard"

// network is a plant in a namespace of its own, with a way to the gateway and
// one to the router, which forwards for the baselines:
//
//	tunnelled, headers: TUN --client of it--outer UDP, loopback--gateway--veth--plant
//	routed:             TUN --client of it--outer UDP, loopback--TUN in router--veth--plant
//	plain:              --veth--router--veth--plant
//
// Every wireguard-go has its UDP socket where the gateway has its own; only its
// device is in a namespace.
type network struct {
	id      string // begins the names of all that it makes
	dir     string
	spaces  map[string]*rig.Space
	procs   []*exec.Cmd
	program string
	ways    []flowWay
}

func startNetwork(ctx context.Context, dir string) (*network, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("network namespaces and TUN devices need root")
	}
	if err := noOther(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	program, err := filepath.Abs(wireguardProgram)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(program); err != nil {
		return nil, fmt.Errorf("%w: make bench installs it", err)
	}
	n := &network{id: fmt.Sprintf("pcb%d", os.Getpid()), dir: dir, program: program, spaces: map[string]*rig.Space{}}
	if err := n.build(ctx); err != nil {
		n.close()
		return nil, err
	}
	return n, nil
}

// noOther refuses to have the same addresses twice.
func noOther() error {
	all, err := net.InterfaceAddrs()
	if err == nil && slices.ContainsFunc(all, func(a net.Addr) bool { return strings.HasPrefix(a.String(), gatewaySide+"/") }) {
		return fmt.Errorf("this machine has %s already: another bench runs, or one was killed", gatewaySide)
	}
	return err
}

func (n *network) build(ctx context.Context) error {
	for _, name := range []string{"plant", "router", "tunnelled", "headers", "routed", "plain"} {
		space, err := rig.NewSpace(n.id + "-" + name)
		if space != nil {
			n.spaces[name] = space
		}
		if err != nil {
			return err
		}
	}
	for _, line := range []string{
		"link add ID type veth peer name gateway netns ID-plant",
		"addr add " + gatewaySide + "/28 dev ID", "link set ID up",
		"-n ID-plant addr add " + plantAddr + "/28 dev gateway", "-n ID-plant link set gateway up",
		"-n ID-router link add plant type veth peer name router netns ID-plant",
		"-n ID-router addr add " + routerSide + "/28 dev plant", "-n ID-router link set plant up",
		"-n ID-plant addr add " + plantRouted + "/28 dev router", "-n ID-plant link set router up",
		"-n ID-plant route add default via " + routerSide,
		"-n ID-router link add plain type veth peer name router netns ID-plain",
		"-n ID-router addr add " + plainRouter + "/28 dev plain", "-n ID-router link set plain up",
		"-n ID-plain addr add " + plainClient + "/28 dev router", "-n ID-plain link set router up",
		"-n ID-plain route add default via " + plainRouter,
	} {
		if err := rig.IP(strings.ReplaceAll(line, "ID", n.id)); err != nil {
			return err
		}
	}
	forward := func() error { return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0) }
	if err := n.spaces["router"].Inside(forward); err != nil {
		return err
	}
	_, err := n.start(ctx, "ip", "netns", "exec", n.in("plant"), "iperf3", "-s", "-p", strconv.Itoa(flowPort))
	return err
}

func (n *network) in(space string) string { return n.spaces[space].Name }

func run(ctx context.Context, line string) error {
	f := strings.Fields(line)
	if out, err := exec.CommandContext(ctx, f[0], f[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%.200s: %w: %.400s", line, err, out)
	}
	return nil
}

// start runs a program until close.
func (n *network) start(ctx context.Context, name string, args ...string) (*exec.Cmd, error) {
	c := exec.CommandContext(ctx, name, args...)
	c.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	c.Stderr = os.Stderr
	c.Env = append(os.Environ(), "WG_PROCESS_FOREGROUND=1") // or wireguard-go warns that kernels have it too
	if err := c.Start(); err != nil {
		return nil, err
	}
	n.procs = append(n.procs, c)
	return c, nil
}

// wireguard starts a wireguard-go and has its device in a namespace. conf is
// what wg setconf takes.
func (n *network) wireguard(ctx context.Context, dev, space, address, conf string) (*exec.Cmd, error) {
	socket := filepath.Join("/var/run/wireguard", dev+".sock")
	_ = os.Remove(socket) // of one that an earlier family killed: it would seem to be there
	c, err := n.start(ctx, n.program, "-f", dev)
	if err != nil {
		return nil, err
	}
	if err := rig.Until(ctx, dialWithin, func() error { _, err := os.Stat(socket); return err }); err != nil {
		return nil, err
	}
	file := filepath.Join(n.dir, dev)
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		return nil, err
	}
	in := "ip -n " + n.in(space)
	for _, line := range []string{
		"ip link set " + dev + " netns " + n.in(space), "wg setconf " + dev + " " + file,
		in + " addr add " + address + " dev " + dev, in + " link set " + dev + " mtu " + tunnelMTU + " up",
	} {
		if err := run(ctx, line); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// close ends what was started and takes the namespaces away.
func (n *network) close() {
	if n == nil {
		return
	}
	for _, c := range slices.Backward(n.procs) {
		_ = c.Process.Kill()
		_ = c.Wait()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	// Namespaces go some time after they were deleted, and what is in them too.
	_ = exec.CommandContext(ctx, "ip", "link", "del", n.id).Run() // where it got as far
	for _, space := range n.spaces {
		if err := space.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
	}
}
