package vpn

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// streams answers the first datagram with one every few milliseconds, without
// end, and counts them.
func (w *world) streams(sent *atomic.Int64) string {
	w.t.Helper()
	p, err := net.ListenPacket("udp", "127.0.0.1:0")
	check(w.t, err)
	stop := make(chan struct{})
	w.t.Cleanup(func() { close(stop); p.Close() })
	go func() {
		_, from, err := p.ReadFrom(make([]byte, 1500))
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for err == nil {
			select {
			case <-tick.C:
				_, _ = p.WriteTo([]byte("telemetry"), from)
				sent.Add(1)
			case <-stop:
				return
			}
		}
	}()
	return p.LocalAddr().String()
}

// ended is how the flow to an address ended, by its last record.
func (c *fakeChannel) ended(proto gateway.FlowProtocol) gateway.FlowEnd {
	for _, f := range c.last() {
		if f.Protocol == proto && f.Ended {
			return f.EndedBy
		}
	}
	return ""
}

// N-11: the client vanishes. The page says since when nothing was heard; what a
// target goes on sending keeps neither its flow nor the session alive; a
// connection ends by its own bound; and the grant ends on time all the same.
func TestClientVanishes(t *testing.T) {
	w := newWorld(t)
	var sent atomic.Int64
	atTarget := make(chan error, 1)
	w.put("udp", plc4+":161", w.streams(&sent))
	w.put("tcp", plc4+":502", w.serveTCP(func(c netConn) {
		_, err := io.Copy(c, c)
		atTarget <- err
	}))
	x := w.wire()
	c := w.open().through(x)
	state := func() State { s, _ := w.g.State(c.tun.Session); return s }
	if s := state(); s.Silent || !s.Heard.IsZero() {
		t.Errorf("before a word: %+v", s)
	}
	conn, err := c.dial("tcp", plc4+":502")
	check(t, err)
	_, err = conn.Write([]byte("x"))
	check(t, err)
	_, err = conn.Read(make([]byte, 1))
	check(t, err)
	u, err := c.dial("udp", plc4+":161")
	check(t, err)
	_, err = u.Write([]byte("subscribe"))
	check(t, err)
	_, err = u.Read(make([]byte, 100))
	check(t, err)
	eventually(t, "it was heard", func() bool { return !state().Heard.IsZero() })
	w.g.tend()
	if s := state(); s.Silent || s.Open != 2 {
		t.Errorf("while it is there: %+v", s)
	}

	x.cut()
	eventually(t, "the datagrams end", func() bool {
		w.ahead.Add(int64(SilentTime))
		w.g.tend()
		return c.live.ch.ended(gateway.FlowUDP) == gateway.FlowByIdle
	})
	if s := state(); !s.Silent || w.g.c.Now().Sub(s.Heard) < SilentTime || s.Open != 1 || s.Ended != nil {
		t.Errorf("when it is gone: %+v", s)
	}
	carried, then := c.live.ch.out.Load(), sent.Load()
	eventually(t, "the target goes on", func() bool { return sent.Load() > then+5 })
	if n := c.live.ch.out.Load(); n != carried {
		t.Errorf("%d bytes were carried to nobody", n-carried)
	}
	w.g.tunnelAt(c.tun.Address4).sweepIdle(time.Now().Add(TCPIdleTime+time.Second), true)
	eventually(t, "the connection ends", func() bool { return c.live.ch.ended(gateway.FlowTCP) == gateway.FlowByIdle })
	if err := <-atTarget; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the target saw %v", err)
	}
	c.live.End(gateway.EndWindow, "", "")
	<-c.live.done
	eventually(t, "the tunnel is over", func() bool { s := state(); return s.Ended != nil && s.Ended.Reason == gateway.EndWindow && s.Open == 0 })
}

// deafPing is a ping socket that nobody answers.
type deafPing struct{ net.PacketConn }

func (p deafPing) WriteTo(b []byte, _ net.Addr) (int, error) { return len(b), nil }

