package main

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun/netstack"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/vpn"
	"github.com/portcullis/portcullis/web/api"
)

const (
	demoFlow   = "flow rtu-1:502/tcp"
	demoDial   = 10 * time.Second // a flow through the tunnel
	demoSilent = 2 * time.Second  // WireGuard begins a handshake at once; a gateway that answers does so in milliseconds
	pollEvery  = 20 * time.Millisecond
)

// demoTunnel is an engineer's WireGuard, in user space.
type demoTunnel struct {
	key vpn.Key
	vpn.Tunnel
	dev *device.Device
	net *netstack.Net
}

// askTunnel asks for the one flow that the engineer needs.
func (c *check) askTunnel() (string, error) {
	var r gateway.Request
	in := map[string]any{"target": demoNetwork, "account": "tunnel", "abilities": []string{demoFlow}, "seconds": 3600, "reason": demoReason}
	if err := c.engineer.call(c.ctx, api.Prefix+"/requests", in, &r); err != nil {
		return "", err
	}
	g, err := c.approver.approve(c.ctx, r.ID)
	if err != nil {
		return "", err
	}
	c.network = g.ID
	return strings.Join(g.Abilities.List(), ", "), nil
}

// openTunnel makes a key, touches for it and turns the tunnel on.
func (c *check) openTunnel() (string, error) {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return "", err
	}
	t := &demoTunnel{key: vpn.Key(key.Bytes())}
	if err := c.engineer.act(c.ctx, statement.KindOpen, api.OpenParams{Grant: c.network, Peer: vpn.Key(key.PublicKey().Bytes()).String()}, &t.Tunnel); err != nil {
		return "", err
	}
	c.tunnel = t
	if err := t.up(c.ctx); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s leads to %s", t.Address4, joined(t.AllowedIPs)), nil
}

// up begins to speak WireGuard, as wg-quick would with the configuration.
func (t *demoTunnel) up(ctx context.Context) error {
	host, port, err := net.SplitHostPort(t.Endpoint)
	if err != nil {
		return err
	}
	to, err := (&net.Resolver{}).LookupNetIP(ctx, "ip4", host)
	if err != nil {
		return err
	}
	link, inside, err := netstack.CreateNetTUN([]netip.Addr{t.Address4, t.Address6}, t.DNS, t.MTU)
	if err != nil {
		return err
	}
	t.net, t.dev = inside, device.NewDevice(link, conn.NewStdNetBind(), &device.Logger{Verbosef: device.DiscardLogf, Errorf: device.DiscardLogf})
	var b strings.Builder
	fmt.Fprintf(&b, "private_key=%s\npublic_key=%s\npreshared_key=%s\nendpoint=%s\n", hex.EncodeToString(t.key[:]), hexOf(t.ServerKey), hexOf(t.PresharedKey), net.JoinHostPort(to[0].Unmap().String(), port))
	for _, p := range t.AllowedIPs {
		fmt.Fprintf(&b, "allowed_ip=%s\n", p)
	}
	if err := t.dev.IpcSet(b.String()); err != nil {
		return err
	}
	return t.dev.Up()
}

func hexOf(key string) string {
	k, _ := vpn.ParseKey(key) // one that is none is refused by the device
	return hex.EncodeToString(k[:])
}

func (t *demoTunnel) down() {
	if t != nil && t.dev != nil {
		t.dev.Close()
	}
}

func (t *demoTunnel) dial(ctx context.Context, host, port string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, demoDial)
	defer cancel()
	return t.net.DialContext(ctx, "tcp", net.JoinHostPort(host, port))
}

// register reads one holding register.
func register(c net.Conn, n uint16) (uint16, error) {
	if err := c.SetDeadline(time.Now().Add(demoDial)); err != nil {
		return 0, err
	}
	ask := []byte{0, byte(n), 0, 0, 0, 6, 1, readHolding, 0, byte(n), 0, 1}
	if _, err := c.Write(ask); err != nil {
		return 0, err
	}
	var answer [mbapHeader + 4]byte
	if _, err := io.ReadFull(c, answer[:]); err != nil {
		return 0, err
	}
	if answer[mbapHeader] != readHolding {
		return 0, fmt.Errorf("the RTU answers % x", answer)
	}
	return binary.BigEndian.Uint16(answer[mbapHeader+2:]), nil
}

