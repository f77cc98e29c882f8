package rig

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Wireguard is the program that gives a site its TUN device where the kernel
// has no WireGuard: wireguard-go, below the repository's .tools.
const Wireguard = "../.tools/wireguard"

// Tunnel is what opening one answers.
type Tunnel struct {
	Session      string    `json:"session"`
	Address4     string    `json:"address4"`
	Address6     string    `json:"address6"`
	ServerKey    string    `json:"server_key"`
	PresharedKey string    `json:"preshared_key"`
	Endpoint     string    `json:"endpoint"`
	AllowedIPs   []string  `json:"allowed_ips"`
	DNS          []string  `json:"dns"`
	MTU          int       `json:"mtu"`
	Until        time.Time `json:"until"`
}

// NewPeer makes a WireGuard key pair, base64.
func NewPeer() (private, public string, err error) {
	k, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return "", "", err
	}
	return base64.StdEncoding.EncodeToString(k.Bytes()), base64.StdEncoding.EncodeToString(k.PublicKey().Bytes()), nil
}

// Conf is the configuration with the engineer's private key, as wg-quick(8)
// reads it.
func (t Tunnel) Conf(private string) string {
	return fmt.Sprintf("[Interface]\nPrivateKey = %s\nAddress = %s/32, %s/128\nDNS = %s\nMTU = %d\n\n[Peer]\nPublicKey = %s\nPresharedKey = %s\nEndpoint = %s\nAllowedIPs = %s\n",
		private, t.Address4, t.Address6, strings.Join(t.DNS, ", "), t.MTU, t.ServerKey, t.PresharedKey, t.Endpoint, strings.Join(t.AllowedIPs, ", "))
}

// Target is the plant as a network in the plant file. Its DNS has hmi.plant,
// with both families, and plc-7.plant.
func (l *Lab) Target(name, capture string) string {
	return fmt.Sprintf(`  - name: %s
    title: Control network of pump station 7
    kind: network
    zone: pumps
    impact: medium
    vendors: [acme, bolt]
    network:
      prefixes: [%s, "%s"]
      names:
        - {name: hmi.plant, addresses: [%s, "%s"]}
        - {name: plc-7.plant, addresses: [%s]}
      capture: %s
    accounts: [{name: tunnel, proof: none}]
`, name, l.Net, l.Net6, l.IP(0), l.IP6(), l.IP(1), capture)
}

// NetworkGrant asks for flows of a network and has ben agree.
func (s *Stage) NetworkGrant(ctx context.Context, who, target string, length time.Duration, abilities ...string) (Grant, error) {
	return s.granted(ctx, who, target, "tunnel", length, abilities)
}

// OpenTunnel has the engineer touch for a peer's key.
func (s *Stage) OpenTunnel(ctx context.Context, who, grant, public string) (Tunnel, error) {
	var t Tunnel
	return t, s.People[who].Act(ctx, "session.open", map[string]string{"grant": grant, "peer": public}, &t)
}

// Site is where an engineer works: a namespace with a way to the gateway's
// outer address and to nothing else.
type Site struct {
	*Space
	lab  *Lab
	n    int
	dev  string
	conf string // file
	up   bool
}

// Site makes one. Its addresses end in 2 and, once it has roamed, in 3.
func (l *Lab) Site(name string) (*Site, error) {
	space, err := NewSpace(l.id + "-" + name)
	s := &Site{Space: space, lab: l, n: len(l.sites)}
	if space != nil {
		l.sites = append(l.sites, s)
	}
	if err != nil {
		return nil, err
	}
	s.dev = fmt.Sprintf("%ss%d", l.id, s.n)
	return s, s.ip(
		"link add DEV type veth peer name eth0 netns SITE",
		"addr add NET.1/29 dev DEV", "link set DEV up",
		"-n SITE addr add NET.2/29 dev eth0", "-n SITE link set eth0 up",
		"-n SITE route add OUTER via NET.1",
	)
}

