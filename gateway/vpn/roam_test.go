package vpn

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/device"

	"github.com/portcullis/portcullis/gateway"
)

// ping sends a datagram and waits for its answer.
func (c *client) ping() {
	c.w.t.Helper()
	u, err := c.dial("udp", plc4+":161")
	check(c.w.t, err)
	defer u.Close()
	check(c.w.t, u.SetDeadline(time.Now().Add(5*time.Second)))
	_, err = u.Write([]byte("x"))
	check(c.w.t, err)
	_, err = u.Read(make([]byte, 1))
	check(c.w.t, err)
}

// N-03: the outer address may change after an authenticated packet, which is
// an event each time; from outside the vendor's networks it ends the session.
func TestRoaming(t *testing.T) {
	w := newWorld(t)
	w.put("udp", plc4+":161", w.echoUDP())
	w.set = func(l *fakeLive) { l.sources = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")} }
	x := w.wire()
	c := w.open().through(x)
	c.ping()
	const moves = 5
	for range moves {
		x.move()
		c.ping()
	}
	if _, _, roamed := c.live.events(); len(roamed) != moves {
		t.Errorf("roamed %v", roamed)
	}
	if why := c.live.cause(); why != nil {
		t.Fatalf("ended for it: %v", why)
	}
	tn := w.g.tunnelAt(c.tun.Address4)
	if tn.checkSource(netip.MustParseAddrPort("203.0.113.5:1")) {
		t.Error("a packet from outside was taken")
	}
	<-c.live.done
	if why := c.live.cause(); why.Reason != gateway.EndNotGranted {
		t.Errorf("ended by %v", why)
	}
}

// Two machines that use one key in turn end the session, whose page says why;
// each change before was an event.
func TestTwoEndsOfOneKey(t *testing.T) {
	w := newWorld(t)
	w.put("udp", plc4+":161", w.echoUDP())
	a := w.open().connect()
	a.ping()
	between := time.NewTimer(2 * device.HandshakeInitationRate) // of one peer's handshakes, WireGuard answers no more
	<-between.C
	b := *a
	b.connect().ping()
	speak := func(c *client) {
		if u, err := c.dial("udp", plc4+":161"); err == nil {
			_, _ = u.Write([]byte("x"))
			check(t, u.SetReadDeadline(time.Now().Add(30*time.Millisecond)))
			_, _ = u.Read(make([]byte, 1))
			u.Close()
		}
	}
	eventually(t, "the session ends", func() bool {
		speak(a)
		speak(&b)
		return a.live.cause() != nil
	})
	if why := a.live.cause(); why.Reason != gateway.EndNotGranted || !strings.Contains(why.Detail, "used in two places at once") {
		t.Errorf("ended by %+v", why)
	}
	if _, _, roamed := a.live.events(); len(roamed) != MaxRoams {
		t.Errorf("%d changes were told", len(roamed))
	}
	<-a.live.done
	eventually(t, "the page says why", func() bool {
		s, _ := w.g.State(a.tun.Session)
		return s.Ended != nil && strings.Contains(s.Ended.Error(), "two places")
	})
}

// Whoever moves as people do is not taken for two, however long he goes on.
func TestMovingIsNotTwoEnds(t *testing.T) {
	begun := time.Now()
	for name, c := range map[string]struct {
		changes int
		every   time.Duration
		two     bool
	}{
		"a link that comes and goes":    {1000, RoamWindow / (MaxRoams - 1), false},
		"as many as may be, at once":    {MaxRoams, 0, false},
		"one more":                      {MaxRoams + 1, 0, true},
		"one more within the time":      {MaxRoams + 1, RoamWindow/MaxRoams - time.Millisecond, true},
		"one more, and the time passed": {MaxRoams + 1, RoamWindow / MaxRoams, false},
	} {
		tn, two := &tunnel{}, false
		for i := range c.changes {
			two = tn.flaps(begun.Add(time.Duration(i) * c.every))
		}
		if two != c.two || len(tn.roams) > MaxRoams+1 {
			t.Errorf("%s: taken for two: %v; %d changes are remembered", name, two, len(tn.roams))
		}
	}
}
