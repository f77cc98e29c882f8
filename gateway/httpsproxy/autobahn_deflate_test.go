package httpsproxy

import (
	"fmt"
	"strings"
)

// offers are what browsers ask for in families 12 and 13 (RFC 7692 clause 7.1).
var offers = map[string]string{
	"12.1": "", "12.2": "", "12.3": "", "12.4": "", "12.5": "", "13.1": "",
	"13.2": "; server_no_context_takeover",
	"13.3": "; server_max_window_bits=8",
	"13.4": "; server_max_window_bits=15",
	"13.5": "; server_no_context_takeover; server_max_window_bits=8",
	"13.6": "; server_no_context_takeover; server_max_window_bits=15",
	"13.7": "; server_no_context_takeover; server_max_window_bits=8, permessage-deflate; server_no_context_takeover, permessage-deflate",
}

// wsDeflate has families 12 and 13. The gateway agrees to no compression and
// asks for none, whatever is offered: the messages of the 18 cases of each
// subfamily pass plain, and a compressed one breaks the protocol.
func wsDeflate() []wsCase {
	sizes := []struct{ bytes, frame int }{
		{16, 0}, {64, 0}, {256, 0}, {1024, 0}, {4096, 0}, {8192, 0}, {16384, 0}, {32768, 0}, {65536, 0}, {131072, 0},
		{8192, 256}, {16384, 256}, {32768, 256}, {65536, 256}, {131072, 256}, {131072, 1024}, {131072, 4096}, {131072, 32768},
	}
	data := map[string]wsFrame{
		"12.1": binaries("Habe nun, ach! Philosophie, "), "12.2": binaries("\x9e\xa1\x9b\x00\xff\x10"), "12.3": binaries("%PDF-1.4\n\xe2\xe3\xcf\xd3\n"),
		"12.5": text("<li class=\"tag\">Drehzahl</li>"),
	}
	var l []wsCase
	for number, parameters := range offers {
		kind, ok := data[number]
		if !ok {
			kind = text(`{"rpm": 1480, "pump": [7, "seven"]},`)
		}
		var came, send []wsFrame
		for i, size := range sizes {
			m := kind
			m.payload = strings.Repeat(fmt.Sprintf("%d %s", i, kind.payload), size.bytes/8)[:size.bytes]
			came = append(came, m)
			if size.frame == 0 {
				size.frame = size.bytes
			}
			send = append(send, cutUp(m, size.frame)...)
		}
		x := fails(number+".1-18", came, append(send, first(kind.first|0x40, "\xf2\x48\xcd\xc9\xc9\x07\x00"))...)
		x.offer, x.stands = "permessage-deflate; client_no_context_takeover; client_max_window_bits"+parameters, len(sizes)
		l = append(l, x)
	}
	return l
}
