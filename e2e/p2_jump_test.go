package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/e2e/rig"
)

// TestP2HeldUntilTheTouch: a client that cannot ask, direct and through the
// gateway as a jump host by what `portcullis ssh-config` prints, runs nothing
// before the touch and everything after it; who has no grant is told so.
func TestP2HeldUntilTheTouch(t *testing.T) {
	t.Parallel()
	s := newStory(t, rig.Options{})
	s.grant("ana", "pump", time.Hour)
	printed, err := s.CLI(s.ctx, "ssh-config", "--only", "config")
	s.must(err)
	known, err := s.CLI(s.ctx, "ssh-config", "--only", "known_hosts")
	s.must(err)
	if printed.Status != 0 || !strings.Contains(printed.Out, "pump") || !strings.HasPrefix(known.Out, "@cert-authority ") {
		t.Fatalf("ssh-config: %d %s%s%s", printed.Status, printed.Out, known.Out, printed.Err)
	}
	dir := t.TempDir()
	hosts, config := filepath.Join(dir, "known_hosts"), filepath.Join(dir, "config")
	s.must(os.WriteFile(hosts, []byte(known.Out), 0o600))
	s.must(os.WriteFile(config, []byte(printed.Out+"\nHost *\n    UserKnownHostsFile "+hosts+"\n    GlobalKnownHostsFile none\n    StrictHostKeyChecking yes\n    IdentitiesOnly yes\n    IdentityFile "+
		filepath.Join(s.Clients["ana"].Dir, "id")+"\n"), 0o600))

	link := regexp.MustCompile(rig.TouchLink)
	for name, args := range map[string][]string{
		"direct": s.Args("ana", "pump", "-o", "BatchMode=yes", "-T"),
		"jump":   {"-F", config, "-o", "BatchMode=yes", "-T", "ops@pump"},
	} {
		mark := filepath.Join(dir, name)
		cmd := exec.CommandContext(s.ctx, "ssh", append(args, "cat; touch "+mark)...)
		cmd.Stdin = strings.NewReader("piped\n")
		var out strings.Builder
		cmd.Stdout = &out
		said, err := cmd.StderrPipe()
		s.must(err)
		s.must(cmd.Start())
		text, shown := "", ""
		for shown == "" {
			buf := make([]byte, 4096)
			n, err := said.Read(buf)
			if text += string(buf[:n]); strings.Contains(text, "waiting for your touch") {
				shown = link.FindString(text)
			}
			if err != nil && shown == "" {
				t.Fatalf("%s: no link, but %q", name, text)
			}
		}
		if _, err := os.Stat(mark); err == nil {
			t.Errorf("%s: it ran before the touch", name)
		}
		s.must(s.Touch(s.ctx, "ana", shown))
		if err := cmd.Wait(); err != nil || out.String() != "piped\n" {
			t.Errorf("%s: %v, %q", name, err, out.String())
		}
		if got := s.raw(s.sessions()[0].ID); got != "piped\n" {
			t.Errorf("%s: recorded %q", name, got)
		}
	}

	status, _, errOut := output(t, exec.CommandContext(s.ctx, "ssh", "-F", config, "-T", "root@pump", "true"))
	if status != 255 {
		t.Errorf("an account that was not granted: %d", status)
	}
	says(t, "the refusal of a jump", errOut, "grant")
	s.verified()
}
