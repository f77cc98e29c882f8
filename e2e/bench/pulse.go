package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portcullis/portcullis/e2e/rig"
)

// A beat is what passes a tunnel while the gate falls, over UDP and over TCP,
// both ways: 16 bytes of the tunnel's number and the time it was sent.
const (
	beatSize   = 16
	beatMark   = 0x62656174
	pulseEvery = 100 * time.Millisecond // a beat over UDP, each way
	pulseParts = 10                     // not all tunnels beat at one moment
	tcpBeats   = 4                      // of which the fourth is over TCP too
)

// pulses are the live tunnels and the plant's end of them, all in this
// process and by one clock.
type pulses struct {
	began    time.Time
	udp      net.PacketConn
	tcp      net.Listener
	answered atomic.Int64 // when the order was, by the clock; 0: not yet
	count    atomic.Int64 // of the tunnels there were
	stop     chan struct{}
	running  sync.WaitGroup

	mu  sync.Mutex
	all map[uint32]*pulse
}

// pulse is one tunnel.
type pulse struct {
	*peer
	id       uint32
	of       *pulses
	udp, tcp net.Conn
	from     atomic.Pointer[net.Addr] // the UDP flow's source, as the plant sees it
	far      atomic.Pointer[net.Conn] // the plant's end of the TCP flow
	up, down arrivals
	ends     [2]chan time.Time // of the TCP flow: at the client, at the plant
}

// arrivals are the beats that came one way.
type arrivals struct {
	mu    sync.Mutex
	n     int
	after int // sent after the order's answer
	last  time.Time
	since time.Time     // from when gap counts
	gap   time.Duration // the longest
}

func (a *arrivals) add(at time.Time, late bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	from := a.last
	if from.Before(a.since) {
		from = a.since
	}
	a.gap, a.last, a.n = max(a.gap, at.Sub(from)), at, a.n+1
	if late {
		a.after++
	}
}

// measure begins to look for the longest gap anew, and returns the one so far.
func (a *arrivals) measure(now time.Time) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	was := a.gap
	if a.n > 0 && !a.since.IsZero() {
		was = max(was, now.Sub(a.last))
	}
	a.gap, a.since = 0, now
	return was
}

func (a *arrivals) seen() (n, after int, last time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.n, a.after, a.last
}

func startPulses(n *network) (*pulses, error) {
	k := &pulses{began: time.Now(), stop: make(chan struct{}), all: map[uint32]*pulse{}}
	err := n.spaces["plant"].Inside(func() (err error) {
		all := &net.ListenConfig{}
		addr := fmt.Sprintf("0.0.0.0:%d", pulsePort)
		if k.udp, err = all.ListenPacket(context.Background(), "udp4", addr); err != nil {
			return err
		}
		k.tcp, err = all.Listen(context.Background(), "tcp4", addr)
		return err
	})
	if err != nil {
		return nil, err
	}
	k.running.Go(k.receive)
	k.running.Go(k.accept)
	k.running.Go(k.beats)
	return k, nil
}

func (k *pulses) close() {
	close(k.stop)
	k.udp.Close()
	k.tcp.Close()
	for n := range uint32(pulseParts) {
		for _, p := range k.part(n) {
			p.leave()
		}
	}
	k.running.Wait()
}

func (k *pulses) beat(id uint32) []byte {
	b := binary.BigEndian.AppendUint32(nil, beatMark)
	b = binary.BigEndian.AppendUint32(b, id)
	return binary.BigEndian.AppendUint64(b, uint64(time.Since(k.began)))
}

// read takes a beat apart: whose it is, and whether it was sent after the
// order's answer.
func (k *pulses) read(b []byte) (p *pulse, late bool) {
	if len(b) != beatSize || binary.BigEndian.Uint32(b) != beatMark {
		return nil, false
	}
	answered := k.answered.Load()
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.all[binary.BigEndian.Uint32(b[4:])], answered > 0 && int64(binary.BigEndian.Uint64(b[8:])) > answered
}

// beats sends all of them, of a tenth of the tunnels at a time.
func (k *pulses) beats() {
	tick := time.NewTicker(pulseEvery / pulseParts)
	defer tick.Stop()
	for turn := uint32(0); ; turn++ {
		select {
		case <-k.stop:
			return
		case <-tick.C:
		}
		for _, p := range k.part(turn % pulseParts) {
			p.send(turn/pulseParts%tcpBeats == 0)
		}
	}
}