// N-11: each kind of flow ends when it has carried nothing for as long as its
// bound says, and not before; a frozen session's wait for the thaw.
func TestIdleFlowsEnd(t *testing.T) {
	w := newWorld(t)
	w.g.ping = func(netip.Addr) (net.PacketConn, error) {
		p, err := net.ListenPacket("udp", "127.0.0.1:0")
		return deafPing{p}, err
	}
	w.put("udp", plc4+":161", w.echoUDP())
	w.put("tcp", plc4+":502", w.echoTCP())
	w.put("tcp", plc4+":503", w.serveTCP(func(c netConn) { // stays when the engineer has closed his half
		_, _ = io.Copy(io.Discard, c)
		_, _ = c.Write([]byte("x"))
		<-t.Context().Done()
	}))
	for _, s := range []struct {
		name  string
		bound time.Duration
		by    gateway.FlowEnd
		begin func(c *client)
	}{
		{"UDP", UDPIdleTime, gateway.FlowByIdle, func(c *client) {
			u, err := c.dial("udp", plc4+":161")
			check(t, err)
			_, err = u.Write([]byte("x"))
			check(t, err)
		}},
		{"echo", EchoIdleTime, gateway.FlowByIdle, func(c *client) {
			p, err := c.net.DialPingAddr(c.tun.Address4, plc)
			check(t, err)
			_, err = p.Write(echo4(c.tun.Address4, plc, 8, 0)[headerV4:])
			check(t, err)
		}},
		{"TCP", TCPIdleTime, gateway.FlowByIdle, func(c *client) {
			_, err := c.dial("tcp", plc4+":502")
			check(t, err)
		}},
		{"TCP, half closed", HalfIdleTime, gateway.FlowByClient, func(c *client) {
			conn, err := c.dial("tcp", plc4+":503")
			check(t, err)
			check(t, conn.(interface{ CloseWrite() error }).CloseWrite())
			_, err = conn.Read(make([]byte, 1))
			check(t, err)
		}},
	} {
		c := w.open().connect()
		s.begin(c)
		tn := w.g.tunnelAt(c.tun.Address4)
		var f *flow
		eventually(t, s.name+" has begun", func() bool {
			l := tn.list()
			if len(l) == 1 {
				f = l[0]
			}
			return f != nil && f.patience() == s.bound && len(c.live.ch.last()) == 1
		})
		after := func(d time.Duration) { // since it last carried anything
			tn.sweepIdle(f.begun.Add(time.Duration(f.active.Load())+d), false)
		}
		after(s.bound)
		c.live.ch.freeze(make(chan struct{}))
		after(s.bound + time.Second)
		if how := c.live.ch.last()[0]; how.Ended {
			t.Errorf("%s ended before its time, or while frozen: %+v", s.name, how)
		}
		c.live.ch.freeze(nil)
		eventually(t, s.name+" ends", func() bool {
			after(s.bound + time.Second)
			last := c.live.ch.last()[0]
			return last.Ended && last.EndedBy == s.by
		})
	}
}

// N-11: a connection that the client never completes is given up, at the target
// too.
func TestHalfOpenIsGivenUp(t *testing.T) {
	w := newWorld(t)
	w.g.halfOpen = 200 * time.Millisecond
	atTarget := make(chan error, 1)
	w.put("tcp", plc4+":502", w.serveTCP(func(c netConn) {
		_, err := c.Read(make([]byte, 1))
		atTarget <- err
	}))
	r := w.open().raw()
	r.tun.Outbound <- syn(netip.AddrPortFrom(r.client.tun.Address4, 4000), netip.AddrPortFrom(plc, 502))
	r.get("the answer", func(p []byte) bool { return p[9] == protoTCP && p[33] == 18 })
	if err := <-atTarget; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the target saw %v", err)
	}
	eventually(t, "it is told", func() bool { return r.live.ch.ended(gateway.FlowTCP) == gateway.FlowByClient })
}
