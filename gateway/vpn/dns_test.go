package vpn

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/portcullis/portcullis/gateway"
)

func ask(t testing.TB, name string, kind dnsmessage.Type) []byte {
	t.Helper()
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: 77, RecursionDesired: true}, Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: kind, Class: dnsmessage.ClassINET}}}
	b, err := m.Pack()
	check(t, err)
	return b
}

// N-19: names of the grant are answered with the definition's addresses, every
// other name does not exist, whatever type is asked for; nothing is asked
// outside, so no name can be bent, and no question leaves.
func TestDNS(t *testing.T) {
	w := newWorld(t)
	c := w.open().connect()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	got, err := c.net.LookupContextHost(ctx, "plc7.plant")
	check(t, err)
	if strings.Join(got, " ") != plc4+" "+plc6 && strings.Join(got, " ") != plc6+" "+plc4 {
		t.Errorf("addresses %q", got)
	}
	for _, name := range []string{"other.plant", "example.com", "c2VjcmV0.evil.example"} {
		if got, err := c.net.LookupContextHost(ctx, name); err == nil {
			t.Errorf("%s is %q", name, got)
		}
	}
	for _, addr := range []string{"100.100.0.1:53", "[fd5c::1]:53"} {
		conn, err := c.dial("udp", addr)
		check(t, err)
		check(t, conn.SetDeadline(time.Now().Add(5*time.Second)))
		for kind, want := range map[dnsmessage.Type]dnsmessage.RCode{dnsmessage.TypeTXT: dnsmessage.RCodeSuccess, dnsmessage.TypeA: dnsmessage.RCodeSuccess} {
			_, err = conn.Write(ask(t, "PLC7.plant.", kind))
			check(t, err)
			b := make([]byte, 1500)
			n, err := conn.Read(b)
			check(t, err)
			var m dnsmessage.Message
			check(t, m.Unpack(b[:n]))
			answers := 0
			if kind == dnsmessage.TypeA {
				answers = 1
			}
			if m.RCode != want || m.ID != 77 || len(m.Answers) != answers {
				t.Errorf("%v: %+v", kind, m)
			}
		}
		conn.Close()
	}
	told := map[string]gateway.FlowVerdict{}
	for _, f := range c.live.ch.last() {
		told[f.Hint] = f.Verdict
	}
	if told["DNS A plc7.plant"] != gateway.FlowOpen || told["DNS A example.com"] != gateway.FlowRefused {
		t.Errorf("told %v", told)
	}
}

func TestDNSOverTCP(t *testing.T) {
	w := newWorld(t)
	c := w.open().connect()
	conn, err := c.dial("tcp", "100.100.0.1:53")
	check(t, err)
	defer conn.Close()
	check(t, conn.SetDeadline(time.Now().Add(5*time.Second)))
	q := ask(t, "plc7.plant.", dnsmessage.TypeAAAA)
	_, err = conn.Write(append([]byte{0, byte(len(q))}, q...))
	check(t, err)
	b := make([]byte, 600)
	n, err := conn.Read(b)
	check(t, err)
	for n < 2 || n < 2+int(b[0])<<8+int(b[1]) {
		k, err := conn.Read(b[n:])
		check(t, err)
		n += k
	}
	var m dnsmessage.Message
	check(t, m.Unpack(b[2:n]))
	if len(m.Answers) != 1 {
		t.Errorf("answer %+v", m)
	}
}

