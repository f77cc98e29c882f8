package vpn

import (
	"crypto/rand"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.zx2c4.com/wireguard/device"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"github.com/portcullis/portcullis/gateway"
)

// tunnel is one session, from its opening to its end.
//
// Ownership: the first group never changes once packets pass; mu guards the
// last. The queue is the outbox's.
type tunnel struct {
	g            *Gateway
	live         Live
	id           string
	ch           Channel
	rules        *gateway.FlowRules
	capture      *capture
	sources      []netip.Prefix
	key, psk     Key
	pair         uint32
	addr4, addr6 netip.Addr
	abilities    gateway.Abilities

	cut  atomic.Bool // nothing passes but our own resets
	gone atomic.Bool // and not those
	over atomic.Pointer[<-chan struct{}]
	woke chan struct{} // closed when what rests goes on
	shut chan struct{} // closed when both sides are closed

	queue   queue // guarded by the outbox
	outer   atomic.Pointer[stampBytes]
	in, out atomic.Int64 // payload
	alarmed [2]atomic.Bool

	up, down                         bucket // payload
	fresh, fragments, refusals, asks bucket
	tells                            bucket // refused flows, one by one

	running sync.WaitGroup // goroutines of flows

	mu        sync.Mutex
	ending    bool // no flow begins any more
	forwarder *tcp.Forwarder
	flows     map[*flow]struct{}
	datagrams map[flowID]*datagrams
	count     uint64 // flows so far
	echoes    map[flowID]*pings
	refused   refusals
	askedFor  map[string]bool
	told      []string // notices
	roams     []time.Time
	endpoint  netip.AddrPort
	received  int64     // bytes, when they were last looked at
	heard     time.Time // then, with its monotonic reading: a clock that is set makes nobody silent
}

// flowID is who speaks to whom inside.
type flowID struct {
	proto    byte
	from, to netip.AddrPort
}

func newTunnel(g *Gateway, key Key, pair uint32, four, six netip.Addr) *tunnel {
	t := &tunnel{
		g: g, key: key, pair: pair, addr4: four, addr6: six, woke: make(chan struct{}), shut: make(chan struct{}), refused: refusals{left: MaxTellRefused},
		fresh: newBucket(FlowRate, FlowBurst), fragments: newBucket(FragmentRate, FragmentBurst), refusals: newBucket(RefusalRate, RefusalBurst), asks: newBucket(DNSRate, DNSBurst), tells: newBucket(TellRate, TellBurst),
	}
	_, _ = rand.Read(t.psk[:]) // it never fails (crypto/rand)
	return t
}

func (t *tunnel) limit(a gateway.Abilities) {
	t.abilities = a
	if rate := float64(a.Bandwidth); rate > 0 {
		t.up, t.down = newBucket(rate, max(rate/4, bulk)), newBucket(rate, max(rate/4, bulk))
	}
}

// lets reports whether what was queued may still go to the client.
func (t *tunnel) lets(b *slab) bool { return !t.cut.Load() || b.reset && !t.gone.Load() }

// admit looks at one packet of the peer. false: it goes no further, and was
// answered where the sender must know.
func (t *tunnel) admit(raw []byte, from *stampBytes) (packet, bool) {
	if t.cut.Load() {
		t.g.dropped(dropCut)
		if p, why := look(raw); why == pass && !t.gone.Load() {
			t.resetAgain(p)
		}
		return packet{}, false
	}
	if last := t.outer.Load(); last == nil || *last != *from {
		if !t.roam(*from) {
			return packet{}, false
		}
	}
	p, why := look(raw)
	switch {
	case why != pass:
	case p.from() != t.addr4 && p.from() != t.addr6:
		why = dropStranger
	case len(raw) > MTU && p.dontFrag:
		t.tooBig(p)
		return p, false
	case p.fragment && !t.fragments.take(1):
		why = dropFlood
	}
	if why != pass {
		t.g.dropped(why)
		return p, false
	}
	return p, true
}

// inward records what was admitted and hands it on.
func (t *tunnel) inward(b *batch) {
	err := t.capture.keep(true, len(b.packets), func(i int) (packet, bool) { return b.packets[i], true })
	if err != nil || t.cut.Load() {
		return // the session is ending
	}
	for _, p := range b.packets {
		if p.proto == protoICMP || p.proto == protoICMPv6 {
			t.echo(p)
			continue
		}
		b.merger.add(p)
	}
	b.merger.flushAll()
}

// outward records what the stack sends to the client, and queues it.
func (t *tunnel) outward(b *slab) {
	if !t.lets(b) {
		t.g.outbox.slabs.put(b)
		return
	}
	err := t.capture.keep(false, len(b.ends), func(i int) (packet, bool) {
		p, why := look(b.packet(i))
		if why != pass { // an answer, which look lets in from nobody
			p.head = min(len(p.raw), p.l4+8)
		}
		return p, true
	})
	if err != nil && !b.reset { // the session is ending, which a reset tells the client
		t.g.outbox.slabs.put(b)
		return
	}
	if !t.g.outbox.push(b) {
		t.g.dropped(dropFull)
	}
}

// raw sends a packet that we have made ourselves.
func (t *tunnel) raw(p []byte) {
	b := t.g.outbox.slabs.get(t, len(p))
	b.data = append(b.data, p...)
	b.ends = append(b.ends, len(b.data))
	b.reset = isReset(b.data)
	t.outward(b)
}

// tend keeps what the session tells, and takes the peer away at its end.
func (t *tunnel) tend() {
	defer t.g.running.Done()
	for t.live.Context().Err() == nil {
		select {
		case s := <-t.live.Notices():
			t.tell(s)
		case <-t.live.Context().Done():
		}
	}
	t.cut.Store(true)
	<-t.shut
	t.rest()
	t.g.estrange(t)
	t.leave()
	t.gone.Store(true)
	t.g.dev.RemovePeer(device.NoisePublicKey(t.key))
	<-t.live.Done()
	t.running.Wait()
	t.g.forget(t)
}

// leave waits until what was queued for the client, which is resets by now, has
// had its turn to leave.
func (t *tunnel) leave() {
	late := time.NewTimer(ResetTime)
	defer late.Stop()
	<-late.C
}

func (t *tunnel) tell(s string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.told = append(t.told, s)
	t.told = t.told[max(0, len(t.told)-NoticesKept):]
}
