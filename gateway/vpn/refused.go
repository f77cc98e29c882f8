package vpn

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// RefusedFlow is what did not pass, as the tunnel's page shows it: one flow, or
// what was tried at one host.
type RefusedFlow struct {
	At       time.Time            `json:"at"` // when it was told last
	Protocol gateway.FlowProtocol `json:"protocol"`
	To       netip.AddrPort       `json:"to"` // port 0: several; not valid: of several hosts
	Rule     string               `json:"rule"`
	Why      string               `json:"why"` // a sentence, with what to ask for
	Times    int64                `json:"times"`
	Ask      string               `json:"ask,omitempty"` // the ability to ask for
}

// refusals are the flows of a tunnel that did not pass. A scan is answered as
// fast as it comes: it costs a sum for each host here, and what it costs the
// recording is bounded. No number of it is lost.
type refusals struct {
	shown []RefusedFlow
	sums  map[refusedAt]*refusal // of what is not told yet
	left  int                    // records to be told
	rest  int64                  // flows refused since none is left
}

// refusedAt is what is summed together; no host: all others.
type refusedAt struct {
	proto byte
	host  netip.Addr
}

// refusal is one flow that did not pass, or some of one host.
type refusal struct {
	id        flowID // the first
	low, high uint16 // ports
	times     int64
	others    bool           // hosts beyond those that are told apart
	no        *gateway.Error // nil: judge's
}

// refuse counts a flow that did not pass, and has it told: at once while few
// are refused, or with others of its host at the next tick. no is nil where it
// was judge who refused.
func (t *tunnel) refuse(id flowID, no *gateway.Error) {
	one := refusal{id: id, low: id.to.Port(), high: id.to.Port(), times: 1, no: no}
	if !t.wasRefused(id) && t.tells.take(1) && t.own(func() { t.tellRefused(one) }) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	at := refusedAt{id.proto, id.to.Addr()}
	if t.refused.sums == nil {
		t.refused.sums = map[refusedAt]*refusal{}
	}
	if t.refused.sums[at] == nil && len(t.refused.sums) >= MaxRefusedHosts {
		at.host, one.others = netip.Addr{}, true
	}
	s := t.refused.sums[at]
	if s == nil {
		t.refused.sums[at] = &one
		return
	}
	s.low, s.high, s.times = min(s.low, one.low), max(s.high, one.high), s.times+1
}

// wasRefused reports whether the page shows that very flow already.
func (t *tunnel) wasRefused(id flowID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.ContainsFunc(t.refused.shown, func(r RefusedFlow) bool { return r.To == id.to && r.Protocol == protocolOf(id.proto) })
}

func (t *tunnel) sums() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.refused.sums) > 0
}

// tellSums tells what was refused since the last time, host by host.
func (t *tunnel) tellSums() {
	t.mu.Lock()
	sums := t.refused.sums
	t.refused.sums = nil
	t.mu.Unlock()
	for _, s := range sums {
		t.tellRefused(*s)
	}
}

// tellRefused shows and records that flows did not pass.
func (t *tunnel) tellRefused(s refusal) {
	r := t.word(s)
	t.mu.Lock()
	t.refused.show(r)
	if t.refused.left <= 0 {
		t.refused.rest += s.times
		t.mu.Unlock()
		return
	}
	t.refused.left--
	t.count++
	n := t.count
	t.mu.Unlock()
	f := gateway.NetworkFlow{
		N: n, Protocol: r.Protocol, From: s.id.from, To: r.To, Verdict: gateway.FlowRefused, Rule: r.Rule, Why: r.Why, Ended: true, Started: r.At,
	}
	if s.times > 1 {
		f.Times = s.times
	}
	_ = t.ch.NetworkFlow(f)
	if ctx := t.live.Context(); ctx.Err() == nil && (s.times == 1 || s.low != s.high) { // one that is tried again and again is one event
		t.live.Refuse(ctx, fmt.Sprintf("flow %s/%s", s.id.to, r.Protocol), r.Why)
	}
}

// word says of flows why they did not pass.
func (t *tunnel) word(s refusal) RefusedFlow {
	r := RefusedFlow{At: gateway.Instant(t.g.c.Now()), Protocol: protocolOf(s.id.proto), To: s.id.to, Times: s.times}
	if s.others {
		r.To, r.Rule, r.Why = netip.AddrPort{}, "flows", fmt.Sprintf("%d flows to more hosts than are told apart", s.times)
		return r
	}
	no := s.no
	if no == nil {
		no = t.why(r.Protocol, s.id.to)
	}
	r.Rule, r.Why = no.Rule, no.Sentence()
	if s.low != s.high {
		r.To = netip.AddrPortFrom(s.id.to.Addr(), 0)
		r.Why = fmt.Sprintf("%d flows to ports %d to %d; of the first: %s", s.times, s.low, s.high, r.Why)
	} else if no.Rule == "abilities.flows" {
		r.Ask = "flow " + gateway.FlowRuleTo(r.Protocol, r.To, t.rules.NameOf(r.To.Addr())).String()
	}
	return r
}

// show keeps the latest, and of one flow or host one line.
func (l *refusals) show(r RefusedFlow) {
	i := slices.IndexFunc(l.shown, func(o RefusedFlow) bool { return o.To == r.To && o.Protocol == r.Protocol })
	if i >= 0 {
		r.Times += l.shown[i].Times
		l.shown = slices.Delete(l.shown, i, i+1)
	}
	l.shown = append(l.shown, r)
	l.shown = l.shown[max(0, len(l.shown)-RefusedKept):]
}

// tellRest tells, at the end, what is not told yet.
func (t *tunnel) tellRest() {
	t.tellSums()
	t.mu.Lock()
	rest := t.refused.rest
	t.mu.Unlock()
	if rest > 0 {
		_ = t.ch.NetworkFlow(gateway.NetworkFlow{
			N: t.nextN(), Verdict: gateway.FlowRefused, Rule: "flows", Why: fmt.Sprintf("%d more flows, which are told as a number alone", rest), Times: rest, Ended: true, Started: gateway.Instant(t.g.c.Now()),
		})
	}
}