// The gateway's own address answers echo, and a target that the grant lets does
// where this machine may ask.
func TestEcho(t *testing.T) {
	w := newWorld(t)
	r := w.open().raw()
	r.tun.Outbound <- echo4(r.client.tun.Address4, netip.MustParseAddr("100.100.0.1"), 56, 0)
	p := r.get("the gateway's reply", func(p []byte) bool { return p[9] == protoICMP && p[20] == echoReply4 })
	if string(p[24:28]) != string([]byte{9, 0, 0, 1}) || len(p) != 84 || checksumOf(p[headerV4:], 0) != 0xffff {
		t.Errorf("reply % x", p)
	}
	r.tun.Outbound <- echo4(r.client.tun.Address4, netip.MustParseAddr("10.98.0.3"), 56, 0)
	p = r.get("a refusal", func(p []byte) bool { return p[9] == protoICMP && p[20] == 3 })
	if p[21] != 13 || checksumOf(p[headerV4:], 0) != 0xffff {
		t.Errorf("refusal % x", p)
	}
	r.tun.Outbound <- udp4(netip.AddrPortFrom(r.client.tun.Address4, 5), netip.MustParseAddrPort("10.98.0.77:9"), []byte("x"))
	p = r.get("a refusal of a datagram", func(p []byte) bool { return p[9] == protoICMP && p[20] == 3 && p[37] == protoUDP })
	if p[21] != 13 {
		t.Errorf("refusal % x", p)
	}
	r.tun.Outbound <- echo4(r.client.tun.Address4, plc, 56, 0) // granted; nobody is there
	eventually(t, "it is a flow, or refused with a sentence", func() bool {
		for _, f := range r.live.ch.last() {
			if f.Protocol == gateway.FlowICMP && f.To.Addr() == plc && (f.Verdict == gateway.FlowOpen || f.Rule == "echo") {
				return true
			}
		}
		return false
	})
}

// Where this machine lets the gateway open no ping socket, an echo that the
// grant lets is refused with a sentence that says so, and the doctor can tell.
func TestEchoWithoutPingSockets(t *testing.T) {
	w := newWorld(t)
	w.g.ping = func(netip.Addr) (net.PacketConn, error) { return nil, os.ErrPermission }
	r := w.open().raw()
	r.tun.Outbound <- echo4(r.client.tun.Address4, plc, 56, 0)
	p := r.get("a refusal", func(p []byte) bool { return p[9] == protoICMP && p[20] == 3 })
	if p[21] != 13 {
		t.Errorf("refusal % x", p)
	}
	eventually(t, "it is on the page", func() bool { s, _ := w.g.State(r.client.tun.Session); return len(s.Refused) == 1 })
	s, _ := w.g.State(r.client.tun.Session)
	if x := s.Refused[0]; x.Rule != "echo" || x.To.Addr() != plc || x.Ask != "" || !strings.Contains(x.Why, "net.ipv4.ping_group_range") || s.Open != 0 {
		t.Errorf("the page says %+v of %d flows", x, s.Open)
	}
	if refused, _, _ := r.live.events(); len(refused) != 1 || !strings.Contains(refused[0], "the gateway's machine lets it send no echo") {
		t.Errorf("events %q", refused)
	}
	if err := w.g.MayPing(); !errors.Is(err, os.ErrPermission) {
		t.Errorf("the doctor hears %v", err)
	}
}

// A port where nobody listens is told to the client as it would be beside the
// target.
func TestClosedUDPPort(t *testing.T) {
	w := newWorld(t)
	p, err := net.ListenPacket("udp", "127.0.0.1:0")
	check(t, err)
	at := p.LocalAddr().String()
	p.Close()
	w.put("udp", plc4+":161", at)
	r := w.open().raw()
	for range 2 { // the kernel tells with the second at the latest
		r.tun.Outbound <- udp4(netip.AddrPortFrom(r.client.tun.Address4, 5), netip.AddrPortFrom(plc, 161), []byte("x"))
	}
	b := r.get("port unreachable", func(p []byte) bool { return p[9] == protoICMP && p[20] == 3 })
	if b[21] != 3 {
		t.Errorf("code %d", b[21])
	}
}

func FuzzAnswerDNS(f *testing.F) {
	f.Add(ask(f, "plc7.plant.", dnsmessage.TypeA))
	f.Add([]byte{0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1})
	known := func(name string) ([]netip.Addr, bool) {
		return []netip.Addr{netip.MustParseAddr("10.98.0.2"), netip.MustParseAddr("fd98::2")}, name == "plc7.plant"
	}
	f.Fuzz(func(t *testing.T, q []byte) {
		most := maxUDPAnswer(q)
		b, _, _ := answerDNS(q, known, most)
		if len(b) > most {
			t.Fatalf("%d bytes of %d", len(b), most)
		}
		var m dnsmessage.Message
		if b != nil && (m.Unpack(b) != nil || !m.Response) {
			t.Fatalf("answer % x", b)
		}
	})
}
