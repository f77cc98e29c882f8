package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/web/api"
)

// checkTimeout bounds the whole check.
const checkTimeout = 2 * time.Minute

// check plays the whole story: a line a step with its time, and an error at
// the first that does not hold.
func (d *demoCmd) check(r *run) (err error) {
	ctx, cancel := context.WithTimeout(r.ctx, checkTimeout)
	defer cancel()
	parent := r.Data
	if parent != "" {
		if err := os.MkdirAll(parent, 0o700); err != nil {
			return err
		}
	}
	dir, err := os.MkdirTemp(parent, "portcullis-check-")
	if err != nil {
		return err
	}
	defer func() {
		if err == nil {
			err = os.RemoveAll(dir)
		} else {
			fmt.Fprintln(r.errOut, "portcullis: what the check left is in", dir)
		}
	}()
	web, err := freeAddr(ctx)
	if err != nil {
		return err
	}
	c := &check{run: r, dir: dir, ctx: ctx}
	err = c.step("start the plant", func() (string, error) {
		if c.plant, err = d.plant(ctx, filepath.Join(dir, "data"), web, "127.0.0.1:0", r.errOut); err != nil {
			return "", err
		}
		return fmt.Sprintf("%d targets, gateway on %s", len(c.plant.targets), c.plant.cfg.URL), nil
	})
	if err != nil {
		return err
	}
	return c.play()
}

func freeAddr(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// check is one run of the story.
type check struct {
	*run
	ctx   context.Context
	dir   string
	plant *plant

	admin, approver, engineer *demoPerson
	clientKey                 string // path of the engineer's SSH key
	request                   string
	session                   string
	live                      *liveShell
}

// step runs one step and prints its line.
func (c *check) step(what string, f func() (string, error)) error {
	begun := time.Now()
	note, err := f()
	took := time.Since(begun).Round(time.Millisecond)
	if err != nil {
		fmt.Fprintf(c.out, "FAIL  %-44s %8s  %s\n", what, took, printable(err.Error()))
		return shownError{err}
	}
	_, err = fmt.Fprintf(c.out, "ok    %-44s %8s  %s\n", what, took, printable(note))
	return err
}

// play serves, plays the steps and stops.
func (c *check) play() (err error) {
	serving, stop := context.WithCancel(c.ctx)
	ready, served := make(chan struct{}), make(chan error, 1)
	go func() { served <- c.plant.gate.serve(serving, func() { close(ready) }) }()
	defer func() {
		stop()
		stopErr := <-served
		c.plant.stop()
		if err == nil && stopErr == nil {
			_, err = fmt.Fprintln(c.out, "PASS  the whole story holds")
		} else if err == nil {
			err = stopErr
		}
	}()
	select {
	case <-ready:
	case err := <-served:
		served <- nil
		return err
	}
	for _, s := range []struct {
		what string
		do   func() (string, error)
	}{
		{"enrol three people with a touch each", c.enrolAll},
		{"the engineer adds an SSH key by touch", c.addSSHKey},
		{"the request is waiting", c.findRequest},
		{"ssh is refused before anybody agreed", c.refusedBefore},
		{"the approver agrees by touch", c.approve},
		{"ssh runs uname -a after a touch", c.uname},
		{"the replay holds the output", c.replay},
		{"a fresh machine signs in for a certificate by touch", c.login},
		{"a live shell is open", c.openShell},
		{"suspending the vendor ends the live shell", c.suspend},
		{"reconnecting is refused with the reason", c.refusedAfter},
		{"the log verifies", c.verify},
	} {
		if err := c.step(s.what, s.do); err != nil {
			return err
		}
	}
	return nil
}

func (c *check) enrolAll() (string, error) {
	for _, x := range []struct {
		name string
		into **demoPerson
	}{{demoAdmin, &c.admin}, {demoApprover, &c.approver}, {demoEngineer, &c.engineer}} {
		p, err := newDemoPerson(x.name, c.plant.cfg.URL)
		if err != nil {
			return "", err
		}
		if err := p.enrol(c.ctx, c.plant.links[x.name]); err != nil {
			return "", fmt.Errorf("%s: %w", x.name, err)
		}
		*x.into = p
	}
	return strings.Join([]string{demoAdmin, demoApprover, demoEngineer}, ", "), nil
}

func (c *check) addSSHKey() (string, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", err
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		return "", err
	}
	c.clientKey = filepath.Join(c.dir, "id_engineer")
	if err := os.WriteFile(c.clientKey, pem.EncodeToMemory(block), 0o600); err != nil {
		return "", err
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		return "", err
	}
	known := "@cert-authority * " + line(c.plant.gate.keys.HostCAPublic()) + "\n"
	if err := os.WriteFile(c.knownHosts(), []byte(known), 0o600); err != nil {
		return "", err
	}
	return ssh.FingerprintSHA256(signer.PublicKey()), c.engineer.act(c.ctx, statement.KindSSHKey, api.SSHKeyParams{Key: line(signer.PublicKey()), Label: "laptop"}, nil)
}

