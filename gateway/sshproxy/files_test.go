package sshproxy_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/recording"
	"github.com/portcullis/portcullis/gateway/session"
)

func (w *world) may(a gateway.Abilities) {
	w.acc.mu.Lock()
	defer w.acc.mu.Unlock()
	w.acc.abilities = a
}

// transport is the stock client with its options, as scp -S, rsync -e and
// GIT_SSH take it.
func (w *world) transport() string {
	w.t.Helper()
	args := w.ssh().Args
	path := filepath.Join(w.dir, "transport")
	write(w.t, path, []byte("#!/bin/sh\nexec '"+strings.Join(args, "' '")+"' \"$@\"\n"))
	if err := os.Chmod(path, 0o700); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// index is what the recording tells of the session that was opened last.
func (w *world) index() recording.Index {
	w.t.Helper()
	l := w.lastLive()
	w.done(l)
	ix, err := w.vault.Index(w.t.Context(), l.ID())
	if err != nil {
		w.t.Fatal(err)
	}
	return ix
}

// tree makes files of several sizes and returns their digests by name.
func tree(t *testing.T, dir string) map[string]gateway.Digest {
	t.Helper()
	digests := map[string]gateway.Digest{}
	for i, size := range []int{0, 1, 70_000, 5<<20 + 17} {
		b := make([]byte, size)
		_, _ = rand.Read(b)
		name := fmt.Sprintf("file %d.bin", i)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name), b)
		digests[name] = gateway.DigestOf(b)
	}
	return digests
}

func sameTree(t *testing.T, dir string, want map[string]gateway.Digest) {
	t.Helper()
	for name, digest := range want {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || gateway.DigestOf(b) != digest {
			t.Errorf("%s: %d other bytes, %v", name, len(b), err)
		}
	}
}

// tells checks that the index has one whole operation on each file, with the
// digest of its bytes.
func tells(t *testing.T, ix recording.Index, op gateway.FileOp, want map[string]gateway.Digest) {
	t.Helper()
	for name, digest := range want {
		if !slices.ContainsFunc(ix.Files, func(f recording.IndexFile) bool {
			return f.Op == op && filepath.Base(f.Path) == name && f.SHA256 == digest && f.Whole && f.Verdict == gateway.FileDone
		}) {
			t.Errorf("the index does not tell of %s %q as it was", op, name)
		}
	}
	if t.Failed() {
		t.Logf("files: %+v", ix.Files)
	}
}

