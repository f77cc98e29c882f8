package main

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/vpn"
	"github.com/portcullis/portcullis/web/api"
)

// keepalive is what a client sends in this many seconds at least, so that a
// NAT on the way keeps its hole.
const keepalive = 25

type tunnelCmd struct {
	Target string `arg:"" help:"The network to open a tunnel to."`
	Server string `help:"URL of the gateway's pages; from the configuration by default." env:"PORTCULLIS_SERVER" placeholder:"URL"`
	Out    string `help:"Where to write the configuration, mode 0600; TARGET.conf by default, - prints it." short:"o" placeholder:"FILE"`
}

// Run makes a key, shows the link, waits for the touch and writes a
// configuration for wg-quick or a WireGuard app. The private key leaves this
// machine never.
func (c *tunnelCmd) Run(r *run) error {
	if err := gateway.CheckName("target", c.Target); err != nil {
		return usageError{err}
	}
	base, err := (&touchCmd{Server: c.Server}).server(r)
	if err != nil {
		return err
	}
	out, err := c.out()
	if err != nil {
		return err
	}
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	var begun api.TerminalBegun
	in := api.TunnelParams{Target: c.Target, Peer: base64.StdEncoding.EncodeToString(key.PublicKey().Bytes()), Client: clientName()}
	if err := post(r.ctx, base, "/tunnels/begin", in, &begun); err != nil {
		return err
	}
	if err := showLink(r, base, begun); err != nil {
		return err
	}
	t, err := waitTunnel(r, base, begun.Ticket)
	if err != nil {
		return err
	}
	text, err := wgConfig(t, base64.StdEncoding.EncodeToString(key.Bytes()))
	if err != nil {
		return hinted(fmt.Errorf("the gateway's answer is not used: %w", err), "tell the operator's control room")
	}
	if out == "-" {
		_, err = fmt.Fprint(r.out, text)
		return err
	}
	if err := writeNew(out, []byte(text), 0o600); err != nil {
		return hinted(err, "name another file with --out")
	}
	if r.JSON {
		return printJSON(r.out, map[string]any{"file": out, "session": t.Session, "until": t.Until})
	}
	fmt.Fprintf(r.errOut, "The tunnel is open until %s. How it goes: %s/sessions/%s\nTurn it on, and off with down:\n", moment(t.Until), base, printable(t.Session))
	_, err = fmt.Fprintf(r.out, "sudo wg-quick up %s\n", out)
	return err
}

// out is where the configuration goes. wg-quick wants a path with a slash, or
// it looks in /etc/wireguard.
func (c *tunnelCmd) out() (string, error) {
	out := c.Out
	if out == "-" {
		return out, nil
	}
	if out == "" {
		out = "./" + c.Target[:min(len(c.Target), 15)] + ".conf" // 15 bytes is the longest name of an interface
	}
	if _, err := os.Lstat(out); !errors.Is(err, os.ErrNotExist) {
		return "", hinted(fmt.Errorf("%s is there already", out), "a configuration serves one tunnel: remove it, or name another file with --out")
	}
	return out, nil
}

// showLink tells where to touch.
func showLink(r *run, base *url.URL, begun api.TerminalBegun) error {
	if !strings.HasPrefix(begun.Link, base.String()+"/") {
		return hinted(fmt.Errorf("the gateway's link %s leads elsewhere", printable(begun.Link)), "do not open it; check --server")
	}
	fmt.Fprintf(r.errOut, "Open this link and touch your security key:\n\n    %s\n\nGo on only if that page shows the code %s. Waiting for the touch; Ctrl-C gives up.\n", printable(begun.Link), printable(begun.Code))
	return nil
}

func waitTunnel(r *run, base *url.URL, ticket string) (vpn.Tunnel, error) {
	for {
		var got api.TunnelOpened
		if err := post(r.ctx, base, "/tunnels/wait", map[string]string{"ticket": ticket}, &got); err != nil {
			return vpn.Tunnel{}, err
		}
		if !got.Waiting && got.Tunnel != nil {
			return *got.Tunnel, nil
		}
	}
}

// wgConfig is a configuration as wg-quick(8) and the WireGuard apps read it.
// What comes from the gateway is held to its form first: wg-quick runs as root,
// and some of the lines that it knows are commands.
func wgConfig(t vpn.Tunnel, private string) (string, error) {
	for _, k := range []string{t.ServerKey, t.PresharedKey} {
		if _, err := vpn.ParseKey(k); err != nil {
			return "", errors.New("a key of it is none")
		}
	}
	if _, err := gateway.ParseForward(t.Endpoint); err != nil {
		return "", errors.New("its endpoint is no host:port")
	}
	zoned := func(a netip.Addr) bool { return a.Zone() != "" } // a zone is any text
	if !t.Address4.Is4() || !t.Address6.Is6() || zoned(t.Address6) || slices.ContainsFunc(t.DNS, zoned) || t.MTU < 576 || t.MTU > 65535 {
		return "", errors.New("its addresses cannot be used")
	}
	return fmt.Sprintf("[Interface]\nPrivateKey = %s\nAddress = %s/32, %s/128\nDNS = %s\nMTU = %d\n\n[Peer]\nPublicKey = %s\nPresharedKey = %s\nEndpoint = %s\nAllowedIPs = %s\nPersistentKeepalive = %d\n",
		private, t.Address4, t.Address6, joined(t.DNS), t.MTU, t.ServerKey, t.PresharedKey, t.Endpoint, joined(t.AllowedIPs), keepalive), nil
}

func joined[T netip.Addr | netip.Prefix](list []T) string {
	words := make([]string, len(list))
	for i, x := range list {
		words[i] = fmt.Sprint(x)
	}
	return strings.Join(words, ", ")
}
