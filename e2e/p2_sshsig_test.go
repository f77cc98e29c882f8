package e2e

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/e2e/rig"
)

// skOf gives a person an SSH security key, added by a touch in the browser.
func (s *story) skOf(who string) *rig.Agent {
	s.Helper()
	a, err := rig.StartAgent()
	s.must(err)
	s.Cleanup(a.Close)
	s.must(s.People[who].Act(s.ctx, "sshkey.add", map[string]string{"key": a.Line, "label": "token"}, nil))
	return a
}

// touchCLI runs `portcullis touch` with the agent's key.
func (s *story) touchCLI(a *rig.Agent, what string) (status int, out, errOut string) {
	s.Helper()
	cmd := exec.CommandContext(s.ctx, built, "touch", "--server", s.URL, "--key", a.Public, what)
	cmd.Env = a.Env()
	return output(s.T, cmd)
}

// begun is what /touch/begin answers.
type begun struct {
	ID        string `json:"id"`
	Sentence  string `json:"sentence"`
	Statement string `json:"statement"`
	Namespace string `json:"namespace"`
}

// outside is somebody who has not signed in.
func (s *story) outside(path string, in map[string]string, v any) error {
	var no *rig.Problem
	err := errors.New("not called")
	_ = rig.Until(s.ctx, 30*time.Second, func() error {
		err = s.NewPerson("nobody").Post(s.ctx, "/api/v1/touch/"+path, in, v)
		if errors.As(err, &no) && no.Status == http.StatusTooManyRequests {
			return err // the limit of one address, which all stories share
		}
		return nil
	})
	return err
}

func (s *story) beginTouch(a *rig.Agent) begun {
	s.Helper()
	var b begun
	s.must(s.outside("begin", map[string]string{"fingerprint": s.fingerprint(a), "target": "pump", "account": "ops"}, &b))
	return b
}

func (s *story) fingerprint(a *rig.Agent) string {
	s.Helper()
	out, err := exec.Command("ssh-keygen", "-l", "-f", a.Public).Output()
	s.must(err)
	return strings.Fields(string(out))[1]
}

// keygen signs with the stock program over a file, as an engineer would who
// has no portcullis at hand.
func (s *story) keygen(a *rig.Agent, text, namespace string) string {
	s.Helper()
	file := filepath.Join(s.TempDir(), "statement.json")
	s.must(os.WriteFile(file, []byte(text), 0o600))
	cmd := exec.CommandContext(s.ctx, "ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", a.Public, file)
	cmd.Env = a.Env()
	if out, err := cmd.CombinedOutput(); err != nil {
		s.Fatalf("ssh-keygen: %v: %s", err, out)
	}
	sig, err := os.ReadFile(file + ".sig")
	s.must(err)
	return string(sig)
}

func (s *story) finishTouch(id, sig string) error {
	return s.outside("finish", map[string]string{"id": id, "signature": sig}, nil)
}

// asked connects without a ticket: the touch is asked for, and nothing opens.
func (s *story) asked(what string, options ...string) {
	s.Helper()
	term, err := rig.OpenTerminal(100, 30, "ssh", s.Args("ana", "pump", append(options, "-tt")...)...)
	s.must(err)
	defer term.Close()
	if _, err := term.Expect(s.ctx, 15*time.Second, rig.TouchLink); err != nil {
		s.Errorf("%s: no touch was asked for: %v", what, err)
	}
}

// by has ana's ssh offer the agent's key alone.
func (s *story) by(a *rig.Agent) []string {
	s.Helper()
	options, err := a.Options(s.Clients["ana"])
	s.must(err)
	return options
}

// TestP2TouchWithoutBrowser: an SSH security key gives the touch by the stock
// ssh-keygen; it opens one connection, of its person.
func TestP2TouchWithoutBrowser(t *testing.T) {
	t.Parallel()
	s := newStory(t, rig.Options{})
	token := s.skOf("ana")
	status, out, errOut := s.touchCLI(token, "ops+pump")
	if status != 1 || out != "" {
		t.Errorf("without a grant: %d %q", status, out)
	}
	says(t, "without a grant", errOut, "no open grant", "hint:")

	s.grant("ana", "pump", time.Hour)
	s.asked("after the handshake's own touch", s.by(token)...)
	status, out, errOut = s.touchCLI(token, "ops+pump")
	if status != 0 || !strings.HasPrefix(out, "ssh -p ") || !strings.Contains(out, "ops+pump@localhost") {
		t.Fatalf("touch: %d %q %s", status, out, errOut)
	}
	says(t, "touch", errOut, "Open a session of ana (vendor acme) as ops on pump", "one SSH connection")
	s.told("ticket.made")
	if status, out, errOut := s.ssh("ana", "pump", "echo in", s.by(token)...); status != 0 || out != "in\n" {
		t.Errorf("by the ticket: %d %q %s", status, out, errOut)
	}
	s.asked("after the ticket was taken")

	// By hand, with nothing but the stock programs.
	b := s.beginTouch(token)
	if b.Namespace != "portcullis-open@localhost" || !strings.Contains(b.Statement, "session.open") {
		t.Errorf("begun: %+v", b)
	}
	sig := s.keygen(token, b.Statement, b.Namespace)
	s.must(s.finishTouch(b.ID, sig))
	refused(t, s.finishTouch(b.ID, sig), "signed before")
	if status, out, errOut := s.ssh("ana", "pump", "echo hand"); status != 0 || out != "hand\n" {
		t.Errorf("by hand: %d %q %s", status, out, errOut)
	}
}

