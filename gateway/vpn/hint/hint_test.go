package hint

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"net"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/portcullis/portcullis/gateway"
)

// hello is what the TLS of the standard library sends first.
func hello(t testing.TB, name string) []byte {
	t.Helper()
	client, server := net.Pipe()
	defer server.Close()
	go func() {
		defer client.Close()
		_ = tls.Client(client, &tls.Config{ServerName: name}).HandshakeContext(t.Context())
	}()
	b := make([]byte, MaxBytes)
	n, err := server.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

func question(t testing.TB, name string) []byte {
	t.Helper()
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: 7})
	_ = b.StartQuestions()
	_ = b.Question(dnsmessage.Question{Name: dnsmessage.MustNewName(name), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET})
	raw, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// rdp is a connection request with a cookie and a negotiation request.
func rdp(t testing.TB, offered byte) []byte {
	t.Helper()
	const cookie = "Cookie: mstshash=ana.secret\r\n"
	b := append([]byte{3, 0, 0, byte(11 + len(cookie) + 8), byte(6 + len(cookie) + 8), 0xe0, 0, 0, 0, 0, 0}, cookie...)
	return append(b, 1, 0, 8, 0, offered, 0, 0, 0)
}

func TestHints(t *testing.T) {
	sni := hello(t, "Scada.Plant.example")
	for name, x := range map[string]struct {
		protocol gateway.FlowProtocol
		port     uint16
		first    []byte
		want     string
	}{
		"TLS":                     {gateway.FlowTCP, 443, sni, "TLS scada.plant.example"},
		"TLS without a name":      {gateway.FlowTCP, 443, hello(t, "10.0.0.5"), "TLS"},
		"TLS, torn":               {gateway.FlowTCP, 443, sni[:60], "TLS"},
		"HTTP":                    {gateway.FlowTCP, 8080, []byte("POST /login?word=secret HTTP/1.1\r\nCookie: sid=secret\r\nhost: Hist:8080\r\n\r\nword=secret"), "HTTP POST hist:8080"},
		"HTTP with a user":        {gateway.FlowTCP, 80, []byte("GET http://ana:secret@x/ HTTP/1.1\r\nHost: ana:secret@x\r\n\r\n"), "HTTP GET"},
		"HTTP, host in the body":  {gateway.FlowTCP, 80, []byte("PUT / HTTP/1.1\r\n\r\nHost: x\r\n"), "HTTP PUT"},
		"HTTP, host torn":         {gateway.FlowTCP, 80, []byte("GET / HTTP/1.1\r\nHost: hist"), "HTTP GET"},
		"HTTP/2":                  {gateway.FlowTCP, 80, []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "HTTP/2"},
		"no HTTP":                 {gateway.FlowTCP, 80, []byte("GET what you want\r\n"), ""},
		"SSH":                     {gateway.FlowTCP, 22, []byte("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"), "SSH-2.0-OpenSSH_9.2p1"},
		"SSH with escapes":        {gateway.FlowTCP, 22, []byte("SSH-2.0-\x1b[2J\r\n"), "SSH"},
		"RDP":                     {gateway.FlowTCP, 3389, rdp(t, 3), "RDP over TLS or CredSSP"},
		"RDP of old":              {gateway.FlowTCP, 3389, rdp(t, 0), "RDP, its own encryption only"},
		"S7":                      {gateway.FlowTCP, 102, unhex(t, "0300001611e00000000100c0010ac1020100c2020102"), "ISO-on-TCP (S7)"},
		"Modbus":                  {gateway.FlowTCP, 502, unhex(t, "0001 0000 0006 01 03 006b 0003  0002 0000 0006 01 06 0001 0003"), "Modbus unit 1: 3 read holding registers, 6 write single register"},
		"Modbus of a maker":       {gateway.FlowTCP, 502, unhex(t, "0001 0000 0004 ff 5a 0002"), "Modbus unit 255: 90"},
		"Modbus at another port":  {gateway.FlowTCP, 1502, unhex(t, "0001 0000 0006 01 03 006b 0003"), "Modbus unit 1: 3 read holding registers"},
		"nothing like it there":   {gateway.FlowTCP, 1502, unhex(t, "0001 0000 0006 01 03 006b"), ""},
		"zeros":                   {gateway.FlowTCP, 502, make([]byte, 64), ""},
		"OPC UA":                  {gateway.FlowTCP, 4840, []byte("HELF\x20\x00\x00\x00opc.tcp://ana:secret@x"), "OPC UA"},
		"IEC 104":                 {gateway.FlowTCP, 2404, unhex(t, "680407000000"), "IEC 60870-5-104"},
		"SMB":                     {gateway.FlowTCP, 445, []byte("\x00\x00\x00\x54\xfeSMB"), "SMB"},
		"DNS":                     {gateway.FlowUDP, 53, question(t, "Hist.plant."), "DNS hist.plant."},
		"DNS over TCP":            {gateway.FlowTCP, 53, append([]byte{0, 28}, question(t, "hist.plant.")...), "DNS hist.plant."},
		"DNS with a strange name": {gateway.FlowUDP, 53, question(t, "a b."), "DNS"},
		"SNMP":                    {gateway.FlowUDP, 161, []byte("\x30\x26\x02\x01\x01\x04\x06secret"), "SNMP"},
		"echo":                    {gateway.FlowICMP, 0, []byte("GET / HTTP/1.1\r\n\r\n"), ""},
		"nothing":                 {gateway.FlowTCP, 443, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := Of(x.protocol, x.port, x.first)
			if got != x.want {
				t.Errorf("%q, want %q", got, x.want)
			}
			if strings.Contains(got, "secret") {
				t.Errorf("%q tells a secret", got)
			}
		})
	}
}

func FuzzOf(f *testing.F) {
	f.Add(uint16(443), hello(f, "scada.plant"))
	f.Add(uint16(80), []byte("GET /x HTTP/1.1\r\nHost: x\r\n\r\n"))
	f.Add(uint16(3389), rdp(f, 3))
	f.Add(uint16(502), unhex(f, "0001000000060103006b0003"))
	f.Add(uint16(53), question(f, "hist.plant."))
	f.Fuzz(func(t *testing.T, port uint16, first []byte) {
		before := bytes.Clone(first)
		for _, p := range []gateway.FlowProtocol{gateway.FlowTCP, gateway.FlowUDP, gateway.FlowICMP} {
			h := Of(p, port, first)
			if len(h) > MaxName+64 || strings.ContainsFunc(h, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("the hint %q is not fit to be shown", h)
			}
		}
		if !bytes.Equal(before, first) {
			t.Error("the bytes were changed")
		}
	})
}
