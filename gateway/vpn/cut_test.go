package vpn

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/device"

	"github.com/portcullis/portcullis/gateway"
)

// N-08, N-22: the end in mid-flow resets both ends, tells the exact account,
// and no handshake of the peer is answered again.
func TestEndInMidFlow(t *testing.T) {
	w := newWorld(t)
	var got atomic.Int64
	ended := make(chan error, 2) // of the reader and of the writer: a reset is told to one of them
	w.put("tcp", plc4+":502", w.serveTCP(func(c netConn) {
		go func() {
			for b := make([]byte, 1<<12); ; {
				if _, err := c.Write(b); err != nil {
					ended <- err
					return
				}
			}
		}()
		b := make([]byte, 1<<16)
		for {
			n, err := c.Read(b)
			got.Add(int64(n))
			if err != nil {
				ended <- err
				return
			}
		}
	}))
	c := w.open().connect()
	conn, err := c.dial("tcp", plc4+":502")
	check(t, err)
	var sent, read atomic.Int64
	broke := make(chan error, 2)
	go func() {
		for b := make([]byte, 1<<12); ; {
			n, err := conn.Write(b)
			sent.Add(int64(n))
			if err != nil {
				broke <- err
				return
			}
		}
	}()
	go func() {
		b := make([]byte, 1<<16)
		for {
			n, err := conn.Read(b)
			read.Add(int64(n))
			if err != nil {
				broke <- err
				return
			}
		}
	}()
	eventually(t, "both ways carry", func() bool { return got.Load() > 1<<16 && read.Load() > 1<<16 })
	begun := time.Now()
	c.live.End(gateway.EndWindow, "", "")
	if a, b := <-ended, <-ended; !errors.Is(errors.Join(a, b), syscall.ECONNRESET) {
		t.Errorf("the target saw %v, %v", a, b)
	}
	atTarget := time.Since(begun)
	if a, b := <-broke, <-broke; !strings.Contains(errors.Join(a, b).Error(), "reset") {
		t.Errorf("the client saw %v, %v", a, b)
	}
	t.Logf("broken at the target after %s, at the client after %s", atTarget, time.Since(begun))
	<-c.live.done
	dev, _ := c.device() // the same key again, while the resets still leave
	defer dev.Close()
	check(t, dev.IpcSet("public_key="+hexKey(w.g.public)+"\npersistent_keepalive_interval=1\n"))
	f := c.live.ch.last()[0]
	if !f.Ended || f.EndedBy != gateway.FlowByGate {
		t.Errorf("record %+v", f)
	}
	if in := got.Load(); f.BytesIn < in || f.BytesOut < read.Load() {
		t.Errorf("told %d in, %d out; seen %d, %d", f.BytesIn, f.BytesOut, in, read.Load())
	}
	if c.live.ch.exits != 1 {
		t.Errorf("%d exits", c.live.ch.exits)
	}
	pub, _ := publicOf(c.key)
	eventually(t, "the peer is gone", func() bool { return w.g.dev.LookupPeer(device.NoisePublicKey(pub)) == nil })
	s, ok := w.g.State(c.tun.Session)
	eventually(t, "the page knows why", func() bool {
		s, ok = w.g.State(c.tun.Session)
		return ok && s.Ended != nil && s.Ended.Reason == gateway.EndWindow && s.Open == 0
	})
	shook := time.NewTimer(500 * time.Millisecond)
	<-shook.C
	if p, ok := new(peerCache).of(dev, w.g.public); !ok || !p.handshake.IsZero() {
		t.Errorf("a handshake was answered: %+v", p)
	}
}

