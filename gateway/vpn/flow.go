package vpn

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/vpn/hint"
)

// flow is one flow that was let. Its record is told before anything of it
// passes, and with each step of its volume before the next.
type flow struct {
	t     *tunnel
	begun time.Time

	in, out, packets atomic.Int64
	active           atomic.Int64 // since begun, in ns: when something last passed
	half             atomic.Bool  // one side has closed
	looked           atomic.Bool  // at its first bytes

	mu     sync.Mutex // one record at a time: held over a write; guards what follows
	record gateway.NetworkFlow
	toldIn int64 // of in, as the last record has it
	told   int64 // of out
	ended  bool

	ends sync.Mutex // held over nothing; guards what follows
	by   gateway.FlowEnd
	shut func() // resets both ends; waits for no other end
}

// newFlow counts a flow in and tells that it begins. Nil with an error: it
// must not.
func (t *tunnel) newFlow(id flowID, name string) (*flow, error) {
	now := time.Now()
	f := &flow{t: t, begun: now, record: gateway.NetworkFlow{
		Protocol: protocolOf(id.proto), From: id.from, To: id.to, Name: name, Verdict: gateway.FlowOpen, Started: gateway.Instant(t.g.c.Now()),
	}}
	t.mu.Lock()
	if t.ending {
		t.mu.Unlock()
		return nil, errOver
	}
	if len(t.flows) >= MaxFlows {
		t.mu.Unlock()
		return nil, errTooMany
	}
	t.count++
	f.record.N = t.count
	if t.flows == nil {
		t.flows = map[*flow]struct{}{}
	}
	t.flows[f] = struct{}{}
	t.mu.Unlock()
	if err := t.ch.NetworkFlow(f.record); err != nil {
		t.forget(f)
		return nil, err
	}
	return f, nil
}

var (
	errOver    = &gateway.Ended{Reason: gateway.EndFault, Detail: "the session is over"}
	errTooMany = gateway.Refused("flows", "close some of them", "this tunnel has as many flows as one can")
)

func protocolOf(proto byte) gateway.FlowProtocol {
	switch proto {
	case protoTCP:
		return gateway.FlowTCP
	case protoUDP:
		return gateway.FlowUDP
	}
	return gateway.FlowICMP
}

// onCut says what resets both ends. false: the session has ended meanwhile,
// and the caller does it.
func (f *flow) onCut(shut func()) bool {
	f.t.mu.Lock()
	defer f.t.mu.Unlock()
	if f.t.ending {
		return false
	}
	f.ends.Lock()
	f.shut = shut
	f.ends.Unlock()
	return true
}

// before is asked before n bytes pass. An error means that they must not.
func (f *flow) before(in bool, p []byte) error {
	if err := f.t.charge(in, len(p)); err != nil {
		f.cutBy(gateway.FlowByGate)
		return err
	}
	tell := in && !f.looked.Swap(true) && f.hinted(p)
	f.mu.Lock()
	defer f.mu.Unlock()
	if tell || f.in.Load()-f.toldIn >= FlowStep || f.out.Load()-f.told >= FlowStep {
		return f.tell()
	}
	return nil
}

func (f *flow) hinted(p []byte) bool {
	h := hint.Of(f.record.Protocol, f.record.To.Port(), p)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.record.Hint = h
	return h != ""
}

// tell records the flow as it is now. The caller holds mu.
func (f *flow) tell() error {
	f.record.BytesIn, f.record.BytesOut, f.record.Packets = f.in.Load(), f.out.Load(), f.packets.Load()
	f.toldIn, f.told = f.record.BytesIn, f.record.BytesOut
	return f.t.ch.NetworkFlow(f.record)
}

// passed counts what has passed.
func (f *flow) passed(in bool, n int) {
	if n == 0 {
		return
	}
	f.active.Store(int64(time.Since(f.begun)))
	if in {
		f.in.Add(int64(n))
		f.t.in.Add(int64(n))
		f.t.ch.Carried(n, 0)
		return
	}
	f.out.Add(int64(n))
	f.t.out.Add(int64(n))
	f.t.ch.Carried(0, n)
}

// closedBy notes who closed first.
func (f *flow) closedBy(by gateway.FlowEnd) {
	f.ends.Lock()
	defer f.ends.Unlock()
	if f.by == "" {
		f.by = by
	}
}

// cutBy resets both ends.
func (f *flow) cutBy(by gateway.FlowEnd) {
	f.closedBy(by)
	f.ends.Lock()
	shut := f.shut
	f.ends.Unlock()
	if shut != nil {
		shut()
	}
}

// failed tells that the target did not take the flow.
func (f *flow) failed(why string) {
	f.mu.Lock()
	f.record.Verdict, f.record.Why = gateway.FlowFailed, why
	f.mu.Unlock()
	f.end()
}

// end tells the exact account, once. Nothing of the flow passes any more.
func (f *flow) end() {
	f.closedBy(gateway.FlowByGate)
	f.mu.Lock()
	if !f.ended {
		f.ended = true
		f.record.Ended, f.record.Lasted = true, time.Since(f.begun)
		if f.record.Verdict == gateway.FlowOpen {
			f.record.EndedBy = f.by
		}
		_ = f.tell() // a recorder that failed has ended the session
	}
	f.mu.Unlock()
	f.t.forget(f)
}

func (t *tunnel) forget(f *flow) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.flows, f)
}

// list is the flows that are open.
func (t *tunnel) list() []*flow {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := make([]*flow, 0, len(t.flows))
	for f := range t.flows {
		l = append(l, f)
	}
	return l
}

// sweepIdle ends what has carried nothing for too long, and what a target
// sends on and on to a peer that is silent: nothing comes back of a datagram,
// and the session would never idle by it.
func (t *tunnel) sweepIdle(now time.Time, silent bool) {
	if t.ch.Frozen() {
		return
	}
	for _, f := range t.list() {
		quiet := now.Sub(f.begun) - time.Duration(f.active.Load())
		if quiet > f.patience() || silent && f.record.Protocol != gateway.FlowTCP {
			f.cutBy(gateway.FlowByIdle)
		}
	}
}

// patience is how long the flow may carry nothing.
func (f *flow) patience() time.Duration {
	switch {
	case f.record.Protocol == gateway.FlowUDP:
		return UDPIdleTime
	case f.record.Protocol == gateway.FlowICMP:
		return EchoIdleTime
	case f.half.Load():
		return HalfIdleTime
	}
	return TCPIdleTime
}

// own runs a goroutine of a flow. false: the session has ended.
func (t *tunnel) own(run func()) bool {
	if !t.enter() {
		return false
	}
	go func() {
		defer t.running.Done()
		t.guard(run)
	}()
	return true
}

func (t *tunnel) enter() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ending {
		return false
	}
	t.running.Add(1)
	return true
}

// guard keeps a fault of ours in the session whose bytes found it.
func (t *tunnel) guard(run func()) {
	defer func() {
		if p := recover(); p != nil {
			t.g.panicked(t, p)
		}
	}()
	run()
}

// target is the To of a flow as a dialler takes it.
func target(to netip.AddrPort) string { return to.String() }
