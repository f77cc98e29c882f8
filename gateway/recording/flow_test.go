package recording

import (
	"bytes"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

func forward(t testing.TB, r *Recorder, id uint32) *Channel {
	t.Helper()
	c, err := r.Channel(id, gateway.Channel{Kind: gateway.ChannelForward, To: "hist:5432", From: "127.0.0.1:40000"})
	must(t, err)
	return c
}

// flows reads the flow frames of a recording.
func flows(t testing.TB, v *Vault, session string) []gateway.Flow {
	t.Helper()
	dir, err := v.find(session)
	must(t, err)
	var all []gateway.Flow
	for f, err := range allFrames(dir, output) {
		must(t, err)
		if f.kind == kindFlow {
			flow, err := parseFlow(f.payload)
			must(t, err)
			all = append(all, flow)
		}
	}
	return all
}

// V-81: a forward's bytes are recorded up to a bound and accounted for beyond.
//
// TestFlowIsCappedAndAccountedFor lets more through a forward than is kept: the
// first bytes of each way are there, the rest is hashed and counted, and the
// count is told before it is off by a step.
func TestFlowIsCappedAndAccountedFor(t *testing.T) {
	c := newClock()
	v := openVault(t, t.TempDir(), at(c))
	r := start(t, v, "ses_1")
	ch := forward(t, r, 3)
	const piece = 100_000
	out, in := patternAt(0, 4*FlowStep), patternAt(7, FlowKeep+1)
	passed := 0
	for p := out; len(p) > 0; p = p[min(piece, len(p)):] {
		n := min(piece, len(p))
		must(t, ch.Output(Stdout, p[:n]))
		passed += n
		all := flows(t, v, "ses_1")
		if last := all[len(all)-1]; int64(passed)-last.BytesOut >= FlowStep {
			t.Fatalf("%d bytes have passed and %d are told", passed, last.BytesOut)
		}
	}
	must(t, ch.Input(in[:FlowKeep-1]))
	must(t, ch.Input(in[FlowKeep-1:]))
	c.pass(time.Second)
	must(t, ch.Exit(nil, ""))
	sealIt(t, r)
	must(t, v.Verify("ses_1"))

	all := flows(t, v, "ses_1")
	if first := (gateway.Flow{To: "hist:5432", From: "127.0.0.1:40000", SHA256In: gateway.DigestOf(nil), SHA256Out: gateway.DigestOf(nil)}); all[0] != first {
		t.Errorf("the beginning is told as %+v", all[0])
	}
	want := gateway.Flow{
		To: "hist:5432", From: "127.0.0.1:40000", Ended: true, BytesOut: int64(len(out)), KeptOut: FlowKeep, SHA256Out: gateway.DigestOf(out),
		BytesIn: int64(len(in)), KeptIn: FlowKeep, SHA256In: gateway.DigestOf(in),
	}
	if last := all[len(all)-1]; last != want {
		t.Errorf("the end is told as %+v, want %+v", last, want)
	}
	for s, want := range map[Stream][]byte{Stdout: out[:FlowKeep], Stdin: in[:FlowKeep], Stderr: nil} {
		var b bytes.Buffer
		must(t, v.RawChannel(&b, "ses_1", 3, s))
		if !bytes.Equal(b.Bytes(), want) {
			t.Errorf("of stream %d %d bytes are kept, want %d", s, b.Len(), len(want))
		}
	}
}

// TestFlowIsToldWhateverEndsIt seals under an open forward, and lets a pump
// bring bytes after the end was told.
func TestFlowIsToldWhateverEndsIt(t *testing.T) {
	v := openVault(t, t.TempDir())
	r := start(t, v, "ses_1")
	open, ended := forward(t, r, 1), forward(t, r, 2)
	must(t, open.Output(Stdout, []byte("abc")))
	must(t, ended.Exit(nil, ""))
	must(t, ended.Exit(nil, ""))
	must(t, ended.Input([]byte("late")))
	sealIt(t, r)
	must(t, v.Verify("ses_1"))
	if err := open.Output(Stdout, []byte("x")); !gateway.IsCode(err, gateway.CodeConflict) {
		t.Errorf("a byte after the seal: %v", err)
	}
	x, err := v.Index(t.Context(), "ses_1")
	must(t, err)
	if f := x.Flows[0]; f.BytesOut != 3 || f.SHA256Out != gateway.DigestOf([]byte("abc")) || f.Ended {
		t.Errorf("open at the seal: %+v", f)
	}
	if f := x.Flows[1]; f.BytesIn != 4 || f.SHA256In != gateway.DigestOf([]byte("late")) || !f.Ended {
		t.Errorf("late: %+v", f)
	}
}