func (c *check) knownHosts() string { return filepath.Join(c.dir, "known_hosts") }

func (c *check) findRequest() (string, error) {
	var page api.Page[gateway.Request]
	if err := c.approver.call(c.ctx, api.Prefix+"/requests?state=waiting", nil, &page); err != nil {
		return "", err
	}
	if len(page.Items) != 1 || page.Items[0].Person != demoEngineer {
		return "", fmt.Errorf("the inbox holds %d requests, wants the engineer's one", len(page.Items))
	}
	c.request = page.Items[0].ID
	return page.Items[0].Reason, nil
}

func (c *check) approve() (string, error) {
	var out struct {
		Grant *gateway.Grant `json:"grant"`
	}
	if err := c.approver.act(c.ctx, statement.KindApprove, api.ApproveParams{Request: c.request}, &out); err != nil {
		return "", err
	}
	if out.Grant == nil {
		return "", errors.New("one approval of a low impact target made no grant")
	}
	return "open until " + moment(out.Grant.To), nil
}

// ssh runs the stock client against the gateway.
func (c *check) ssh(ctx context.Context, args ...string) *exec.Cmd {
	_, port, _ := net.SplitHostPort(c.plant.gate.sshAddress()) // made by JoinHostPort
	base := []string{
		"-F", "none", "-p", port, "-i", c.clientKey, "-o", "IdentitiesOnly=yes", "-o", "UserKnownHostsFile=" + c.knownHosts(), "-o", "GlobalKnownHostsFile=none",
		"-o", "StrictHostKeyChecking=yes", "-o", "PreferredAuthentications=publickey,keyboard-interactive", "-o", "ConnectTimeout=10",
	}
	return exec.CommandContext(ctx, "ssh", append(append(base, args[:len(args)-1]...), append([]string{"service+historian@localhost"}, args[len(args)-1:]...)...)...)
}

func (c *check) refusedBefore() (string, error) {
	out, err := c.ssh(c.ctx, "-T", "uname -a").CombinedOutput()
	if err == nil {
		return "", errors.New("ssh got in without a grant")
	}
	return lastLine(out, "portcullis"), nil
}

// uname runs a command with the touch given when the link is shown.
func (c *check) uname() (string, error) {
	var stdout bytes.Buffer
	cmd := c.ssh(c.ctx, "-T", "uname -a")
	cmd.Stdout = &stdout
	if err := c.touched(cmd); err != nil {
		return "", err
	}
	want, err := exec.CommandContext(c.ctx, "uname", "-a").Output()
	if err != nil {
		return "", err
	}
	if stdout.String() != string(want) {
		return "", fmt.Errorf("got %q, want %q", stdout.String(), want)
	}
	var page api.Page[gateway.Session]
	if err := c.admin.call(c.ctx, api.Prefix+"/sessions?limit=1", nil, &page); err != nil {
		return "", err
	}
	if len(page.Items) != 1 {
		return "", errors.New("the session is not listed")
	}
	c.session = page.Items[0].ID
	return strings.TrimSpace(stdout.String()), nil
}

// touched starts cmd, touches when the link appears, and waits for its end.
func (c *check) touched(cmd *exec.Cmd) error {
	watch, err := c.watch(cmd)
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	touchErr := c.touchWhenAsked(watch)
	if touchErr != nil {
		_ = cmd.Process.Kill() // it waits for a touch that does not come
	}
	if err := cmd.Wait(); err != nil && touchErr == nil {
		return fmt.Errorf("%w: %s", err, printable(watch.String()))
	}
	return touchErr
}

