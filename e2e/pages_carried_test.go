package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/portcullis/portcullis/e2e/rig"
)

// TestPagesOfWhatWasCarried: one session with a command, files both ways, a
// refused one and a forward. The board says what runs while it runs; afterwards
// a reviewer reads it all in the index at the player's side, and has each
// file's bytes back.
func TestPagesOfWhatWasCarried(t *testing.T) {
	t.Parallel()
	s := newStory(t, rig.Options{})
	echo := echoes(t)
	mux := s.master("ana", s.may("exec", "upload", "download", "forward "+echo))
	dir := t.TempDir()
	up := make([]byte, 700_000)
	_, _ = rand.Read(up)
	s.must(os.WriteFile(filepath.Join(dir, "firmware-3.2.1.bin"), up, 0o600))
	batch := fmt.Sprintf("put %[1]s/firmware-3.2.1.bin %[1]s/at-the-target.bin\nget /etc/services %[1]s/services\n-rm %[1]s/no-such-file\n", dir)
	sftp := exec.CommandContext(s.ctx, "sftp", "-b", "-", "-D", "ssh -s "+strings.Join(mux, " ")+" sftp")
	sftp.Stdin = strings.NewReader(batch)
	if said, err := sftp.CombinedOutput(); err != nil {
		t.Fatalf("sftp: %v\n%s", err, said)
	}
	if status, out, errOut := output(t, exec.CommandContext(s.ctx, "ssh", append(mux, "uname -a; ls /")...)); status != 0 || out == "" {
		t.Fatalf("a command: %d %s", status, errOut)
	}
	flow := exec.CommandContext(s.ctx, "ssh", append([]string{"-W", echo}, mux...)...)
	flow.Stdin = strings.NewReader("what goes through comes back\n")
	if out, err := flow.Output(); err != nil || !strings.Contains(string(out), "comes back") {
		t.Fatalf("a forward: %v %q", err, out)
	}
	shut := exec.CommandContext(s.ctx, "ssh", append([]string{"-W", "192.0.2.1:9"}, mux...)...)
	if out, err := shut.CombinedOutput(); err == nil {
		t.Fatalf("a forward that is not granted: %q", out)
	}
	id := s.sessions()[0].ID

	chrome := chromium(t)
	ben, cleo := newSeat(t, chrome, s.URL), newSeat(t, chrome, s.URL)
	ben.borrow(s.People["ben"])
	cleo.borrow(s.People["cleo"])
	ben.open("/board")
	ben.until("the board says what runs", "document.querySelector('[data-running]')?.innerText === 'exec'")
	for _, path := range []string{"/board", "/sessions/" + id} {
		ben.look(t, "carried-ben", path)
	}
	cleo.look(t, "carried-live-cleo", "/recordings/"+id)
	exit := exec.CommandContext(s.ctx, "ssh", append([]string{"-O", "exit"}, mux...)...)
	if said, err := exit.CombinedOutput(); err != nil {
		t.Fatalf("leave: %v %s", err, said)
	}
	s.ended(id)

	complaints := cleo.complaints()
	cleo.open("/recordings/" + id)
	for _, words := range []string{"at-the-target.bin", "/etc/services", "failed remove", echo, "uname -a", "whole"} {
		cleo.reads(words)
	}
	services, err := os.ReadFile("/etc/services")
	s.must(err)
	for path, want := range map[string][]byte{"at-the-target.bin": up, "/etc/services": services} {
		got := js[string](cleo, fmt.Sprintf(`fetch([...document.querySelectorAll('#marks li')].find(l => l.innerText.includes(%q) && l.querySelector('a[download]')).querySelector('a[download]').href)
			.then(r => r.arrayBuffer()).then(b => crypto.subtle.digest('SHA-256', b)).then(d => [...new Uint8Array(d)].map(x => x.toString(16).padStart(2, '0')).join(''))`, path))
		if got != fmt.Sprintf("%x", sha256.Sum256(want)) {
			t.Errorf("%s does not come back as it was: %s", path, got)
		}
	}
	if read := s.events("recording.input-read"); len(read) != 1 || read[0].Session != id || read[0].Actor != "cleo" {
		t.Errorf("what the engineer sent was handed out with the events %+v", read)
	}
	for _, l := range looks {
		cleo.emulate(l.scheme)
		cleo.do(chromedp.EmulateViewport(l.width, l.height))
		cleo.open("/recordings/" + id)
		cleo.reads("at-the-target.bin")
		cleo.fits(t, l.name)
		cleo.axe(t, l.name)
		cleo.shot(t, "carried-recording-"+l.name)
	}
	cleo.look(t, "carried-cleo", "/recordings?text=at-the-target&kind=file")
	cleo.look(t, "carried-cleo", "/recordings?text=services")
	for _, c := range complaints() {
		t.Errorf("the browser complains: %s", c)
	}
	s.verified()
}