// readRegister reads through the tunnel, by the name that its own DNS answers,
// and goes on reading until the flow ends.
func (c *check) readRegister() (string, error) {
	flow, err := c.tunnel.dial(c.ctx, "rtu-1", "502")
	if err != nil {
		return "", err
	}
	got, err := register(flow, 0)
	if err == nil && got != demoRegisters[0] {
		err = fmt.Errorf("register 0 reads %d, want %d", got, demoRegisters[0])
	}
	if err != nil {
		return "", errors.Join(err, flow.Close())
	}
	c.polled = make(chan error, 1)
	go func() { c.polled <- errors.Join(poll(c.ctx, flow), flow.Close()) }() // cutTunnel waits for it, or the tunnel's end ends it
	return fmt.Sprintf("register 0 of rtu-1 is %d, %.2f Hz", got, float64(got)/100), nil
}

// poll reads a register again and again, and returns why it could not.
func poll(ctx context.Context, flow net.Conn) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		if _, err := register(flow, 1); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// refusedFlow tries a port that nobody agreed to.
func (c *check) refusedFlow() (string, error) {
	flow, err := c.tunnel.dial(c.ctx, "rtu-1", "22")
	if err == nil {
		return "", errors.Join(errors.New("port 22 of rtu-1 was reached"), flow.Close())
	}
	var s vpn.State
	shown := func() bool { // the client is told first
		s, _ = c.plant.gate.tunnels.State(c.tunnel.Session)
		return len(s.Refused) > 0
	}
	if err := c.until(shown, "the tunnel's page shows no refused flow"); err != nil {
		return "", err
	}
	return fmt.Sprintf("port 22 by rule %s; to have it, ask for %q", s.Refused[0].Rule, s.Refused[0].Ask), nil
}

// cutTunnel wants the flow that was under way ended, by the suspension.
func (c *check) cutTunnel() (string, error) {
	select {
	case err := <-c.polled:
		var ne net.Error
		if err == nil || errors.As(err, &ne) && ne.Timeout() {
			return "", fmt.Errorf("the flow was not reset: %w", err)
		}
	case <-c.ctx.Done():
		return "", errors.New("the flow goes on")
	}
	s, ok := c.plant.gate.tunnels.State(c.tunnel.Session)
	if !ok || s.Ended == nil || s.Ended.Reason != gateway.EndSuspended {
		return "", fmt.Errorf("the session does not say that it was suspended: %+v", s)
	}
	return "reset after " + fmt.Sprint(s.BytesOut) + " bytes of answers", nil
}

// until looks again and again, and says what did not come.
func (c *check) until(ok func() bool, what string) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-c.ctx.Done():
			return errors.New(what)
		}
	}
	return nil
}

// oldConfiguration turns the tunnel on once more with what the engineer has.
func (c *check) oldConfiguration() (string, error) {
	again := &demoTunnel{key: c.tunnel.key, Tunnel: c.tunnel.Tunnel}
	c.tunnel.down()
	// A peer is kept for a moment, to be told that its flows are over.
	if err := c.until(func() bool { return c.plant.gate.tunnels.Stats().Tunnels == 0 }, "the gateway keeps the peer"); err != nil {
		return "", err
	}
	defer again.down()
	if err := again.up(c.ctx); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(c.ctx, demoSilent)
	defer cancel()
	if flow, err := again.dial(ctx, demoRTU, "502"); err == nil {
		return "", errors.Join(errors.New("rtu-1 was reached"), flow.Close())
	}
	said, err := again.dev.IpcGet()
	if err == nil && !strings.Contains(said, "last_handshake_time_sec=0\n") {
		err = errors.New("the gateway has shaken hands again")
	}
	return "no handshake is answered", err
}
