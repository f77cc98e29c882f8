package vpn

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// N-15, N-16: whatever the grant reads, nothing leads to another tunnel, to the
// gateway, to this machine, or to where no tunnel leads; and each no is one.
func TestRefused(t *testing.T) {
	w := newWorld(t)
	other := w.open().connect()
	c := w.open().connect()
	var mine []string
	list, err := net.InterfaceAddrs()
	check(t, err)
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() && !p.Addr().IsLoopback() {
			mine = append(mine, p.Addr().String()+":22")
		}
	}
	for _, to := range append(mine,
		other.tun.Address4.String()+":80", "100.100.0.1:22", "100.100.0.1:8443", "100.100.7.7:1", // peers, the gateway, an address of nobody
		"["+other.tun.Address6.String()+"]:80", "[fd5c::1]:443",
		"169.254.169.254:80", "10.98.0.4:502", plc4+":1001", "8.8.8.8:53", "["+plc6+"]:2000",
	) {
		_, err := c.dial("tcp", to)
		if err == nil || !strings.Contains(err.Error(), "refused") && !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s: %v", to, err)
		}
	}
	eventually(t, "each is on the page", func() bool { s, _ := w.g.State(c.tun.Session); return len(s.Refused) == 11+len(mine) })
	s, _ := w.g.State(c.tun.Session)
	for _, r := range s.Refused {
		if r.To.Addr().String() == "10.98.0.4" && r.Ask != "flow 10.98.0.4:502/tcp" {
			t.Errorf("what to ask for is %q", r.Ask)
		}
		if r.Why == "" || r.Rule == "" {
			t.Errorf("no reason: %+v", r)
		}
	}
	refused, _, _ := c.live.events()
	if len(refused) != 11+len(mine) {
		t.Errorf("%d events: %q", len(refused), refused)
	}
	for _, f := range c.live.ch.last() {
		if f.Verdict != gateway.FlowRefused {
			t.Errorf("record %+v", f)
		}
	}
}

// N-13: two vendors have the same networks on both sides; a packet belongs to
// the tunnel that it came through, whatever addresses both use.
func TestGrantOfOnePeerIsNotAnothers(t *testing.T) {
	w := newWorld(t)
	w.put("tcp", "10.98.0.3:7", w.echoTCP())
	a := w.open().connect()
	w.set = func(l *fakeLive) { l.abilities.Flows = []string{"10.98.0.2:1-1000/tcp"} }
	b := w.open().connect()
	conn, err := a.dial("tcp", "10.98.0.3:7")
	check(t, err)
	conn.Close()
	if _, err := b.dial("tcp", "10.98.0.3:7"); err == nil {
		t.Error("one peer has the other's grant")
	}
}

// A port scan of a /28 finds what was granted and nothing else; what is told
// of it is bounded.
func TestScanFindsTheGrant(t *testing.T) {
	w := newWorld(t)
	w.set = func(l *fakeLive) { l.abilities.Flows = []string{"10.98.0.2:80/tcp"} }
	w.put("tcp", plc4+":80", w.echoTCP())
	c := w.open().connect()
	open := 0
	for host := range 4 {
		for port := 60; port < 100; port++ {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			conn, err := c.net.DialContextTCPAddrPort(ctx, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 98, 0, byte(host)}), uint16(port)))
			cancel()
			if err == nil {
				open++
				conn.Close()
			}
		}
	}
	if open != 1 {
		t.Errorf("%d ports are open", open)
	}
	s, _ := w.g.State(c.tun.Session)
	if len(s.Refused) != RefusedKept {
		t.Errorf("the page keeps %d", len(s.Refused))
	}
}

