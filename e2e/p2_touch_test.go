package e2e

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/portcullis/portcullis/e2e/rig"
)

// TestP2TouchOnce: one touch opens one connection. The second asks again.
func TestP2TouchOnce(t *testing.T) {
	t.Parallel()
	s := newStory(t, rig.Options{})
	g := s.grant("ana", "pump", time.Hour)
	if status, out, errOut := s.run("ana", "pump", g.ID, "echo first"); status != 0 || out != "first\n" {
		t.Fatalf("by ticket: %d %q %s", status, out, errOut)
	}
	term, err := rig.OpenTerminal(100, 30, "ssh", s.Args("ana", "pump", "-tt")...)
	s.must(err)
	t.Cleanup(term.Close)
	if _, err := term.Expect(s.ctx, 15*time.Second, rig.TouchLink); err != nil {
		t.Fatalf("the second connection was not asked for a touch: %v", err)
	}
	term.Close()

	// By link and code: the touch is for this connection alone.
	shell := s.shell("ana", "pump")
	s.must(shell.Type("exit 3\n"))
	if code, err := shell.Wait(15 * time.Second); err != nil || code != 3 {
		t.Errorf("exit status %d, %v; want the shell's own 3", code, err)
	}
}

// TestP2LyingKeys: each assertion that is not a fresh touch of the person's
// own key on this gateway over this statement is refused, with its sentence
// in the answer and in the log.
func TestP2LyingKeys(t *testing.T) {
	t.Parallel()
	s := newStory(t, rig.Options{})
	g := s.grant("ana", "pump", time.Hour)
	ana, bob := s.People["ana"], s.People["bob"]
	open := map[string]string{"grant": g.ID}

	lies := []struct {
		name string
		lie  func(k *rig.Key) // what the key does wrong
		word string
	}{
		{"another origin", func(k *rig.Key) { k.Origin = "https://gate.example.evil" }, "not this gateway"},
		{"another site", func(k *rig.Key) { k.RPID = "example.evil" }, "another site"},
		{"no user verification", func(k *rig.Key) { k.Flags = rig.FlagPresent }, "PIN"},
		{"no touch", func(k *rig.Key) { k.Flags = rig.FlagVerified }, "touched"},
		{"counter gone back", func(k *rig.Key) { k.Counter = 0 }, "counter"},
	}
	for _, l := range lies {
		t.Run(l.name, func(t *testing.T) {
			honest := rig.Key{Origin: ana.Key.Origin, RPID: ana.Key.RPID, Flags: ana.Key.Flags, Counter: ana.Key.Counter}
			l.lie(ana.Key)
			refused(t, ana.Act(s.ctx, "session.open", open, nil), l.word)
			ana.Key.Origin, ana.Key.RPID, ana.Key.Flags, ana.Key.Counter = honest.Origin, honest.RPID, honest.Flags, honest.Counter+5
			s.told("touch.refused", l.word)
		})
	}

	t.Run("a foreign key", func(t *testing.T) {
		c, err := ana.Draft(s.ctx, "session.open", open)
		s.must(err)
		assertion, err := bob.Key.Get(c.Options)
		s.must(err)
		refused(t, ana.Post(s.ctx, "/api/v1/acts/"+c.ID, map[string]any{"assertion": assertion}, nil))
	})
	t.Run("another statement", func(t *testing.T) {
		one, err := ana.Draft(s.ctx, "session.open", open)
		s.must(err)
		two, err := ana.Draft(s.ctx, "session.open", open)
		s.must(err)
		assertion, err := ana.Key.Get(one.Options)
		s.must(err)
		refused(t, ana.Post(s.ctx, "/api/v1/acts/"+two.ID, map[string]any{"assertion": assertion}, nil), "statement")
	})
	t.Run("replayed", func(t *testing.T) {
		c, err := ana.Draft(s.ctx, "session.open", open)
		s.must(err)
		assertion, err := ana.Key.Get(c.Options)
		s.must(err)
		s.must(ana.Post(s.ctx, "/api/v1/acts/"+c.ID, map[string]any{"assertion": assertion}, nil))
		refused(t, ana.Post(s.ctx, "/api/v1/acts/"+c.ID, map[string]any{"assertion": assertion}, nil))
	})
	t.Run("by another login", func(t *testing.T) {
		c, err := ana.Draft(s.ctx, "session.open", open)
		s.must(err)
		assertion, err := ana.Key.Get(c.Options)
		s.must(err)
		refused(t, bob.Post(s.ctx, "/api/v1/acts/"+c.ID, map[string]any{"assertion": assertion}, nil))
	})
	t.Run("a stolen cookie without a key", func(t *testing.T) {
		thief := ana.Clone(ana.Agent)
		_, err := thief.Draft(s.ctx, "session.open", open)
		s.must(err) // the page may be looked at: it opens nothing
		other := ana.Clone("another browser")
		refused(t, other.Get(s.ctx, "/api/v1/me", nil))
	})
}

// refused fails unless err is the gateway's own no, with a sentence that says
// the words and a next step.
func refused(t *testing.T, err error, words ...string) {
	t.Helper()
	var no *rig.Problem
	if !errors.As(err, &no) {
		t.Errorf("not refused: %v", err)
		return
	}
	if no.Status >= 500 || no.Detail == "" {
		raw, _ := json.Marshal(no)
		t.Errorf("refused without a sentence for a person: %s", raw)
	}
	says(t, "the refusal", no.Detail+" "+no.Next, words...)
}
