package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// command runs the command line in this process.
func command(t *testing.T, args ...string) (status int, out, errOut string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var o, e bytes.Buffer
	status = execute(ctx, args, strings.NewReader(""), &o, &e)
	return status, o.String(), e.String()
}

func TestExitStatus(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct {
		args   []string
		status int
		says   string
	}{
		"help":              {[]string{"--help"}, exitDone, ""},
		"nothing":           {nil, exitDone, ""},
		"version":           {[]string{"version"}, exitDone, ""},
		"unknown command":   {[]string{"open-sesame"}, exitUsage, "open-sesame"},
		"unknown flag":      {[]string{"sessions", "--all"}, exitUsage, "--all"},
		"freeze what?":      {[]string{"session", "freeze"}, exitUsage, "id"},
		"thaw where?":       {[]string{"--data", dir, "session", "thaw", "ses_1"}, exitFailed, "no gateway answers"},
		"no reason":         {[]string{"suspend", "vendor", "acme"}, exitUsage, "reason"},
		"unknown scope":     {[]string{"suspend", "planet", "earth", "--reason", "x"}, exitUsage, "planet"},
		"no gateway":        {[]string{"--data", dir, "sessions"}, exitFailed, "no gateway answers"},
		"no configuration":  {[]string{"--config", filepath.Join(dir, "none.yaml"), "serve"}, exitFailed, "no configuration"},
		"no policy folder":  {[]string{"policy", "check", filepath.Join(dir, "none")}, exitFailed, "none"},
		"log of no gateway": {[]string{"--data", dir, "audit", "verify"}, exitFailed, "portcullis.yaml"},
	} {
		status, _, errOut := command(t, c.args...)
		if status != c.status || !strings.Contains(errOut, c.says) {
			t.Errorf("%s: exit status %d, want %d; said %q, want %q", name, status, c.status, errOut, c.says)
		}
	}
}

func TestInitAndLogWithoutAGateway(t *testing.T) {
	dir := t.TempDir()
	config, data := filepath.Join(dir, "portcullis.yaml"), filepath.Join(dir, "data")
	status, out, errOut := command(t, "--config", config, "--data", data, "--json", "init", "--url", "http://localhost:1")
	if status != exitDone {
		t.Fatalf("init: %s", errOut)
	}
	var first map[string]string
	if err := json.Unmarshal([]byte(out), &first); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(first["link"], "http://localhost:1/enrol#") {
		t.Errorf("link %q", first["link"])
	}
	if status, out, errOut = command(t, "--config", config, "audit", "verify"); status != exitDone || !strings.HasPrefix(out, "PASS") {
		t.Errorf("audit verify after init: %d %s %s", status, out, errOut)
	}
	status, out, errOut = command(t, "--config", config, "--json", "init")
	var again map[string]string
	if err := json.Unmarshal([]byte(out), &again); status != exitDone || err != nil {
		t.Fatalf("init again: %d %s %v", status, errOut, err)
	}
	if again["link"] == first["link"] || again["root"] != first["root"] {
		t.Errorf("init again gave link %q and root %q", again["link"], again["root"])
	}
	info, err := os.Stat(data)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("data folder: %v %v", info.Mode(), err)
	}
	raw, err := os.ReadFile(filepath.Join(data, "portcullis.db"))
	if err != nil {
		t.Fatal(err)
	}
	_, token, _ := strings.Cut(first["link"], "#")
	if bytes.Contains(raw, []byte(token)) {
		t.Error("the invitation's token stands in the database")
	}
}

func TestInitAddsItsRootToAConfigurationWithoutOne(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "portcullis.yaml")
	if err := os.WriteFile(config, []byte("# written by hand\ndata: "+filepath.Join(dir, "data")), 0o640); err != nil {
		t.Fatal(err)
	}
	if status, _, errOut := command(t, "--config", config, "init"); status != exitDone {
		t.Fatalf("init: %s", errOut)
	}
	raw, err := os.ReadFile(config)
	if err != nil || !strings.HasPrefix(string(raw), "# written by hand\n") || strings.Count(string(raw), "ed25519:") != 1 {
		t.Errorf("the configuration is now %q, %v", raw, err)
	}
	if info, err := os.Stat(config); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
	if status, _, errOut := command(t, "--config", config, "serve", "--check"); status != exitDone {
		t.Errorf("serve --check: %s", errOut)
	}
}

func TestInitRefusesAConfigurationOfAnotherMachine(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "portcullis.yaml")
	if err := os.WriteFile(config, []byte("data: "+filepath.Join(dir, "data")+"\nroots: ['"+root+"']\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	status, _, errOut := command(t, "--config", config, "init")
	if status != exitFailed || !strings.Contains(errOut, "hint: add to roots: ed25519:") {
		t.Errorf("exit status %d, said %q", status, errOut)
	}
}

func TestSocketIsTheOwnersAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "portcullis.sock")
	l, err := listenSocket(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket has mode %v, %v", info.Mode(), err)
	}
	go func() {
		if c, err := l.Accept(); err == nil {
			c.Close()
		}
	}()
	if _, err := listenSocket(t.Context(), path); err == nil || !strings.Contains(err.Error(), "another gateway") {
		t.Errorf("a second gateway took the socket: %v", err)
	}
}

func TestSocketOfADeadGatewayIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "portcullis.sock")
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	l.Close()
	again, err := listenSocket(t.Context(), path)
	if err != nil {
		t.Fatalf("the socket of a dead gateway is in the way: %v", err)
	}
	again.Close()
}

func TestPrintableNeverMovesTheCursor(t *testing.T) {
	got := printable("a\x1b[2Jb\r\u202ec\u009b")
	if strings.ContainsAny(got, "\x1b\r\u202e\u009b") {
		t.Errorf("printable left %q", got)
	}
}
