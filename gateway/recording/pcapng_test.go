package recording

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// inner builds IP packets with the checksums that a reader looks for.
type inner struct{ engineer, target netip.AddrPort }

func (i inner) ends(in bool) (from, to netip.AddrPort) {
	if in {
		return i.engineer, i.target
	}
	return i.target, i.engineer
}

// sum is the checksum of RFC 1071, over the pseudo header and a payload.
func sum(from, to netip.Addr, protocol byte, p []byte) uint16 {
	b := append(append(from.AsSlice(), to.AsSlice()...), 0, protocol)
	b = binary.BigEndian.AppendUint16(b, uint16(len(p)))
	return fold(append(b, p...))
}

func fold(b []byte) uint16 {
	if len(b)%2 != 0 {
		b = append(b, 0)
	}
	var s uint32
	for i := 0; i < len(b); i += 2 {
		s += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return ^uint16(s)
}

func ip(from, to netip.Addr, protocol byte, p []byte) []byte {
	if from.Is6() {
		h := []byte{0x60, 0, 0, 0, byte(len(p) >> 8), byte(len(p)), protocol, 64}
		return append(append(append(h, from.AsSlice()...), to.AsSlice()...), p...)
	}
	h := []byte{0x45, 0, byte((20 + len(p)) >> 8), byte(20 + len(p)), 0, 0, 0x40, 0, 64, protocol, 0, 0}
	h = append(append(h, from.AsSlice()...), to.AsSlice()...)
	binary.BigEndian.PutUint16(h[10:], fold(bytes.Clone(h)))
	return append(h, p...)
}

const (
	fin, syn, psh, ack = 1, 2, 8, 16
)

func (i inner) tcp(in bool, flags byte, seq, acked uint32, p string) []byte {
	from, to := i.ends(in)
	b := binary.BigEndian.AppendUint16(nil, from.Port())
	b = binary.BigEndian.AppendUint16(b, to.Port())
	b = binary.BigEndian.AppendUint32(b, seq)
	b = binary.BigEndian.AppendUint32(b, acked)
	b = append(b, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0)
	b = append(b, p...)
	binary.BigEndian.PutUint16(b[16:], sum(from.Addr(), to.Addr(), 6, b))
	return ip(from.Addr(), to.Addr(), 6, b)
}

func (i inner) udp(in bool, p string) []byte {
	from, to := i.ends(in)
	b := binary.BigEndian.AppendUint16(nil, from.Port())
	b = binary.BigEndian.AppendUint16(b, to.Port())
	b = append(b, byte((8+len(p))>>8), byte(8+len(p)), 0, 0)
	b = append(b, p...)
	binary.BigEndian.PutUint16(b[6:], sum(from.Addr(), to.Addr(), 17, b))
	return ip(from.Addr(), to.Addr(), 17, b)
}

// talk is a Modbus request with its answer over IPv4, a web page over IPv6 that
// needs padding, and a datagram each way.
func talk() []gateway.Packet {
	plc := inner{netip.MustParseAddrPort("100.100.0.7:40000"), netip.MustParseAddrPort("10.0.0.5:502")}
	web := inner{netip.MustParseAddrPort("[fd00:77::7]:40001"), netip.MustParseAddrPort("[fd00::9]:80")}
	log := inner{netip.MustParseAddrPort("100.100.0.7:40002"), netip.MustParseAddrPort("10.0.0.6:9999")}
	ask, answer := "\x00\x01\x00\x00\x00\x06\x01\x03\x00\x6b\x00\x01", "\x00\x01\x00\x00\x00\x05\x01\x03\x02\x00\x2a"
	get, page := "GET / HTTP/1.1\r\nHost: hmi\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n"+strings.Repeat("p", 900)
	var all []gateway.Packet
	add := func(in bool, p []byte) { all = append(all, gateway.Packet{In: in, Length: len(p), Data: p}) }
	for _, x := range []struct {
		inner
		ask, answer string
	}{{plc, ask, answer}, {web, get, page}} {
		q, a := uint32(len(x.ask)), uint32(len(x.answer))
		add(true, x.tcp(true, syn, 100, 0, ""))
		add(false, x.tcp(false, syn|ack, 500, 101, ""))
		add(true, x.tcp(true, ack, 101, 501, ""))
		add(true, x.tcp(true, psh|ack, 101, 501, x.ask))
		add(false, x.tcp(false, psh|ack, 501, 101+q, x.answer))
		add(true, x.tcp(true, fin|ack, 101+q, 501+a, ""))
		add(false, x.tcp(false, fin|ack, 501+a, 102+q, ""))
		add(true, x.tcp(true, ack, 102+q, 502+a, ""))
	}
	add(true, log.udp(true, "hello"))
	add(false, log.udp(false, "hello yourself"))
	return all
}

// keptBy cuts packets as a rule would; n is what is left of each.
func keptBy(all []gateway.Packet, n func(i int, p gateway.Packet) int) []gateway.Packet {
	cut := make([]gateway.Packet, len(all))
	for i, p := range all {
		cut[i] = gateway.Packet{In: p.In, Length: p.Length, Data: p.Data[:min(len(p.Data), n(i, p))]}
	}
	return cut
}

// tool runs a reader of captures, which may not complain.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	c := exec.Command(name, args...)
	c.Env = append(os.Environ(), "HOME="+t.TempDir(), "LC_ALL=C", "TZ=UTC")
	var complaint bytes.Buffer
	c.Stderr = &complaint
	out, err := c.Output()
	said := strings.ReplaceAll(complaint.String(), "Running as user \"root\" and group \"root\". This could be dangerous.\n", "")
	if err != nil || said != "" {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, said)
	}
	return string(out)
}