// watch reads what the client tells on its standard error.
func (c *check) watch(cmd *exec.Cmd) (*told, error) {
	t := &told{came: make(chan struct{}, 1)}
	cmd.Stderr = t
	return t, nil
}

func (c *check) touchWhenAsked(t *told) error {
	line, err := t.await(c.ctx, "/touch/")
	if err != nil {
		return err
	}
	return c.engineer.touchLink(c.ctx, line)
}

// told collects what a program says and lets one wait for a word of it.
type told struct {
	mu   sync.Mutex
	text bytes.Buffer
	came chan struct{}
}

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

func (c *check) replay() (string, error) {
	var cast string
	if err := c.admin.call(c.ctx, api.Prefix+"/recordings/"+c.session+"/asciicast?version=3", nil, &cast); err != nil {
		return "", err
	}
	uname, err := exec.CommandContext(c.ctx, "uname", "-sr").Output()
	if err != nil {
		return "", err
	}
	if first := strings.Fields(string(uname))[0]; !strings.Contains(cast, first) {
		return "", fmt.Errorf("the recording does not hold %q: %s", first, cast)
	}
	return fmt.Sprintf("asciicast v3, %d bytes", len(cast)), nil
}

// liveShell is an interactive shell through the stock client.
type liveShell struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *told
	stderr *told
}

func (c *check) openShell() (string, error) {
	cmd := c.ssh(c.ctx, "-tt", "exec /bin/sh -i")
	s := &liveShell{cmd: cmd, stdout: &told{came: make(chan struct{}, 1)}}
	var err error
	if s.stderr, err = c.watch(cmd); err != nil {
		return "", err
	}
	cmd.Stdout = s.stdout
	if s.stdin, err = cmd.StdinPipe(); err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	c.live = s
	if err := c.touchWhenAsked(s.stderr); err != nil {
		return "", err
	}
	if _, err := io.WriteString(s.stdin, "echo portcullis-$((40+2))\n"); err != nil {
		return "", err
	}
	if _, err := s.stdout.await(c.ctx, "portcullis-42"); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d live on this node", len(c.plant.gate.sessions.Live())), nil
}

// suspend drops the gate over the local socket, as a responder at the machine
// would.
func (c *check) suspend() (string, error) {
	var out struct {
		Result gateway.Suspension `json:"result"`
	}
	params := api.SuspendParams{Scope: gateway.Scope{Kind: gateway.ScopeVendor, Name: demoVendor}, Reason: "breach news at 06:12"}
	if err := newClient(c.plant.cfg.Socket()).do(c.ctx, "POST", api.Prefix+"/acts", map[string]any{"kind": statement.KindSuspend, "params": params}, &out); err != nil {
		return "", err
	}
	rep := out.Result.Report
	if rep == nil || rep.Verdict != gateway.Pass || len(rep.Nodes) != 1 || len(rep.Nodes[0].Sessions) != 1 {
		return "", fmt.Errorf("the report does not say PASS with one session closed: %+v", rep)
	}
	_ = c.live.cmd.Wait() // ends with a status that is not zero
	said := c.live.stdout.String() + c.live.stderr.String()
	if !strings.Contains(said, "suspended") {
		return "", fmt.Errorf("the terminal was not told why: %s", printable(said))
	}
	return "both sockets closed after " + ms(rep.Nodes[0].Sessions[0].After), nil
}

func (c *check) refusedAfter() (string, error) {
	out, err := c.ssh(c.ctx, "-T", "uname -a").CombinedOutput()
	if err == nil {
		return "", errors.New("ssh got in after the suspension")
	}
	if !strings.Contains(string(out), "suspended") {
		return "", fmt.Errorf("the reason is not told: %s", printable(string(out)))
	}
	return lastLine(out, "suspended"), nil
}

func (c *check) verify() (string, error) {
	floor, err := audit.ReadCheckpoint(c.plant.gate.checkpoint)
	if err != nil {
		return "", err
	}
	res, faults, err := c.plant.gate.audit.Verify(c.ctx, floor)
	if err != nil {
		return "", err
	}
	if len(faults) > 0 {
		return "", errors.New(faults[0].String())
	}
	return fmt.Sprintf("%d rows, %d signed checkpoints", res.Size, res.Checkpoints), nil
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