// S-16, S-17, S-19: both protocols of the stock scp and the stock sftp, both
// ways, byte for byte and told in the index.
func TestFilesByStockClients(t *testing.T) {
	w := newWorld(t)
	w.sshd()
	w.may(gateway.Abilities{Upload: true, Download: true})
	local, remote, back := filepath.Join(w.dir, "local"), filepath.Join(w.dir, "remote"), filepath.Join(w.dir, "back")
	want := tree(t, local)
	for _, tc := range []struct {
		name string
		args func(up bool) []string
	}{
		{"scp -O", func(up bool) []string { return append([]string{"-O"}, scpArgs(up, local, remote, back)...) }},
		{"scp over sftp", func(up bool) []string { return scpArgs(up, local, remote, back) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, up := range []bool{true, false} {
				out, err := exec.Command("scp", append([]string{"-S", w.transport()}, tc.args(up)...)...).CombinedOutput()
				if err != nil {
					t.Fatalf("up %t: %v\n%s", up, err, out)
				}
				if up {
					sameTree(t, remote, want)
					tells(t, w.index(), gateway.FileWrite, want)
				} else {
					sameTree(t, back, want)
					tells(t, w.index(), gateway.FileRead, want)
				}
			}
			_ = os.RemoveAll(remote)
			_ = os.RemoveAll(back)
		})
	}
	t.Run("sftp", func(t *testing.T) {
		batch := fmt.Sprintf("mkdir %[2]s\nput -R 64 %[1]s/* %[2]s/\n-rm %[2]s/none\nrename \"%[2]s/file 1.bin\" %[2]s/renamed\nsymlink renamed %[2]s/link\nls -l %[2]s\ndf %[2]s\nmkdir %[2]s/d\nrmdir %[2]s/d\nlmkdir %[3]s\nget %[2]s/* %[3]s/\n", local, remote, back)
		batch = strings.ReplaceAll(batch, "put -R 64", "put")
		cmd := exec.Command("sftp", "-R", "64", "-B", "261120", "-S", w.transport(), "-b", "-", "127.0.0.1")
		cmd.Stdin = strings.NewReader(batch)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		ix := w.index()
		sameTree(t, back, map[string]gateway.Digest{"file 0.bin": want["file 0.bin"], "renamed": want["file 1.bin"], "file 3.bin": want["file 3.bin"]})
		tells(t, ix, gateway.FileWrite, want)
		tells(t, ix, gateway.FileRead, map[string]gateway.Digest{"renamed": want["file 1.bin"], "file 3.bin": want["file 3.bin"]})
		for _, op := range []gateway.FileOp{gateway.FileMkdir, gateway.FileRmdir, gateway.FileRename, gateway.FileSymlink, gateway.FileList} {
			if !slices.ContainsFunc(ix.Files, func(f recording.IndexFile) bool { return f.Op == op && f.Verdict == gateway.FileDone }) {
				t.Errorf("no %s in the index", op)
			}
		}
		if !slices.ContainsFunc(ix.Channels, func(c recording.IndexChannel) bool { return c.Kind == gateway.ChannelSFTP }) {
			t.Errorf("channels: %+v", ix.Channels)
		}
	})
}

func scpArgs(up bool, local, remote, back string) []string {
	if up {
		return []string{"-r", "-p", "-q", local, "127.0.0.1:" + remote}
	}
	return []string{"-r", "-p", "-q", "127.0.0.1:" + remote, back}
}

