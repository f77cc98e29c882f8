package hint

import (
	"bytes"
	"strings"

	"github.com/portcullis/portcullis/gateway"
)

const (
	// MaxBytes is how much of a flow's beginning is worth handing to Of: a TLS
	// hello with keys against quantum computers has about 1.8 KiB.
	MaxBytes = 4096

	// MaxName bounds a name in a hint, in bytes: the longest that DNS has.
	MaxName = 253
)

// Of says what the first bytes of a flow look like, empty if nothing is known.
// They are one direction's, the engineer's where there is a choice; port is the
// target's. Bytes beyond MaxBytes are not looked at.
func Of(protocol gateway.FlowProtocol, port uint16, first []byte) string {
	first = first[:min(len(first), MaxBytes)]
	switch protocol {
	case gateway.FlowTCP:
		return ofTCP(port, first)
	case gateway.FlowUDP:
		return ofUDP(port, first)
	}
	return ""
}

func ofTCP(port uint16, p []byte) string {
	for _, of := range []func(uint16, []byte) string{tlsHello, httpRequest, sshBanner, tpkt, dnsOverTCP, begins, modbus} {
		if h := of(port, p); h != "" {
			return h
		}
	}
	return ""
}

func ofUDP(port uint16, p []byte) string {
	const bacnet, snmp, ntp = 47808, 161, 123
	switch {
	case port == dnsPort:
		return dns(p)
	case port == bacnet && len(p) >= 4 && p[0] == 0x81:
		return "BACnet/IP"
	case port == snmp && len(p) > 2 && p[0] == 0x30: // a community is a password: not looked for
		return "SNMP"
	case port == ntp && len(p) >= 48:
		return "NTP"
	}
	return ""
}

// begins knows protocols by their first bytes alone, some at their own port
// only.
func begins(port uint16, p []byte) string {
	for _, b := range [...]struct {
		port uint16 // 0: any
		with string
		what string
	}{
		{0, "HELF", "OPC UA"},
		{0, "\x05\x64", "DNP3"},
		{2404, "\x68", "IEC 60870-5-104"},
		{44818, "\x65\x00", "EtherNet/IP"}, // RegisterSession
		{0, "RFB 003.", "VNC"},
	} {
		if (b.port == 0 || b.port == port) && bytes.HasPrefix(p, []byte(b.with)) {
			return b.what
		}
	}
	if len(p) >= 8 && p[0] == 0 && (string(p[4:8]) == "\xffSMB" || string(p[4:8]) == "\xfeSMB") { // RFC 1002 clause 4.3.1 before it
		return "SMB"
	}
	return ""
}

// sshBanner is the identification of RFC 4253 clause 4.2 without its comment.
func sshBanner(_ uint16, p []byte) string {
	line, whole := firstLine(p)
	if !whole || !bytes.HasPrefix(line, []byte("SSH-")) {
		return ""
	}
	said, _, _ := strings.Cut(string(line), " ")
	if len(said) > MaxName || strings.ContainsFunc(said, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "SSH"
	}
	return said
}

// firstLine is p up to its first line feed, without the break.
func firstLine(p []byte) (line []byte, whole bool) {
	line, _, whole = bytes.Cut(p, []byte{'\n'})
	return bytes.TrimSuffix(line, []byte{'\r'}), whole
}

// named is a hint with a name, where it is one.
func named(what, name string) string {
	if !isName(name) {
		return what
	}
	return what + " " + strings.ToLower(name)
}

func isName(s string) bool {
	return s != "" && len(s) <= MaxName && !strings.ContainsFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune(".-_:[]", r))
	})
}
