package transfer

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/gateway"
)

// S-19, the half that is scp's own protocol: both directions, folders, times.
func TestOldScpBothWays(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(dir+"/tree/sub", 0o700); err != nil {
		t.Fatal(err)
	}
	_, sum := randomFile(t, dir+"/tree/sub", "a leaf", 1<<20+3)
	_, none := randomFile(t, dir+"/tree", "empty", 0)
	one, _ := randomFile(t, dir, "one", 70_001)
	if err := os.Mkdir(dir+"/up", 0o700); err != nil {
		t.Fatal(err)
	}
	k, said, err := runProgram(t, "upload", "", "scp", "-O", "-r", "-p", "-S", os.Args[0], dir+"/tree", dir+"/one", "host:"+dir+"/up")
	if err != nil || k.Kind != gateway.ChannelSCP {
		t.Fatalf("scp %s: %v\n%s", k.Kind, err, said)
	}
	sameBytes(t, dir+"/tree/sub/a leaf", dir+"/up/tree/sub/a leaf")
	if f := k.find(t, gateway.FileWrite, dir+"/up/tree/sub/a leaf"); f.SHA256 != sum || !f.Whole || f.Verdict != gateway.FileDone {
		t.Errorf("index has %+v", f)
	}
	if f := k.find(t, gateway.FileWrite, dir+"/up/tree/empty"); f.SHA256 != none || !f.Whole {
		t.Errorf("index has %+v", f)
	}
	k.find(t, gateway.FileMkdir, dir+"/up/tree/sub")
	k, said, err = runProgram(t, "download", "", "scp", "-O", "-r", "-p", "-S", os.Args[0], "host:"+dir+"/up/tree", dir+"/down")
	if err != nil {
		t.Fatalf("scp: %v\n%s", err, said)
	}
	sameBytes(t, dir+"/tree/sub/a leaf", dir+"/down/sub/a leaf")
	if f := k.find(t, gateway.FileRead, dir+"/up/tree/sub/a leaf"); f.SHA256 != sum || !f.Whole || f.Verdict != gateway.FileDone {
		t.Errorf("index has %+v", f)
	}
	k, said, err = runProgram(t, "download", "", "scp", "-O", "-S", os.Args[0], "host:"+dir+"/on*", "host:"+dir+"/nothing", dir+"/down")
	if err == nil || !strings.Contains(said, "No such file") {
		t.Errorf("scp of nothing: %v\n%s", err, said)
	}
	if f := k.Files[len(k.Files)-1]; f.Verdict != gateway.FileFailed {
		t.Errorf("index has %+v", f)
	}
	sameBytes(t, one, dir+"/down/one")
}

func TestOldScpIsClosedWithoutItsGrant(t *testing.T) {
	dir := t.TempDir()
	one, _ := randomFile(t, dir, "one", 10)
	for _, row := range []struct{ grant, from, to string }{
		{"upload exec", "host:" + one, dir + "/two"},
		{"download exec", one, "host:" + dir + "/two"},
	} {
		_, said, err := runProgram(t, row.grant, "", "scp", "-O", "-S", os.Args[0], row.from, row.to)
		if _, stat := os.Stat(dir + "/two"); err == nil || stat == nil || !strings.Contains(said, "not granted: scp") {
			t.Errorf("under %q: %v, %v\n%s", row.grant, err, stat, said)
		}
	}
}

