package hint

import (
	"encoding/binary"

	"golang.org/x/net/dns/dnsmessage"
)

const dnsPort = 53

// dns is the question of a query (RFC 1035 clause 4.1.2).
func dns(p []byte) string {
	var d dnsmessage.Parser
	h, err := d.Start(p)
	if err != nil || h.Response {
		return ""
	}
	q, err := d.Question()
	if err != nil {
		return ""
	}
	return named("DNS", q.Name.String())
}

func dnsOverTCP(port uint16, p []byte) string {
	if port != dnsPort || len(p) < 2 { // its length before it: RFC 1035 clause 4.2.2
		return ""
	}
	n := int(binary.BigEndian.Uint16(p))
	return dns(p[2:min(len(p), 2+n)])
}