func (k *pulses) part(n uint32) (list []*pulse) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for id, p := range k.all {
		if id%pulseParts == n {
			list = append(list, p)
		}
	}
	return list
}

// send sends one beat each way. What cannot be sent is not: the flow is over.
func (p *pulse) send(tcp bool) {
	_, _ = p.udp.Write(p.of.beat(p.id))
	if from := p.from.Load(); from != nil {
		_, _ = p.of.udp.WriteTo(p.of.beat(p.id), *from)
	}
	if far := p.far.Load(); tcp && far != nil {
		soon := time.Now().Add(pulseEvery)
		for _, c := range []net.Conn{p.tcp, *far} {
			_ = c.SetWriteDeadline(soon)
			_, _ = c.Write(p.of.beat(p.id))
		}
	}
}

func (k *pulses) receive() {
	b := make([]byte, 2048)
	for {
		n, from, err := k.udp.ReadFrom(b)
		if err != nil {
			return
		}
		if p, late := k.read(b[:n]); p != nil {
			p.up.add(time.Now(), late)
			if p.from.Load() == nil {
				p.from.Store(&from)
			}
		}
	}
}

// accept serves TCP: the first beat says whose it is. One of nobody comes back.
func (k *pulses) accept() {
	for {
		c, err := k.tcp.Accept()
		if err != nil {
			return
		}
		k.running.Go(func() {
			defer c.Close()
			b := make([]byte, beatSize)
			_ = c.SetReadDeadline(time.Now().Add(dialWithin))
			if _, err := io.ReadFull(c, b); err != nil {
				return
			}
			_ = c.SetReadDeadline(time.Time{})
			p, _ := k.read(b)
			if p == nil {
				_, _ = c.Write(b) // who asked may have gone
				return
			}
			p.far.Store(&c)
			p.follow(c, &p.up, p.ends[1])
		})
	}
}

// follow reads a TCP flow to its end.
func (p *pulse) follow(c io.Reader, to *arrivals, end chan<- time.Time) {
	b := make([]byte, beatSize)
	for {
		if _, err := io.ReadFull(c, b); err != nil {
			end <- time.Now()
			return
		}
		_, late := p.of.read(b)
		to.add(time.Now(), late)
	}
}

// start begins to beat in a tunnel, and returns once beats came both ways.
func (k *pulses) start(ctx context.Context, id uint32, client *peer) (*pulse, error) {
	p := &pulse{peer: client, id: id, of: k, ends: [2]chan time.Time{make(chan time.Time, 1), make(chan time.Time, 1)}}
	var err error
	if p.tcp, err = client.dial(); err != nil {
		return nil, fmt.Errorf("tunnel %d: %w", id, err)
	}
	if p.udp, err = client.dialUDP(); err != nil {
		return nil, err
	}
	k.mu.Lock()
	k.all[id] = p
	k.mu.Unlock()
	if _, err := p.tcp.Write(k.beat(id)); err != nil {
		return nil, err
	}
	go p.follow(p.tcp, &p.down, p.ends[0]) // until the flow or the process ends
	go func() {
		b := make([]byte, 2048)
		for {
			n, err := p.udp.Read(b)
			if err != nil {
				return
			}
			_, late := k.read(b[:n])
			p.down.add(time.Now(), late)
		}
	}()
	return p, rig.Until(ctx, dialWithin, p.lives)
}

func (p *pulse) lives() error {
	if n, _, _ := p.up.seen(); n == 0 {
		return errors.New("nothing came to the plant")
	}
	if n, _, _ := p.down.seen(); n == 0 || p.far.Load() == nil {
		return errors.New("nothing came from the plant")
	}
	return nil
}

// beating says why it does not beat, both ways.
func (p *pulse) beating() error {
	for _, a := range []*arrivals{&p.up, &p.down} {
		if _, _, last := a.seen(); time.Since(last) > pulseParts*pulseEvery {
			return fmt.Errorf("tunnel %d: the last beat was %s ago", p.id, time.Since(last))
		}
	}
	return nil
}

// leave ends one.
func (p *pulse) leave() {
	p.of.mu.Lock()
	delete(p.of.all, p.id)
	p.of.mu.Unlock()
	p.peer.leave()
	if far := p.far.Load(); far != nil {
		(*far).Close()
	}
}