// S-20: rsync both ways, a second run that finds little to do, and --delete.
func TestRsync(t *testing.T) {
	w := newWorld(t)
	w.sshd()
	w.may(gateway.Abilities{Upload: true, Download: true})
	local, remote, back := filepath.Join(w.dir, "local"), filepath.Join(w.dir, "remote"), filepath.Join(w.dir, "back")
	want := tree(t, local)
	for _, args := range [][]string{
		{"-a", local + "/", "127.0.0.1:" + remote + "/"}, {"-a", "--delete", "--bwlimit=50000", local + "/", "127.0.0.1:" + remote + "/"}, {"-az", "127.0.0.1:" + remote + "/", back + "/"},
	} {
		if out, err := exec.Command("rsync", append([]string{"-e", w.transport()}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%s", args, err, out)
		}
		ix := w.index()
		if len(ix.Channels) != 1 || ix.Channels[0].Kind != gateway.ChannelRsync || len(ix.Files) == 0 || ix.Files[0].SHA256.IsZero() {
			t.Errorf("%q: index %+v", args, ix)
		}
	}
	sameTree(t, remote, want)
	sameTree(t, back, want)
}

// S-21: clone under download; push needs upload too.
func TestGit(t *testing.T) {
	w := newWorld(t)
	w.sshd()
	git := func(ok bool, args ...string) string {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-c", "user.name=ana", "-c", "user.email=ana@acme.example", "-c", "init.defaultBranch=main"}, args...)...)
		cmd.Env = append(os.Environ(), "GIT_SSH="+w.transport(), "GIT_SSH_VARIANT=ssh", "GIT_CONFIG_GLOBAL=/dev/null", "LC_ALL=C")
		out, err := cmd.CombinedOutput()
		if (err == nil) != ok {
			t.Fatalf("git %q: %v\n%s", args, err, out)
		}
		return string(out)
	}
	bare, clone := filepath.Join(w.dir, "bare.git"), filepath.Join(w.dir, "clone")
	git(true, "init", "-q", "--bare", bare)
	w.may(gateway.Abilities{Upload: true, Download: true})
	git(true, "clone", "-q", "127.0.0.1:"+bare, clone)
	w.index()
	tree(t, clone)
	git(true, "-C", clone, "add", ".")
	git(true, "-C", clone, "commit", "-q", "-m", "files")
	git(true, "-C", clone, "push", "-q", "origin", "HEAD:main")
	if ix := w.index(); len(ix.Files) == 0 || ix.Channels[0].Kind != gateway.ChannelGit || !strings.Contains(ix.Files[0].Path, "bare.git") {
		t.Errorf("index %+v", ix)
	}
	w.may(gateway.Abilities{Download: true})
	if out := git(false, "-C", clone, "push", "origin", "HEAD:other"); !strings.Contains(out, "upload") {
		t.Errorf("push under download alone: %s", out)
	}
	w.index()
}

// Upload without download, and the reverse: what is refused reaches nothing,
// is told in the index, and leaves the channel alive.
func TestFilesOneWay(t *testing.T) {
	w := newWorld(t)
	w.sshd()
	dir := filepath.Join(w.dir, "files")
	tree(t, dir)
	here := filepath.Join(w.dir, "here")
	for _, tc := range []struct {
		name    string
		a       gateway.Abilities
		batch   string
		refused gateway.FileOp
	}{
		{"upload", gateway.Abilities{Upload: true}, "-get \"%[1]s/file 1.bin\" %[2]s\nput \"%[1]s/file 1.bin\" %[1]s/up\nls %[1]s\n", gateway.FileRead},
		{"download", gateway.Abilities{Download: true}, "-put \"%[1]s/file 1.bin\" %[1]s/no\n-rm \"%[1]s/file 1.bin\"\n-chmod 777 \"%[1]s/file 1.bin\"\nget \"%[1]s/file 1.bin\" %[2]s\n", gateway.FileWrite},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w.may(tc.a)
			cmd := exec.Command("sftp", "-S", w.transport(), "-b", "-", "127.0.0.1")
			cmd.Stdin = strings.NewReader(fmt.Sprintf(tc.batch, dir, here))
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			ix := w.index()
			if !slices.ContainsFunc(ix.Files, func(f recording.IndexFile) bool { return f.Op == tc.refused && f.Verdict == gateway.FileRefused }) {
				t.Errorf("no refusal of %s in %+v", tc.refused, ix.Files)
			}
		})
	}
	if _, err := os.Stat(filepath.Join(dir, "no")); err == nil {
		t.Error("a file was written under download alone")
	}
	for path, want := range map[string]bool{filepath.Join(dir, "up"): true, filepath.Join(dir, "file 1.bin"): true, here: true} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// V-15, V-41: no wrapping of a command makes a transfer of it.
