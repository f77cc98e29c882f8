package vpn

import (
	"errors"
	"fmt"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

const nic = 1

// Buffers of one connection, bytes. Windows open as far only where they are
// used.
const (
	bufferMin, bufferStart, bufferMax = 4 << 10, 512 << 10, 2 << 20
)

// newStack makes the one network stack that ends the flows of all tunnels. It
// answers for every address, since each packet was judged by whose it is, and
// forwards nothing: there is no route from it to anywhere but the tunnels.
func newStack(l *link) (*stack.Stack, error) {
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol},
	})
	sack, moderate, delay := tcpip.TCPSACKEnabled(true), tcpip.TCPModerateReceiveBufferOption(true), tcpip.TCPDelayEnabled(false)
	retries := tcpip.TCPSynRetriesOption(synRetries)
	// The stack's RACK takes acknowledgements that come late for losses, sends
	// again what had arrived, and closes its window (seen: 26 such in 700 MB on a
	// loopback that lost nothing, and none without it).
	recovery := tcpip.TCPRecovery(0)
	for _, o := range []tcpip.SettableTransportProtocolOption{
		&sack, &moderate, &delay, &retries, &recovery,
		&tcpip.TCPReceiveBufferSizeRangeOption{Min: bufferMin, Default: bufferStart, Max: bufferMax},
		&tcpip.TCPSendBufferSizeRangeOption{Min: bufferMin, Default: bufferStart, Max: bufferMax},
	} {
		if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, o); err != nil {
			return nil, stackError("set an option of TCP", err)
		}
	}
	if err := s.CreateNIC(nic, l); err != nil {
		return nil, stackError("make the interface", err)
	}
	if err := errors.Join(stackError("answer for all", s.SetPromiscuousMode(nic, true)), stackError("answer as all", s.SetSpoofing(nic, true))); err != nil {
		return nil, err
	}
	s.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: nic}, {Destination: header.IPv6EmptySubnet, NIC: nic}})
	return s, nil
}

func stackError(what string, err tcpip.Error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("network stack: %s: %s", what, err)
}