// S-20: both ways, with the options that people use.
func TestRsync(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(dir+"/tree/sub", 0o700); err != nil {
		t.Fatal(err)
	}
	_, _ = randomFile(t, dir+"/tree/sub", "leaf", 1<<20)
	k, said, err := runProgram(t, "upload", "", "rsync", "-aHAXvz", "--partial", "--bwlimit=100000", "--numeric-ids", "-e", os.Args[0], dir+"/tree", "host:"+dir+"/up")
	if err != nil || k.Kind != gateway.ChannelRsync {
		t.Fatalf("rsync %s: %v\n%s", k.Kind, err, said)
	}
	sameBytes(t, dir+"/tree/sub/leaf", dir+"/up/tree/sub/leaf")
	if f := k.find(t, gateway.FileWrite, dir+"/up"); f.Bytes == 0 || f.SHA256.IsZero() {
		t.Errorf("index has %+v", f)
	}
	k, said, err = runProgram(t, "download", "", "rsync", "-a", "--delete", "--progress", "-e", os.Args[0], "host:"+dir+"/up/", dir+"/down")
	if err != nil || k.Kind != gateway.ChannelRsync {
		t.Fatalf("rsync %s: %v\n%s", k.Kind, err, said)
	}
	sameBytes(t, dir+"/tree/sub/leaf", dir+"/down/tree/sub/leaf")
	k.find(t, gateway.FileRead, dir+"/up/")
	for _, row := range [][]string{
		{"upload", "-a", "host:" + dir + "/up", dir + "/no"},
		{"download", "-a", dir + "/tree", "host:" + dir + "/no"},
		{"download", "-a", "--remove-source-files", "host:" + dir + "/up", dir + "/no"},
		{"upload", "-a", "--delete", dir + "/tree", "host:" + dir + "/no"},
		{"upload download", "-a", "-s", dir + "/tree", "host:" + dir + "/no"},
		{"upload download", "-a", "--rsync-path=sudo rsync", dir + "/tree", "host:" + dir + "/no"},
		{"upload download", "-a", "-M--log-file=" + dir + "/no", dir + "/tree", "host:" + dir + "/no"},
	} {
		_, said, err := runProgram(t, row[0], "", "rsync", append([]string{"-e", os.Args[0]}, row[1:]...)...)
		if _, stat := os.Stat(dir + "/no"); err == nil || stat == nil || !strings.Contains(said, "not granted") {
			t.Errorf("%q: %v, %v\n%s", row, err, stat, said)
		}
	}
}

// S-21: clone and push.
func TestGit(t *testing.T) {
	dir := t.TempDir()
	for _, args := range [][]string{{"init", "-q", "--bare", dir + "/far.git"}, {"init", "-q", dir + "/near"}} {
		if out, err := exec.CommandContext(t.Context(), "git", args...).CombinedOutput(); err != nil {
			t.Fatalf("git: %v\n%s", err, out)
		}
	}
	randomFile(t, dir+"/near", "file", 100_000)
	for _, args := range [][]string{{"add", "file"}, {"-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-q", "-m", "one"}} {
		if out, err := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir + "/near"}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("git: %v\n%s", err, out)
		}
	}
	k, said, err := runProgram(t, "upload", "", "git", "-C", dir+"/near", "push", "-q", "ssh://host"+dir+"/far.git", "HEAD:refs/heads/main")
	if err != nil || k.Kind != gateway.ChannelGit {
		t.Fatalf("push %s: %v\n%s", k.Kind, err, said)
	}
	if f := k.find(t, gateway.FileWrite, dir+"/far.git"); f.Bytes == 0 {
		t.Errorf("index has %+v", f)
	}
	k, said, err = runProgram(t, "download", "", "git", "clone", "-q", "-b", "main", "ssh://host"+dir+"/far.git", dir+"/clone")
	if err != nil {
		t.Fatalf("clone: %v\n%s", err, said)
	}
	sameBytes(t, dir+"/near/file", dir+"/clone/file")
	k.find(t, gateway.FileRead, dir+"/far.git")
	for _, row := range [][]string{
		{"download", "-C", dir + "/near", "push", "-q", "ssh://host" + dir + "/far.git", "HEAD:refs/heads/no"},
		{"upload", "clone", "-q", "ssh://host" + dir + "/far.git", dir + "/no"},
		{"upload download", "clone", "-q", "-u", "touch " + dir + "/no; git-upload-pack", "ssh://host" + dir + "/far.git", dir + "/no2"},
	} {
		if _, said, err := runProgram(t, row[0], "", "git", row[1:]...); err == nil || !strings.Contains(said, "not granted") {
			t.Errorf("%q: %v\n%s", row, err, said)
		}
	}
}
