package vpn

import (
	"net/netip"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// link joins the network stack to the tunnels. It takes packets of many
// segments and cuts them itself, and spares the stack checksums of what the
// tunnel has authenticated.
type link struct {
	g     *Gateway
	stack atomic.Pointer[stack.NetworkDispatcher]
}

// inject hands a packet to the stack and owns v no more.
func (l *link) inject(proto tcpip.NetworkProtocolNumber, v *buffer.View) {
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithView(v)})
	defer pkt.DecRef()
	if d := l.stack.Load(); d != nil {
		(*d).DeliverNetworkPacket(proto, pkt)
	}
}

// WritePackets queues what the stack sends, recorded first. What has no tunnel
// to go to, or no room, is dropped, as on any link.
func (l *link) WritePackets(list stack.PacketBufferList) (int, tcpip.Error) {
	for _, pkt := range list.AsSlice() {
		if t := l.g.tunnelAt(destination(pkt)); t != nil {
			b := l.g.outbox.slabs.get(t, pkt.Size())
			b.fill(pkt)
			t.outward(b)
		}
	}
	return list.Len(), nil
}

func destination(pkt *stack.PacketBuffer) netip.Addr {
	network := pkt.NetworkHeader().Slice()
	switch {
	case len(network) >= headerV6 && network[0]>>4 == 6:
		return packet{raw: network}.to()
	case len(network) >= headerV4 && network[0]>>4 == 4:
		return packet{raw: network}.to()
	}
	return netip.Addr{}
}

// MTU is the tunnel's; the stack derives the MSS from it.
func (*link) MTU() uint32 { return MTU }

// SetMTU changes nothing.
func (*link) SetMTU(uint32) {}

// MaxHeaderLength is 0: there is no header beneath IP.
func (*link) MaxHeaderLength() uint16 { return 0 }

// LinkAddress is none.
func (*link) LinkAddress() tcpip.LinkAddress { return "" }

// SetLinkAddress changes nothing.
func (*link) SetLinkAddress(tcpip.LinkAddress) {}

// Capabilities tells the stack to take inner checksums as good: every byte
// came authenticated, and no router was in between.
func (*link) Capabilities() stack.LinkEndpointCapabilities { return stack.CapabilityRXChecksumOffload }

// Attach takes the stack.
func (l *link) Attach(d stack.NetworkDispatcher) {
	if d == nil {
		l.stack.Store(nil)
		return
	}
	l.stack.Store(&d)
}

// IsAttached reports whether there is a stack.
func (l *link) IsAttached() bool { return l.stack.Load() != nil }

// Wait waits for nothing: the link has no goroutine.
func (*link) Wait() {}

// ARPHardwareType is none.
func (*link) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareNone }

// AddHeader adds nothing.
func (*link) AddHeader(*stack.PacketBuffer) {}

// ParseHeader finds nothing.
func (*link) ParseHeader(*stack.PacketBuffer) bool { return true }

// Close does nothing: the outbox has its own.
func (*link) Close() {}

// SetOnCloseAction does nothing.
func (*link) SetOnCloseAction(func()) {}

// GSOMaxSize is how much the stack sends at once.
func (*link) GSOMaxSize() uint32 { return 1<<16 - 1 }

// SupportedGSO says that the link cuts.
func (*link) SupportedGSO() stack.SupportedGSO { return stack.HostGSOSupported }
