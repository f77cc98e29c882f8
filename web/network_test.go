package web_test

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/web"
	"github.com/portcullis/portcullis/web/api"
	"github.com/portcullis/portcullis/web/webtest"
)

// withNetwork adds a network, a request for it and an open grant.
func withNetwork(w *webtest.World, _ *web.Config, _ *api.Config) {
	w.Targets = append(w.Targets, gateway.Target{
		Name: "plant", Title: "Substation north", Kind: gateway.KindNetwork, Zone: "control", Impact: gateway.High, Owner: "olga", Vendors: []string{"acme"},
		Network: &gateway.Network{
			Prefixes: []netip.Prefix{netip.MustParsePrefix("10.20.0.0/16"), netip.MustParsePrefix("fd00:20::/64")}, Capture: gateway.CaptureFirst, CaptureBytes: 4096,
			Names: []gateway.NetworkName{{Name: "plc-7", Addresses: []netip.Addr{netip.MustParseAddr("10.20.0.7"), netip.MustParseAddr("fd00:20::7")}}},
		},
		Accounts: []gateway.Account{{Name: "tunnel", Proof: gateway.ProofNone}}, Version: 1, Changed: noon.Add(-time.Hour),
	})
	can := gateway.Abilities{Flows: []string{"10.20.1.0/24:22/tcp", "plc-7/icmp", "plc-7:502-503/tcp"}, VolumeIn: 10_000_000, Bandwidth: 500_000}
	r := w.Requests[0]
	r.ID, r.Target, r.Account, r.Terms = "req_00000000000000000000000091", "plant", "tunnel", gateway.Terms{Length: time.Hour, Abilities: can}
	r.Person, r.Vendor, r.Reason = "ana", "acme", "Read the registers."
	w.Requests = append(w.Requests, r)
	g := w.Grants[0]
	g.ID, g.Request, g.Target, g.Account, g.Abilities, g.Person = "grt_00000000000000000000000091", r.ID, "plant", "tunnel", can, "ana"
	w.Grants = append(w.Grants, g)
}

// What the form for a network offers becomes the abilities that are signed.
func TestAskForANetwork(t *testing.T) {
	ask := func(s *stand, send ...string) *http.Response {
		return s.as("ana", http.MethodPost, "/requests", form(append([]string{"target", "plant", "account", "tunnel", "hours", "2", "reason", "Read registers"}, send...)...))
	}
	for name, c := range map[string]struct{ send, want []string }{
		"flows":           {[]string{"flows", "PLC-7:502/tcp\r\n\r\n  [fd00:20:0::7]:161/udp \r\nflow plc-7/icmp"}, []string{"flow plc-7:502/tcp", "flow [fd00:20::7]:161/udp", "flow plc-7/icmp"}},
		"with bounds":     {[]string{"flows", "plc-7:1-9/tcp", "volume_in", "1.5", "volume_out", "2", "bandwidth", "0.5"}, []string{"flow plc-7:1-9/tcp", "volume-in 1500000", "volume-out 2000000", "bandwidth 500000"}},
		"others leftover": {[]string{"flows", "plc-7:1/tcp", "ability", "shell", "method", "GET", "paths", "/"}, []string{"flow plc-7:1/tcp"}},
	} {
		s := newStand(t, withNetwork)
		if res := ask(s, c.send...); res.StatusCode != http.StatusSeeOther || len(s.Asked) != 1 {
			t.Errorf("%s: answers %d: %s", name, res.StatusCode, text(t, res))
		} else if got := s.Asked[0].Abilities; !slices.Equal(got, c.want) {
			t.Errorf("%s: asked for %q, wants %q", name, got, c.want)
		}
	}
	for _, c := range []struct {
		send []string
		says string
	}{
		{[]string{"flows", "plc-7:502/tcp\nplc-7"}, "ine 2 of the flows"},
		{[]string{"flows", "127.0.0.1:22/tcp"}, "ine 1 of the flows"},
		{[]string{"flows", "plc-7:502/tcp", "bandwidth", "-1"}, "is not a size above 0"},
	} {
		s := newStand(t, withNetwork)
		if body := text(t, ask(s, c.send...)); len(s.Asked) > 0 || !strings.Contains(body, c.says) || !strings.Contains(body, "Read registers") {
			t.Errorf("%q: does not say %q", c.send, c.says)
		}
	}
}

// Whoever looks at a request, a grant or a target reads what passes, and can
// leave out a single flow; the form begins with what was asked before.
func TestNetworksAreReadable(t *testing.T) {
	s := newStand(t, withNetwork)
	for _, c := range []struct {
		who, path  string
		want, lack []string
	}{
		{"olga", "/requests/req_00000000000000000000000091", []string{
			"TCP to every address of 10.20.1.0/24, port 22", "ping of plc-7", "TCP to plc-7, ports 502 to 503", "at most 10 MB to the target in all", "at most 500 kB a second, each way", `value="flow plc-7/icmp" checked`,
		}, nil},
		{"ana", "/requests/new?extends=grt_00000000000000000000000091", []string{
			"10.20.1.0/24:22/tcp\nplc-7/icmp\nplc-7:502-503/tcp</textarea>", `name="volume_in" value="10"`, `name="bandwidth" value="0.5"`, `<fieldset data-if="kind=ssh" hidden disabled>`, `<fieldset data-if="kind=https" hidden disabled>`, `<fieldset data-if="kind=network">`,
			"The network has 10.20.0.0/16, fd00:20::/64", "<code>plc-7</code>",
		}, nil},
		{"ana", "/requests/new?extends=grt_00000000000000000000000091&flow=flow%20plc-7:80/tcp", []string{"plc-7:502-503/tcp\nplc-7:80/tcp</textarea>", `value="now" checked`}, nil},
		{"ana", "/", []string{"tunnel on plant"}, []string{"tunnel+plant", "ssh tunnel"}},
		{"olga", "/targets/plant", []string{"10.20.0.0/16, fd00:20::/64", "<b>plc-7</b> <code>10.20.0.7, fd00:20::7</code>", "4096 bytes of each flow"}, []string{"Pinned host keys"}},
		{"olga", "/targets", []string{"10.20.0.0/16, fd00:20::/64"}, nil},
		{"root", "/targets/plant/edit", []string{"plc-7 10.20.0.7 fd00:20::7\n</textarea>", "10.20.0.0/16\nfd00:20::/64\n</textarea>", `value="4096"`, `<option value="first" selected>`, "tunnel - none", `<fieldset data-if="kind=ssh|https" hidden disabled>`}, nil},
		{"root", "/targets/new", []string{`name="kind" value="network"`, `<fieldset data-if="kind=network" hidden disabled>`}, nil},
	} {
		body := text(t, s.as(c.who, http.MethodGet, c.path, ""))
		for _, want := range c.want {
			if !strings.Contains(body, want) {
				t.Errorf("%s at %s does not read %q", c.who, c.path, want)
			}
		}
		for _, lack := range c.lack {
			if strings.Contains(body, lack) {
				t.Errorf("%s at %s reads %q", c.who, c.path, lack)
			}
		}
	}
}
