package vpn

import (
	"os"
	"sync"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/tun"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// tunDevice is what wireguard-go takes for a TUN device: it writes what peers
// have sent, and reads what goes to them. It is the one place that every inner
// packet passes, either way.
type tunDevice struct {
	g      *Gateway
	events chan tun.Event
	once   sync.Once
	inward sync.Pool // *batch
}

// batch is what one peer has sent at once, while it is looked at.
type batch struct {
	packets []packet
	merger  merger
}

func newDevice(g *Gateway) *tunDevice {
	d := &tunDevice{g: g, events: make(chan tun.Event, 1)}
	d.inward.New = func() any {
		b := &batch{packets: make([]packet, 0, conn.IdealBatchSize)}
		b.merger.deliver = func(v6 bool, v *buffer.View) {
			proto := header.IPv4ProtocolNumber
			if v6 {
				proto = header.IPv6ProtocolNumber
			}
			g.link.inject(proto, v)
		}
		return b
	}
	return d
}

// Write takes what one peer has sent: WireGuard has let it through as the only
// holder of its inner source address. Nothing of it goes on before the
// recording has it.
func (d *tunDevice) Write(bufs [][]byte, offset int) (int, error) {
	b := d.inward.Get().(*batch)
	defer d.inward.Put(b)
	b.packets = b.packets[:0]
	var t *tunnel
	defer func() {
		if p := recover(); p != nil {
			d.g.panicked(t, p)
		}
	}()
	for _, buf := range bufs {
		raw := buf[offset:]
		if t == nil {
			if t = d.g.tunnelOf(raw); t == nil {
				d.g.dropped(dropStranger)
				continue
			}
		}
		if p, ok := t.admit(raw, stampOf(buf)); ok {
			b.packets = append(b.packets, p)
		}
	}
	if t != nil && len(b.packets) > 0 {
		t.inward(b)
	}
	return len(bufs), nil
}

// Read gives what goes to peers. A packet of a session that has ended since it
// was queued is not among it.
func (d *tunDevice) Read(bufs [][]byte, sizes []int, offset int) (int, error) {
	n := d.g.outbox.pull(bufs, sizes, offset)
	if n == 0 {
		return 0, os.ErrClosed
	}
	return n, nil
}

// File is none: there is no descriptor.
func (d *tunDevice) File() *os.File { return nil }

// MTU is the tunnel's.
func (d *tunDevice) MTU() (int, error) { return MTU, nil }

// Name is for WireGuard's own log.
func (d *tunDevice) Name() (string, error) { return "portcullis", nil }

// Events is closed with the device.
func (d *tunDevice) Events() <-chan tun.Event { return d.events }

// BatchSize is how many packets one call takes or gives.
func (d *tunDevice) BatchSize() int { return conn.IdealBatchSize }

// Close lets the reader go.
func (d *tunDevice) Close() error {
	d.once.Do(func() {
		d.g.outbox.close()
		close(d.events)
	})
	return nil
}
