package directory

import (
	"fmt"
	"net/netip"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/portcullis/portcullis/gateway"
)

// What a network says of itself; read, written and spelt out in one place.

type networkOut struct {
	Prefixes     []string            `yaml:"prefixes"`
	Names        []networkNameOut    `yaml:"names,omitempty"`
	Capture      gateway.CaptureRule `yaml:"capture,omitempty"`
	CaptureBytes int64               `yaml:"capture_bytes,omitempty"`
}

type networkNameOut struct {
	Name      string   `yaml:"name"`
	Addresses []string `yaml:"addresses"`
}

func outOfNetwork(n *gateway.Network) *networkOut {
	if n == nil {
		return nil
	}
	out := &networkOut{Prefixes: texted(n.Prefixes), Capture: n.Capture, CaptureBytes: n.CaptureBytes}
	for _, x := range n.Names {
		out.Names = append(out.Names, networkNameOut{x.Name, texted(x.Addresses)})
	}
	return out
}

func texted[T fmt.Stringer](l []T) []string {
	s := make([]string, len(l))
	for i, x := range l {
		s[i] = x.String()
	}
	return s
}

func readNetwork(n *yaml.Node) (*gateway.Network, error) {
	net := new(gateway.Network)
	var capture string
	var bytes int
	err := mapping(n, "network", map[string]field{
		"prefixes": func(n *yaml.Node) error {
			return texts(n, "prefixes", func(n *yaml.Node, s string) error {
				p, err := parseNetwork(s)
				net.Prefixes = append(net.Prefixes, p)
				if err != nil {
					return lined(n.Line, err)
				}
				return nil
			})
		},
		"names": func(n *yaml.Node) error {
			return sequence(n, "names", func(n *yaml.Node) error {
				x, err := readNetworkName(n)
				net.Names = append(net.Names, x)
				return err
			})
		},
		"capture":       into("capture", &capture),
		"capture_bytes": func(n *yaml.Node) error { return number(n, "capture_bytes", &bytes) },
	})
	net.Capture, net.CaptureBytes = gateway.CaptureRule(capture), int64(bytes)
	return net, err
}

func readNetworkName(n *yaml.Node) (gateway.NetworkName, error) {
	var x gateway.NetworkName
	err := mapping(n, "a name", map[string]field{
		"name": into("name", &x.Name),
		"addresses": func(n *yaml.Node) error {
			return texts(n, "addresses", func(n *yaml.Node, s string) error {
				a, err := netip.ParseAddr(s)
				if err != nil {
					return at(n, "address %s of a name is not an IP address", gateway.Quote(s))
				}
				x.Addresses = append(x.Addresses, a)
				return nil
			})
		},
	})
	return x, err
}

// network spells out what is said of a network.
func network(n *gateway.Network) string {
	if n == nil {
		return ""
	}
	s := "prefixes " + list(n.Prefixes)
	var names []string
	for _, x := range n.Names {
		names = append(names, x.Name+" ("+list(x.Addresses)+")")
	}
	if len(names) > 0 {
		s += "; names " + strings.Join(names, ", ")
	}
	if n.Capture != "" {
		s += "; capture " + string(n.Capture)
	}
	if n.CaptureBytes > 0 {
		s += fmt.Sprintf(" %d bytes", n.CaptureBytes)
	}
	return s
}