//
// Each way round the recorder, under a grant that lets files up and nothing
// else: wrapped, chained, from another folder, with a terminal, the other way.
func TestWaysRoundAreClosed(t *testing.T) {
	w := newWorld(t)
	w.sshd()
	w.may(gateway.Abilities{Upload: true})
	c := w.mustClient()
	mark := filepath.Join(w.dir, "mark")
	write(t, filepath.Join(w.dir, "scp"), []byte("#!/bin/sh\ntouch "+mark+"\n"))
	_ = os.Chmod(filepath.Join(w.dir, "scp"), 0o700)
	request := func(pty bool, kind, text string) {
		t.Helper()
		ch, reqs, err := c.OpenChannel("session", nil)
		if err != nil {
			t.Fatal(err)
		}
		if pty {
			if ok, err := ch.SendRequest("pty-req", true, ssh.Marshal(struct {
				Term       string
				C, R, W, H uint32
				Modes      string
			}{"vt100", 80, 24, 0, 0, ""})); !ok || err != nil {
				t.Fatalf("pty: %t, %v", ok, err)
			}
		}
		done := make(chan struct{})
		go func() { ssh.DiscardRequests(reqs); close(done) }()
		var said bytes.Buffer
		_, _ = ch.SendRequest(kind, true, ssh.Marshal(struct{ Text string }{text}))
		_, _ = io.Copy(&said, ch.Stderr())
		_ = ch.Close()
		<-done
		if !strings.Contains(said.String(), "this grant lets upload") && !strings.Contains(said.String(), "of the subsystems only sftp") {
			t.Errorf("%s %q, pty %t: said %q", kind, text, pty, said.String())
		}
	}
	t.Chdir(w.dir)
	for _, command := range []string{
		"id", "touch " + mark, `sh -c "scp -t x"`, "scp -t x; touch " + mark, "scp -t x\ntouch " + mark, "scp -t x & touch " + mark, "scp -t `touch " + mark + "`", "scp -t $(touch " + mark + ")",
		w.dir + "/scp -t x", "./scp -t x", "env scp -t x", "scp -S " + w.dir + "/scp -t x", "scp -f /etc/hosts", "scp -t x > " + mark, "PATH=" + w.dir + " scp -t x",
		"rsync --server --sender . /etc/hosts", "rsync --server --rsh=" + w.dir + "/scp . x", "rsync --server --log-file=" + mark + " . x", "rsync --daemon --server .",
		"git-upload-pack /x", "git upload-pack --exec=" + w.dir + "/scp /x", "git -c core.sshCommand=x receive-pack /x", "sftp-server; touch " + mark, "sftp-server -l DEBUG3", "\"scp\" -t x || touch " + mark,
	} {
		request(false, "exec", command)
	}
	request(true, "exec", "scp -t x")
	request(true, "subsystem", "sftp")
	for _, name := range []string{"", "SFTP", "sftp ", " sftp", "sftp\x00", "sftp\n", "netconf", "sftp;touch " + mark, strings.Repeat("sftp", 10_000)} {
		request(false, "subsystem", name)
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("something ran")
	}
	if !w.store.has(audit.SessionChannel, audit.Refused, "no exec") {
		t.Error("no event")
	}
}

// A transfer that its session's end cuts off is told so in the index, and a
// second channel after the end is refused.
func TestTransferCutOff(t *testing.T) {
	for _, tc := range []struct {
		name string
		end  func(w *world, l *session.Live, c *ssh.Client)
	}{
		{"suspended", func(w *world, _ *session.Live, _ *ssh.Client) {
			w.m.EndAll(func(gateway.Session) bool { return true }, &gateway.Ended{Reason: gateway.EndSuspended})
		}},
		{"frozen, then ended", func(w *world, l *session.Live, _ *ssh.Client) {
			if err := w.m.Freeze(w.t.Context(), l.ID(), "olga", ""); err != nil {
				w.t.Fatal(err)
			}
			l.End(gateway.EndByStaff, "olga", "")
		}},
		{"window over", func(_ *world, l *session.Live, _ *ssh.Client) { l.End(gateway.EndWindow, "", "") }},
		{"client left", func(_ *world, _ *session.Live, c *ssh.Client) { _ = c.Close() }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.sshd()
			w.may(gateway.Abilities{Upload: true})
			c := w.mustClient()
			s, err := c.NewSession()
			if err != nil {
				t.Fatal(err)
			}
			in, _ := s.StdinPipe()
			out := newScreen()
			s.Stdout = out
			path := filepath.Join(w.dir, "half")
			if err := s.Start("scp -t " + path); err != nil {
				t.Fatal(err)
			}
			out.wait(t, "\x00")
			_, _ = io.WriteString(in, "C0644 1000000 half\n")
			out.wait(t, "\x00\x00")
			_, _ = io.WriteString(in, "the first bytes")
			l := w.lastLive()
			sent(t, l, int64(len("C0644 1000000 half\nthe first bytes")))
			tc.end(w, l, c)
			_, _ = io.WriteString(in, "more") // fails, or is held and never passes
			w.done(l)
			if s, err := c.NewSession(); err == nil && s.Run("scp -t x") == nil {
				t.Error("a second channel after the end")
			}
			ix, err := w.vault.Index(t.Context(), l.ID())
			if err != nil || len(ix.Files) != 1 || ix.Files[0].Verdict != gateway.FileCut || ix.Files[0].Bytes != 15 {
				t.Errorf("index %+v, %v", ix.Files, err)
			}
		})
	}
}

