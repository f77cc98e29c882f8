package httpsproxy

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// Frames by their first byte.
func text(s string) wsFrame          { return wsFrame{0x81, s, 0} }
func binaries(s string) wsFrame      { return wsFrame{0x82, s, 0} }
func ping(s string) wsFrame          { return wsFrame{0x89, s, 0} }
func pong(s string) wsFrame          { return wsFrame{0x8a, s, 0} }
func begin(s string) wsFrame         { return wsFrame{0x01, s, 0} }
func more(s string) wsFrame          { return wsFrame{0x00, s, 0} }
func last(s string) wsFrame          { return wsFrame{0x80, s, 0} }
func closing(c uint16) wsFrame       { return closeWith(c, "") }
func rawClose(s string) wsFrame      { return wsFrame{0x88, s, 0} }
func first(b byte, s string) wsFrame { return wsFrame{b, s, 0} }

func closeWith(code uint16, reason string) wsFrame {
	return rawClose(string(binary.BigEndian.AppendUint16(nil, code)) + reason)
}

// passes is a case whose frames are all right: the other side sees those that
// came names, and the close of 1000 that ends it.
func passes(number string, came []wsFrame, send ...wsFrame) wsCase {
	return wsCase{number: number, send: append(slices.Clip(send), closing(1000)), came: seen(came), closed: 1000}
}

// fails is a case that breaks the protocol: came is what has passed before.
func fails(number string, came []wsFrame, send ...wsFrame) wsCase {
	return wsCase{number: number, send: send, came: seen(came), closed: closeProtocol, cut: true}
}

// chopped is the case in pieces.
func (x wsCase) chopped(size int) wsCase {
	x.chop = size
	return x
}

func seen(came []wsFrame) []string {
	var l []string
	for _, f := range came {
		l = append(l, wsEvent(f.first&0x0f, []byte(f.payload)))
	}
	return l
}

// itself passes as it was sent.
func itself(number string, frames ...wsFrame) wsCase { return passes(number, frames, frames...) }

// wsFraming has families 1 to 4: lengths, pings, reserved bits, opcodes.
func wsFraming() []wsCase {
	var l []wsCase
	for kind, frame := range []func(string) wsFrame{text, binaries} {
		fill := []string{"*", "\xfe"}[kind]
		for i, n := range []int{0, 125, 126, 127, 128, 65535, 65536, 65536} {
			x := itself(fmt.Sprintf("1.%d.%d", kind+1, i+1), frame(strings.Repeat(fill, n)))
			if i == 7 {
				x = x.chopped(997)
			}
			l = append(l, x)
		}
	}
	long := strings.Repeat("\xfe", 125)
	var ten []wsFrame
	for i := range 10 {
		ten = append(ten, ping(fmt.Sprintf("payload-%d", i)))
	}
	l = append(l,
		itself("2.1", ping("")), itself("2.2", ping("Hello, world!")), itself("2.3", ping("\x00\xff\xfe\xfd\xfc\xfb\x00\xff")), itself("2.4", ping(long)),
		fails("2.5", nil, ping(long+"\xfe")), itself("2.6", ping(long)).chopped(1), itself("2.7", pong("")), itself("2.8", pong("unsolicited pong payload")),
		itself("2.9", pong("unsolicited pong payload"), ping("ping payload")), itself("2.10", ten...), itself("2.11", ten...).chopped(1))
	hello := "Hello, world!"
	after := []wsFrame{text(hello), first(0x81|0x20, hello), ping("")}
	l = append(l,
		fails("3.1", nil, first(0x81|0x40, hello)), fails("3.2", after[:1], after...), fails("3.3", after[:1], first(0x81, hello), first(0x81|0x30, hello), ping("")).chopped(len(hello)+2),
		fails("3.4", after[:1], first(0x81, hello), first(0x81|0x40, hello), ping("")).chopped(1), fails("3.5", nil, first(0x82|0x50, strings.Repeat("\xff", 8))),
		fails("3.6", nil, first(0x89|0x60, hello)), fails("3.7", nil, first(0x88|0x70, "\x03\xe8")))
	for i := range byte(5) {
		data, control := 0x83+i, 0x8b+i
		payload := []string{"", "reserved opcode payload"}[i%2]
		if i < 2 {
			l = append(l, fails(fmt.Sprintf("4.1.%d", i+1), nil, first(data, payload)), fails(fmt.Sprintf("4.2.%d", i+1), nil, first(control, payload)))
			continue
		}
		before := []wsFrame{text(hello)}
		l = append(l, fails(fmt.Sprintf("4.1.%d", i+1), before, text(hello), first(data, payload), ping("")).chopped(int(i-2)),
			fails(fmt.Sprintf("4.2.%d", i+1), before, text(hello), first(control, payload), ping("")).chopped(int(i-2)))
	}
	return l
}

