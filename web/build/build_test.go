package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The lock file pins by digest and names no host: whoever builds has a
// registry of their own choice.
func TestLockNamesNoHost(t *testing.T) {
	raw, err := os.ReadFile("../package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	var lock struct {
		Packages map[string]struct{ Resolved, Integrity string }
	}
	if err := json.Unmarshal(raw, &lock); err != nil {
		t.Fatal(err)
	}
	for name, p := range lock.Packages {
		if p.Resolved != "" || name != "" && !strings.HasPrefix(p.Integrity, "sha512-") {
			t.Errorf("%s: resolved %q, integrity %q", name, p.Resolved, p.Integrity)
		}
	}
	if strings.Contains(string(raw), "://") {
		t.Error("the lock file holds an address")
	}
}

func TestManifestNamesByEntry(t *testing.T) {
	root := t.TempDir()
	meta := `{"outputs":{"dist/app-ABCD1234.css":{},"dist/app-EFGH5678.js":{},"dist/player-IJKL.js.LEGAL.txt":{}}}`
	if err := manifest(root, root, meta); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(root, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var names map[string]string
	if err := json.Unmarshal(raw, &names); err != nil {
		t.Fatal(err)
	}
	if names["app.css"] != "app-ABCD1234.css" || names["app.js"] != "app-EFGH5678.js" || names["player.js.LEGAL.txt"] != "player-IJKL.js.LEGAL.txt" {
		t.Errorf("%v", names)
	}
}

func TestCleanKeepsTheReadme(t *testing.T) {
	dir := t.TempDir()
	for _, f := range []string{"README.md", "app-OLD.js"} {
		if err := os.WriteFile(filepath.Join(dir, f), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := clean(dir); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 || left[0].Name() != "README.md" {
		t.Errorf("left: %v (%v)", left, err)
	}
}

func TestSaysWhatIsMissing(t *testing.T) {
	if err := run(t.TempDir()); err == nil || !strings.Contains(err.Error(), "npm ci") {
		t.Errorf("without packages: %v", err)
	}
}
