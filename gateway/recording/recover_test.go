package recording

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/gateway"
)

// halfWritten leaves a recording as a kill would: no footers, no seal. It
// answers the vault's folder and the recording's place in it.
func halfWritten(t *testing.T, set ...func(*Options)) (root, rel string) {
	t.Helper()
	dir := t.TempDir()
	v := openVault(t, dir, set...)
	r := start(t, v, "ses_1")
	ch := shell(t, r)
	must(t, ch.Output(Stdout, []byte("first ")))
	must(t, ch.Input([]byte("ab")))
	must(t, ch.Output(Stderr, []byte("second ")))
	must(t, ch.Input([]byte("cd")))
	must(t, ch.Output(Stdout, []byte("third")))
	rel, err := filepath.Rel(dir, r.dir)
	must(t, err)
	return copyTree(t, dir), rel
}

// fastVault does not wait for the disk: these tests ask it thousands of times.
func fastVault(t *testing.T, dir string) *Vault {
	t.Helper()
	v := openVault(t, dir)
	v.disk.sync = func(*os.File) error { return nil }
	return v
}

// TestP3RecoveredAtEveryOffset tears each stream's tail off at every byte: the
// whole frames before are kept, the rest is counted and kept aside, the
// recording says that it was cut short, and it verifies.
func TestP3RecoveredAtEveryOffset(t *testing.T) {
	root, rel := halfWritten(t)
	for _, s := range []stream{output, input} {
		name := segmentName(s, 1)
		original, err := os.ReadFile(filepath.Join(root, rel, name))
		must(t, err)
		ends := frameEnds(t, original)
		for size := range len(original) + 1 {
			dir := copyTree(t, root)
			must(t, os.Truncate(filepath.Join(dir, rel, name), int64(size)))
			checkRecovered(t, dir, rel, s, original[:size], ends)
			if t.Failed() {
				t.Fatalf("%s cut off at %d", name, size)
			}
		}
	}
}

// frameEnds are the offsets at which a header or a frame is whole.
func frameEnds(t *testing.T, segment []byte) []int64 {
	t.Helper()
	r := newReader(bytes.NewReader(segment), false)
	ends := []int64{0, headerSize}
	for {
		if _, err := r.next(); err != nil {
			return ends
		}
		ends = append(ends, r.off)
	}
}

func checkRecovered(t *testing.T, dir, rel string, s stream, left []byte, ends []int64) {
	t.Helper()
	var good int64
	frames := -2 // the beginning and the header end no frame
	for _, end := range ends {
		if end <= int64(len(left)) {
			good = end
			frames++
		}
	}
	v := fastVault(t, dir)
	all, err := v.Recover(t.Context())
	must(t, err)
	torn := int64(len(left)) - good
	if len(all) != 1 || all[0].Torn != torn || all[0].Fault != "" {
		t.Errorf("recovered %+v, want %d torn bytes", all, torn)
	}
	must(t, v.Verify("ses_1"))
	info, err := v.Find("ses_1")
	must(t, err)
	if info.State != Interrupted || info.Torn != torn {
		t.Errorf("info %+v", info)
	}
	kept := 0
	for _, err := range allFrames(filepath.Join(dir, rel), s) {
		must(t, err)
		kept++
	}
	if kept != max(frames, 0) {
		t.Errorf("%d frames are kept, want %d", kept, frames)
	}
	aside, err := os.ReadFile(filepath.Join(dir, rel, strings.TrimSuffix(segmentName(s, 1), segmentExt)+tornExt))
	if torn > 0 && (err != nil || !bytes.Equal(aside, left[good:])) {
		t.Errorf("kept aside %q, %v; want %q", aside, err, left[good:])
	}
	if again, err := v.Recover(t.Context()); err != nil || len(again) != 0 {
		t.Errorf("a second Recover does %+v, %v", again, err)
	}
}

// TestRecoverIsCutShort lets Recover itself be stopped at each sync that it
// asks for: the next one comes to the same end and loses no torn byte.
func TestRecoverIsCutShort(t *testing.T) {
	root, rel := halfWritten(t)
	name := filepath.Join(root, rel, segmentName(output, 1))
	info, err := os.Stat(name)
	must(t, err)
	must(t, os.Truncate(name, info.Size()-3))
	for stopAt := range 20 {
		dir := copyTree(t, root)
		v := openVault(t, dir)
		calls := 0
		v.disk.sync = func(*os.File) error {
			if calls++; calls > stopAt {
				return os.ErrDeadlineExceeded
			}
			return nil
		}
		first, err := v.Recover(t.Context())
		v = fastVault(t, dir)
		second, err2 := v.Recover(t.Context())
		must(t, err2)
		if err == nil {
			if stopAt < 4 {
				t.Errorf("Recover asked for %d syncs only", calls)
			}
			return
		}
		all := append(first, second...)
		if len(all) != 1 && exists(filepath.Join(dir, rel, sealName)) && len(second) > 0 {
			t.Errorf("stopped at %d: recovered %+v", stopAt, all)
		}
		must(t, v.Verify("ses_1"))
		var b bytes.Buffer
		must(t, v.Raw(&b, "ses_1", Stdout))
		if b.String() != "first " {
			t.Errorf("stopped at %d: %q", stopAt, b.String())
		}
		if info, _ := v.Find("ses_1"); info.Torn != frameHead+5+frameTail-3 {
			t.Errorf("stopped at %d: %d torn bytes", stopAt, info.Torn)
		}
	}
	t.Error("Recover never came to its end")
}

// TestRecoverAfterPowerCut loses the end of a segment that is not the last:
// its successor is kept, and the break in the chain is stated and sealed.
func TestRecoverAfterPowerCut(t *testing.T) {
	dir := t.TempDir()
	v := openVault(t, dir, small(400))
	r := start(t, v, "ses_1")
	ch := shell(t, r)
	for range 20 {
		must(t, ch.Output(Stdout, []byte("thirty bytes of output are here")))
	}
	rel, err := filepath.Rel(dir, r.dir)
	must(t, err)
	cut := copyTree(t, dir)
	second := filepath.Join(cut, rel, segmentName(output, 2))
	info, err := os.Stat(second)
	must(t, err)
	must(t, os.Truncate(second, info.Size()-footerSize-100))

	v = openVault(t, cut)
	all, err := v.Recover(t.Context())
	must(t, err)
	if len(all) != 1 || all[0].Torn == 0 {
		t.Fatalf("recovered %+v", all)
	}
	must(t, v.Verify("ses_1"))
	raw, err := os.ReadFile(filepath.Join(cut, rel, sealName))
	must(t, err)
	s, err := v.readSeal(raw)
	must(t, err)
	for _, g := range s.Segments {
		if want := g.Name == segmentName(output, 3); g.Broken != want {
			t.Errorf("%s: broken %t", g.Name, g.Broken)
		}
		if want := g.Name == segmentName(output, 2); (g.Torn > 0) != want {
			t.Errorf("%s: torn %d", g.Name, g.Torn)
		}
	}
}

// TestRecoverLeavesTheLiving holds that a recording that is being written is
// not sealed under its writer's hands, and that what never began is removed.
func TestRecoverLeavesTheLiving(t *testing.T) {
	dir := t.TempDir()
	v := openVault(t, dir)
	r := start(t, v, "ses_1")
	ch := shell(t, r)
	never := filepath.Join(filepath.Dir(r.dir), "ses_0")
	must(t, os.Mkdir(never, dirMode))

	other := openVault(t, dir) // as another process would
	all, err := other.Recover(t.Context())
	must(t, err)
	if len(all) != 1 || !all[0].Empty || all[0].Meta.Session != "ses_0" || exists(never) {
		t.Errorf("recovered %+v", all)
	}
	if info, err := other.Find("ses_1"); err != nil || info.State != Live {
		t.Errorf("seen from elsewhere: %+v, %v", info, err)
	}
	if err := other.Verify("ses_1"); !gateway.IsCode(err, gateway.CodeConflict) {
		t.Errorf("verify a live recording: %v", err)
	}
	must(t, ch.Output(Stdout, []byte("still here")))
	sealIt(t, r)
	must(t, other.Verify("ses_1"))
}

