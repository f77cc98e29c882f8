package recording

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/portcullis/portcullis/gateway"
)

// A gateway that crashed has told in its flows what they carried by then: that
// is what the session's row gets, of flows that had ended and of those that ran,
// and of what is whole where the last frame is torn.
func TestAccountOfATunnelAfterACrash(t *testing.T) {
	clock, dir := newClock(), t.TempDir()
	v := openVault(t, dir, at(clock))
	m := metaOf("ses_1")
	m.Protocol = string(gateway.KindNetwork)
	r, err := v.Start(t.Context(), m)
	must(t, err)
	t.Cleanup(func() { _, _ = r.Seal(gateway.EndStopping) })
	c := tunnelled(t, clock, r)
	last := flowTo(2, "[fd00::7]:502")
	last.BytesIn, last.BytesOut = 1012, 4064
	must(t, c.NetworkFlow(last))
	rel, err := filepath.Rel(dir, filepath.Join(r.dir, segmentName(output, 1)))
	must(t, err)
	for name, x := range map[string]struct{ torn, in, out int64 }{"whole": {0, 1112, 13064}, "torn": {1, 112, 9064}} {
		crashed := copyTree(t, dir)
		stat, err := os.Stat(filepath.Join(crashed, rel))
		must(t, err)
		must(t, os.Truncate(filepath.Join(crashed, rel), stat.Size()-x.torn))
		after := openVault(t, crashed, at(clock))
		_, err = after.Recover(t.Context())
		must(t, err)
		info, err := after.Account(t.Context(), "ses_1")
		must(t, err)
		if info.State != Interrupted || info.BytesIn != x.in || info.BytesOut != x.out || info.Digest == (gateway.Digest{}) {
			t.Errorf("%s: %s, %d in, %d out", name, info.State, info.BytesIn, info.BytesOut)
		}
	}
	other := start(t, v, "ses_2") // of SSH
	must(t, shell(t, other).Output(Stdout, []byte("shown")))
	sealIt(t, other)
	if info, err := v.Account(t.Context(), "ses_2"); err != nil || info.BytesOut != 5 {
		t.Errorf("another kind of session: %+v, %v", info, err)
	}
}
