package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portcullis/portcullis/e2e/rig"
)

// desk is ana's machine as the interop table needs it: her key in every form
// that a client wants, a configuration for each way in, and files to carry.
type desk struct {
	*story
	dir   string
	grant string
	local string
	sums  map[string]string // of the files in local, by name, as sha256sum prints them
	http  *far
	fixed []string // for strings.NewReplacer
}

// lineWithin bounds one shell line of the table.
const lineWithin = 90 * time.Second

func newDesk(t *testing.T) *desk {
	t.Helper()
	dir, err := os.MkdirTemp("", "desk-") //nolint:usetesting // a control socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d := &desk{story: newStory(t, rig.Options{}), dir: dir, local: filepath.Join(dir, "local"), http: newFar(t)}
	d.grant = d.granted("upload", "download", "exec", "forward "+d.http.addr)
	d.sums = d.files()
	d.keys()
	return d
}

// granted has ana ask for these abilities on the pump and ben agree.
func (s *story) granted(abilities ...string) string {
	s.Helper()
	return s.grantedOn("pump", abilities...)
}

func (s *story) grantedOn(target string, abilities ...string) string {
	s.Helper()
	var r rig.Request
	s.must(s.People["ana"].Post(s.ctx, "/api/v1/requests", map[string]any{"target": target, "account": "ops", "seconds": 3600, "abilities": abilities, "reason": "new firmware for the drive"}, &r))
	s.must(s.Approve(s.ctx, "ben", r.ID))
	g, err := s.GrantOf(s.ctx, "ana", r.ID)
	s.must(err)
	return g.ID
}

// files makes the files to carry, none with the bytes of another.
func (d *desk) files() map[string]string {
	d.Helper()
	d.must(os.Mkdir(d.local, 0o700))
	for name, size := range map[string]int{"empty": 0, "one": 1, "packet.bin": 70_000, "big.bin": 3<<20 + 17} {
		b := make([]byte, size)
		_, _ = rand.Read(b)
		d.must(os.WriteFile(filepath.Join(d.local, name), b, 0o600))
	}
	out, err := exec.Command("sh", "-c", "cd "+d.local+" && sha256sum *").Output()
	d.must(err)
	sums := map[string]string{}
	for line := range strings.Lines(string(out)) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		sums[name] = sum
	}
	return sums
}

// keys writes ana's key and the gateway's host key as each client reads them.
func (d *desk) keys() {
	d.Helper()
	id := filepath.Join(d.Clients["ana"].Dir, "id")
	host, port, _ := strings.Cut(d.SSH, ":")
	printed, err := d.CLI(d.ctx, "ssh-config", "--only", "config")
	d.must(err)
	known, err := d.CLI(d.ctx, "ssh-config", "--only", "known_hosts")
	d.must(err)
	d.write("known_hosts.jump", known.Out)
	rest := fmt.Sprintf("\nHost *\n  IdentityFile %s\n  IdentitiesOnly yes\n  IdentityAgent none\n  UserKnownHostsFile %s/known_hosts %s/known_hosts.jump\n  GlobalKnownHostsFile none\n  StrictHostKeyChecking yes\n  UpdateHostKeys no\n", id, d.Clients["ana"].Dir, d.dir)
	d.write("direct", "Host pump\n  HostName "+host+"\n  Port "+port+"\n  User ops+pump\n"+rest)
	d.write("-J", "Host pump\n  User ops\n\n"+printed.Out+rest)

	d.write("known_hosts", d.shell1("ssh-keyscan -t ed25519 -p "+port+" "+host))
	sha256 := strings.Fields(d.shell1("ssh-keygen -l -f " + filepath.Join(d.dir, "known_hosts")))[1]
	putty, dropbear := filepath.Join(d.dir, "id.ppk"), filepath.Join(d.dir, "id.db")
	d.shell1("puttygen " + id + " -O private -o " + putty)
	d.shell1("dropbearconvert openssh dropbear " + id + " " + dropbear)
	dbclient := "-y -y -T -p " + port + " -i " + dropbear
	// scp hands its transport options that are OpenSSH's own.
	d.write("dropbear", "#!/bin/sh\nwhile :; do case $1 in -l) user=$2; shift 2;; --) shift; break;; -*) shift;; *) break;; esac; done\nexec dbclient "+dbclient+" -l \"$user\" \"$@\"\n")
	d.must(os.Chmod(filepath.Join(d.dir, "dropbear"), 0o700))
	d.fixed = []string{
		"{dir}", d.dir, "{local}", d.local, "{http}", d.http.addr, "{host}", host, "{sshport}", port, "{id}", id,
		"{user}", "ops+pump", "{knownhosts}", filepath.Join(d.dir, "known_hosts"),
		"{putty}", "-batch -i " + putty + " -hostkey " + sha256 + " -P " + port, "{dropbear}", dbclient,
		"{ansiblestop}", "for c in " + d.dir + "/cp/*; do ssh -o ControlPath=$c -O exit pump; done",
	}
}