// TestRecoverNamesWhatIsMissing does not seal over a hole that no crash makes.
func TestRecoverNamesWhatIsMissing(t *testing.T) {
	root, rel := halfWritten(t)
	must(t, os.Remove(filepath.Join(root, rel, segmentName(input, 1))))
	v := openVault(t, root)
	_, err := v.Recover(t.Context())
	if err == nil || !strings.Contains(err.Error(), segmentName(input, 1)) || !strings.Contains(err.Error(), "ses_1") {
		t.Errorf("recover: %v", err)
	}
	if info, err := v.Find("ses_1"); err != nil || info.State != Unsealed {
		t.Errorf("%+v, %v", info, err)
	}
}

// TestRecoverSaysThatTheManifestIsDamaged seals the bytes but does not believe
// the names.
func TestRecoverSaysThatTheManifestIsDamaged(t *testing.T) {
	root, rel := halfWritten(t)
	path := filepath.Join(root, rel, manifestName)
	raw, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, bytes.Replace(raw, []byte("acme"), []byte("evil"), 1), fileMode))
	v := openVault(t, root)
	all, err := v.Recover(t.Context())
	must(t, err)
	if len(all) != 1 || !strings.Contains(all[0].Fault, manifestName) || all[0].Meta.Vendor != "" {
		t.Errorf("recovered %+v", all)
	}
	if err := v.Verify("ses_1"); err == nil || !strings.Contains(err.Error(), manifestName) {
		t.Errorf("verify: %v", err)
	}
	if info, err := v.Find("ses_1"); err != nil || info.State != Damaged {
		t.Errorf("%+v, %v", info, err)
	}
}

// TestRecoverKeepsEveryTornByte tears the footer that a first Recover has
// written: what that one had kept aside is still there after the second.
func TestRecoverKeepsEveryTornByte(t *testing.T) {
	root, rel := halfWritten(t)
	segment := filepath.Join(root, rel, segmentName(output, 1))
	cut := func(n int64) {
		info, err := os.Stat(segment)
		must(t, err)
		must(t, os.Truncate(segment, info.Size()-n))
	}
	cut(2)
	v := openVault(t, root)
	_, err := v.Recover(t.Context())
	must(t, err)
	first, err := v.Find("ses_1")
	must(t, err)
	must(t, os.Remove(filepath.Join(root, rel, sealName)))
	cut(1)
	_, err = v.Recover(t.Context())
	must(t, err)
	must(t, v.Verify("ses_1"))
	second, err := v.Find("ses_1")
	must(t, err)
	if want := first.Torn + frameHead + footerSize + frameTail - 1; second.Torn != want {
		t.Errorf("%d bytes are kept aside, want %d", second.Torn, want)
	}
}

// TestRecoverNamesAForgedSegment seals a closed segment that was changed, with
// right checksums, before it could be sealed, but says so.
func TestRecoverNamesAForgedSegment(t *testing.T) {
	root, rel := halfWritten(t, small(200))
	forge(t, filepath.Join(root, rel, segmentName(output, 1)))
	v := openVault(t, root)
	all, err := v.Recover(t.Context())
	must(t, err)
	if len(all) != 1 || !strings.Contains(all[0].Fault, segmentName(output, 1)) {
		t.Errorf("recovered %+v", all)
	}
	if err := v.Verify("ses_1"); err == nil || !strings.Contains(err.Error(), segmentName(output, 1)) {
		t.Errorf("verify: %v", err)
	}
}
