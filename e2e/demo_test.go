package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/portcullis/portcullis/e2e/rig"
)

// demoWithin bounds one run of the demo with three nodes.
const demoWithin = 90 * time.Second

// demoOfReadme is the demo with nodes as make runs it for the README's line,
// with its data in a folder of the test's.
func demoOfReadme(t *testing.T, more ...string) *exec.Cmd {
	t.Helper()
	readme, err := os.ReadFile(filepath.Join("..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^    (make demo NODES=3 CHECK=1) `).FindSubmatch(readme)
	if line == nil {
		t.Fatal("the README does not show the demo with three nodes")
	}
	words := strings.Fields(string(line[1]))
	out, err := exec.CommandContext(t.Context(), "make", append([]string{"-s", "-n", "-C", ".."}, append(words[1:], more...)...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	args := regexp.MustCompile(`(?m)^bin/portcullis (demo .*)$`).FindSubmatch(out)
	if args == nil {
		t.Fatalf("make runs no demo:\n%s", out)
	}
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o711); err != nil { // PostgreSQL's user passes through it
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), demoWithin)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, built, strings.Fields(strings.ReplaceAll(string(args[1]), "demo-data", dir))...)
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// TestDemoNodesCheck: a vendor is suspended while one of three nodes is
// frozen. The report names the node and the end of its lease; it is PASS when
// that has come, and nothing is left behind.
func TestDemoNodesCheck(t *testing.T) {
	t.Parallel()
	cmd := demoOfReadme(t)
	out, err := cmd.CombinedOutput()
	t.Logf("\n%s", out)
	if err != nil {
		t.Fatal(err)
	}
	said := string(out)
	for _, want := range []string{
		`(?m)^ok +suspend northwind at node-2: PENDING .*the lease of node-3 ends at 20\d\d-`, `(?m)\| PENDING +vendor northwind is suspended`,
		`(?m)\| Node node-3 has not answered; its lease ends at 20`, `(?m)^ok +the lease of node-3 ends: PASS`, `(?m)\| PASS +vendor northwind is suspended`,
		`(?m)^ok +node-3 goes on, and ends its shell`, `PASS  the whole story holds\n$`,
	} {
		if !regexp.MustCompile(want).MatchString(said) {
			t.Errorf("the check does not say %s", want)
		}
	}
	dir := strings.TrimPrefix(cmd.Env[len(cmd.Env)-1], "TMPDIR=")
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("the check left %v, %v", left, err)
	}
}

// TestDemoNodesEndWithIt: three nodes serve until the demo ends, and however
// it ends they end with it, one that is frozen too.
func TestDemoNodesEndWithIt(t *testing.T) {
	t.Parallel()
	for _, how := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
		web, err := rig.FreeAddr()
		if err != nil {
			t.Fatal(err)
		}
		ssh, err := rig.FreeAddr()
		if err != nil {
			t.Fatal(err)
		}
		cmd := demoOfReadme(t, "CHECK=", "ARGS=--web "+web+" --ssh "+ssh)
		var errOut bytes.Buffer
		cmd.Stderr = &errOut
		said := greeted(t, cmd)
		ready := regexp.MustCompile(`http://\S+/readyz`).FindAllString(said, -1)
		if len(ready) != 3 {
			t.Errorf("%d nodes are shown:\n%s", len(ready), said)
		}
		for _, url := range ready {
			if err := answers(t.Context(), url); err != nil {
				t.Error(err)
			}
		}
		all := rig.Tree(cmd.Process.Pid)
		if len(all) < 9 { // itself, three nodes, three targets, PostgreSQL, Redis
			t.Errorf("it runs as %d processes", len(all))
		}
		stop := regexp.MustCompile(`kill (-STOP \d+)`).FindStringSubmatch(said)
		if stop == nil {
			t.Fatalf("it does not say how to freeze a node:\n%s", said)
		}
		if out, err := exec.CommandContext(t.Context(), "kill", strings.Fields(stop[1])...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if err := cmd.Process.Signal(how); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); how == syscall.SIGINT && err != nil {
			t.Errorf("ended by Ctrl-C: %v\n%s", err, errOut.String())
		}
		if err := rig.Until(t.Context(), 10*time.Second, func() error { return gone(all) }); err != nil {
			t.Errorf("after %v: %v", how, err)
		}
	}
}

// greeted starts the demo and returns what it says until all of it runs.
func greeted(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		said.WriteString(lines.Text() + "\n")
		if strings.HasPrefix(lines.Text(), "Ctrl-C stops everything") {
			return said.String()
		}
	}
	t.Fatalf("the demo ended: %v\n%s%s", cmd.Wait(), said.String(), cmd.Stderr)
	return ""
}

func answers(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, res.Status)
	}
	return nil
}

// gone reports which of the processes still run.
func gone(pids []int) error {
	for _, pid := range pids {
		name, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err == nil && len(name) > 0 { // one that nobody waits for has none
			return fmt.Errorf("process %d still runs: %s", pid, bytes.ReplaceAll(name, []byte{0}, []byte{' '}))
		}
	}
	return nil
}
