package transfer

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/gateway"
)

func (k *kept) replay(tell func(Piece) error) error {
	for _, p := range k.Pieces {
		if err := tell(p); err != nil {
			return err
		}
	}
	return nil
}

// carvesAll fails unless each line of the index with a sum leads to the bytes
// that have it, and says how many there were.
func (k *kept) carvesAll(t *testing.T) (n int) {
	t.Helper()
	for _, f := range k.Files {
		if f.SHA256.IsZero() {
			continue
		}
		n++
		var b bytes.Buffer
		if err := Carve(k.Channel, k.replay, f.SHA256, &b); err != nil || gateway.DigestOf(b.Bytes()) != f.SHA256 || int64(b.Len()) != f.Bytes {
			t.Errorf("%s %s: %d bytes of %d, %v", f.Op, f.Path, b.Len(), f.Bytes, err)
		}
	}
	return n
}

// Each file that real clients move can be had back from what passed, byte for
// byte: a part that was resumed, one after a refusal, an empty one too.
func TestCarve(t *testing.T) {
	dir := t.TempDir()
	one, _ := randomFile(t, dir, "one", 1<<20+3)
	two, _ := randomFile(t, dir, "two", 70_001)
	none, _ := randomFile(t, dir, "none", 0)
	for _, row := range []struct {
		name, grant, stdin string
		least              int // files with a sum
		program            []string
	}{
		{"sftp", "upload download", "put " + one + " " + dir + "/a\nput " + none + " " + dir + "/n\nget " + dir + "/a " + dir + "/b\nget " + two + " " + dir + "/c\n", 4, []string{"sftp", "-R", "64", "-S", os.Args[0], "-b", "-", "host"}},
		{"sftp, a refusal between", "download", "get " + two + " " + dir + "/d\nput " + one + " " + dir + "/e\nget " + one + " " + dir + "/f\n", 2, []string{"sftp", "-S", os.Args[0], "host"}},
		{"scp up", "upload", "", 3, []string{"scp", "-O", "-p", "-S", os.Args[0], one, two, none, "host:" + dir + "/"}},
		{"scp down", "download", "", 1, []string{"scp", "-O", "-S", os.Args[0], "host:" + one, dir + "/g"}},
		{"rsync", "upload", "", 1, []string{"rsync", "-e", os.Args[0], two, "host:" + dir + "/h"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			k, said, _ := runProgram(t, row.grant, row.stdin, row.program[0], row.program[1:]...)
			if n := k.carvesAll(t); n < row.least {
				t.Errorf("%d files have a sum, want %d; the client said %s", n, row.least, said)
			}
		})
	}
}

// An scp recording may have an answer a moment after what it let through.
func TestCarveLateAnswer(t *testing.T) {
	dir := t.TempDir()
	one, sum := randomFile(t, dir, "one", 100_000)
	k, said, err := runProgram(t, "upload", "", "scp", "-O", "-S", os.Args[0], one, "host:"+dir+"/two")
	if err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	for i := range k.Pieces[1:] { // each answer after the piece that it let through
		if !k.Pieces[i].Client && k.Pieces[i+1].Client {
			k.Pieces[i], k.Pieces[i+1] = k.Pieces[i+1], k.Pieces[i]
			break
		}
	}
	var b bytes.Buffer
	if err := Carve(k.Channel, k.replay, sum, &b); err != nil || b.Len() != 100_000 {
		t.Errorf("%d bytes, %v", b.Len(), err)
	}
}

func TestCarveRefuses(t *testing.T) {
	dir := t.TempDir()
	one, sum := randomFile(t, dir, "one", 1<<20)
	k, _, _ := runProgram(t, "upload", "put "+one+" "+dir+"/two\n", "sftp", "-S", os.Args[0], "-b", "-", "host")
	if err := Carve(k.Channel, k.replay, gateway.DigestOf([]byte("another")), io.Discard); !gateway.IsCode(err, gateway.CodeNotFound) {
		t.Errorf("a sum that is not there: %v", err)
	}
	if err := Carve(gateway.Channel{Kind: gateway.ChannelShell}, k.replay, sum, io.Discard); !gateway.IsCode(err, gateway.CodeInvalid) {
		t.Errorf("a shell: %v", err)
	}
	gone := errors.New("gone")
	if err := Carve(k.Channel, k.replay, sum, failing{gone}); !errors.Is(err, gone) {
		t.Errorf("a reader that left: %v", err)
	}
	cut := slices.Clone(k.Pieces)
	k.Pieces = nil
	for n := 0; n < 100_000; n += len(cut[len(k.Pieces)-1].Bytes) { // the recording ends in the middle of the file
		k.Pieces = append(k.Pieces, cut[len(k.Pieces)])
	}
	var b strings.Builder
	if err := Carve(k.Channel, k.replay, sum, &b); !gateway.IsCode(err, gateway.CodeNotFound) || b.Len() > 0 {
		t.Errorf("a recording that is cut: %d bytes, %v", b.Len(), err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }
