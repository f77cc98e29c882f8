package main

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/gateway/vpn"
)

// What a gateway answers becomes a file that wg-quick reads as root, and wg-quick
// runs what PostUp says: nothing of the answer may begin a line of its own.
func TestConfigurationHoldsTheGatewayToItsForm(t *testing.T) {
	key := vpn.NewKey().String()
	good := vpn.Tunnel{
		Session: "ses_1", Address4: netip.MustParseAddr("100.100.0.2"), Address6: netip.MustParseAddr("fd70::2"), ServerKey: key, PresharedKey: key,
		Endpoint: "gate.example.net:51820", AllowedIPs: []netip.Prefix{netip.MustParsePrefix("10.20.0.5/32")}, DNS: []netip.Addr{netip.MustParseAddr("100.100.0.1")}, MTU: 1420,
	}
	text, err := wgConfig(good, "PRIVATE")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"PrivateKey = PRIVATE\n", "Address = 100.100.0.2/32, fd70::2/128\n", "Endpoint = gate.example.net:51820\n", "AllowedIPs = 10.20.0.5/32\n", "DNS = 100.100.0.1\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("the configuration lacks %q:\n%s", want, text)
		}
	}
	for name, change := range map[string]func(*vpn.Tunnel){
		"endpoint with a line": func(x *vpn.Tunnel) { x.Endpoint = "gate.example.net:51820\nPostUp = id" },
		"server key":           func(x *vpn.Tunnel) { x.ServerKey = key + "\nPostUp = id" },
		"pre-shared key":       func(x *vpn.Tunnel) { x.PresharedKey = "" },
		"address":              func(x *vpn.Tunnel) { x.Address4 = netip.Addr{} },
		"address with a zone":  func(x *vpn.Tunnel) { x.Address6 = netip.MustParseAddr("fe80::1%a\nPostUp=id") },
		"dns with a zone":      func(x *vpn.Tunnel) { x.DNS = []netip.Addr{netip.MustParseAddr("fe80::1%a\nPostUp=id")} },
		"mtu":                  func(x *vpn.Tunnel) { x.MTU = 1 },
	} {
		bad := good
		change(&bad)
		if text, err := wgConfig(bad, "PRIVATE"); err == nil {
			t.Errorf("%s was taken:\n%s", name, text)
		}
	}
}
