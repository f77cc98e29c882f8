package audit

import (
	"crypto/ed25519"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func testSigner(t *testing.T) *Signer {
	t.Helper()
	origin, err := Origin("https://gate.example:8443/")
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSigner(origin, ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestCheckpointIsASignedNote opens ours with the reference implementation.
func TestCheckpointIsASignedNote(t *testing.T) {
	s := testSigner(t)
	root := tlog.RecordHash([]byte("root"))
	signed, err := s.Seal(42, root)
	if err != nil {
		t.Fatal(err)
	}
	v, err := note.NewVerifier(s.Verifier().String())
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open(signed, note.VerifierList(v))
	if err != nil || n.Text != "gate.example:8443/portcullis-log\n42\n"+root.String()+"\n" {
		t.Fatalf("opened as %+v: %v", n, err)
	}
	size, got, err := s.Verifier().Open(signed)
	if err != nil || size != 42 || got != root {
		t.Errorf("opened as size %d root %v: %v", size, got, err)
	}
}

func TestCheckpointWithAnyBitFlippedIsRefused(t *testing.T) {
	s := testSigner(t)
	// Several notes, because the bits that base64 forgives lie in the last
	// digit of the signature, and not every digit has a neighbour there.
	for size := range int64(16) {
		signed, err := s.Seal(size, tlog.RecordHash([]byte("root")))
		if err != nil {
			t.Fatal(err)
		}
		first := 0
		if size > 0 {
			first = len(signed) - 6
		}
		for i := first * 8; i < len(signed)*8; i++ {
			bad := slices.Clone(signed)
			bad[i/8] ^= 1 << (i % 8)
			if _, _, err := s.Verifier().Open(bad); err == nil {
				t.Errorf("size %d: bit %d of byte %d (%q to %q) is not noticed", size, i%8, i/8, signed[i/8], bad[i/8])
			}
		}
	}
}

// TestCheckpointFileLagsByAPauseAtMost: commits that come thick and fast share
// a write, the newest is on disk when the pause is over, and closing waits for
// no pause.
func TestCheckpointFileLagsByAPauseAtMost(t *testing.T) {
	path := filepath.Join(t.TempDir(), "checkpoint")
	s := testSigner(t)
	synctest.Test(t, func(t *testing.T) {
		f, err := OpenCheckpointFile(path, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		keep := func(sizes ...int64) {
			for _, size := range sizes {
				n, err := s.Seal(size, tlog.RecordHash([]byte{byte(size)}))
				if err != nil {
					t.Fatal(err)
				}
				f.Keep(Checkpoint{size, n})
			}
			synctest.Wait()
		}
		holds := func(when string, want int64) {
			t.Helper()
			if got, err := ReadCheckpoint(path); err != nil || got.Size != want {
				t.Errorf("%s the file is at %d, want %d (%v)", when, got.Size, want, err)
			}
		}
		keep(1)
		holds("at once", 1)
		keep(2, 3)
		holds("within the pause", 1)
		time.Sleep(checkpointEvery)
		synctest.Wait()
		holds("after the pause", 3)
		keep(4)
		began := time.Now()
		if err := f.Close(); err != nil || time.Since(began) > 0 {
			t.Errorf("closing took %s: %v", time.Since(began), err)
		}
		holds("after the close", 4)
	})
}

func TestCheckpointFileIsAFloor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "checkpoint")
	s := testSigner(t)
	seal := func(size int64) Checkpoint {
		n, err := s.Seal(size, tlog.RecordHash([]byte{byte(size)}))
		if err != nil {
			t.Fatal(err)
		}
		return Checkpoint{size, n}
	}
	for _, round := range []struct {
		keep []int64
		want int64
	}{{nil, 0}, {[]int64{1, 2, 5}, 5}, {[]int64{3, 4}, 5}, {[]int64{9}, 9}} {
		f, err := OpenCheckpointFile(path, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range round.keep {
			f.Keep(seal(size))
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		f.Keep(seal(100)) // too late, and harmless
		got, err := ReadCheckpoint(path)
		if err != nil || got.Size != round.want {
			t.Errorf("after keeping %v: size %d, want %d (%v)", round.keep, got.Size, round.want, err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != checkpointMode {
		t.Errorf("%v %v", info, err)
	}
	if left, _ := filepath.Glob(path + ".*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := os.WriteFile(path, []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenCheckpointFile(path, nil); err == nil {
		t.Error("a file that holds no note was taken")
	}
}