// wsFragments has family 5.
func wsFragments() []wsCase {
	one, two := "fragment1", "fragment2"
	whole := []wsFrame{text(one + two)}
	around := []wsFrame{ping("ping payload"), text(one + two)}
	many := []wsFrame{begin("fragment1"), more("fragment2"), ping("pongme 1!"), more("fragment3"), ping("pongme 2!"), more("fragment4"), last("fragment5")}
	five := []wsFrame{ping("pongme 1!"), ping("pongme 2!"), text("fragment1fragment2fragment3fragment4fragment5")}
	l := []wsCase{
		fails("5.1", nil, first(0x09, one), last(two)), fails("5.2", nil, first(0x0a, one), last(two)),
	}
	chops := []int{0, len(one) + 2, 1}
	for i, chop := range chops {
		l = append(l,
			passes(fmt.Sprintf("5.%d", 3+i), whole, begin(one), last(two)).chopped(chop),
			passes(fmt.Sprintf("5.%d", 6+i), around, begin(one), ping("ping payload"), last(two)).chopped(chop),
			fails(fmt.Sprintf("5.%d", 9+i), nil, last("non-continuation payload"), text("Hello, world!")).chopped(chop),
			fails(fmt.Sprintf("5.%d", 12+i), nil, more("non-continuation payload"), text("Hello, world!")).chopped(chop))
	}
	twice := func(orphan func(string) wsFrame) []wsFrame {
		again := []wsFrame{orphan("fragment1"), begin("fragment2"), last("fragment3")}
		return append(again, again...)
	}
	return append(l,
		fails("5.15", whole, begin(one), last(two), more("fragment3"), text("fragment4")),
		fails("5.16", nil, twice(more)...), fails("5.17", nil, twice(last)...), fails("5.18", nil, begin(one), text(two)),
		passes("5.19", five, many...), passes("5.20", five, many...).chopped(1))
}

// wsCloses has family 7.
func wsCloses() []wsCase {
	hello := text("Hello World!")
	long := text(strings.Repeat("BAsd7&jh23", 26215)[:256<<10])
	again := wsCase{number: "7.1.2", send: []wsFrame{closing(1000), closing(1001)}, closed: 1000}
	l := []wsCase{
		itself("7.1.1", hello), again,
		{number: "7.1.3", send: []wsFrame{closing(1000), ping("")}, closed: 1000}, {number: "7.1.4", send: []wsFrame{closing(1000), hello}, closed: 1000},
		{number: "7.1.5", send: []wsFrame{begin("fragment1"), closing(1000), last("fragment2")}, closed: 1000},
		{number: "7.1.6", send: []wsFrame{long, hello, closing(1000), ping("")}, came: seen([]wsFrame{long, hello}), closed: 1000},
		{number: "7.3.1", send: []wsFrame{rawClose("")}}, fails("7.3.2", nil, rawClose("a")), {number: "7.3.3", send: []wsFrame{closing(1000)}, closed: 1000},
		{number: "7.3.4", send: []wsFrame{closeWith(1000, "Hello World!")}, closed: 1000}, {number: "7.3.5", send: []wsFrame{closeWith(1000, strings.Repeat("*", 123))}, closed: 1000},
		fails("7.3.6", nil, closeWith(1000, strings.Repeat("*", 124))),
		{number: "7.5.1", send: []wsFrame{closeWith(1000, kosme+"\xed\xa0\x80edited")}, closed: closeText, cut: true},
	}
	for i, code := range []uint16{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999} {
		l = append(l, wsCase{number: fmt.Sprintf("7.7.%d", i+1), send: []wsFrame{closing(code)}, closed: code})
	}
	for i, code := range []uint16{0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999} {
		l = append(l, fails(fmt.Sprintf("7.9.%d", i+1), nil, closing(code)))
	}
	return append(l, fails("7.13.1", nil, closing(5000)), fails("7.13.2", nil, closing(65535)))
}

// Autobahn sends messages of up to 16 MiB, and a thousand in a row. These
// bounds keep the list short: what the gateway holds of one message is less
// than either, and TestW01WebSocket has one of 16 MiB.
const (
	wsLongest = 512 << 10
	wsInARow  = 20
)

// wsLimits has families 9 and 10, within those bounds.
func wsLimits() []wsCase {
	var l []wsCase
	for kind, frame := range []func(string) wsFrame{text, binaries} {
		fill := []string{"\xe2\x82\xac", "\xfe"}[kind]
		of := func(n int) string { return strings.Repeat(fill, n/len(fill)+1)[:n/len(fill)*len(fill)] }
		name := func(family, i int) string { return fmt.Sprintf("9.%d.%d", family+kind, i+1) }
		for i, n := range []int{64 << 10, 256 << 10, 1 << 20, 4 << 20, 8 << 20, 16 << 20} {
			l = append(l, itself(name(1, i), frame(of(min(n, wsLongest)-i)))) // no two alike
		}
		for i, n := range []int{64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20} {
			m := of(min(64*n, wsLongest))
			l = append(l, passes(name(3, i), []wsFrame{frame(m)}, cutUp(frame(m), n)...))
		}
		for i, chop := range []int{64, 128, 256, 512, 1 << 10, 2 << 10} {
			l = append(l, itself(name(5, i), frame(of(64*chop))).chopped(chop))
		}
		for i, n := range []int{0, 16, 64, 256, 1 << 10, 4 << 10} {
			l = append(l, itself(name(7, i), slices.Repeat([]wsFrame{frame(of(n))}, wsInARow)...))
		}
	}
	whole := text(strings.Repeat("*", 65536))
	return append(l, passes("10.1.1", []wsFrame{whole}, cutUp(whole, 1300)...))
}

// cutUp is a message in frames of a size.
func cutUp(f wsFrame, size int) []wsFrame {
	var l []wsFrame
	for p := range slices.Chunk([]byte(f.payload), size) {
		l = append(l, more(string(p)))
	}
	if len(l) == 0 {
		return []wsFrame{f}
	}
	l[0].first = f.first & 0x0f
	l[len(l)-1].first |= 0x80
	return l
}
