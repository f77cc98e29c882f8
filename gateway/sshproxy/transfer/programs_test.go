package transfer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// The test binary stands in for ssh: the real programs call it with a host and
// a command, and it runs the command here with a tap in between. There is no
// network.
const (
	envActs  = "TRANSFER_TEST_GRANT" // set: stand in for ssh, under this grant
	envIndex = "TRANSFER_TEST_INDEX" // where the index goes
	server   = "/usr/lib/openssh/sftp-server"
)

func TestMain(m *testing.M) {
	if grant, ok := os.LookupEnv(envActs); ok {
		os.Exit(actAsSSH(grant, os.Args[1:]))
	}
	os.Exit(m.Run())
}

// kept is what a session would be.
type kept struct {
	mu    sync.Mutex
	can   gateway.Abilities
	Kind  gateway.ChannelKind
	Files []gateway.File

	Channel gateway.Channel
	Pieces  []Piece // what passed, as a recording has it
}

func (k *kept) passed(client bool, p []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.Pieces = append(k.Pieces, Piece{client, bytes.Clone(p)})
}

func (k *kept) Judge(op gateway.FileOp) error {
	if k.can.LetsFile(op) {
		return nil
	}
	return gateway.Refused("abilities", "ask for it", "the grant does not let you %s files", op)
}

func (k *kept) File(f gateway.File) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.Files = append(k.Files, f)
}

func grantOf(words string) gateway.Abilities {
	return gateway.Abilities{
		Exec: strings.Contains(words, "exec"), Upload: strings.Contains(words, "upload"), Download: strings.Contains(words, "download"),
	}
}

func actAsSSH(grant string, args []string) int {
	k := &kept{can: grantOf(grant)}
	ch := commandOf(args)
	k.Kind, k.Channel = ch.Kind, ch
	code := k.carry(ch)
	b, err := json.Marshal(k)
	if err == nil {
		err = os.WriteFile(os.Getenv(envIndex), b, 0o600)
	}
	if err != nil {
		return 254
	}
	return code
}

// commandOf finds the command behind ssh's options and host.
func commandOf(args []string) gateway.Channel {
	at := slices.Index(args, "--")
	if at < 0 {
		at = slices.IndexFunc(args, func(a string) bool { return !strings.HasPrefix(a, "-") }) - 1
	}
	command := strings.Join(args[at+2:], " ")
	if slices.Contains(args[:at+1], "-s") && command == "sftp" {
		return gateway.Channel{Kind: gateway.ChannelSFTP}
	}
	return Recognise(command)
}

func (k *kept) carry(ch gateway.Channel) int {
	if !k.can.Lets(ch) {
		_, _ = io.WriteString(os.Stderr, "not granted: "+string(ch.Kind)+"\n")
		return 255
	}
	command := ch.Command
	if command == "" {
		command = server
	}
	cmd := exec.Command("sh", "-c", command)
	cmd.Stderr = os.Stderr
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		return 254
	}
	t := New(ch, k, func(p []byte) error {
		k.passed(false, p)
		_, err := os.Stdout.Write(p)
		return err
	})
	var until ending
	var pumps sync.WaitGroup
	pumps.Go(func() {
		defer in.Close()
		if !through(os.Stdin, in, until.client(t), func(p []byte) { k.passed(true, p) }) {
			_ = cmd.Process.Kill()
		}
	})
	done := make(chan struct{})
	go func() { defer close(done); pumps.Wait() }()
	if !through(out, os.Stdout, t.Target, func(p []byte) { k.passed(false, p) }) {
		_ = cmd.Process.Kill()
	}
	err := cmd.Wait()
	_ = os.Stdin.Close()
	_ = os.Stdout.Close()
	select {
	case <-done:
	default: // a client that waits for our end: what it still sends is for nobody
	}
	until.close(t)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return 0
}

// ending keeps the client's side off a tap that is closed.
type ending struct {
	mu   sync.Mutex
	over bool
}

func (e *ending) client(t Tap) func([]byte, func([]byte) error) error {
	return func(p []byte, forward func([]byte) error) error {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.over {
			return io.ErrClosedPipe
		}
		return t.Client(p, forward)
	}
}

func (e *ending) close(t Tap) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.over = true
	t.Close()
}

// through carries one direction to its end; false is that the tap ended it.
func through(from io.Reader, to io.Writer, tap func([]byte, func([]byte) error) error, keep func([]byte)) bool {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if err := tap(buf[:n], func(p []byte) error {
				keep(p)
				_, err := to.Write(p)
				return err
			}); err != nil {
				_, _ = io.WriteString(os.Stderr, "tap: "+err.Error()+"\n")
				return false
			}
		}
		if err != nil {
			return true
		}
	}
}

// runProgram runs a program through the tap and returns what the index has.
func runProgram(t *testing.T, grant, stdin, program string, args ...string) (*kept, string, error) {
	t.Helper()
	index := filepath.Join(t.TempDir(), "index")
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.WaitDelay = time.Second
	cmd.Env = append(os.Environ(), envActs+"="+grant, envIndex+"="+index, "GIT_SSH="+os.Args[0], "GIT_SSH_VARIANT=simple",
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.org")
	cmd.Stdin = strings.NewReader(stdin)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	err := cmd.Run()
	k := &kept{}
	b, readErr := os.ReadFile(index)
	if readErr == nil {
		readErr = json.Unmarshal(b, k)
	}
	if readErr != nil {
		t.Fatalf("%s %q: %v, no index: %v\n%s", program, args, err, readErr, said.String())
	}
	return k, said.String(), err
}

// find returns the index's last line of that operation and path.
func (k *kept) find(t *testing.T, op gateway.FileOp, path string) gateway.File {
	t.Helper()
	for _, f := range slices.Backward(k.Files) {
		if f.Op == op && f.Path == path {
			return f
		}
	}
	t.Fatalf("no %s of %s in the index: %+v", op, path, k.Files)
	return gateway.File{}
}

func randomFile(t *testing.T, dir, name string, size int) (string, gateway.Digest) {
	t.Helper()
	p := make([]byte, size)
	for i := range p {
		p[i] = byte(i*7 + i>>8)
	}
	at := filepath.Join(dir, name)
	if err := os.WriteFile(at, p, 0o600); err != nil {
		t.Fatal(err)
	}
	return at, gateway.DigestOf(p)
}

func sameBytes(t *testing.T, a, b string) {
	t.Helper()
	x, err1 := os.ReadFile(a)
	y, err2 := os.ReadFile(b)
	if err := errors.Join(err1, err2); err != nil || !bytes.Equal(x, y) {
		t.Fatalf("%s and %s differ: %v", a, b, err)
	}
}
