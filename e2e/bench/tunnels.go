package main

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"

	"github.com/portcullis/portcullis/e2e/rig"
)

// The two targets of kind network: the same plant, and what is kept of its
// packets.
const (
	flowsTarget, headersTarget = "flows", "flows-headers"

	networkTarget = `  - name: %s
    title: Control network
    kind: network
    zone: pumps
    impact: medium
    vendors: [acme, bolt]
    network: {prefixes: [198.18.251.0/28], capture: %s}
    accounts: [{name: tunnel, proof: none}]
`
)

// options has the stage know the network's targets.
func (n *network) options(o *rig.Options) {
	if n == nil {
		return
	}
	before := o.Targets
	o.Targets = func(s *rig.Stage) string {
		return before(s) + fmt.Sprintf(networkTarget, flowsTarget, "none") + fmt.Sprintf(networkTarget, headersTarget, "headers")
	}
}

// peering is what a client needs of a tunnel, keys in base64.
type peering struct {
	private, server, shared string
	address                 netip.Addr
	endpoint                string
	plant                   string // address of it, inside
}

// conf is what wg setconf takes.
func (p peering) conf() string {
	shared := ""
	if p.shared != "" {
		shared = "PresharedKey = " + p.shared + "\n"
	}
	return fmt.Sprintf("[Interface]\nPrivateKey = %s\n[Peer]\nPublicKey = %s\n%sAllowedIPs = 198.18.251.0/24\nEndpoint = %s\n", p.private, p.server, shared, p.endpoint)
}

func keyPair() (private, public string, err error) {
	k, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return "", "", err
	}
	return base64.StdEncoding.EncodeToString(k.Bytes()), base64.StdEncoding.EncodeToString(k.PublicKey().Bytes()), nil
}

// tunnels asks for the plant's flows and returns what opens a tunnel under the
// grant.
func (l *lab) tunnels(ctx context.Context, who, target string) (func(context.Context) (peering, error), error) {
	var r rig.Request
	flow := func(port int, proto string) string { return fmt.Sprintf("flow %s:%d/%s", plantAddr, port, proto) }
	err := l.People[who].Post(ctx, "/api/v1/requests", map[string]any{
		"target": target, "account": "tunnel", "seconds": int64(grantTime / time.Second), "reason": "bench",
		"abilities": []string{flow(flowPort, "tcp"), flow(pulsePort, "tcp"), flow(pulsePort, "udp")},
	}, &r)
	if err != nil {
		return nil, fmt.Errorf("ask: %w", err)
	}
	if err := l.Approve(ctx, "ben", r.ID); err != nil {
		return nil, err
	}
	grant, err := l.GrantOf(ctx, who, r.ID)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (peering, error) { return l.openTunnel(ctx, who, grant) }, nil
}

func (l *lab) openTunnel(ctx context.Context, who string, grant rig.Grant) (peering, error) {
	private, public, err := keyPair()
	if err != nil {
		return peering{}, err
	}
	var t struct {
		Address4     netip.Addr `json:"address4"`
		ServerKey    string     `json:"server_key"`
		PresharedKey string     `json:"preshared_key"`
	}
	l.touching.Lock()
	defer l.touching.Unlock()
	if err := l.People[who].Act(ctx, "session.open", map[string]string{"grant": grant.ID, "peer": public}, &t); err != nil {
		return peering{}, err
	}
	return peering{private, t.ServerKey, t.PresharedKey, t.Address4, l.VPN, plantAddr}, nil
}

// forwarder is the baseline: a wireguard-go with a TUN device in the router, whose
// kernel forwards.
type forwarder struct {
	cmd    *exec.Cmd
	dev    string
	peers  []peering
	public []string // keys of them
	used   atomic.Int64
}

// startForwarder starts it with so many peers.
func (n *network) startForwarder(ctx context.Context, peers int) (*forwarder, error) {
	private, public, err := keyPair()
	if err != nil {
		return nil, err
	}
	s := &forwarder{dev: n.id + "s"}
	var conf strings.Builder
	fmt.Fprintf(&conf, "[Interface]\nPrivateKey = %s\nListenPort = %d\n", private, forwarderPort)
	address := netip.MustParseAddr(forwarderAddr)
	for range peers {
		own, key, err := keyPair()
		if err != nil {
			return nil, err
		}
		address = address.Next()
		fmt.Fprintf(&conf, "[Peer]\nPublicKey = %s\nAllowedIPs = %s/32\n", key, address)
		s.public = append(s.public, key)
		s.peers = append(s.peers, peering{own, public, "", address, fmt.Sprintf("127.0.0.1:%d", forwarderPort), plantRouted})
	}
	s.cmd, err = n.wireguard(ctx, s.dev, "router", forwarderAddr+"/16", conf.String())
	return s, err
}

// next is a peer that nobody has yet.
func (f *forwarder) next(context.Context) (peering, error) { return f.peers[f.used.Add(1)-1], nil }

// given is how many somebody has.
func (f *forwarder) given() int { return int(f.used.Load()) }

// cut removes the peers from first to before last, in one command.
func (f *forwarder) cut(ctx context.Context, first, last int) *exec.Cmd {
	args := []string{"set", f.dev}
	for _, key := range f.public[first:last] {
		args = append(args, "peer", key, "remove")
	}
	return exec.CommandContext(ctx, "wg", args...)
}
