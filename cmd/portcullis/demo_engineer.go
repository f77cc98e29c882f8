package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/certs"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/web/api"
)

// demoTarget is what the check's engineers reach.
const demoTarget = "service+historian"

// demoEngineer is an engineer of the demo's check, with an SSH key in a file
// and the stock client.
type demoEngineer struct {
	*demoPerson
	dir string
	key string // path of the private key
}

func (e *demoEngineer) knownHosts() string { return filepath.Join(e.dir, "known_hosts") }

// addSSHKey makes a key, adds it by touch, and returns its fingerprint. The
// folder is made.
func (e *demoEngineer) addSSHKey(ctx context.Context, keys *certs.Authority) (string, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", err
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(e.dir, 0o700); err != nil {
		return "", err
	}
	e.key = filepath.Join(e.dir, "id_engineer")
	if err := os.WriteFile(e.key, pem.EncodeToMemory(block), 0o600); err != nil {
		return "", err
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		return "", err
	}
	known := "@cert-authority * " + line(keys.HostCAPublic()) + "\n"
	if err := os.WriteFile(e.knownHosts(), []byte(known), 0o600); err != nil {
		return "", err
	}
	return ssh.FingerprintSHA256(signer.PublicKey()), e.act(ctx, statement.KindSSHKey, api.SSHKeyParams{Key: line(signer.PublicKey()), Label: "laptop"}, nil)
}

// ssh runs the stock client against the gateway that listens at host:port; the
// last of args is the command.
func (e *demoEngineer) ssh(ctx context.Context, at string, args ...string) *exec.Cmd {
	_, port, _ := net.SplitHostPort(at) // made by JoinHostPort
	all := append([]string{
		"-F", "none", "-p", port, "-i", e.key, "-o", "IdentitiesOnly=yes", "-o", "UserKnownHostsFile=" + e.knownHosts(), "-o", "GlobalKnownHostsFile=none",
		"-o", "StrictHostKeyChecking=yes", "-o", "PreferredAuthentications=publickey,keyboard-interactive", "-o", "ConnectTimeout=10",
	}, args[:len(args)-1]...)
	cmd := exec.CommandContext(ctx, "ssh", append(all, demoTarget+"@localhost", args[len(args)-1])...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// refused wants the client turned away, and returns what it was told; word is
// part of it.
func (e *demoEngineer) refused(ctx context.Context, at, word string) (string, error) {
	out, err := e.ssh(ctx, at, "-T", "uname -a").CombinedOutput()
	if err == nil {
		return "", fmt.Errorf("ssh got in at %s", at)
	}
	if !strings.Contains(strings.ToLower(string(out)), word) {
		return "", fmt.Errorf("the reason is not told: %s", printable(string(out)))
	}
	return lastLine(out, word), nil
}

// touched starts cmd, touches when the link appears, and waits for its end.
func (e *demoEngineer) touched(ctx context.Context, cmd *exec.Cmd) error {
	said := newTold()
	cmd.Stderr = said
	if err := cmd.Start(); err != nil {
		return err
	}
	touchErr := e.touchWhenAsked(ctx, said)
	if touchErr != nil {
		_ = cmd.Process.Kill() // it waits for a touch that does not come
	}
	if err := cmd.Wait(); err != nil && touchErr == nil {
		return fmt.Errorf("%w: %s", err, printable(said.String()))
	}
	return touchErr
}

func (e *demoEngineer) touchWhenAsked(ctx context.Context, t *told) error {
	line, err := t.await(ctx, "/touch/")
	if err != nil {
		return err
	}
	return e.touchLink(ctx, line)
}

// liveShell is an interactive shell through the stock client.
type liveShell struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *told
	stderr *told
}

// shell opens one, by touch. It ends with ctx.
func (e *demoEngineer) shell(ctx context.Context, at string) (*liveShell, error) {
	s := &liveShell{cmd: e.ssh(ctx, at, "-tt", "exec /bin/sh -i"), stdout: newTold(), stderr: newTold()}
	s.cmd.Stdout, s.cmd.Stderr = s.stdout, s.stderr
	var err error
	if s.stdin, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	err = e.touchWhenAsked(ctx, s.stderr)
	if err == nil {
		err = s.lives(ctx, "opened")
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// lives types and wants the answer; word tells one look from another.
func (s *liveShell) lives(ctx context.Context, word string) error {
	if err := s.types(word); err != nil {
		return err
	}
	_, err := s.stdout.await(ctx, word+"-42")
	return err
}

// types asks for word-42, which the line itself does not show.
func (s *liveShell) types(word string) error {
	_, err := io.WriteString(s.stdin, "echo "+word+"-$((40+2))\n")
	return err
}

// ended waits for the shell's end, and wants the engineer told of the word.
func (s *liveShell) ended(word string) error {
	_ = s.cmd.Wait() // with a status that is not zero
	if said := s.stdout.String() + s.stderr.String(); !strings.Contains(said, word) {
		return fmt.Errorf("the terminal was not told why: %s", printable(said))
	}
	return nil
}

// close ends the client, if the gateway did not, and waits for it.
func (s *liveShell) close() {
	_ = s.cmd.Process.Kill() // it may have ended
	_ = s.cmd.Wait()
}

// told collects what a program says and lets one wait for a word of it.
type told struct {
	mu   sync.Mutex
	text bytes.Buffer
	came chan struct{}
}

func newTold() *told { return &told{came: make(chan struct{}, 1)} }

// Write implements io.Writer.
func (t *told) Write(p []byte) (int, error) {
	t.mu.Lock()
	n, err := t.text.Write(p)
	t.mu.Unlock()
	select {
	case t.came <- struct{}{}:
	default:
	}
	return n, err
}

// String returns all that was said.
func (t *told) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}

// await returns the line that holds the word, whole.
func (t *told) await(ctx context.Context, word string) (string, error) {
	for {
		for l := range strings.Lines(t.String()) {
			if strings.Contains(l, word) && strings.HasSuffix(l, "\n") {
				return strings.TrimSpace(l), nil
			}
		}
		select {
		case <-t.came:
		case <-ctx.Done():
			return "", fmt.Errorf("waited for %q and was told: %s", word, printable(t.String()))
		}
	}
}

// lastLine returns the last line that holds the word, else the last.
func lastLine(out []byte, word string) string {
	last := ""
	for l := range strings.Lines(string(out)) {
		if l = strings.TrimSpace(l); strings.Contains(strings.ToLower(l), word) || last == "" {
			last = l
		}
	}
	return last
}
