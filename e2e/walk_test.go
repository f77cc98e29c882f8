package e2e

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/e2e/rig"
)

// TestWalk is the whole story with people at browsers: an administrator is
// let in by a one-time link, invites an engineer and an approver, the engineer
// asks, the approver agrees, stock ssh opens a shell by link and code, the
// recording replays it, one command ends it and keeps it out, and the log
// proves all of it.
func TestWalk(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), storyWithin)
	defer cancel()
	s := &story{T: t, ctx: ctx}
	dir := t.TempDir()
	g, err := rig.NewGateway(built, filepath.Join(dir, "gateway"), "")
	s.must(err)
	link, err := g.Init(ctx)
	s.must(err)
	ca, err := g.UserCA()
	s.must(err)
	plant, err := rig.StartPlant(ctx, filepath.Join(dir, "plant"), ca, "")
	s.must(err)
	s.Stage = &rig.Stage{Gateway: g, Plant: plant, People: map[string]*rig.Person{}, Clients: map[string]*rig.Client{}}
	t.Cleanup(s.Close)
	s.must(g.Start(ctx))
	s.must(s.Apply(ctx, s.PlantFile()))
	s.must(s.Apply(ctx, s.PlantFile())) // a second time changes nothing

	chrome := chromium(t)
	admin := newSeat(t, chrome, g.URL)
	admin.enrol(link)
	ben := newSeat(t, chrome, g.URL)
	ben.enrol(admin.invite("ben"))
	ana := newSeat(t, chrome, g.URL)
	ana.enrol(admin.invite("ana"))

	known, err := s.KnownHosts()
	s.must(err)
	client, err := rig.NewClient(filepath.Join(dir, "ana"), known)
	s.must(err)
	s.Clients["ana"] = client
	ana.open("/keys")
	ana.fill("#key", client.PublicKey)
	ana.fill("#ssh-label", "laptop")
	ana.press("Add by touch")
	ana.touch("SSH key")
	ana.reads("SHA256:")

	ana.open("/requests/new?target=pump")
	ana.choose("target", "pump")
	ana.choose("account", "ops")
	ana.fill("hours", "1")
	ana.tick("ability", "shell", "exec")
	ana.fill("reason", "quarterly inspection of the drive")
	ana.reads("approv") // the verdict, before it is sent
	ana.press("Send request")
	ana.reads("quarterly inspection")

	ben.open("/inbox")
	ben.press("Look and decide")
	ben.reads("quarterly inspection")
	ben.press("Agree by touch")
	ben.touch("quarterly inspection")
	ben.reads("you have agreed")

	ana.open("/")
	ana.reads("ops on pump")
	term, err := rig.OpenTerminal(100, 30, "ssh", s.Args("ana", "pump", "-tt")...)
	s.must(err)
	t.Cleanup(term.Close)
	shown, err := term.Expect(ctx, 20*time.Second, rig.TouchLink)
	s.must(err)
	code, err := term.Expect(ctx, 15*time.Second, `\b([0-9A-Z]{2,4}-[0-9A-Z]{2,4})\b`)
	s.must(err)
	ana.open(shown[0])
	ana.reads(code[1]) // the page shows the code of the terminal
	ana.press("The code is the same")
	ana.touch("pump")
	s.must(term.Type("uname -a\n"))
	want, err := exec.CommandContext(ctx, "uname", "-srm").Output()
	s.must(err)
	kernel := strings.Fields(string(want))[1]
	if _, err := term.Expect(ctx, 20*time.Second, kernel); err != nil {
		t.Fatal(err)
	}

	session := s.sessions()[0].ID
	r, err := s.CLI(ctx, "recording", "play", session, "--speed", "1000")
	s.must(err)
	says(t, "the replay", r.Out+r.Err, kernel)
	admin.open("/recordings/" + session)
	admin.until("the player shows the terminal", fmt.Sprintf("document.querySelector('#player').innerText.includes(%q)", kernel))

	r, err = s.CLI(ctx, "suspend", "vendor", "acme", "--reason", "breach notice of 06:12")
	s.must(err)
	if r.Status != 0 || !strings.Contains(r.Out, "PASS") {
		t.Fatalf("suspend: %d\n%s%s", r.Status, r.Out, r.Err)
	}
	if _, err := term.Wait(5 * time.Second); err != nil {
		t.Error(err)
	}
	says(t, "the end of the shell", term.Shown(), "suspended")
	status, out, errOut := s.ssh("ana", "pump", "uname -a")
	if status == 0 || out != "" {
		t.Errorf("back in: %d %q", status, out)
	}
	says(t, "the refusal to come back", errOut, "suspended")
	ben.open("/suspensions")
	ben.reads("acme")
	s.verified()
}

// enrol follows a one-time link and enrols the key of the seat: one touch to
// make it known, one over the statement.
func (s *seat) enrol(link string) {
	s.t.Helper()
	s.open(link)
	s.fill("label", "blue key")
	s.press("Enrol")
	s.until("the statement to sign", "document.querySelector('#enrol-text')?.innerText.includes('Enrol key')")
	s.press("Touch and sign")
	s.until("signed in", "location.pathname === '/'")
}

// invite has an administrator invite a person and returns the link.
func (s *seat) invite(person string) string {
	s.t.Helper()
	s.open("/people/" + person)
	s.press("Make an invitation")
	s.touch("Invite " + person)
	find := "document.querySelector('#invite-link').textContent.trim()"
	s.until("the invitation's link", find)
	return js[string](s, find)
}

// touch reads the dialog's sentence and touches the key.
func (s *seat) touch(words string) {
	s.t.Helper()
	s.until(fmt.Sprintf("the sentence to sign says %q", words), fmt.Sprintf("document.querySelector('#sign')?.open && document.querySelector('#sign-text').innerText.includes(%q)", words))
	s.press("Touch and sign")
	s.until("signed", "!document.querySelector('#sign')?.open")
}

// choose picks an option of a select.
func (s *seat) choose(field, value string) { s.t.Helper(); s.fill(field, value) }

// tick checks exactly these boxes of a name.
func (s *seat) tick(field string, values ...string) {
	s.t.Helper()
	js[bool](s, fmt.Sprintf(`(want => { for (const e of document.querySelectorAll('[name=%q]')) if (e.checked !== want.includes(e.value)) e.click(); return true })(%q.split(','))`, field, strings.Join(values, ",")))
}
