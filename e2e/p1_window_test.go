package e2e

import (
	"regexp"
	"testing"
	"time"

	"github.com/portcullis/portcullis/e2e/rig"
)

// shortest is the shortest window that may be asked for.
const shortest = time.Minute

// TestP1NothingStands: an enrolled engineer of an active vendor gets nowhere
// without an open window, and the window's end takes what is live with it.
func TestP1NothingStands(t *testing.T) {
	t.Parallel()
	s := newStory(t, rig.Options{})

	status, out, errOut := s.ssh("ana", "pump", "uname -a")
	if status == 0 || out != "" {
		t.Fatalf("a command ran without a grant: %d %q", status, out)
	}
	says(t, "the refusal without a grant", errOut, "grant")

	asked, err := s.Ask(s.ctx, "ana", "pump", shortest)
	s.must(err)
	if status, out, _ := s.ssh("ana", "pump", "uname -a"); status == 0 || out != "" {
		t.Fatalf("a command ran before anybody agreed: %d %q", status, out)
	}

	s.must(s.Approve(s.ctx, "ben", asked.ID))
	g, err := s.GrantOf(s.ctx, "ana", asked.ID)
	s.must(err)
	if got := g.To.Sub(g.From); got != shortest {
		t.Errorf("the window is %s long; the clock must start when it opens, not when it was asked for", got)
	}
	shell := s.shell("ana", "pump")
	<-shell.Done()
	late := time.Since(g.To)
	if late < -100*time.Millisecond || late > time.Second {
		t.Errorf("the shell ended %s after its window; at most one second is promised", late)
	}
	says(t, "the end of the window", shell.Shown(), "window") // warned, then ended
	if !regexp.MustCompile(`ends in (1m0s|[1-5]\ds), at `).MatchString(shell.Shown()) {
		t.Errorf("the shell was not warned of its window's end:\n%s", shell.Shown())
	}
	if ended := s.ended(s.sessions()[0].ID); ended.Reason != "window-ended" {
		t.Errorf("the session is on file as %+v", ended)
	}

	status, out, errOut = s.ssh("ana", "pump", "uname -a")
	if status == 0 || out != "" {
		t.Fatalf("a command ran after the window: %d %q", status, out)
	}
	says(t, "the refusal after the window", errOut, "ended")
	s.verified()
}

// TestP1PlannedWindow: what is agreed for later opens later, and says when.
func TestP1PlannedWindow(t *testing.T) {
	t.Parallel()
	s := newStory(t, rig.Options{})
	from := time.Now().Add(12 * time.Second).UTC().Truncate(time.Second)
	var asked rig.Request
	s.must(s.People["ana"].Post(s.ctx, "/api/v1/requests", map[string]any{
		"target": "pump", "account": "ops", "from": from, "to": from.Add(time.Minute), "abilities": []string{"exec"}, "reason": "planned inspection",
	}, &asked))
	s.must(s.Approve(s.ctx, "ben", asked.ID))

	status, out, errOut := s.ssh("ana", "pump", "uname -a")
	if status == 0 || out != "" {
		t.Fatalf("a command ran before its window: %d %q", status, out)
	}
	says(t, "the refusal before the window", errOut, "open")

	s.must(rig.Until(s.ctx, 30*time.Second, func() error {
		_, err := s.GrantOf(s.ctx, "ana", asked.ID)
		return err
	}))
	g, err := s.GrantOf(s.ctx, "ana", asked.ID)
	s.must(err)
	if status, out, errOut := s.run("ana", "pump", g.ID, "echo in"); status != 0 || out != "in\n" {
		t.Errorf("in the window: %d %q %s", status, out, errOut)
	}
	// exec was agreed to, a shell was not
	s.must(s.Ticket(s.ctx, "ana", g.ID))
	term, err := rig.OpenTerminal(80, 24, "ssh", s.Args("ana", "pump", "-tt")...)
	s.must(err)
	t.Cleanup(term.Close)
	if code, err := term.Wait(20 * time.Second); err != nil || code == 0 {
		t.Errorf("a shell opened under a grant for exec alone: %d %v\n%s", code, err, term.Shown())
	}
	says(t, "the refusal of a shell", term.Shown(), "shell")
}
