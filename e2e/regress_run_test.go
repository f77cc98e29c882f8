package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// route is how a script's clients get in.
type route struct {
	key, host   string
	proxy, long string // ports
	account     string // "" for the plant's own
	target      bool   // the user names the target
}

func (r *routes) gatewayKey() string {
	r.Helper()
	_, port, _ := strings.Cut(r.SSH, ":")
	out, err := exec.CommandContext(r.ctx, "ssh-keyscan", "-t", "ed25519", "-p", port, "localhost").Output()
	r.must(err)
	_, key, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	return key
}

// outcome is what a script said.
type outcome struct {
	fails []string
	took  time.Duration
}

func (o outcome) String() string {
	said := "ok"
	if n := len(o.fails); n > 0 {
		said = fmt.Sprintf("%d failed", n)
	}
	return fmt.Sprintf("%s, %.0f s", said, o.took.Seconds())
}

// script runs one script by one route.
func (r *routes) script(t *testing.T, c regressed, way route) outcome {
	t.Helper()
	obj, err := os.MkdirTemp("", "r-") //nolint:usetesting // a control socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(obj)
	r.mu.Lock()
	r.obj = obj
	r.mu.Unlock()
	defer r.cut()
	if way.target { // the scripts before may have taken longer than a login lies idle
		r.must(r.People["ana"].Login(r.ctx))
	}
	begun := time.Now()
	said := r.sh(t, c, way, obj)
	o := outcome{took: time.Since(begun)}
	for line := range strings.Lines(said) {
		if what, ok := strings.CutPrefix(line, "FAIL: "); ok {
			o.fails = append(o.fails, strings.ReplaceAll(strings.TrimSpace(what), obj, "OBJ"))
		}
	}
	if len(o.fails) > 0 {
		t.Logf("%s as %q:\n%s", c.script, way.account, tail(said, 6000))
	}
	return o
}

// sh runs the harness in a process group of its own, so that what a script
// leaves behind ends with it. Its output is a file: a pipe would be waited for.
func (r *routes) sh(t *testing.T, c regressed, way route, obj string) string {
	t.Helper()
	out, err := os.Create(filepath.Join(obj, "said"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	harness, err := filepath.Abs(filepath.Join("testdata", "regress.sh"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(r.ctx, c.within)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", harness, c.script)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = append(os.Environ(), r.words(way, obj)...)
	if c.noR {
		cmd.Env = append(cmd.Env, "WITHOUT_R=yes")
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	err = cmd.Run()
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	said, readErr := os.ReadFile(out.Name())
	if readErr != nil {
		t.Fatal(readErr)
	}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return fmt.Sprintf("%s\nFAIL: not within %s\n", said, c.within)
	case errors.As(err, &exit) && exit.ExitCode() != 1, err != nil && exit == nil:
		t.Fatalf("%s: %v\n%s", c.script, err, said)
	}
	return string(said)
}

func (r *routes) words(way route, obj string) []string {
	_, daemon, _ := strings.Cut(r.daemon, ":")
	login := way.account
	if login == "" {
		login = r.Plant.Login
	}
	env := []string{"OBJ=" + obj, "REGRESS=" + regressDir, "PROXYPORT=" + way.proxy, "PORT=" + way.long, "DAEMONPORT=" + daemon, "LOGIN=" + login, "KEY=" + way.key, "HOSTKEY=" + way.host,
		"SSHDCONFIG=" + filepath.Join(r.Plant.Dir, "sshd_config"), "HOME=" + obj, "LC_ALL=C.UTF-8"}
	if way.target {
		env = append(env, "PROXYTARGET=+proxy", "DAEMONTARGET=+daemon")
	}
	return env
}