// dissected are the packets of a file as tshark has them.
func dissected(t *testing.T, file string) (all []gateway.Packet) {
	t.Helper()
	var frames []struct {
		Source struct {
			Layers map[string]json.RawMessage `json:"layers"`
		} `json:"_source"`
	}
	must(t, json.Unmarshal([]byte(tool(t, "tshark", "-n", "-r", file, "-T", "jsonraw", "-J", "frame")), &frames))
	facts := strings.Split(strings.TrimSpace(tool(t, "tshark", "-n", "-r", file, "-T", "fields", "-e", "frame.len", "-e", "frame.packet_flags_direction")), "\n")
	for i, f := range frames {
		var raw []any
		must(t, json.Unmarshal(f.Source.Layers["frame_raw"], &raw))
		data, err := hex.DecodeString(raw[0].(string))
		must(t, err)
		length, direction, _ := strings.Cut(facts[i], "\t")
		n, err := strconv.Atoi(length)
		must(t, err)
		d, err := strconv.ParseInt(direction, 0, 64)
		must(t, err)
		all = append(all, gateway.Packet{In: d == inbound, Length: n, Data: data})
	}
	return all
}

// What tshark finds in a capture is what passed, byte for byte; what a rule
// left out is told by the packets' own length, and nothing is complained of.
func TestCaptureIsReadByOthers(t *testing.T) {
	sent := talk()
	headers := func(_ int, p gateway.Packet) int {
		if p.Data[0]>>4 == 6 {
			return 60
		}
		return 40
	}
	for name, kept := range map[string][]gateway.Packet{
		"full":         sent,
		"headers only": keptBy(sent, headers),
		"first bytes": keptBy(sent, func(i int, p gateway.Packet) int {
			if i < 6 {
				return p.Length
			}
			return headers(i, p)
		}),
		"none": nil,
	} {
		t.Run(name, func(t *testing.T) {
			clock := newClock()
			v := openVault(t, filepath.Join(t.TempDir(), "recordings"), at(clock))
			r := start(t, v, "ses_1")
			c := tunnel(t, r)
			for i := range kept {
				clock.pass(1500 * time.Microsecond)
				must(t, c.Packets(kept[i:i+1]))
			}
			sealIt(t, r)
			file := filepath.Join(t.TempDir(), "ses_1.pcapng")
			f, err := os.Create(file)
			must(t, err)
			must(t, v.Capture(t.Context(), f, "ses_1", "Portcullis v1.2.3"))
			must(t, f.Close())
			checkCapture(t, file, kept)
			if name == "full" {
				checkDissection(t, file)
			}
		})
	}
}

