package transfer

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/gateway"
)

// S-16, S-17: OpenSSH's own client and server, every request that the client
// can send, with the index telling what happened.
func TestOpenSSHsClientThroughTheTap(t *testing.T) {
	dir := t.TempDir()
	local, sum := randomFile(t, dir, "local", 3<<20+17)
	empty, _ := randomFile(t, dir, "nought", 0)
	far := filepath.Join(dir, "far")
	batch := strings.Join([]string{
		"mkdir " + far, "put -p " + local + " " + far + "/a", "rename " + far + "/a " + far + "/b",
		"ln -s b " + far + "/s", "ln " + far + "/b " + far + "/h", "copy " + far + "/b " + far + "/c",
		"chmod 600 " + far + "/b", "df " + far, "ls -l " + far, "get " + far + "/b " + dir + "/back",
		"put -f " + empty + " " + far + "/empty", "-rm " + far + "/nothing", "rm " + far + "/s", "rm " + far + "/h", "rm " + far + "/c",
		"rm " + far + "/empty", "rm " + far + "/b", "rmdir " + far,
	}, "\n")
	k, said, err := runProgram(t, "upload download", batch, "sftp", "-R", "64", "-S", os.Args[0], "-b", "-", "host")
	if err != nil {
		t.Fatalf("sftp: %v\n%s", err, said)
	}
	sameBytes(t, local, dir+"/back")
	for _, f := range []gateway.File{k.find(t, gateway.FileWrite, far+"/a"), k.find(t, gateway.FileRead, far+"/b")} {
		if f.SHA256 != sum || f.Bytes != 3<<20+17 || !f.Whole || f.Verdict != gateway.FileDone {
			t.Errorf("index has %+v, wants the whole file with %s", f, sum)
		}
	}
	for _, w := range []struct {
		op       gateway.FileOp
		path, to string
	}{
		{gateway.FileMkdir, far, ""},
		{gateway.FileRename, far + "/a", far + "/b"},
		{gateway.FileSymlink, far + "/s", "b"},
		{gateway.FileLink, far + "/b", far + "/h"},
		{gateway.FileCopy, far + "/b", far + "/c"},
		{gateway.FileSetstat, far + "/b", ""},
		{gateway.FileList, far + "/", ""},
		{gateway.FileRemove, far + "/b", ""},
		{gateway.FileRmdir, far, ""},
	} {
		if f := k.find(t, w.op, w.path); f.To != w.to || f.Verdict != gateway.FileDone {
			t.Errorf("index has %+v, wants it done, to %q", f, w.to)
		}
	}
	if f := k.find(t, gateway.FileRemove, far+"/nothing"); f.Verdict != gateway.FileFailed || f.Why == "" {
		t.Errorf("index has %+v, wants it failed with the target's words", f)
	}
	if f := k.find(t, gateway.FileWrite, far+"/empty"); !f.Whole || f.SHA256 != gateway.DigestOf(nil) {
		t.Errorf("index has %+v, wants the whole empty file", f)
	}
	if f := k.find(t, gateway.FileWrite, far+"/c"); f.Whole || !f.SHA256.IsZero() {
		t.Errorf("index has %+v of a copy whose bytes were never seen", f)
	}
}

func TestEachDirectionIsClosedWithoutItsGrant(t *testing.T) {
	dir := t.TempDir()
	local, _ := randomFile(t, dir, "local", 1000)
	k, said, err := runProgram(t, "upload", "put "+local+" "+dir+"/up\nget "+local+" "+dir+"/down\n", "sftp", "-S", os.Args[0], "host")
	_ = err // an interactive client goes on after a no
	sameBytes(t, local, dir+"/up")
	if f := k.find(t, gateway.FileRead, local); f.Verdict != gateway.FileRefused || !strings.Contains(f.Why, "read files") {
		t.Errorf("index has %+v; client said %s", f, said)
	}
	if b, err := os.ReadFile(dir + "/down"); err == nil && len(b) > 0 {
		t.Error("a file came down without the grant")
	}
	k, said, _ = runProgram(t, "download", "put "+local+" "+dir+"/up2\nget "+local+" "+dir+"/down2\nrm "+local+"\n", "sftp", "-S", os.Args[0], "host")
	sameBytes(t, local, dir+"/down2")
	if _, err := os.Stat(dir + "/up2"); err == nil {
		t.Error("a file went up without the grant: " + said)
	}
	if f := k.find(t, gateway.FileRemove, local); f.Verdict != gateway.FileRefused {
		t.Errorf("index has %+v", f)
	}
}

// S-19, the half that is SFTP: resume, and a folder with its times and modes.
func TestResumeAndFolders(t *testing.T) {
	dir := t.TempDir()
	local, _ := randomFile(t, dir, "local", 300_000)
	whole, err := os.ReadFile(local)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/half", whole[:100_000], 0o600); err != nil {
		t.Fatal(err)
	}
	k, said, err := runProgram(t, "upload download", "reput "+local+" "+dir+"/half\n", "sftp", "-b", "-", "-S", os.Args[0], "host")
	if err != nil {
		t.Fatalf("sftp: %v\n%s", err, said)
	}
	sameBytes(t, local, dir+"/half")
	f := k.find(t, gateway.FileWrite, dir+"/half")
	if f.Offset != 100_000 || f.Bytes != 200_000 || f.SHA256 != gateway.DigestOf(whole[100_000:]) || f.Whole {
		t.Errorf("index has %+v, wants the second part alone", f)
	}
	if err := os.MkdirAll(dir+"/tree/sub", 0o700); err != nil {
		t.Fatal(err)
	}
	_, sum := randomFile(t, dir+"/tree/sub", "leaf", 70_000)
	k, said, err = runProgram(t, "upload", "", "scp", "-p", "-r", "-S", os.Args[0], dir+"/tree", "host:"+dir+"/copy")
	if err != nil {
		t.Fatalf("scp: %v\n%s", err, said)
	}
	sameBytes(t, dir+"/tree/sub/leaf", dir+"/copy/sub/leaf")
	if f := k.find(t, gateway.FileWrite, dir+"/copy/sub/leaf"); f.SHA256 != sum || !f.Whole {
		t.Errorf("index has %+v", f)
	}
}