// TestPagesOfCertificates: the touch page of `portcullis login`, and the list
// of what was issued.
func TestPagesOfCertificates(t *testing.T) {
	t.Parallel()
	s := newStory(t, rig.Options{})
	s.grant("ana", "pump", time.Hour)
	ana := newSeat(t, chromium(t), s.URL)
	ana.borrow(s.People["ana"])
	s.certified([]string{"login", "--server", s.URL, "--key", filepath.Join(t.TempDir(), "id_day")}, func(id string) { ana.look(t, "carried-ana", "/certificate/"+id) })
	ana.open("/keys")
	ana.until("the certificate is listed", "document.querySelector('form[action=\"/keys/certificates/revoke\"]')")
	ana.look(t, "carried-ana", "/keys")
	ana.look(t, "carried-ana", "/help/certificates")
	ana.look(t, "carried-ana", "/help/terminal")
}

// certified runs portcullis login, looks at the page that it leads to, and has
// ana touch there.
func (s *story) certified(args []string, look func(id string)) {
	s.Helper()
	s.behindLink("", "/certificate/", args, func(id string) {
		look(id)
		s.must(s.People["ana"].Act(s.ctx, "sshcert.issue", map[string]string{"terminal": id}, nil))
	})
}

// behindLink runs the binary in dir until it shows a link whose path begins so,
// has touch do what its page is for, and waits for the binary to be done.
func (s *story) behindLink(dir, path string, args []string, touch func(id string)) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, built, args...)
	cmd.Dir = dir
	said, err := cmd.StderrPipe()
	s.must(err)
	s.must(cmd.Start())
	var heard bytes.Buffer
	id := ""
	for buf := make([]byte, 512); id == ""; {
		n, err := said.Read(buf)
		heard.Write(buf[:n])
		if err != nil {
			s.Fatalf("no link: %v %s", err, heard.String())
		}
		if _, rest, ok := strings.Cut(heard.String(), path); ok {
			id, _, _ = strings.Cut(rest, "\n")
		}
	}
	touch(id)
	rest, err := io.ReadAll(said)
	s.must(err)
	if err := cmd.Wait(); err != nil {
		s.Fatalf("%s: %v %s%s", strings.Join(args, " "), err, heard.String(), rest)
	}
}

// may has ana ask for these abilities and ben agree.
func (s *story) may(abilities ...string) (grant string) {
	s.Helper()
	var r rig.Request
	s.must(s.People["ana"].Post(s.ctx, "/api/v1/requests", map[string]any{"target": "pump", "account": "ops", "seconds": 3600, "abilities": abilities, "reason": "new firmware for the drive"}, &r))
	s.must(s.Approve(s.ctx, "ben", r.ID))
	g, err := s.GrantOf(s.ctx, "ana", r.ID)
	s.must(err)
	return g.ID
}

// echoes answers what it is sent, and is what a forward leads to.
func echoes(t *testing.T) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	takes(t, l, func(c net.Conn) {
		_, _ = io.Copy(c, c) // the story hears whether it came back
		c.Close()
	})
	return l.Addr().String()
}
