package main

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const packed = `# a comment that stays
url: https://gate.example
data: %s
node: node-1
store: postgres://gate@db.example/gate?sslmode=verify-full
nodes: {node-1: "10.0.0.1:7443", node-2: "10.0.0.2:7443"}
`

// firstNode is a node with keys and the configuration of a cluster.
func firstNode(t *testing.T) (config, data string) {
	t.Helper()
	data = filepath.Join(t.TempDir(), "data")
	config = filepath.Join(t.TempDir(), "portcullis.yaml")
	keys, err := openKeysIn(data)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(packed, "%s", data) + "roots: [\"" + machineRoot(keys) + "\"]\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return config, data
}

func cliRun(t *testing.T, args ...string) (status int, said string) {
	t.Helper()
	var out bytes.Buffer
	status = execute(t.Context(), args, strings.NewReader(""), &out, &out)
	return status, out.String()
}

// TestNodeJoins: a second node has the first one's keys and configuration, its
// own name and folder, and nothing that another user can read.
func TestNodeJoins(t *testing.T) {
	config, data := firstNode(t)
	pack := filepath.Join(t.TempDir(), "pack")
	if status, said := cliRun(t, "node", "pack", pack, "--config", config); status != 0 {
		t.Fatal(said)
	}
	if info, err := os.Stat(pack); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the pack: %v %v", info.Mode(), err)
	}
	if status, _ := cliRun(t, "node", "pack", pack, "--config", config); status == 0 {
		t.Error("a pack was written over another file")
	}
	dir := t.TempDir()
	join := []string{"node", "join", pack, "--name", "node-2", "--config", filepath.Join(dir, "portcullis.yaml"), "--data", filepath.Join(dir, "data")}
	if status, said := cliRun(t, join...); status != 0 || !strings.Contains(said, "Set vpn.endpoint in the configuration to a host:port that leads to node-2 alone") {
		t.Fatal(said)
	}
	for _, d := range []string{data, filepath.Join(dir, "data")} {
		if err := os.Chmod(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := LoadConfig(filepath.Join(dir, "portcullis.yaml"))
	if err != nil || cfg.Node != "node-2" || cfg.Data != filepath.Join(dir, "data") || cfg.Store != "postgres://gate@db.example/gate?sslmode=verify-full" {
		t.Fatalf("%+v %v", cfg, err)
	}
	first, err := keysIn(data)
	if err != nil {
		t.Fatal(err)
	}
	second, err := keysIn(cfg.Data)
	if err != nil || machineRoot(first) != machineRoot(second) || line(first.UserCA()) != line(second.UserCA()) {
		t.Errorf("the nodes have other keys (%v)", err)
	}
	names, _ := filepath.Glob(filepath.Join(cfg.Data, "keys", "*"))
	for _, n := range names {
		if info, err := os.Stat(n); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", n, info.Mode(), err)
		}
	}
	if status, said := cliRun(t, join...); status == 0 || !strings.Contains(said, "there already") {
		t.Errorf("joined twice: %s", said)
	}
}

func TestNodePacksRefused(t *testing.T) {
	config, _ := firstNode(t)
	whole := filepath.Join(t.TempDir(), "pack")
	if status, said := cliRun(t, "node", "pack", whole, "--config", config); status != 0 {
		t.Fatal(said)
	}
	raw, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	entry := func(name string, kind byte) []byte {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		_ = w.WriteHeader(&tar.Header{Name: name, Typeflag: kind, Linkname: "/etc/passwd", Mode: 0o600})
		_ = w.Close()
		return b.Bytes()
	}
	for _, c := range []struct {
		name string
		raw  []byte
		mode os.FileMode
		node string
		want string
	}{
		{"others can read it", raw, 0o644, "node-2", "others can read it"},
		{"a name that is not on the list", raw, 0o600, "node-9", "not among them"},
		{"cut short after a key", raw[:1024], 0o600, "node-2", "lacks"},
		{"cut short in the configuration", raw[:len(raw)-1024-400], 0o600, "node-2", "not a whole pack"},
		{"a way out of the folder", entry("keys/../../x", tar.TypeReg), 0o600, "node-2", "in no pack"},
		{"a link", entry("keys/machine", tar.TypeSymlink), 0o600, "node-2", "in no pack"},
		{"nothing", nil, 0o600, "node-2", "lacks"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "pack")
			if err := os.WriteFile(file, c.raw, c.mode); err != nil {
				t.Fatal(err)
			}
			status, said := cliRun(t, "node", "join", file, "--name", c.node, "--config", filepath.Join(dir, "c.yaml"), "--data", filepath.Join(dir, "d"))
			if status == 0 || !strings.Contains(said, c.want) {
				t.Errorf("status %d, said %q", status, said)
			}
			if _, err := os.Stat(filepath.Join(dir, "d")); err == nil {
				t.Error("something was laid out")
			}
		})
	}
}

// A pack carries the first node's endpoint of tunnels, and the second must not
// keep it.
func TestNodeJoinAsksForItsEndpoint(t *testing.T) {
	for want, cfg := range map[string]Config{
		"":                                    {Node: "b", Listen: Listen{VPN: off}, VPN: VPN{Endpoint: "a.example:51820"}},
		"where every other node's are":        {Node: "b"},
		"a.example:51820, which is where the": {Node: "b", VPN: VPN{Endpoint: "a.example:51820"}},
	} {
		if said := ownEndpoint(cfg); !strings.Contains(said, want) || (said == "") != (want == "") {
			t.Errorf("%q, want %q", said, want)
		}
	}
}
