package hint

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

const (
	modbusPort = 502
	maxCodes   = 4 // function codes in a hint
)

// functions are the public function codes of the Modbus application protocol
// V1.1b3 clause 6.
func functions() map[byte]string {
	return map[byte]string{
		1: "read coils", 2: "read discrete inputs", 3: "read holding registers", 4: "read input registers", 5: "write single coil",
		6: "write single register", 7: "read exception status", 8: "diagnostics", 11: "get comm event counter", 12: "get comm event log",
		15: "write multiple coils", 16: "write multiple registers", 17: "report server id", 20: "read file record", 21: "write file record",
		22: "mask write register", 23: "read/write multiple registers", 24: "read FIFO queue", 43: "encapsulated interface",
	}
}

// modbus tells the function codes of the requests that are there, each once
// and in their order, and the first one's unit. At another port than its own
// it believes in whole requests with known codes alone.
func modbus(port uint16, p []byte) string {
	const head = 7 // transaction, protocol 0, length, unit (clause 3.1.3 of the messaging guide V1.0b)
	var codes []byte
	unit := byte(0)
	for len(p) > head && binary.BigEndian.Uint16(p[2:]) == 0 && len(codes) < maxCodes {
		n := int(binary.BigEndian.Uint16(p[4:]))
		_, known := functions()[p[head]]
		if n < 2 || n > 254 || port != modbusPort && (!known || len(p) < 6+n) {
			return ""
		}
		if len(codes) == 0 {
			unit = p[6]
		}
		if !slices.Contains(codes, p[head]) {
			codes = append(codes, p[head])
		}
		p = p[min(len(p), 6+n):]
	}
	if len(codes) == 0 {
		return ""
	}
	words := make([]string, len(codes))
	for i, c := range codes {
		words[i] = strings.TrimSpace(fmt.Sprintf("%d %s", c, functions()[c]))
	}
	return fmt.Sprintf("Modbus unit %d: %s", unit, strings.Join(words, ", "))
}

// tpkt is a connection request of X.224 (RFC 1006): of RDP with the protections
// that it offers (MS-RDPBCGR clause 2.2.1.1), without its cookie, which is the
// user's name; or of a controller's protocol.
func tpkt(_ uint16, p []byte) string {
	const connectionRequest, fixed = 0xe0, 4 + 7
	if len(p) < fixed || p[0] != 3 || p[1] != 0 || p[5]&0xf0 != connectionRequest {
		return ""
	}
	if end := int(binary.BigEndian.Uint16(p[2:])); end >= fixed && end <= len(p) {
		p = p[:end]
	}
	rest := p[fixed:]
	if len(rest) > 0 && rest[0] >= 0xc0 && rest[0] <= 0xc2 { // TPDU size, calling and called TSAP
		return "ISO-on-TCP (S7)"
	}
	const negotiation, length = 1, 8
	if len(rest) < length || rest[len(rest)-length] != negotiation || rest[len(rest)-length+2] != length {
		return "RDP"
	}
	offered := binary.LittleEndian.Uint32(rest[len(rest)-4:])
	var words []string
	for i, w := range []string{"TLS", "CredSSP", "RDSTLS"} {
		if offered&(1<<i) != 0 {
			words = append(words, w)
		}
	}
	if len(words) == 0 {
		return "RDP, its own encryption only"
	}
	return "RDP over " + strings.Join(words, " or ")
}
