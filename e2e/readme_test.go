package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/e2e/rig"
)

// TestReadmeConnects runs the lines of the README that say how an engineer
// connects, as they stand there but for names of machines, and looks whether
// each does what the words behind it say.
func TestReadmeConnects(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join("..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(raw), "## How an engineer connects\n")
	section, _, _ = strings.Cut(section, "\n## ")
	if !ok {
		t.Fatal("the README does not say how an engineer connects")
	}
	r := newReader(t)
	n := 0
	for line := range strings.Lines(section) {
		command, indented := strings.CutPrefix(strings.TrimRight(line, "\n"), "    ")
		if !indented {
			continue
		}
		command, _, _ = strings.Cut(command, " #")
		r.try(strings.TrimSpace(command))
		n++
	}
	if n < 6 {
		t.Errorf("%d lines were found", n)
	}
	if _, login, ok := strings.Cut(section, "`portcullis login "); !ok {
		t.Error("the README does not tell of portcullis login")
	} else {
		login, _, _ = strings.Cut(login, "`")
		r.login(strings.Fields(r.names.Replace(login)))
	}
	r.verified()
}

// reader is somebody who has the README and ana's key.
type reader struct {
	*story
	dir, grant, local string
	names             *strings.Replacer
}

func newReader(t *testing.T) *reader {
	t.Helper()
	s, echo, dir := newStory(t, rig.Options{}), echoes(t), t.TempDir()
	free, err := rig.FreeAddr()
	s.must(err)
	_, local, err := net.SplitHostPort(free)
	s.must(err)
	host, port, err := net.SplitHostPort(s.SSH)
	s.must(err)
	// The stock programs, with ana's configuration in the place of her home's.
	for _, program := range []string{"ssh", "scp", "sftp"} {
		at, err := exec.LookPath(program)
		s.must(err)
		s.must(os.WriteFile(filepath.Join(dir, program), fmt.Appendf(nil, "#!/bin/sh\nexec %s -F %s \"$@\"\n", at, filepath.Join(s.Clients["ana"].Dir, "config")), 0o700))
	}
	s.must(os.Mkdir(filepath.Join(dir, "far"), 0o700))
	s.must(os.WriteFile(filepath.Join(dir, "firmware.bin"), []byte("firmware"), 0o600))
	s.must(os.WriteFile(filepath.Join(dir, "far", "drive.log"), []byte("log"), 0o600))
	return &reader{
		story: s, dir: dir, local: "127.0.0.1:" + local, grant: s.may("shell", "exec", "upload", "download", "forward "+echo),
		names: strings.NewReplacer("https://gate.example.net:8443", s.URL, "gate.example.net", host, "2022", port, "pump-7", "pump", "/tmp/", dir+"/far/", "5432:historian:5432", local+":"+echo),
	}
}

// shown is what a line must lead to.
var shown = map[string]string{"ssh": "shell-42", "uptime": "load average", "sftp": "Remote working directory"}

func (r *reader) try(command string) {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.ctx, 30*time.Second)
	defer cancel()
	r.must(r.Ticket(r.ctx, "ana", r.grant))
	line := r.names.Replace(command)
	cmd := exec.CommandContext(ctx, "sh", "-c", "exec "+line)
	cmd.Dir, cmd.Env = r.dir, append(os.Environ(), "PATH="+r.dir+":"+os.Getenv("PATH"))
	kind := strings.Fields(command)[0]
	cmd.Stdin = strings.NewReader(map[string]string{"ssh": "echo shell-$((40+2)); exit\n", "sftp": "pwd\nbye\n"}[kind])
	if strings.Contains(command, " -L ") {
		r.forward(cmd, cancel)
		return
	}
	out, err := cmd.CombinedOutput()
	if strings.HasSuffix(command, " uptime") {
		kind = "uptime"
	}
	if err != nil || !strings.Contains(string(out), shown[kind]) {
		r.Errorf("%s: %v\n%s", command, err, out)
	}
	if kind == "scp" {
		r.arrived(command)
	}
}

func (r *reader) arrived(command string) {
	r.Helper()
	at, want := filepath.Join(r.dir, "far", "firmware.bin"), "firmware"
	if strings.HasSuffix(command, " .") {
		at, want = filepath.Join(r.dir, "drive.log"), "log"
	}
	if got, err := os.ReadFile(at); err != nil || string(got) != want {
		r.Errorf("%s: %v, %q", command, err, got)
	}
}

// forward talks through the line's forward while it runs.
func (r *reader) forward(cmd *exec.Cmd, leave context.CancelFunc) {
	r.Helper()
	r.must(cmd.Start())
	var got string
	err := rig.Until(r.ctx, 20*time.Second, func() error {
		c, err := net.DialTimeout("tcp", r.local, time.Second)
		if err != nil {
			return err
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(5 * time.Second)) // a socket has one
		if _, err := io.WriteString(c, "there and back"); err != nil {
			return err
		}
		b := make([]byte, len("there and back"))
		_, err = io.ReadFull(c, b)
		got = string(b)
		return err
	})
	leave()
	_ = cmd.Wait() // it was ended here
	if err != nil || got != "there and back" {
		r.Errorf("the forward: %v, %q", err, got)
	}
}

// login runs portcullis login, and a command by what it got alone.
func (r *reader) login(args []string) {
	r.Helper()
	key := filepath.Join(r.dir, "id_day")
	r.certified(append([]string{"login", "--key", key}, args...), func(string) {})
	r.must(r.Ticket(r.ctx, "ana", r.grant))
	// Of ana's configuration all but her key on file.
	own := r.Clients["ana"].Dir
	raw, err := os.ReadFile(filepath.Join(own, "config"))
	r.must(err)
	config := filepath.Join(r.dir, "config")
	r.must(os.WriteFile(config, []byte(strings.ReplaceAll(string(raw), filepath.Join(own, "id"), key)), 0o600))
	args = r.Args("ana", "pump", "-T")
	args[1] = config
	cmd := exec.CommandContext(r.ctx, "ssh", append(args, "echo certified")...)
	if status, out, errOut := output(r.T, cmd); status != 0 || out != "certified\n" {
		r.Errorf("by the certificate: %d %q %s", status, out, errOut)
	}
}