func (d *desk) write(name, text string) {
	d.Helper()
	d.must(os.WriteFile(filepath.Join(d.dir, name), []byte(text), 0o600))
}

// shell1 runs a line that has nothing to do with the gateway's promises.
func (d *desk) shell1(line string) string {
	d.Helper()
	var errOut bytes.Buffer
	cmd := exec.CommandContext(d.ctx, "sh", "-c", line)
	cmd.Stderr, cmd.Env = &errOut, d.env()
	out, err := cmd.Output()
	if err != nil {
		d.Fatalf("%s: %v\n%s", line, err, errOut.String())
	}
	return string(out)
}

func (d *desk) env() []string {
	return append(os.Environ(), "HOME="+d.dir, "LC_ALL=C.UTF-8", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_AUTHOR_NAME=ana", "GIT_AUTHOR_EMAIL=ana@acme.example", "GIT_COMMITTER_NAME=ana", "GIT_COMMITTER_EMAIL=ana@acme.example",
		"ANSIBLE_SSH_CONTROL_PATH_DIR="+d.dir+"/cp", "ANSIBLE_NOCOLOR=1", "ANSIBLE_LOCALHOST_WARNING=0", "ANSIBLE_PYTHON_INTERPRETER=/usr/bin/python3")
}

// row is one row being run, with folders of its own.
type row struct {
	*testing.T
	*desk
	client
	remote, back string
	words        []string // what stands for the words in braces
	fill         *strings.Replacer
}

func (d *desk) row(t *testing.T, c client, form string) *row {
	t.Helper()
	dir := t.TempDir()
	r := &row{T: t, desk: d, client: c, remote: filepath.Join(dir, "remote"), back: filepath.Join(dir, "back")}
	for _, made := range []string{r.remote, r.back} {
		r.noError(os.Mkdir(made, 0o700))
	}
	local, err := rig.FreeAddr()
	r.noError(err)
	_, port, _ := strings.Cut(local, ":")
	login := "ops+pump"
	if form == "-J" {
		login = "ops"
	}
	r.words = append([]string{"{config}", filepath.Join(d.dir, form), "{remote}", r.remote, "{back}", r.back, "{work}", filepath.Join(dir, "work"), "{port}", port, "{login}", login}, d.fixed...)
	r.fill = strings.NewReplacer(r.words...)
	return r
}

func (r *row) noError(err error) {
	r.T.Helper()
	if err != nil {
		r.T.Fatal(err)
	}
}

// play runs a line; where a link is shown, ana touches.
func (r *row) play(line string) {
	r.T.Helper()
	ctx, cancel := context.WithTimeout(r.ctx, lineWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", r.fill.Replace(line))
	seen := &toucher{touch: func(link string) error { return r.Touch(r.ctx, "ana", link) }}
	cmd.Stdout, cmd.Stderr, cmd.Env = seen, seen, r.env()
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	if err != nil || seen.failed != nil {
		r.T.Fatalf("%s\n%v; the touch: %v; it said:\n%s", r.fill.Replace(line), err, seen.failed, tail(seen.shown.String(), 4000))
	}
}

// toucher reads what a client says and touches once for the link in it.
type toucher struct {
	mu     sync.Mutex
	shown  bytes.Buffer
	done   bool
	failed error
	touch  func(link string) error
}

var touchLink = regexp.MustCompile(rig.TouchLink + `\s`)

func (w *toucher) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.shown.Write(p)
	if link := touchLink.Find(w.shown.Bytes()); link != nil && !w.done {
		w.done, w.failed = true, w.touch(strings.TrimSpace(string(link)))
	}
	return len(p), nil
}
