package vpn

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/portcullis/portcullis/gateway"
)

// handleTCP gets each segment that belongs to no connection. Each tunnel has
// its own bound of half-open ones, so that a flood in one leaves room in the
// others. What is not let is refused before any bound: a scan gets its resets
// as fast as it asks, and takes nothing from the flows that are.
func (g *Gateway) handleTCP(id stack.TransportEndpointID, pkt *stack.PacketBuffer) bool {
	t := g.tunnelAt(addrOf(id.RemoteAddress))
	if t == nil || t.cut.Load() {
		return true
	}
	head := pkt.TransportHeader().Slice()
	if len(head) < 14 || head[13]&(2|16) != 2 {
		return false // the stack answers with a reset
	}
	flow := tcpFlow(id)
	if _, ok := t.judge(gateway.FlowTCP, flow.to); !ok && !t.isResolver(flow.to) {
		if t.ch.Frozen() {
			return true // the client asks again
		}
		t.refuse(flow, nil)
		return false
	}
	if !t.fresh.take(1) {
		g.dropped(dropFlood)
		return true
	}
	return t.half().HandlePacket(id, pkt)
}

func (t *tunnel) half() *tcp.Forwarder {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.forwarder == nil {
		t.forwarder = tcp.NewForwarder(t.g.stack, bufferStart, MaxHalfOpen, t.connect)
	}
	return t.forwarder
}

// connect answers one SYN: judged, told, dialled, and only then taken, so that
// a target that refuses is a refusal to the client too.
func (t *tunnel) connect(r *tcp.ForwarderRequest) {
	if !t.enter() {
		r.Complete(false)
		return
	}
	defer t.running.Done()
	t.guard(func() {
		t.open(r, tcpFlow(r.ID()))
	})
}

func tcpFlow(id stack.TransportEndpointID) flowID {
	return flowID{protoTCP, netip.AddrPortFrom(addrOf(id.RemoteAddress), id.RemotePort), netip.AddrPortFrom(addrOf(id.LocalAddress), id.LocalPort)}
}

func (t *tunnel) open(r *tcp.ForwarderRequest, id flowID) {
	if t.ch.Frozen() {
		r.Complete(false) // the client asks again
		return
	}
	if t.isResolver(id.to) {
		t.resolveTCP(r)
		return
	}
	name, ok := t.judge(gateway.FlowTCP, id.to) // again: this machine's addresses may have changed
	if !ok {
		r.Complete(true)
		t.refuse(id, nil)
		return
	}
	f, err := t.newFlow(id, name)
	if err != nil {
		r.Complete(true)
		var no *gateway.Error
		if errors.As(err, &no) && !gateway.IsCode(err, gateway.CodeInternal) {
			t.refuse(id, no)
		}
		return
	}
	ctx, cancel := context.WithTimeout(t.live.Context(), DialTime)
	conn, err := t.g.c.Dial(ctx, "tcp", target(id.to))
	cancel()
	if err != nil {
		r.Complete(true)
		f.failed(notReached(err))
		return
	}
	f.relay(r, conn)
}

// notReached words why a target took no flow. Addresses of our own do not
// belong in it.
func notReached(err error) string {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the target refused the connection"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "there is no way to the target"
	case errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		return "the target did not answer in " + DialTime.String()
	}
	return "the target could not be reached"
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

// relay takes the client's connection and carries both ways until both have
// ended.
func (f *flow) relay(r *tcp.ForwarderRequest, conn net.Conn) {
	ctx, cancel := context.WithCancel(f.t.live.Context())
	defer cancel()
	e := &end{wq: &waiter.Queue{}}
	if !f.onCut(func() { resetTarget(conn) }) {
		resetTarget(conn)
	}
	ep, terr := f.take(r, e.wq)
	if terr != nil { // the client has gone, or never was there
		resetTarget(conn)
		f.closedBy(gateway.FlowByClient)
		f.end()
		return
	}
	e.ep = ep
	reset := sync.OnceFunc(func() {
		resetTarget(conn)
		cancel()
		e.abort()
	})
	if !f.onCut(reset) {
		f.closedBy(gateway.FlowByGate)
		reset()
	}
	var down sync.WaitGroup
	down.Go(func() { f.t.guard(func() { f.down(ctx, e, conn, reset) }) })
	f.up(ctx, e, conn, reset)
	down.Wait()
	_ = conn.Close()
	e.close()
	f.t.rest()
	f.end()
}

