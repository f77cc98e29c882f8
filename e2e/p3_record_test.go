package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/e2e/rig"
)

// raw exports what the target showed, byte for byte.
func (s *story) raw(session string) string {
	s.Helper()
	r, err := s.CLI(s.ctx, "recording", "export", session, "--format", "stdout")
	s.must(err)
	if r.Status != 0 {
		s.Fatalf("export of %s: %d %s", session, r.Status, r.Err)
	}
	return r.Out
}

// TestP3DiskFull: when the recording can no longer be written the session
// ends, says why, and the engineer has seen nothing that is not on file. R-03:
// recordings and store lie on one disk, and what is kept in reserve is room
// for the log.
func TestP3DiskFull(t *testing.T) {
	t.Parallel()
	s := newStoryIn(t, smallDisk(t, "20m"), rig.Options{Config: "recordings_reserve_mib: 10\n"})
	g := s.grant("ana", "pump", time.Hour)

	s.must(s.Ticket(s.ctx, "ana", g.ID))
	status, seen, errOut := s.ssh("ana", "pump", `for i in $(seq 60); do head -c 1000000 /dev/zero | tr '\0' x; sleep 0.05; done; echo never`)
	if status == 0 || strings.Contains(seen, "never") {
		t.Fatalf("60 MB passed a recorder with less room: %d", status)
	}
	says(t, "the end without room", errOut, "record")
	kept := s.raw(s.sessions()[0].ID)
	if !strings.HasPrefix(kept, seen) {
		t.Errorf("the engineer saw %d bytes, the recording holds %d", len(seen), len(kept))
	}
	if got := s.ended(s.sessions()[0].ID); got.Reason != "recorder-failed" {
		t.Errorf("on file as %+v", got)
	}

	// No room, no session: nothing reaches the target.
	s.must(s.Ticket(s.ctx, "ana", g.ID))
	if status, out, errOut := s.ssh("ana", "pump", "echo unrecorded"); status == 0 || out != "" {
		t.Errorf("a session began without room for its recording: %d %q %s", status, out, errOut)
	}
	s.told("session.refused", "recorder")
	s.suspend("vendor", rig.Acme, "their session filled the disk")
	s.verified()
}

// smallDisk mounts a file system of that size for the test.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	as := []string{}
	if os.Geteuid() != 0 {
		as = []string{"sudo", "-n"}
	}
	mount := append(as, "mount", "-t", "tmpfs", "-o", "mode=0777,size="+size, "tmpfs", dir)
	if out, err := exec.Command(mount[0], mount[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("a full disk needs a small one, and mounting it needs root or sudo -n: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		umount := append(as, "umount", "-l", dir)
		if out, err := exec.Command(umount[0], umount[1:]...).CombinedOutput(); err != nil {
			t.Errorf("umount: %v\n%s", err, out)
		}
	})
	inside := filepath.Join(dir, "recordings")
	if err := os.MkdirAll(inside, 0o700); err != nil {
		t.Fatal(err)
	}
	return inside
}

// TestP3NothingLostAtExit: the last byte of a command that ends at once
// arrives, with and without a terminal, and is on file.
func TestP3NothingLostAtExit(t *testing.T) {
	t.Parallel()
	s := newStory(t, rig.Options{})
	g := s.grant("ana", "pump", time.Hour)
	const size = 3 << 20
	for _, c := range []struct {
		name    string
		options []string
	}{{"without a terminal", []string{"-T"}}, {"with a terminal", []string{"-tt"}}} {
		t.Run(c.name, func(t *testing.T) {
			for range 5 {
				s.must(s.Ticket(s.ctx, "ana", g.ID))
				args := append(s.Args("ana", "pump", c.options...), "head -c 3145728 /dev/zero | tr '\\0' y; exit 9")
				status, out, errOut := output(t, exec.CommandContext(s.ctx, "ssh", args...))
				if status != 9 || strings.Count(out, "y") != size {
					t.Fatalf("exit %d, %d of %d bytes arrived: %s", status, strings.Count(out, "y"), size, errOut)
				}
				if kept := s.raw(s.sessions()[0].ID); strings.Count(kept, "y") != size {
					t.Fatalf("%d of %d bytes are on file", strings.Count(kept, "y"), size)
				}
			}
		})
	}
}

// TestP3StreamsApart: standard output, standard error and exit status come
// through as they do without a gateway.
func TestP3StreamsApart(t *testing.T) {
	t.Parallel()
	s := newStory(t, rig.Options{})
	g := s.grant("ana", "pump", time.Hour)
	for _, c := range []struct{ command, out, errOut string }{
		{"printf out; printf err >&2; exit 0", "out", "err"},
		{"exit 255", "", ""},
		{"printf '\\377\\000\\r\\n'", "\xff\x00\r\n", ""},
		{"cat; printf end", "fed end", ""},
		{"kill -TERM $$", "", ""},
	} {
		s.must(s.Ticket(s.ctx, "ana", g.ID))
		through := exec.CommandContext(s.ctx, "ssh", append(s.Args("ana", "pump", "-q", "-T"), c.command)...)
		through.Stdin = strings.NewReader("fed ")
		status, out, errOut := output(t, through)
		direct := exec.CommandContext(s.ctx, "sh", "-c", c.command)
		direct.Stdin = strings.NewReader("fed ")
		var want bytes.Buffer
		direct.Stdout = &want
		_ = direct.Run() // its exit status is the measure
		if out != want.String() || out != c.out {
			t.Errorf("%s: out %q, want %q", c.command, out, want.String())
		}
		if errOut != c.errOut {
			t.Errorf("%s: stderr %q, want %q", c.command, errOut, c.errOut)
		}
		if code := direct.ProcessState.ExitCode(); code >= 0 && status != code || code < 0 && status != 255 {
			t.Errorf("%s: exit %d, want %d", c.command, status, code)
		}
	}
}