// A sweep of many tunnels, each with a TCP and a UDP flow: from the order's
// mark on nothing passes, and both ends of each flow are reset.
func TestSweep(t *testing.T) {
	const tunnels = 12
	w := newWorld(t)
	var up atomic.Int64
	p, err := net.ListenPacket("udp", "127.0.0.1:0")
	check(t, err)
	t.Cleanup(func() { p.Close() })
	go func() {
		b := make([]byte, 2048)
		for {
			if _, _, err := p.ReadFrom(b); err != nil {
				return
			}
			up.Store(time.Now().UnixNano())
		}
	}()
	w.put("udp", plc4+":161", p.LocalAddr().String())
	broken := make(chan error, tunnels)
	w.put("tcp", plc4+":502", w.serveTCP(func(c netConn) {
		_, err := io.Copy(c, c)
		broken <- err
	}))
	stop := make(chan struct{})
	var ticks sync.WaitGroup
	var lives []*fakeLive
	clients := make(chan error, tunnels)
	for range tunnels {
		c := w.open().connect()
		lives = append(lives, c.live)
		u, err := c.dial("udp", plc4+":161")
		check(t, err)
		conn, err := c.dial("tcp", plc4+":502")
		check(t, err)
		_, err = conn.Write([]byte("x"))
		check(t, err)
		_, err = conn.Read(make([]byte, 1))
		check(t, err)
		ticks.Go(func() {
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
					_, _ = u.Write([]byte("tick"))
				case <-stop:
					return
				}
			}
		})
		go func() {
			_, err := conn.Read(make([]byte, 1))
			clients <- err
		}()
	}
	eventually(t, "ticks arrive", func() bool { return up.Load() != 0 })
	begun := time.Now()
	sweepAll(lives)
	for range tunnels {
		if err := <-broken; !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the target saw %v", err)
		}
	}
	atTarget := time.Since(begun)
	for range tunnels {
		if err := <-clients; err == nil || !strings.Contains(err.Error(), "reset") {
			t.Errorf("the client saw %v", err)
		}
	}
	atClient := time.Since(begun)
	for _, l := range lives {
		<-l.done
	}
	close(stop)
	ticks.Wait()
	last := time.Duration(up.Load() - begun.UnixNano())
	t.Logf("last packet %s after the order; targets reset after %s, clients after %s", max(0, last), atTarget, atClient)
	if last > 250*time.Millisecond {
		t.Errorf("a packet arrived %s after the order", last)
	}
	for _, l := range lives {
		for _, f := range l.ch.last() {
			if !f.Ended {
				t.Errorf("a flow is not told as ended: %+v", f)
			}
		}
	}
}

// A frozen session: what is typed waits and passes with the thaw, what the
// target says goes on, and nothing new begins.
func TestFrozen(t *testing.T) {
	w := newWorld(t)
	got := make(chan string, 16)
	w.put("tcp", plc4+":502", w.serveTCP(func(c netConn) {
		b := make([]byte, 100)
		for {
			n, err := c.Read(b)
			if err != nil {
				return
			}
			got <- string(b[:n])
			_, _ = c.Write([]byte("ok"))
		}
	}))
	w.put("udp", plc4+":161", w.echoUDP())
	c := w.open().connect()
	conn, err := c.dial("tcp", plc4+":502")
	check(t, err)
	_, err = conn.Write([]byte("one"))
	check(t, err)
	if s := <-got; s != "one" {
		t.Fatal(s)
	}
	thaw := make(chan struct{})
	c.live.ch.mu.Lock()
	c.live.ch.thawed = thaw
	c.live.ch.mu.Unlock()
	_, err = conn.Write([]byte("two"))
	check(t, err)
	u, err := c.dial("udp", plc4+":161")
	check(t, err)
	_, err = u.Write([]byte("held"))
	check(t, err)
	check(t, u.SetReadDeadline(time.Now().Add(200*time.Millisecond)))
	if _, err := u.Read(make([]byte, 10)); err == nil {
		t.Error("a datagram passed")
	}
	select {
	case s := <-got:
		t.Errorf("%q passed while frozen", s)
	default:
	}
	c.live.ch.mu.Lock()
	c.live.ch.thawed = nil
	c.live.ch.mu.Unlock()
	close(thaw)
	if s := <-got; s != "two" {
		t.Errorf("%q after the thaw", s)
	}
}

// The grant's volume: an alarm before the end, and no byte above it.
func TestVolume(t *testing.T) {
	w := newWorld(t)
	w.set = func(l *fakeLive) { l.abilities.VolumeIn = 1 << 20 }
	var got atomic.Int64
	w.put("tcp", plc4+":502", w.serveTCP(func(c netConn) {
		b := make([]byte, 1<<16)
		for {
			n, err := c.Read(b)
			got.Add(int64(n))
			if err != nil {
				return
			}
		}
	}))
	c := w.open().connect()
	conn, err := c.dial("tcp", plc4+":502")
	check(t, err)
	for b := make([]byte, 1<<15); err == nil; {
		_, err = conn.Write(b)
	}
	<-c.live.done
	if why := c.live.cause(); why.Reason != gateway.EndVolume {
		t.Errorf("ended by %v", why)
	}
	if n := got.Load(); n > 1<<20 {
		t.Errorf("%d bytes arrived", n)
	}
	if _, alarms, _ := c.live.events(); len(alarms) != 1 || !strings.HasPrefix(alarms[0], "volume up: 80 percent") {
		t.Errorf("alarms %q", alarms)
	}
}