// take completes the client's handshake, or gives it up when its last packet is
// late, or when the session ends and it would never come.
func (f *flow) take(r *tcp.ForwarderRequest, wq *waiter.Queue) (tcpip.Endpoint, tcpip.Error) {
	id, proto := r.ID(), header.IPv4ProtocolNumber
	if f.record.To.Addr().Is6() {
		proto = header.IPv6ProtocolNumber
	}
	done := make(chan struct{})
	defer close(done)
	ctx, cancel := context.WithTimeout(f.t.live.Context(), f.t.g.halfOpen)
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		again := time.NewTicker(takeAgain)
		defer again.Stop()
		for { // it may not be registered yet
			if ep := f.t.g.stack.FindTransportEndpoint(proto, tcp.ProtocolNumber, id, nic); ep != nil {
				ep.Abort()
			}
			select {
			case <-done:
				return
			case <-again.C:
			}
		}
	})
	defer stop()
	defer r.Complete(false)
	return r.CreateEndpoint(wq)
}

// resetTarget closes a connection without waiting, and throws away what the
// kernel still holds of it: what was sent before the end is not to arrive after
// it.
func resetTarget(conn net.Conn) {
	if c, ok := conn.(interface{ SetLinger(int) error }); ok {
		_ = c.SetLinger(0)
	}
	_ = conn.Close()
}

// up carries from the engineer to the target.
func (f *flow) up(ctx context.Context, e *end, conn net.Conn, reset func()) {
	readable, ready := waiter.NewChannelEntry(waiter.ReadableEvents | waiter.EventHUp | waiter.EventErr)
	e.wq.EventRegister(&readable)
	defer e.wq.EventUnregister(&readable)
	t := f.t
	for {
		b, n, err := e.next(ctx, ready, &t.g.pool)
		if errors.Is(err, io.EOF) {
			f.closedBy(gateway.FlowByClient)
			f.half.Store(true)
			if w, ok := conn.(interface{ CloseWrite() error }); ok && t.ch.Hold() == nil {
				_ = w.CloseWrite()
			}
			return
		}
		if err == nil {
			err = f.toTarget(ctx, conn, b[:n])
			t.g.pool.put(b)
		} else if ctx.Err() == nil {
			f.closedBy(gateway.FlowByClient)
		}
		if err != nil {
			reset()
			return
		}
	}
}

// toTarget sends one piece, held while the session is frozen.
func (f *flow) toTarget(ctx context.Context, conn net.Conn, p []byte) error {
	t := f.t
	if err := t.ch.Hold(); err != nil {
		return err
	}
	if err := t.up.wait(ctx, float64(len(p))); err != nil {
		return err
	}
	if err := f.before(true, p); err != nil {
		return err
	}
	if t.cut.Load() {
		return errOver
	}
	n, err := conn.Write(p)
	f.passed(true, n)
	if err != nil {
		f.closedBy(gateway.FlowByTarget)
	}
	return err
}

// down carries from the target to the engineer.
func (f *flow) down(ctx context.Context, e *end, conn net.Conn, reset func()) {
	writable, room := waiter.NewChannelEntry(waiter.WritableEvents | waiter.EventHUp | waiter.EventErr)
	e.wq.EventRegister(&writable)
	defer e.wq.EventUnregister(&writable)
	t := f.t
	from, most := newTargetReader(conn, &t.g.pool), f.piece()
	for {
		b, n, err := from.next(most)
		if errors.Is(err, io.EOF) || err == nil && n == 0 {
			f.closedBy(gateway.FlowByTarget)
			f.half.Store(true)
			_ = e.ep.Shutdown(shutdownWrite)
			return
		}
		if err == nil {
			err = f.toClient(ctx, e, room, b[:n])
			t.g.pool.put(b)
		} else if ctx.Err() == nil {
			f.closedBy(gateway.FlowByTarget)
		}
		if err != nil {
			reset()
			return
		}
	}
}

// piece is how much is given to the stack at once: so many full segments that
// the packets of them leave as one datagram of the kernel's. A rest would be a
// packet that the client can join with no other.
func (f *flow) piece() int {
	head := headerV4
	if f.record.To.Addr().Is6() {
		head = headerV6
	}
	return together * (MTU - head - header.TCPMinimumSize - timestampSize)
}

func (f *flow) toClient(ctx context.Context, e *end, room <-chan struct{}, p []byte) error {
	if err := f.t.down.wait(ctx, float64(len(p))); err != nil {
		return err
	}
	if err := f.before(false, p); err != nil {
		return err
	}
	if err := f.t.g.outbox.wait(ctx, f.t); err != nil {
		return err
	}
	err := e.write(ctx, room, p, func(n int) { f.passed(false, n) })
	if err != nil && ctx.Err() == nil {
		f.closedBy(gateway.FlowByClient)
	}
	return err
}
