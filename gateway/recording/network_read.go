package recording

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// maxOpenFlows bounds the flows of one tunnel that a reader holds because they
// have not ended. What is beyond is told as far as it was known.
const maxOpenFlows = 8192

// TunnelFlow is one flow of a tunnel as it was last told.
type TunnelFlow struct {
	At   time.Duration `json:"at_ns"`         // when it began or was refused, since the recording began
	Last time.Duration `json:"last_ns"`       // when it was last told
	Cut  string        `json:"cut,omitempty"` // why it has no end
	gateway.NetworkFlow
}

// over reports whether nothing more is told of a flow.
func over(f gateway.NetworkFlow) bool { return f.Ended || f.Verdict != gateway.FlowOpen }

// tell takes a later word about a flow. Its name and what it looks like stay
// when they are not said again.
func (t *TunnelFlow) tell(at time.Duration, f gateway.NetworkFlow) {
	f.Name, f.Hint = cmp.Or(f.Name, t.Name), cmp.Or(f.Hint, t.Hint)
	if f.Started.IsZero() {
		f.Started = t.Started
	}
	t.Last, t.NetworkFlow = at, f
}

// FlowTeller puts each flow of a tunnel together from what was told of it, in
// bounded memory.
type FlowTeller struct {
	unended unended[uint64, TunnelFlow]
	done    func(TunnelFlow) error
}

// NewFlowTeller answers one that gives each flow to done when it has ended.
func NewFlowTeller(done func(TunnelFlow) error) *FlowTeller { return &FlowTeller{done: done} }

// Take takes the next word about a flow; an error is done's.
func (t *FlowTeller) Take(at time.Duration, f gateway.NetworkFlow) error {
	x := t.unended.open[f.N]
	begun := x != nil
	if !begun {
		x = &TunnelFlow{At: at}
	}
	x.tell(at, f)
	switch {
	case over(f):
		t.unended.end(f.N)
		return t.done(*x)
	case !begun:
		t.unended.begin(f.N, x)
		if len(t.unended.open) > maxOpenFlows {
			return t.done(*t.unended.oldest())
		}
	}
	return nil
}

// Finish gives up what has not ended, and says why that is.
func (t *FlowTeller) Finish(cut string) error {
	for x := t.unended.oldest(); x != nil; x = t.unended.oldest() {
		x.Cut = cut
		if err := t.done(*x); err != nil {
			return err
		}
	}
	return nil
}

// NetworkFlows tells each flow of a tunnel once, as it was last told: in the
// order in which they ended, and then what has not. A damaged recording is told
// up to the damage, and the error names it.
func (v *Vault) NetworkFlows(ctx context.Context, session string, tell func(TunnelFlow) error) error {
	_, err := v.flows(ctx, session, tell, func(time.Duration, string) {})
	return err
}

// flows is NetworkFlows with the notes, and the time of the last frame.
func (v *Vault) flows(ctx context.Context, session string, tell func(TunnelFlow) error, note func(at time.Duration, text string)) (last time.Duration, err error) {
	dir, err := v.find(session)
	if err != nil {
		return 0, err
	}
	cut := ""
	if exists(filepath.Join(dir, sealName)) {
		cut = sessionOver
	}
	t := NewFlowTeller(tell)
	tape := newTape(dir, output)
	defer tape.close()
	end, err := tellAll(ctx, tape, func(f frame) error {
		last = f.at
		switch f.kind {
		case kindNote:
			note(f.at, string(f.payload))
		case kindNetworkFlow:
			if n, err := parseNetworkFlow(f.payload); err == nil { // Verify is there to complain
				return t.Take(f.at, n)
			}
		}
		return nil
	})
	if err == nil {
		err = t.Finish(cut)
	}
	if err == nil {
		err = v.damaged(dir, end)
	}
	return last, err
}

// Account is Find for the row of a session that a crash cut short. A tunnel's
// bytes are in no count of the recording: they are what its flows were last
// told to have carried, as far as it can be read.
func (v *Vault) Account(ctx context.Context, session string) (Info, error) {
	info, err := v.Find(session)
	if err != nil || info.Meta.Protocol != string(gateway.KindNetwork) {
		return info, err
	}
	info.BytesIn, info.BytesOut = 0, 0
	_, err = v.flows(ctx, session, func(f TunnelFlow) error {
		info.BytesIn += f.BytesIn
		info.BytesOut += f.BytesOut
		return nil
	}, func(time.Duration, string) {})
	if gateway.IsCode(err, gateway.CodeConflict) { // damaged: what came before counts
		err = nil
	}
	return info, err
}

