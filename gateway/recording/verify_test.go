package recording

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/gateway"
)

// sealedWorld is a vault with two small sealed recordings, the first of three
// output segments.
func sealedWorld(t *testing.T) (v *Vault, dir string, other string) {
	t.Helper()
	v = openVault(t, t.TempDir(), small(300))
	for _, session := range []string{"ses_1", "ses_2"} {
		r := start(t, v, session)
		ch := shell(t, r)
		for range 5 {
			must(t, ch.Output(Stdout, []byte("some lines of output\r\n")))
		}
		must(t, ch.Input([]byte("ls\r")))
		sealIt(t, r)
		must(t, v.Verify(session))
		dir, other = other, r.dir
	}
	return v, dir, other
}

// TestP6EveryFlippedBitIsNamed flips bits all over a sealed recording: each is
// found, and the error names the file and, in a segment, an offset at or before
// the bit and not further from it than one frame.
func TestP6EveryFlippedBitIsNamed(t *testing.T) {
	v, dir, _ := sealedWorld(t)
	must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		must(t, err)
		if e.IsDir() {
			return nil
		}
		raw, err := os.ReadFile(path)
		must(t, err)
		for i := range raw {
			bit := byte(1) << (i % 8)
			raw[i] ^= bit
			must(t, os.WriteFile(path, raw, fileMode))
			checkNamed(t, v.Verify("ses_1"), e.Name(), i)
			raw[i] ^= bit
		}
		return os.WriteFile(path, raw, fileMode)
	}))
	must(t, v.Verify("ses_1"))
}

func checkNamed(t *testing.T, err error, name string, place int) {
	t.Helper()
	if !gateway.IsCode(err, gateway.CodeConflict) || !strings.Contains(err.Error(), name) {
		t.Errorf("%s, byte %d: %v", name, place, err)
		return
	}
	if !strings.HasSuffix(name, segmentExt) {
		return
	}
	_, rest, _ := strings.Cut(err.Error(), ", offset ")
	digits, _, _ := strings.Cut(rest, ":")
	offset, convErr := strconv.Atoi(digits)
	if convErr != nil || offset > place || place-offset > frameHead+footerSize+frameTail+headerSize {
		t.Errorf("%s, byte %d: the error names another place: %v", name, place, err)
	}
}

// TestVerifyNamesWhatWasDone changes a sealed recording as a whole file.
func TestVerifyNamesWhatWasDone(t *testing.T) {
	second := segmentName(output, 2)
	for name, tc := range map[string]struct {
		do    func(t *testing.T, dir, other string)
		names string
	}{
		"segment dropped":  {func(t *testing.T, dir, _ string) { must(t, os.Remove(filepath.Join(dir, second))) }, second},
		"manifest dropped": {func(t *testing.T, dir, _ string) { must(t, os.Remove(filepath.Join(dir, manifestName))) }, manifestName},
		"segment added": {func(t *testing.T, dir, _ string) {
			must(t, os.WriteFile(filepath.Join(dir, segmentName(input, 2)), nil, fileMode))
		}, segmentName(input, 2)},
		"segments swapped": {func(t *testing.T, dir, _ string) {
			a, b := filepath.Join(dir, segmentName(output, 1)), filepath.Join(dir, second)
			must(t, os.Rename(a, a+"x"))
			must(t, os.Rename(b, a))
			must(t, os.Rename(a+"x", b))
		}, segmentName(output, 1)},
		"segment of another session": {func(t *testing.T, dir, other string) { copyFile(t, other, dir, second) }, second},
		"seal of another session":    {func(t *testing.T, dir, other string) { copyFile(t, other, dir, sealName) }, sealName},
		"bytes added": {func(t *testing.T, dir, _ string) {
			raw, err := os.ReadFile(filepath.Join(dir, second))
			must(t, err)
			must(t, os.WriteFile(filepath.Join(dir, second), append(raw, 'x'), fileMode))
		}, second},
		"frame rewritten with its checksum": {func(t *testing.T, dir, _ string) { forge(t, filepath.Join(dir, second)) }, second},
		"footer rewritten with its checksum": {func(t *testing.T, dir, _ string) {
			path := filepath.Join(dir, second)
			raw, err := os.ReadFile(path)
			must(t, err)
			r := newReader(bytes.NewReader(raw), false)
			must(t, drain(r))
			at := len(raw) - frameHead - footerSize - frameTail
			payload := bytes.Clone(raw[at+frameHead : len(raw)-frameTail])
			copy(raw[at:], encodeFrame(r.seed, frame{kind: kindFooter, channel: 9, at: r.counts.last, payload: payload}))
			must(t, os.WriteFile(path, raw, fileMode))
		}, second},
		"segment cut off": {func(t *testing.T, dir, _ string) { must(t, os.Truncate(filepath.Join(dir, second), headerSize)) }, second},
	} {
		t.Run(name, func(t *testing.T) {
			v, dir, other := sealedWorld(t)
			tc.do(t, dir, other)
			err := v.Verify("ses_1")
			if !gateway.IsCode(err, gateway.CodeConflict) || !strings.Contains(err.Error(), tc.names) {
				t.Errorf("%v, want %s named", err, tc.names)
			}
		})
	}
}

// TestVerifyTrustsItsKeysOnly refuses a whole recording made under another key.
func TestVerifyTrustsItsKeysOnly(t *testing.T) {
	v, _, _ := sealedWorld(t)
	stranger := seedKey()
	stranger.private[0] ^= 1
	stranger = NewKey(fromSeed(stranger.private.Seed()))
	o := openVault(t, v.dir, func(o *Options) { o.Signer = stranger })
	if err := o.Verify("ses_1"); err == nil || !strings.Contains(err.Error(), "not trusted") {
		t.Errorf("under another key: %v", err)
	}
	o = openVault(t, v.dir, func(o *Options) { o.Signer, o.Keys = stranger, []string{seedKey().Public()} })
	must(t, o.Verify("ses_1"))
}

// forge changes one byte of the first frame's payload as somebody would who can
// compute checksums.
func forge(t *testing.T, path string) {
	t.Helper()
	raw, err := os.ReadFile(path)
	must(t, err)
	r := newReader(bytes.NewReader(raw), false)
	f, err := r.next()
	must(t, err)
	f.payload[0] ^= 1
	copy(raw[headerSize:], encodeFrame(r.seed, f))
	must(t, os.WriteFile(path, raw, fileMode))
}

func copyFile(t *testing.T, from, to, name string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(from, name))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(to, name), raw, fileMode))
}
