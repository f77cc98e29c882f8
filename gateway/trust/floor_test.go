package trust_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/trust"
)

func openFloor(t *testing.T, path string) *trust.Floor {
	t.Helper()
	f, err := trust.OpenFloor(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func raise(t *testing.T, f *trust.Floor, subject string, n uint64) {
	t.Helper()
	if err := f.Raise(subject, n); err != nil {
		t.Fatal(err)
	}
}

func TestTheFloorOnlyRises(t *testing.T) {
	path := filepath.Join(t.TempDir(), "floor")
	f := openFloor(t, path)
	raise(t, f, "vendor:acme", 3)
	raise(t, f, "vendor:acme", 2)
	raise(t, f, "vendor-epoch:acme", 7)
	if f.At("vendor:acme") != 3 || f.At("vendor:other") != 0 {
		t.Errorf("acme is at %d, other at %d", f.At("vendor:acme"), f.At("vendor:other"))
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Raise("vendor:acme", 4); !gateway.IsCode(err, gateway.CodeUnavailable) {
		t.Errorf("raised after the close: %v", err)
	}
	g := openFloor(t, path)
	if g.At("vendor:acme") != 3 || g.At("vendor-epoch:acme") != 7 {
		t.Errorf("after a restart: %d and %d", g.At("vendor:acme"), g.At("vendor-epoch:acme"))
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode is %v, %v", info.Mode(), err)
	}
	for _, bad := range []string{"", "two words", "a\nb", strings.Repeat("x", 4096)} {
		if err := g.Raise(bad, 1); err == nil {
			t.Errorf("subject %q was taken", bad)
		}
	}
	if err := (*trust.Floor)(nil).Raise("x", 1); err != nil {
		t.Error(err)
	}
}

// A crash may leave any beginning of the last line.
func TestTheFloorOutlivesATornLine(t *testing.T) {
	dir := t.TempDir()
	f := openFloor(t, filepath.Join(dir, "floor"))
	raise(t, f, "person:ada", 5)
	raise(t, f, "grant-closed:grt_1", 1)
	whole, err := os.ReadFile(filepath.Join(dir, "floor"))
	if err != nil {
		t.Fatal(err)
	}
	first := strings.IndexByte(string(whole), '\n') + 1
	for cut := range len(whole) {
		path := filepath.Join(dir, fmt.Sprintf("cut-%d", cut))
		if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		g := openFloor(t, path)
		if want := map[bool]uint64{true: 5}[cut >= first]; g.At("person:ada") != want || g.At("grant-closed:grt_1") != 0 {
			t.Fatalf("cut at %d: %d and %d", cut, g.At("person:ada"), g.At("grant-closed:grt_1"))
		}
		raise(t, g, "person:ada", 6)
		_ = g.Close()
		if h := openFloor(t, path); h.At("person:ada") != 6 {
			t.Fatalf("cut at %d: what was raised after it is lost", cut)
		}
	}
}

func TestADamagedFloorIsNotTaken(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "floor")
	f := openFloor(t, path)
	raise(t, f, "person:ada", 5)
	raise(t, f, "person:ben", 5)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	first := strings.IndexByte(string(whole), '\n')
	for at := range first {
		for bit := range 8 {
			b := []byte(string(whole))
			b[at] ^= 1 << bit
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			if g, err := trust.OpenFloor(path); err == nil {
				t.Errorf("byte %d bit %d: opened with ada at %d", at, bit, g.At("person:ada"))
				_ = g.Close()
			} else if !strings.Contains(err.Error(), "line 1 is damaged") {
				t.Errorf("byte %d bit %d: %v", at, bit, err)
			}
		}
	}
	if _, err := trust.OpenFloor(dir); err == nil {
		t.Error("a folder was opened as a floor")
	}
}

func TestTheFloorIsWrittenAnewWhenItIsCrowded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "floor")
	f := openFloor(t, path)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range uint64(200) {
				if err := f.Raise(fmt.Sprintf("target:t%d", i), n+1); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	_ = f.Close()
	before, _ := os.Stat(path)
	g := openFloor(t, path)
	after, _ := os.Stat(path)
	if after.Size() >= before.Size()/10 {
		t.Errorf("%d bytes before, %d after", before.Size(), after.Size())
	}
	for i := range 8 {
		if n := g.At(fmt.Sprintf("target:t%d", i)); n != 200 {
			t.Errorf("t%d is at %d", i, n)
		}
	}
}

func FuzzFloor(f *testing.F) {
	f.Add([]byte("vendor:acme 3 00000000\n"))
	f.Add([]byte("a 1 \n\n"))
	path := filepath.Join(f.TempDir(), "floor")
	f.Fuzz(func(t *testing.T, raw []byte) {
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		g, err := trust.OpenFloor(path)
		if err != nil {
			return
		}
		if err := g.Raise("x", 1<<63); err != nil {
			t.Error(err)
		}
		if err := g.Close(); err != nil {
			t.Error(err)
		}
		h, err := trust.OpenFloor(path)
		if err != nil || h.At("x") != 1<<63 {
			t.Errorf("after a restart: %v", err)
		}
		_ = h.Close()
	})
}