// FlowLines writes a tunnel's flows as JSON lines, one a flow, as NetworkFlows
// tells them.
func (v *Vault) FlowLines(ctx context.Context, w io.Writer, session string) error {
	b := bufio.NewWriter(w)
	e := json.NewEncoder(b)
	damaged := v.NetworkFlows(ctx, session, func(f TunnelFlow) error { return e.Encode(f) })
	return errors.Join(damaged, b.Flush())
}

// FlowQuery narrows a tunnel's timeline; empty fields do not.
type FlowQuery struct {
	Verdicts []gateway.FlowVerdict
	Text     string // in names, addresses, protocol, hint, rule and refusal, without regard to case
	After    uint64 // page on above this number
	Limit    int    // 1 to MaxTimeline; 0 means MaxTimeline
}

// FlowTimeline is one page of what passed a tunnel, in the order in which the
// flows began.
type FlowTimeline struct {
	Flows    []TunnelFlow                `json:"flows"`
	Counts   map[gateway.FlowVerdict]int `json:"counts"`    // of all flows, those that are told together too
	BytesIn  int64                       `json:"bytes_in"`  // of all flows
	BytesOut int64                       `json:"bytes_out"` // of all flows
	Notes    []IndexNote                 `json:"notes"`     // the first MaxTimeline
	Length   time.Duration               `json:"length_ns"` // up to the last thing told
	More     bool                        `json:"more,omitempty"`
}

// FlowTimeline reads what passed a tunnel by now; it looks at no packet. A
// damaged recording is read up to the damage; the error names it, and the
// timeline holds what came before.
func (v *Vault) FlowTimeline(ctx context.Context, session string, q FlowQuery) (FlowTimeline, error) {
	if q.Limit <= 0 || q.Limit > MaxTimeline {
		q.Limit = MaxTimeline
	}
	out := FlowTimeline{Counts: map[gateway.FlowVerdict]int{}, Notes: []IndexNote{}}
	flows := lowest[TunnelFlow, uint64]{limit: q.Limit, number: func(f TunnelFlow) uint64 { return f.N }}
	last, err := v.flows(ctx, session, func(f TunnelFlow) error {
		out.Counts[f.Verdict] += int(max(f.Times, 1))
		out.BytesIn += f.BytesIn
		out.BytesOut += f.BytesOut
		if f.N > q.After && q.Fits(f) {
			flows.add(f)
		}
		return nil
	}, func(at time.Duration, text string) {
		if len(out.Notes) < MaxTimeline {
			out.Notes = append(out.Notes, IndexNote{At: at, Text: clip(text, maxIndexWord)})
		}
	})
	if err != nil && !gateway.IsCode(err, gateway.CodeConflict) {
		return FlowTimeline{}, err
	}
	out.Length = last
	out.Flows, out.More = flows.page()
	return out, err
}

// Fits reports whether a flow is one of those asked for.
func (q FlowQuery) Fits(f TunnelFlow) bool {
	if len(q.Verdicts) > 0 && !slices.Contains(q.Verdicts, f.Verdict) {
		return false
	}
	text := strings.ToLower(q.Text)
	return text == "" || strings.Contains(strings.ToLower(FlowText(f.NetworkFlow)), text)
}

// FlowText words a flow: "tcp to hist 10.0.0.5:502, Modbus unit 1: 3 read
// holding registers", and what was refused of it. It is what a search looks in.
func FlowText(f gateway.NetworkFlow) string {
	text := cmp.Or(string(f.Protocol), "flows") + " to "
	if f.Name != "" {
		text += shown(f.Name) + " "
	}
	switch {
	case !f.To.IsValid():
		text += "other hosts"
	case f.To.Port() == 0: // an echo, or flows to several ports
		text += f.To.Addr().String()
	default:
		text += f.To.String()
	}
	if f.Hint != "" {
		text += ", " + shown(f.Hint)
	}
	if f.Verdict != gateway.FlowOpen {
		text += ", " + string(f.Verdict)
		if f.Times > 1 {
			text += fmt.Sprintf(" %d times", f.Times)
		}
		if f.Why != "" {
			text += ": " + shown(f.Why)
		}
		if f.Rule != "" {
			text += " (" + shown(f.Rule) + ")"
		}
	}
	return text
}

func parseNetworkFlow(b []byte) (f gateway.NetworkFlow, err error) { return f, json.Unmarshal(b, &f) }
