package recording

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/gateway"
)

const childDir = "PORTCULLIS_TEST_RECORDINGS"

// patternAt is what the child shows at each place: any hole or repetition
// would be seen.
func patternAt(from, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte((from + i) * 2654435761 >> 11)
	}
	return b
}

// acknowledged is how far a writer says it has got.
type acknowledged struct{ shown, typed, forwarded, packets int }

// writeUntilKilled shows, types, forwards and captures without end, and says on
// its stdout how far each has got once the recorder has returned.
func writeUntilKilled(dir string) {
	die := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	v, err := Open(dir, Options{Signer: seedKey(), Logger: quiet(), SegmentBytes: 64 << 10})
	die(err)
	r, err := v.Start(context.Background(), metaOf("killed"))
	die(err)
	c, err := r.Channel(1, gateway.Channel{Kind: gateway.ChannelShell})
	die(err)
	f, err := r.Channel(2, gateway.Channel{Kind: gateway.ChannelForward, To: "hist:5432"})
	die(err)
	p, err := r.Channel(3, gateway.Channel{Kind: gateway.ChannelTunnel})
	die(err)
	for a := (acknowledged{}); ; {
		n := 1 + rand.IntN(9000)
		die(c.Output(Stdout, patternAt(a.shown, n)))
		a.shown += n
		die(c.Input(patternAt(a.typed, 3)))
		a.typed += 3
		die(f.Output(Stdout, patternAt(a.forwarded, 3*n)))
		a.forwarded += 3 * n
		die(p.NetworkFlow(gateway.NetworkFlow{N: uint64(a.packets + 1), Verdict: gateway.FlowOpen}))
		die(p.Packets([]gateway.Packet{packetAt(a.packets), packetAt(a.packets + 1), packetAt(a.packets + 2)}))
		a.packets += 3
		fmt.Println(a.shown, a.typed, a.forwarded, a.packets)
	}
}

// packetAt is the packet that the child lets pass as its n-th.
func packetAt(n int) gateway.Packet {
	return gateway.Packet{In: n%2 == 0, Length: 1400, Data: patternAt(n, 40+n%100)}
}

// TestP3KillLosesNothingShown kills the writer without warning at a random
// moment, twenty times: every byte that it was allowed to show is there.
func TestP3KillLosesNothingShown(t *testing.T) {
	self, err := os.Executable()
	must(t, err)
	for round := range 20 {
		dir := t.TempDir()
		said := killWriter(t, self, dir, 1+rand.IntN(200))
		v := openVault(t, dir)
		all, err := v.Recover(t.Context())
		must(t, err)
		if len(all) != 1 || all[0].Meta.Session != "killed" || all[0].Empty {
			t.Fatalf("round %d: recovered %+v", round, all)
		}
		var raw bytes.Buffer
		must(t, v.RawChannel(&raw, "killed", 1, Stdout))
		if raw.Len() < said.shown {
			t.Fatalf("round %d: %d bytes were shown, %d are recorded", round, said.shown, raw.Len())
		}
		if !bytes.Equal(raw.Bytes(), patternAt(0, raw.Len())) {
			t.Fatalf("round %d: the record is not what was shown", round)
		}
		if got := all[0].Sealed.BytesIn; got < int64(said.typed) {
			t.Fatalf("round %d: %d bytes were typed, %d are recorded", round, said.typed, got)
		}
		checkFlow(t, v, said.forwarded)
		checkPackets(t, v, said.packets)
		must(t, v.Verify("killed"))
		if info, err := v.Find("killed"); err != nil || info.State != Interrupted || info.Reason != gateway.EndCrashed {
			t.Fatalf("round %d: %+v, %v", round, info, err)
		}
	}
}

// checkFlow holds what a kill leaves of a forward: its first bytes, and an
// account that is right and less than a step behind.
func checkFlow(t *testing.T, v *Vault, forwarded int) {
	t.Helper()
	var raw bytes.Buffer
	must(t, v.RawChannel(&raw, "killed", 2, Stdout))
	if raw.Len() < min(forwarded, FlowKeep) || raw.Len() > FlowKeep || !bytes.Equal(raw.Bytes(), patternAt(0, raw.Len())) {
		t.Fatalf("%d bytes were forwarded and %d are kept", forwarded, raw.Len())
	}
	x, err := v.Index(t.Context(), "killed")
	must(t, err)
	if len(x.Flows) == 0 && forwarded == 0 {
		return
	}
	told := int(x.Flows[0].BytesOut)
	if forwarded-told >= FlowStep || x.Flows[0].SHA256Out != gateway.DigestOf(patternAt(0, told)) || x.Flows[0].Ended {
		t.Fatalf("%d bytes were forwarded and the flow is told as %+v", forwarded, x.Flows[0])
	}
}

// checkPackets holds what a kill leaves of a tunnel: each packet that passed,
// and the flow that was told before it.
func checkPackets(t *testing.T, v *Vault, passed int) {
	t.Helper()
	all := kept(t, v, "killed")
	if len(all) < passed {
		t.Fatalf("%d packets passed and %d are kept", passed, len(all))
	}
	for i, p := range all {
		if want := packetAt(i); p.In != want.In || p.Length != want.Length || !bytes.Equal(p.Data, want.Data) {
			t.Fatalf("packet %d is kept as %+v", i, p)
		}
	}
	x, err := v.Index(t.Context(), "killed")
	must(t, err)
	if len(x.Tunnel) < len(all)/3 {
		t.Fatalf("%d batches passed and %d flows are told", len(all)/3, len(x.Tunnel))
	}
}

// killWriter starts a writer, kills it after some acknowledgements, and
// answers the last one that it gave.
func killWriter(t *testing.T, self, dir string, after int) (said acknowledged) {
	t.Helper()
	child := exec.Command(self)
	child.Env = append(os.Environ(), childDir+"="+dir)
	var complaint strings.Builder
	child.Stderr = &complaint
	out, err := child.StdoutPipe()
	must(t, err)
	must(t, child.Start())
	lines := bufio.NewScanner(out)
	for n := 0; lines.Scan(); n++ {
		if n == after {
			must(t, child.Process.Kill())
		}
		// A last line that the kill has cut short is no acknowledgement, but
		// neither can it be told from one: what it says is less than the truth.
		_, _ = fmt.Sscan(lines.Text(), &said.shown, &said.typed, &said.forwarded, &said.packets)
	}
	if err := child.Wait(); child.ProcessState.Exited() {
		t.Fatalf("the writer ended by itself: %v: %s", err, complaint.String())
	}
	return said
}