// TestP2LyingSSHKeys: what is not a fresh touch of the person's own SSH
// security key over this very statement is refused, and the log says why.
func TestP2LyingSSHKeys(t *testing.T) {
	t.Parallel()
	s := newStory(t, rig.Options{})
	token, bobs := s.skOf("ana"), s.skOf("bob")
	s.grant("ana", "pump", time.Hour)
	token.Say(rig.Touched|rig.Verified, 10)
	if status, _, errOut := s.touchCLI(token, "pump"); status != 0 {
		t.Fatalf("an honest touch: %d %s", status, errOut)
	}
	for name, lie := range map[string]struct {
		flags   byte
		counter uint32
		word    string
	}{
		"no user verification":  {rig.Touched, 20, "PIN"},
		"no touch":              {rig.Verified, 20, "not touched"},
		"neither":               {0, 20, "not touched"},
		"counter gone back":     {rig.Touched | rig.Verified, 5, "counter"},
		"counter standing":      {rig.Touched | rig.Verified, 10, "counter"},
		"more than it should":   {rig.Touched | rig.Verified | 0x08, 20, "flags"},
		"counter from scratch":  {rig.Touched | rig.Verified, 1<<32 - 1, "counter"},
		"touched, not verified": {rig.Touched | 0x10, 20, "PIN"},
	} {
		token.Say(lie.flags, lie.counter)
		status, _, errOut := s.touchCLI(token, "ops+pump")
		if status != 1 {
			t.Errorf("%s: exit %d", name, status)
		}
		says(t, name, errOut, lie.word)
		s.told("touch.refused", lie.word)
	}
	token.Say(rig.Touched|rig.Verified, 30)

	one, two := s.beginTouch(token), s.beginTouch(token)
	refused(t, s.finishTouch(two.ID, s.keygen(token, one.Statement, one.Namespace)), "this very statement")
	refused(t, s.finishTouch(one.ID, s.keygen(token, one.Statement, "file")), "namespace")
	foreign := s.beginTouch(token)
	refused(t, s.finishTouch(foreign.ID, s.keygen(bobs, foreign.Statement, foreign.Namespace)), "another key")
	refused(t, s.finishTouch("nothing", ""), "signed before")

	// Whoever has no grant hears what a stranger hears.
	nobody := map[string]string{"fingerprint": "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "target": "pump"}
	var words []string
	for _, in := range []map[string]string{nobody, {"fingerprint": s.fingerprint(bobs), "target": "pump"}, {"fingerprint": s.fingerprint(token), "target": "no-such-target"}} {
		err := s.outside("begin", in, nil)
		if err == nil {
			t.Fatalf("%v was begun", in)
		}
		words = append(words, err.Error())
	}
	if words[0] != words[1] || words[0] != words[2] {
		t.Errorf("the answers tell keys and targets apart: %q", words)
	}

	// A key that was removed, a vendor that was suspended: after the statement
	// was drawn up, and before.
	removed := s.skOf("ana")
	b := s.beginTouch(removed)
	s.must(s.People["ana"].Act(s.ctx, "sshkey.remove", map[string]string{"fingerprint": s.fingerprint(removed)}, nil))
	refused(t, s.finishTouch(b.ID, s.keygen(removed, b.Statement, b.Namespace)), "removed")
	if err := s.outside("begin", map[string]string{"fingerprint": s.fingerprint(removed), "target": "pump"}, nil); err == nil || err.Error() != words[0] {
		t.Errorf("a removed key hears %v", err)
	}
	b = s.beginTouch(token)
	sig := s.keygen(token, b.Statement, b.Namespace)
	s.suspend("vendor", rig.Acme, "breach")
	refused(t, s.finishTouch(b.ID, sig), "suspended")
	if err := s.outside("begin", map[string]string{"fingerprint": s.fingerprint(token), "target": "pump"}, nil); err == nil || err.Error() != words[0] {
		t.Errorf("a suspended vendor's key hears %v", err)
	}
}

// TestP2HandshakeNeedsPresence: in the handshake an SSH security key says who,
// with presence; a certificate that waives it is not taken.
func TestP2HandshakeNeedsPresence(t *testing.T) {
	t.Parallel()
	s := newStory(t, rig.Options{})
	token := s.skOf("ana")
	g := s.grant("ana", "pump", time.Hour)
	s.must(s.Ticket(s.ctx, "ana", g.ID))
	try := func(want int, what string, options ...string) {
		t.Helper()
		if status, out, errOut := s.ssh("ana", "pump", "echo in", options...); status != want {
			t.Errorf("%s: exit %d, want %d: %s%s", what, status, want, out, errOut)
		}
	}
	token.Say(0, 1)
	try(255, "without presence", s.by(token)...)
	token.Say(rig.Touched, 1)
	try(0, "with presence", s.by(token)...)

	s.must(s.Ticket(s.ctx, "ana", g.ID))
	for _, flags := range []byte{0, rig.Touched} {
		cert, err := token.Certify(map[string]string{"no-touch-required": "", "permit-pty": ""})
		s.must(err)
		token.Say(flags, 9)
		try(255, "by a certificate that waives the touch", append(s.by(token), "-o", "CertificateFile="+cert)...)
	}
	try(0, "the ticket is still there for the key that was added")
}
