package statement

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/gateway"
)

// Bounds of what the definition of a network says.
const (
	maxPrefixes      = 32
	maxNames         = 128
	maxNameAddresses = 8
	// MaxCaptureBytes is the most that CaptureFirst keeps of one flow and
	// direction; who wants more wants CaptureFull.
	MaxCaptureBytes = 1 << 30
)

// CaptureRules lists what a definition may say of packets.
func CaptureRules() []gateway.CaptureRule {
	return []gateway.CaptureRule{gateway.CaptureNone, gateway.CaptureHeaders, gateway.CaptureFirst, gateway.CaptureFull}
}

func checkNetwork(n *gateway.Network) error {
	if n == nil || len(n.Prefixes) == 0 {
		return gateway.Invalid("network", "say which addresses the network has, as prefixes such as 10.20.0.0/16 or fd00:20::/64")
	}
	if err := first(bounded("prefixes", len(n.Prefixes), maxPrefixes), bounded("names", len(n.Names), maxNames), checkCapture(n)); err != nil {
		return err
	}
	for i, p := range n.Prefixes {
		if err := gateway.CheckNetworkPrefix(p); err != nil {
			return err
		}
		if j := slices.IndexFunc(n.Prefixes[:i], p.Overlaps); j >= 0 {
			return gateway.Invalid("prefixes", "%s and %s hold the same addresses; name the wider one alone", n.Prefixes[j], p)
		}
	}
	for i, x := range n.Names {
		if slices.ContainsFunc(n.Names[:i], func(o gateway.NetworkName) bool { return o.Name == x.Name }) {
			return gateway.Invalid("names", "name %s stands twice", gateway.Quote(x.Name))
		}
		if err := checkNetworkName(n, x); err != nil {
			return err
		}
	}
	return nil
}

func checkNetworkName(n *gateway.Network, x gateway.NetworkName) error {
	if err := gateway.CheckNetworkName(x.Name); err != nil {
		return err
	}
	if len(x.Addresses) == 0 {
		return gateway.Invalid("names", "name %s has no address; nothing is asked of another DNS server, so its addresses stand here", x.Name)
	}
	for i, a := range x.Addresses {
		if !slices.ContainsFunc(n.Prefixes, func(p netip.Prefix) bool { return a.Zone() == "" && p.Contains(a) }) {
			return gateway.Invalid("names", "address %s of %s is outside the network's prefixes", a, x.Name)
		}
		if slices.Contains(x.Addresses[:i], a) {
			return gateway.Invalid("names", "address %s of %s stands twice", a, x.Name)
		}
	}
	return bounded("names", len(x.Addresses), maxNameAddresses)
}

func checkCapture(n *gateway.Network) error {
	switch {
	case n.Capture != "" && !slices.Contains(CaptureRules(), n.Capture):
		return gateway.Invalid("capture", "capture %s is not one of %s", gateway.Quote(string(n.Capture)), joined(CaptureRules()))
	case n.Capture != gateway.CaptureFirst && n.CaptureBytes != 0:
		return gateway.Invalid("capture_bytes", "capture_bytes counts with capture: first alone")
	case n.Capture == gateway.CaptureFirst && (n.CaptureBytes < 1 || n.CaptureBytes > MaxCaptureBytes):
		return gateway.Invalid("capture_bytes", "capture: first needs capture_bytes, from 1 to %d: how much of each flow and direction is kept", MaxCaptureBytes)
	}
	return nil
}

// networkWords tells what an approver of the definition must know of the
// network: its names, for those are what grants name, and what is kept.
func networkWords(n *gateway.Network) string {
	s := "It has no names"
	if len(n.Names) > 0 {
		var names []string
		for _, x := range n.Names {
			names = append(names, x.Name+" ("+joined(x.Addresses)+")")
		}
		s = "Its names are " + strings.Join(names, ", ")
	}
	return s + ". Of its packets " + captureWords(n) + "; of each flow a record is."
}

func captureWords(n *gateway.Network) string {
	switch n.Capture {
	case gateway.CaptureNone:
		return "nothing is kept"
	case gateway.CaptureFirst:
		return fmt.Sprintf("the first %d bytes of each flow and direction are kept, headers after", n.CaptureBytes)
	case gateway.CaptureFull:
		return "everything is kept"
	default:
		return "the headers are kept"
	}
}
