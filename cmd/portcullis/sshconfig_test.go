package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// V-41: what is printed for ssh_config has no name in it that could be an
// option.
//
// TestSSHConfig: the stock client reads what is printed, and jumps by it.
func TestSSHConfig(t *testing.T) {
	dir := t.TempDir()
	config, data := filepath.Join(dir, "portcullis.yaml"), filepath.Join(dir, "data")
	if status, _, errOut := command(t, "--config", config, "--data", data, "init", "--url", "https://gate.example"); status != exitDone {
		t.Fatalf("init: %s", errOut)
	}
	status, out, errOut := command(t, "--config", config, "--json", "ssh-config", "pump-7", "pump-8")
	var got struct {
		Config string `json:"ssh_config"`
		Known  string `json:"known_hosts"`
	}
	if err := json.Unmarshal([]byte(out), &got); status != exitDone || err != nil {
		t.Fatalf("%d %v %s", status, err, errOut)
	}
	if want := "@cert-authority [gate.example]:2022,pump-7,pump-8 ssh-ed25519 "; !strings.HasPrefix(got.Known, want) {
		t.Errorf("known_hosts %q, want %q", got.Known, want)
	}
	file := filepath.Join(dir, "ssh_config")
	if err := os.WriteFile(file, []byte(got.Config), 0o600); err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]string{"pump-7": "proxyjump portcullis\n", "portcullis": "user jump\n", "elsewhere": "hostname elsewhere\n"} {
		said, err := exec.Command("ssh", "-G", "-F", file, host).CombinedOutput()
		if err != nil || !strings.Contains(string(said), want) || host == "elsewhere" && strings.Contains(string(said), "proxyjump") {
			t.Errorf("%s: %v %s", host, err, said)
		}
	}
	for _, name := range []string{"pump*", "!pump-7", "-oProxyCommand=x", "pump-7\n\tProxyCommand x", "pump-7 *", "%h", `"pump-7"`, "pump-7\x00", "$(id)", "a|b", "", strings.Repeat("a", 64<<10)} {
		if status, out, _ := command(t, "--config", config, "ssh-config", "--", name); status == exitDone || strings.Contains(out, "Host ") {
			t.Errorf("%.20q was taken for a target: %.80q", name, out)
		}
	}
	if status, out, _ = command(t, "--config", config, "ssh-config", "--only", "known_hosts", "pump-7"); status != exitDone || strings.Count(out, "\n") != 1 {
		t.Errorf("only known_hosts: %d %q", status, out)
	}
}
