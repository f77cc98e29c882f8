package hint

import (
	"bytes"
	"slices"
	"strings"

	"golang.org/x/crypto/cryptobyte"
)

// tlsHello is a ClientHello (RFC 8446 clause 4.1.2) with the name of its
// server_name extension (RFC 6066 clause 3).
func tlsHello(_ uint16, p []byte) string {
	const record, clientHello = 22, 1
	if len(p) < 6 || p[0] != record || p[1] != 3 || p[5] != clientHello {
		return ""
	}
	s := cryptobyte.String(helloOf(p))
	var skip cryptobyte.String
	var extensions cryptobyte.String
	if !s.Skip(4+2+32) || !s.ReadUint8LengthPrefixed(&skip) || !s.ReadUint16LengthPrefixed(&skip) || !s.ReadUint8LengthPrefixed(&skip) {
		return "TLS"
	}
	var n uint16
	if !s.ReadUint16(&n) {
		return "TLS"
	}
	extensions = s[:min(len(s), int(n))] // its end may not have come
	return named("TLS", serverName(extensions))
}

// helloOf joins what is there of the records that hold the hello.
func helloOf(p []byte) []byte {
	var hello []byte
	for len(p) >= 5 && p[0] == 22 {
		n := int(p[3])<<8 | int(p[4])
		p = p[5:]
		hello = append(hello, p[:min(n, len(p))]...)
		p = p[min(n, len(p)):]
	}
	return hello
}

func serverName(extensions cryptobyte.String) string {
	const serverNameExtension, hostName = 0, 0
	for !extensions.Empty() {
		var kind uint16
		var body cryptobyte.String
		if !extensions.ReadUint16(&kind) || !extensions.ReadUint16LengthPrefixed(&body) {
			return ""
		}
		var list, name cryptobyte.String
		var nameKind uint8
		if kind == serverNameExtension {
			if body.ReadUint16LengthPrefixed(&list) && list.ReadUint8(&nameKind) && nameKind == hostName && list.ReadUint16LengthPrefixed(&name) {
				return string(name)
			}
			return ""
		}
	}
	return ""
}

// methods are those of RFC 9110 clause 9, and of others that plants use.
func methods() []string {
	return []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE", "PROPFIND", "REPORT", "MKCOL", "COPY", "MOVE"}
}

// httpRequest is a request's method and the host that its Host field names
// (RFC 9112 clause 3.2), without its path and all other fields.
func httpRequest(_ uint16, p []byte) string {
	if bytes.HasPrefix(p, []byte("PRI * HTTP/2.0\r\n")) {
		return "HTTP/2"
	}
	line, whole := firstLine(p)
	method, rest, spaced := strings.Cut(string(line), " ")
	if !spaced || !slices.Contains(methods(), method) || whole && !strings.Contains(rest, " HTTP/1.") {
		return ""
	}
	return named("HTTP "+method, hostField(p))
}

// hostField is the value of Host, if its whole line is there.
func hostField(p []byte) string {
	for {
		_, rest, ok := bytes.Cut(p, []byte{'\n'})
		line, whole := firstLine(rest)
		if !ok || !whole || len(line) == 0 {
			return ""
		}
		if name, value, _ := strings.Cut(string(line), ":"); strings.EqualFold(name, "Host") {
			return strings.Trim(value, " \t")
		}
		p = rest
	}
}