// ip runs ip(8) for each line. NET.x is an address of the site.
func (s *Site) ip(lines ...string) error {
	for _, line := range lines {
		line = strings.NewReplacer("DEV", s.dev, "SITE", s.Name).Replace(line)
		for host := 1; host < 4; host++ {
			line = strings.ReplaceAll(line, fmt.Sprintf("NET.%d", host), s.addr(host))
		}
		if err := s.lab.ip(line); err != nil {
			return err
		}
	}
	return nil
}

func (s *Site) addr(host int) string { return fmt.Sprintf("198.19.%d.%d", s.lab.number, 8*s.n+host) }

// Home is where the site sends from at first.
func (s *Site) Home() string { return s.addr(2) }

// Away is where it sends from once it has roamed.
func (s *Site) Away() string { return s.addr(3) }

// Up turns a tunnel on by the file that an engineer would have.
func (s *Site) Up(ctx context.Context, conf string) error {
	s.conf = filepath.Join(s.lab.dir, s.dev+"w.conf") // wg-quick names the interface so
	if err := os.WriteFile(s.conf, []byte(conf), 0o600); err != nil {
		return err
	}
	return s.Again(ctx)
}

// Again turns it on once more, by the same file.
func (s *Site) Again(ctx context.Context) error {
	s.up = true
	return s.quick(ctx, "up")
}

// Down turns it off.
func (s *Site) Down(ctx context.Context) error {
	s.up = false
	return s.quick(ctx, "down")
}

// quick runs wg-quick with the lab's own resolvconf.
func (s *Site) quick(ctx context.Context, what string) error {
	program, err := filepath.Abs(Wireguard)
	if err != nil {
		return err
	}
	if !exists(program) {
		return fmt.Errorf("%s is missing: make test-needs builds it", Wireguard)
	}
	ctx, cancel := context.WithTimeout(ctx, cliWithin)
	defer cancel()
	c := s.Command(ctx, "wg-quick", what, s.conf)
	c.Env = append(os.Environ(), "WG_QUICK_USERSPACE_IMPLEMENTATION="+program, "PATH="+s.lab.shim+":"+os.Getenv("PATH"))
	c.WaitDelay = time.Second // what it leaves running holds its output open
	if out, err := c.CombinedOutput(); err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		return fmt.Errorf("wg-quick %s: %w\n%s", what, err, out)
	}
	return nil
}

// wg runs wg(8) for the tunnel's interface.
func (s *Site) wg(ctx context.Context, args ...string) (string, error) {
	args[1] = s.dev + "w"
	out, err := s.Command(ctx, "wg", args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("wg %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// Reach widens what the site sends into its tunnel, as whoever has the machine
// can.
func (s *Site) Reach(ctx context.Context, prefixes ...string) error {
	out, err := s.wg(ctx, "show", "", "allowed-ips")
	if err != nil {
		return err
	}
	f := strings.Fields(out) // the peer's key, and what it is for
	if _, err := s.wg(ctx, "set", "", "peer", f[0], "allowed-ips", strings.Join(append(f[1:], prefixes...), ",")); err != nil {
		return err
	}
	for _, p := range prefixes {
		if err := s.ip("-n SITE route replace " + p + " dev DEVw"); err != nil {
			return err
		}
	}
	return nil
}

// Handshake is when the last one was; zero: there was none.
func (s *Site) Handshake(ctx context.Context) (time.Time, error) {
	out, err := s.wg(ctx, "show", "", "latest-handshakes")
	if err != nil {
		return time.Time{}, err
	}
	f := strings.Fields(out)
	if len(f) != 2 || f[1] == "0" {
		return time.Time{}, nil
	}
	n, err := strconv.ParseInt(f[1], 10, 64)
	return time.Unix(n, 0), err
}

// Roam gives the site another address, and WireGuard another port.
func (s *Site) Roam(ctx context.Context) error {
	if err := s.ip("-n SITE addr add NET.3/29 dev eth0", "-n SITE addr del NET.2/29 dev eth0", "-n SITE addr replace NET.3/29 dev eth0", "-n SITE route replace OUTER via NET.1"); err != nil {
		return err
	}
	_, err := s.wg(ctx, "set", "", "listen-port", "0")
	return err
}

func (s *Site) close() error {
	if s.up {
		_ = s.Down(context.Background()) // what it leaves, close ends
	}
	return s.Space.Close()
}