// The gateway answers when nobody may know the key: not at all.
func TestOpenRefusesKeys(t *testing.T) {
	w := newWorld(t)
	c := w.open()
	pub, err := publicOf(c.key)
	check(t, err)
	for name, key := range map[string]string{
		"a key with a tunnel": pub.String(), "short": pub.String()[:40], "not canonical": strings.TrimSuffix(pub.String(), "=") + "\n=", "all zero": Key{}.String(), "the gateway's own": w.g.PublicKey(), "of low order": Key{1}.String(), "empty": "",
	} {
		if _, err := w.g.Open(t.Context(), Entering{PublicKey: key, Grant: "grt_1"}); err == nil {
			t.Errorf("%s: opened", name)
		} else if no := gateway.AsError(err); no.Code == gateway.CodeInternal {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(w.opens) != 1 {
		t.Errorf("%d sessions were asked for", len(w.opens))
	}
	if o := w.opens[0]; o.Transport != pub.String() || o.Protocol != gateway.KindNetwork {
		t.Errorf("opening %+v", o)
	}
}

// What was refused by session leaves nothing behind: the key may try again.
func TestOpenRefusedLeavesNothing(t *testing.T) {
	w := newWorld(t)
	w.fail = gateway.Refused("touch", "touch again", "no touch")
	key, err := publicOf(NewKey())
	check(t, err)
	if _, err := w.g.Open(t.Context(), Entering{PublicKey: key.String()}); !gateway.IsCode(err, gateway.CodeRefused) {
		t.Fatalf("error %v", err)
	}
	w.fail = nil
	_, err = w.g.Open(t.Context(), Entering{PublicKey: key.String()})
	check(t, err)
	if len(w.g.keys) != 1 || len(w.g.addresses.used) != 1 {
		t.Errorf("%d keys, %d addresses", len(w.g.keys), len(w.g.addresses.used))
	}
}

// A scan of everything at once takes nothing from the flows that are let: each
// SYN that is not has its reset, above every rate, and the granted one between
// them is answered. What is recorded of the scan is little, and no number of it
// is lost.
func TestScanLeavesRoomForTheGrant(t *testing.T) {
	w := newWorld(t)
	w.set = func(l *fakeLive) { l.abilities.Flows = []string{"10.98.0.2:80/tcp"} }
	w.put("tcp", plc4+":80", w.echoTCP())
	r := w.open().raw()
	const hosts, ports = MaxRefusedHosts + 20, 40
	begun, resets, taken := time.Now(), map[netip.AddrPort]bool{}, 0
	answered := func(p []byte) bool {
		from := netip.AddrPortFrom(packet{raw: p}.from(), uint16(p[headerV4])<<8|uint16(p[headerV4+1]))
		if flags := p[headerV4+13]; flags&4 != 0 {
			resets[from] = true
		} else if from.String() == plc4+":80" {
			taken = 1
		}
		return true
	}
	for i := range hosts * ports { // all hosts of a port, then the next
		to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 98, 0, byte(2 + i%hosts)}), uint16(60+i/hosts))
		r.tun.Outbound <- syn(netip.AddrPortFrom(r.client.tun.Address4, 1000), to)
		for i-len(resets)-taken >= 64 || i == 0 && len(resets) == 0 { // what WireGuard's queues take, and before its handshake less
			r.get("an answer", answered)
		}
	}
	const refused = hosts*ports - 1
	for len(resets) < refused || taken == 0 {
		r.get("an answer", answered)
	}
	r.live.End(gateway.EndClientLeft, "", "")
	<-r.live.Done()
	took, times, records := time.Since(begun), int64(0), 0
	for _, f := range r.live.ch.last() {
		if f.Verdict == gateway.FlowRefused {
			times += max(f.Times, 1)
			records++
		}
	}
	if times != refused {
		t.Errorf("the records tell of %d, and %d were refused", times, refused)
	}
	if most := TellBurst + int(took.Seconds())*TellRate + (int(took/tendEvery)+2)*(MaxRefusedHosts+1); records > most {
		t.Errorf("%d records in %s, of at most %d", records, took, most)
	}
}

// One flow that is tried again and again is one line of the page and one event,
// and the recording has how often.
func TestRefusedAgainAndAgain(t *testing.T) {
	w := newWorld(t)
	c := w.open().connect()
	for i := range 3 {
		if _, err := c.dial("tcp", plc4+":1001"); err == nil {
			t.Fatal("a flow that is not granted opened")
		}
		eventually(t, "it is on the page", func() bool { s, _ := w.g.State(c.tun.Session); return i > 0 || len(s.Refused) == 1 })
	}
	w.g.tend()
	eventually(t, "the sum is told", func() bool {
		s, _ := w.g.State(c.tun.Session)
		l := c.live.ch.last()
		return len(s.Refused) == 1 && s.Refused[0].Times == 3 && s.Refused[0].Ask == "flow plc7.plant:1001/tcp" && len(l) == 2 && l[1].Times == 2
	})
	if refused, _, _ := c.live.events(); len(refused) != 1 {
		t.Errorf("%d events: %q", len(refused), refused)
	}
}
