package vpn

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"

	"github.com/portcullis/portcullis/gateway"
)

func FuzzLook(f *testing.F) {
	a, b := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	f.Add(syn(netip.AddrPortFrom(a, 1), netip.AddrPortFrom(b, 2)))
	f.Add(udp4(netip.AddrPortFrom(a, 1), netip.AddrPortFrom(b, 2), []byte("x")))
	f.Add(echo4(a, b, 8, 0))
	f.Add(ip4(a, b, protoUDP, 0x2000, make([]byte, 16)))
	f.Add(append([]byte{0x60, 0, 0, 0, 0, 16, protoFrag6, 64}, make([]byte, 48)...))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, why := look(raw)
		if why != pass {
			return
		}
		if p.l4 < headerV4 || p.head < p.l4 || p.head > len(raw) {
			t.Fatalf("%+v", p)
		}
		_, _, _ = p.from(), p.to(), isReset(raw)
		var m merger
		n := 0
		m.deliver = func(_ bool, v *buffer.View) { n += v.Size(); v.Release() }
		m.add(p)
		m.flushAll()
		if n != len(raw) {
			t.Fatalf("%d bytes of %d came out", n, len(raw))
		}
	})
}

func segment4(seq uint32, flags byte, payload []byte) packet {
	s := make([]byte, 20, 20+len(payload))
	binary.BigEndian.PutUint16(s, 1000)
	binary.BigEndian.PutUint16(s[2:], 502)
	binary.BigEndian.PutUint32(s[4:], seq)
	s[12], s[13], s[14] = 5<<4, flags, 0xff
	raw := ip4(netip.MustParseAddr("100.100.0.2"), plc, protoTCP, 0, append(s, payload...))
	p, _ := look(raw)
	return p
}

// Segments that follow each other become one; what is between, or different, is
// delivered in its order.
func TestMerge(t *testing.T) {
	var got [][]byte
	m := merger{deliver: func(_ bool, v *buffer.View) { got = append(got, bytes.Clone(v.AsSlice())); v.Release() }}
	m.add(segment4(100, 16, []byte("aaaa")))
	m.add(segment4(104, 16, []byte("bbbb")))
	m.add(segment4(108, 24, []byte("cc")))
	m.add(segment4(200, 16, []byte("gap")))
	m.add(segment4(203, 17, []byte("fin")))
	m.flushAll()
	var s []string
	for _, p := range got {
		if int(binary.BigEndian.Uint16(p[2:])) != len(p) || checksumOf(p[:headerV4], 0) != 0xffff {
			t.Errorf("header % x", p[:headerV4])
		}
		s = append(s, string(p[40:]))
	}
	if len(s) != 3 || s[0] != "aaaabbbbcc" || s[1] != "gap" || s[2] != "fin" || got[0][33]&8 == 0 {
		t.Errorf("delivered %q", s)
	}
}

// Each tunnel has its turn: one that is flooded keeps nobody back (N-24).
func TestTurns(t *testing.T) {
	o := newOutbox()
	a, b := &tunnel{}, &tunnel{}
	put := func(tn *tunnel, text string) {
		s := o.slabs.get(tn, len(text))
		s.data = append(s.data, text...)
		s.ends = append(s.ends, len(s.data))
		o.push(s)
	}
	for range 1000 {
		put(a, "bulk")
	}
	put(b, "key")
	bufs, sizes := make([][]byte, 128), make([]int, 128)
	for i := range bufs {
		bufs[i] = make([]byte, 100)
	}
	n := o.pull(bufs, sizes, 0)
	found := -1
	for i := range n {
		if string(bufs[i][:sizes[i]]) == "key" {
			found = i
		}
	}
	if n != 128 || found < 0 || found > turn {
		t.Errorf("%d packets, the other tunnel's is number %d", n, found)
	}
	a.cut.Store(true)
	o.close()
	if n := o.pull(bufs, sizes, 0); n != 0 {
		t.Errorf("%d packets of a tunnel that was cut", n)
	}
}

func TestCaptureRules(t *testing.T) {
	small, long := segment4(1, 16, []byte("x")), segment4(1, 16, make([]byte, 1000))
	for _, c := range []struct {
		rule gateway.CaptureRule
		want []int
	}{
		{gateway.CaptureNone, nil},
		{"", []int{40, 40, 40}},
		{gateway.CaptureHeaders, []int{40, 40, 40}},
		{gateway.CaptureFull, []int{41, 1040, 1040}},
		{gateway.CaptureFirst, []int{41, 1040, 40}},
	} {
		ch := &fakeChannel{}
		k := newCapture(gateway.Network{Capture: c.rule, CaptureBytes: 500}, ch)
		list := []packet{small, long, long}
		check(t, k.keep(true, 3, func(i int) (packet, bool) { return list[i], true }))
		var got []int
		for _, p := range ch.kept() {
			got = append(got, len(p.Data))
			if !p.In {
				t.Error("direction")
			}
		}
		if len(got) != len(c.want) || len(got) > 0 && (got[0] != c.want[0] || got[1] != c.want[1] || got[2] != c.want[2]) {
			t.Errorf("%q: %v, want %v", c.rule, got, c.want)
		}
	}
}