func checkCapture(t *testing.T, file string, kept []gateway.Packet) {
	t.Helper()
	about := tool(t, "capinfos", "-M", file)
	for _, want := range []string{"session ses_1 at target rtu-7", "Portcullis v1.2.3", fmt.Sprintf("Number of packets:   %d", len(kept)), "Encapsulation = Raw IP", "Name = tunnel"} {
		if !strings.Contains(about, want) {
			t.Errorf("capinfos does not say %q:\n%s", want, about)
		}
	}
	if strings.Contains(about, "ana") && strings.Contains(about, "acme") {
		t.Errorf("the capture names people:\n%s", about)
	}
	if expert := tool(t, "tshark", "-n", "-r", file, "-q", "-z", "expert,warn"); strings.TrimSpace(expert) != "" {
		t.Errorf("tshark complains:\n%s", expert)
	}
	got := dissected(t, file)
	if len(got) != len(kept) {
		t.Fatalf("tshark finds %d packets of %d", len(got), len(kept))
	}
	for i, p := range kept {
		if got[i].In != p.In || got[i].Length != p.Length || !bytes.Equal(got[i].Data, p.Data) {
			t.Errorf("packet %d: %v %d %x, want %v %d %x", i, got[i].In, got[i].Length, got[i].Data, p.In, p.Length, p.Data)
		}
	}
}

// checkDissection looks at what tshark makes of the protocols and the times.
func checkDissection(t *testing.T, file string) {
	t.Helper()
	found := tool(t, "tshark", "-n", "-r", file, "-o", "tcp.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE", "-T", "fields",
		"-e", "frame.time_epoch", "-e", "tcp.payload", "-e", "udp.payload", "-e", "modbus.func_code", "-e", "http.host")
	lines := strings.Split(found, "\n")
	begun := newClock().t
	for i, want := range map[int]string{
		3:  "000100000006010300" + "6b0001\t\t3\t",
		11: hex.EncodeToString([]byte("GET / HTTP/1.1\r\nHost: hmi\r\n\r\n")) + "\t\t\thmi",
		16: "\t" + hex.EncodeToString([]byte("hello")) + "\t\t",
	} {
		at, rest, _ := strings.Cut(lines[i], "\t")
		stamp := begun.Add(time.Duration(i+1) * 1500 * time.Microsecond)
		if rest != want || !strings.HasPrefix(at, fmt.Sprintf("%d.%06d", stamp.Unix(), stamp.Nanosecond()/1000)) {
			t.Errorf("packet %d is read as %q at %s, want %q at %s", i, rest, at, want, stamp)
		}
	}
}

// A live capture is whole as far as it goes; one that was cut short says so.
func TestCaptureSaysThatItWasCutShort(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "recordings")
	v := openVault(t, dir)
	c := tunnel(t, start(t, v, "ses_1"))
	must(t, c.Packets(talk()))
	again := openVault(t, copyTree(t, dir))
	_, err := again.Recover(t.Context())
	must(t, err)
	for name, x := range map[string]struct {
		v    *Vault
		says bool
	}{"live": {v, false}, "recovered": {again, true}} {
		var b bytes.Buffer
		must(t, x.v.Capture(t.Context(), &b, "ses_1", "Portcullis v1.2.3"))
		if x.says {
			file := filepath.Join(t.TempDir(), "x.pcapng")
			must(t, os.WriteFile(file, b.Bytes(), 0o600))
			checkCapture(t, file, talk())
		}
		if strings.Contains(b.String(), "cut short") != x.says {
			t.Errorf("%s: says that it was cut short: %v", name, !x.says)
		}
	}
}

// A writer that is gone ends the reading.
func TestCaptureStopsWithItsReader(t *testing.T) {
	v := openVault(t, filepath.Join(t.TempDir(), "recordings"))
	r := start(t, v, "ses_1")
	c := tunnel(t, r)
	for range 50 {
		must(t, c.Packets([]gateway.Packet{{Length: 60_000, Data: patternAt(0, 60_000)}}))
	}
	w := &leaver{}
	if err := v.Capture(t.Context(), w, "ses_1", "x"); err == nil || w.calls > 1 {
		t.Errorf("%v after %d calls", err, w.calls)
	}
}

type leaver struct{ calls int }

func (l *leaver) Write([]byte) (int, error) { l.calls++; return 0, os.ErrClosed }