// sent waits until so many bytes of the engineer's have gone to the target.
func sent(t *testing.T, l *session.Live, n int64) {
	t.Helper()
	limit, tick := time.After(patience), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for l.Session().BytesIn < n {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("%d of %d bytes went to the target", l.Session().BytesIn, n)
		}
	}
}

// Bytes that are no SFTP end their channel with a sentence and an event, and
// leave the other channels alone.
func TestTransferThatIsNone(t *testing.T) {
	w := newWorld(t)
	w.sshd()
	w.may(gateway.Abilities{Exec: true, Upload: true})
	c := w.mustClient()
	other, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	in, _ := other.StdinPipe()
	out := newScreen()
	other.Stdout = out
	if err := other.Start("cat"); err != nil {
		t.Fatal(err)
	}
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	junk, _ := s.StdinPipe()
	errs, _ := s.StderrPipe()
	if err := s.RequestSubsystem("sftp"); err != nil {
		t.Fatal(err)
	}
	_, _ = junk.Write(bytes.Repeat([]byte("GET / HTTP/1.1\r\n"), 1000))
	said, err := io.ReadAll(errs)
	sentence, ok := strings.CutPrefix(string(said), "portcullis: ")
	if err != nil || !ok || !w.store.has(audit.SessionChannel, audit.Refused, strings.TrimSuffix(sentence, ".\r\n")) {
		t.Errorf("no event of %q, %v", said, err)
	}
	_, _ = io.WriteString(in, "alive\n")
	out.wait(t, "alive")
}

// S-23: a command, a transfer and a forward over one ControlMaster, each judged
// on its own; the master that is left open opens nothing after the suspension.
func TestControlMaster(t *testing.T) {
	w := newWorld(t)
	w.sshd()
	to := w.tcp(func(nc net.Conn) { _, _ = io.WriteString(nc, "over there") }).String()
	w.may(gateway.Abilities{Exec: true, Download: true, Forward: []string{to}})
	sock := filepath.Join(w.dir, "ctl")
	master := w.ssh("-M", "-N", "-S", sock, "127.0.0.1")
	if err := master.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = master.Process.Kill(); _ = master.Wait() }()
	waitFile(t, sock)
	through := func(args ...string) (string, error) {
		out, err := w.ssh(append([]string{"-S", sock, "-o", "ControlMaster=no"}, args...)...).CombinedOutput()
		return string(out), err
	}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			if out, err := through("127.0.0.1", fmt.Sprintf("echo %d; exit 0", i)); err != nil || out != fmt.Sprintf("%d\n", i) {
				t.Errorf("command %d: %q, %v", i, out, err)
			}
		})
	}
	all.Wait()
	if out, err := through("-W", to, "127.0.0.1"); err != nil || out != "over there" {
		t.Errorf("forward: %q, %v", out, err)
	}
	if out, err := through("127.0.0.1", "scp -t x"); err == nil || !strings.Contains(out, "upload") {
		t.Errorf("upload without the ability: %q, %v", out, err)
	}
	l := w.lastLive()
	if len(w.opened) != 0 {
		t.Error("more than one session")
	}
	w.m.EndAll(func(gateway.Session) bool { return true }, &gateway.Ended{Reason: gateway.EndSuspended})
	w.store.mu.Lock()
	w.store.closed = true
	w.store.mu.Unlock()
	w.done(l)
	if out, err := through("127.0.0.1", "id"); err == nil {
		t.Errorf("the master that was left open still runs commands: %q", out)
	}
}
