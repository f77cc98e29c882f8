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

// writeUntilKilled shows and types without end, and says on its stdout how far
// each has got once Output and Input have returned.
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
	for out, in := 0, 0; ; {
		n := 1 + rand.IntN(9000)
		die(c.Output(Stdout, patternAt(out, n)))
		out += n
		die(c.Input(patternAt(in, 3)))
		in += 3
		fmt.Println(out, in)
	}
}

// TestP3KillLosesNothingShown kills the writer without warning at a random
// moment, twenty times: every byte that it was allowed to show is there.
func TestP3KillLosesNothingShown(t *testing.T) {
	self, err := os.Executable()
	must(t, err)
	for round := range 20 {
		dir := t.TempDir()
		shown, typed := killWriter(t, self, dir, 1+rand.IntN(200))
		v := openVault(t, dir)
		all, err := v.Recover(t.Context())
		must(t, err)
		if len(all) != 1 || all[0].Meta.Session != "killed" || all[0].Empty {
			t.Fatalf("round %d: recovered %+v", round, all)
		}
		var raw bytes.Buffer
		must(t, v.Raw(&raw, "killed", Stdout))
		if raw.Len() < shown {
			t.Fatalf("round %d: %d bytes were shown, %d are recorded", round, shown, raw.Len())
		}
		if !bytes.Equal(raw.Bytes(), patternAt(0, raw.Len())) {
			t.Fatalf("round %d: the record is not what was shown", round)
		}
		if got := all[0].Sealed.BytesIn; got < int64(typed) {
			t.Fatalf("round %d: %d bytes were typed, %d are recorded", round, typed, got)
		}
		must(t, v.Verify("killed"))
		if info, err := v.Find("killed"); err != nil || info.State != Interrupted || info.Reason != gateway.EndCrashed {
			t.Fatalf("round %d: %+v, %v", round, info, err)
		}
	}
}

// killWriter starts a writer, kills it after some acknowledgements, and
// answers the last one that it gave.
func killWriter(t *testing.T, self, dir string, after int) (shown, typed int) {
	t.Helper()
	child := exec.Command(self)
	child.Env = append(os.Environ(), childDir+"="+dir)
	var complaint strings.Builder
	child.Stderr = &complaint
	said, err := child.StdoutPipe()
	must(t, err)
	must(t, child.Start())
	lines := bufio.NewScanner(said)
	for n := 0; lines.Scan(); n++ {
		if n == after {
			must(t, child.Process.Kill())
		}
		// A last line that the kill has cut short is no acknowledgement, but
		// neither can it be told from one: what it says is less than the truth.
		_, _ = fmt.Sscan(lines.Text(), &shown, &typed)
	}
	if err := child.Wait(); child.ProcessState.Exited() {
		t.Fatalf("the writer ended by itself: %v: %s", err, complaint.String())
	}
	return shown, typed
}
