package vpn

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/portcullis/portcullis/gateway"
)

const (
	dnsPort     = 53
	dnsTTL      = 60 // seconds
	plainAnswer = 512
	mostAnswer  = 1232 // what fits any link (DNS flag day 2020)
	dnsTCPTime  = 10 * time.Second
	dnsTCPAsks  = 16 // of one connection
)

// isResolver reports whether to is the one listener inside a tunnel.
func (t *tunnel) isResolver(to netip.AddrPort) bool {
	return to.Port() == dnsPort && (to.Addr() == t.g.inner[0] || to.Addr() == t.g.inner[1])
}

// resolve answers one query, from the target's definition alone: nothing is
// ever asked outside, so a name cannot be made to mean something else, and no
// question leaves with a secret in it. Nil: silence.
func (t *tunnel) resolve(id flowID, query []byte, most int) []byte {
	if !t.asks.take(1) {
		t.g.dropped(dropFlood)
		return nil
	}
	answer, asked, code := answerDNS(query, t.rules.Answer, most)
	if asked != "" && !t.note(id, asked, code) {
		return nil
	}
	return answer
}

// note tells the recording of each question once, before it is answered.
func (t *tunnel) note(id flowID, asked string, code dnsmessage.RCode) bool {
	t.mu.Lock()
	if t.askedFor[asked] || len(t.askedFor) >= MaxQuestions {
		t.mu.Unlock()
		return true
	}
	if t.askedFor == nil {
		t.askedFor = map[string]bool{}
	}
	t.askedFor[asked] = true
	t.count++
	f := gateway.NetworkFlow{
		N: t.count, Protocol: protocolOf(id.proto), From: id.from, To: id.to, Name: "dns", Verdict: gateway.FlowOpen, Hint: "DNS " + asked,
		Packets: 2, Ended: true, EndedBy: gateway.FlowByGate, Started: gateway.Instant(t.g.c.Now()),
	}
	t.mu.Unlock()
	if code != dnsmessage.RCodeSuccess {
		f.Verdict, f.EndedBy, f.Rule, f.Why = gateway.FlowRefused, "", "names", "the grant reaches nothing of that name"
	}
	return t.ch.NetworkFlow(f) == nil
}

// maxUDPAnswer is how long an answer may be: what the client says, within
// bounds (RFC 6891 clause 6.2.3).
func maxUDPAnswer(query []byte) int {
	var d dnsmessage.Parser
	if _, err := d.Start(query); err != nil || d.SkipAllQuestions() != nil || d.SkipAllAnswers() != nil || d.SkipAllAuthorities() != nil {
		return plainAnswer
	}
	for {
		h, err := d.AdditionalHeader()
		if err != nil {
			return plainAnswer
		}
		if h.Type == dnsmessage.TypeOPT {
			return max(plainAnswer, min(mostAnswer, int(h.Class)))
		}
		if d.SkipAdditional() != nil {
			return plainAnswer
		}
	}
}

// answerDNS answers a query with what known says, and says what was asked.
func answerDNS(query []byte, known func(string) ([]netip.Addr, bool), most int) (answer []byte, asked string, code dnsmessage.RCode) {
	var d dnsmessage.Parser
	h, err := d.Start(query)
	if err != nil || h.Response {
		return nil, "", 0
	}
	head := dnsmessage.Header{ID: h.ID, Response: true, OpCode: h.OpCode, RecursionDesired: h.RecursionDesired, Authoritative: true}
	q, err := d.Question()
	_, more := d.Question()
	switch {
	case h.OpCode != 0:
		return packDNS(dnsmessage.Message{Header: with(head, dnsmessage.RCodeNotImplemented)}, most), "", 0
	case err != nil || !errors.Is(more, dnsmessage.ErrSectionDone):
		return packDNS(dnsmessage.Message{Header: with(head, dnsmessage.RCodeFormatError)}, most), "", 0
	case q.Class != dnsmessage.ClassINET:
		return packDNS(dnsmessage.Message{Header: with(head, dnsmessage.RCodeRefused), Questions: []dnsmessage.Question{q}}, most), "", 0
	}
	name := strings.ToLower(strings.TrimSuffix(q.Name.String(), "."))
	m := dnsmessage.Message{Header: head, Questions: []dnsmessage.Question{q}}
	list, ok := known(name)
	if !ok {
		m.RCode = dnsmessage.RCodeNameError
		return packDNS(m, most), shown(q, name), m.RCode
	}
	r := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: dnsTTL}
	for _, a := range list {
		switch {
		case a.Is4() && q.Type == dnsmessage.TypeA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: r, Body: &dnsmessage.AResource{A: a.As4()}})
		case a.Is6() && q.Type == dnsmessage.TypeAAAA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: r, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
		}
	}
	return packDNS(m, most), shown(q, name), dnsmessage.RCodeSuccess
}

func with(h dnsmessage.Header, code dnsmessage.RCode) dnsmessage.Header {
	h.RCode = code
	return h
}

// packDNS spells an answer; one that is too long is cut, and says so.
func packDNS(m dnsmessage.Message, most int) []byte {
	b, err := m.Pack()
	if err == nil && len(b) > most {
		m.Truncated, m.Answers = true, nil
		b, err = m.Pack()
	}
	if err != nil {
		return nil
	}
	return b
}

func shown(q dnsmessage.Question, name string) string {
	return printable(strings.TrimPrefix(q.Type.String(), "Type") + " " + name)
}

// resolveTCP answers over a connection (RFC 7766), a few times.
func (t *tunnel) resolveTCP(r *tcp.ForwarderRequest) {
	key := tcpFlow(r.ID())
	var wq waiter.Queue
	ep, err := r.CreateEndpoint(&wq)
	r.Complete(err != nil)
	if err != nil {
		return
	}
	c := gonet.NewTCPConn(&wq, ep)
	defer func() { _ = c.Close() }()
	stop := context.AfterFunc(t.live.Context(), func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	_ = c.SetDeadline(time.Now().Add(dnsTCPTime))
	for range dnsTCPAsks {
		var size [2]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(c, query); err != nil || t.cut.Load() {
			return
		}
		answer := t.resolve(key, query, 1<<16-1)
		if answer == nil {
			return
		}
		if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
			return
		}
	}
}
