package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/portcullis/portcullis/e2e/rig"
)

// closing is a suspension as the command line prints it, as far as this story
// reads it.
type closing struct {
	suspension
	Mode   string    `json:"mode"`
	Until  time.Time `json:"until"`
	Report struct {
		Verdict string `json:"verdict"`
		Nodes   []struct {
			LiveBefore int `json:"live_before"`
			LiveAfter  int `json:"live_after"`
			Left       int `json:"left"`
			Sessions   []struct {
				Session string `json:"session"`
				Closed  bool   `json:"closed"`
				Fate    string `json:"fate"`
			} `json:"sessions"`
		} `json:"nodes"`
	} `json:"report"`
}

// fate is what the report says became of a session.
func (c closing) fate(id string) string {
	for _, n := range c.Report.Nodes {
		for _, s := range n.Sessions {
			switch {
			case s.Session == id && s.Closed:
				return "closed"
			case s.Session == id:
				return s.Fate
			}
		}
	}
	return ""
}

// closes gives an order at the local socket and wants it to be PASS with these
// counts.
func (s *story) closes(before, left int, args ...string) closing {
	s.Helper()
	var got closing
	s.must(s.JSON(s.ctx, &got, append([]string{"suspend", "--reason", "breach notice of 06:12"}, args...)...))
	if got.Report.Verdict != "PASS" || len(got.Report.Nodes) != 1 || got.Report.Nodes[0].LiveBefore != before || got.Report.Nodes[0].LiveAfter != 0 || got.Report.Nodes[0].Left != left {
		s.Errorf("suspend %v: %+v, want %d live before and %d left", args, got.Report, before, left)
	}
	return got
}

// answers wants a shell to be there.
func (s *story) answers(who string, t *rig.Terminal, n int) {
	s.Helper()
	s.must(t.Type(fmt.Sprintf("echo here-$((%d+1))-here\n", n)))
	if _, err := t.Expect(s.ctx, 15*time.Second, fmt.Sprintf("here-%d-here", n+1)); err != nil {
		s.Errorf("%s: %v", who, err)
	}
}

// TestP4ModesAndScopes: what each mode makes of a live shell, over what scope,
// what its engineer reads, and that the strictest of several orders holds.
func TestP4ModesAndScopes(t *testing.T) {
	t.Parallel()
	s := newStory(t, rig.Options{})
	s.grant("ana", "pump", time.Hour)
	s.grant("bob", "pump", time.Hour)
	ids := func() (list []string) {
		for _, x := range s.sessions() {
			list = append(list, x.ID)
		}
		return list
	}
	var opened []string
	open := func(who string) (*rig.Terminal, string) {
		t.Helper()
		term := s.shell(who, "pump")
		for _, id := range ids() {
			if !slices.Contains(opened, id) {
				opened = append(opened, id)
				return term, id
			}
		}
		t.Fatal("no session")
		return nil, ""
	}
	ana, anaID := open("ana")
	spared, sparedID := open("ana")
	bob, bobID := open("bob")
	dir := t.TempDir()
	held := filepath.Join(dir, "held")

	r, err := s.CLI(s.ctx, "suspend", "zone", "pumps", "--reason", "r", "--mode", "freeze", "--preview", "--except", sparedID, "--owner", "ben", "--except-reason", "firmware is written", "--until", "2h")
	s.must(err)
	if r.Status != 0 || len(ids()) != 3 {
		t.Errorf("preview: %d %s%s", r.Status, r.Out, r.Err)
	}
	says(t, "the preview", r.Out, "freeze 2 live sessions, leave 1 alone", "left alone for 2h0m0s; ben answers for it", "frozen", "lease (10s)")

	// A drain of bolt: its engineer reads the end and is put out then.
	drain := s.closes(1, 1, "vendor", rig.Bolt, "--mode", "drain=3s")
	if drain.fate(bobID) != "draining" || drain.Mode != "drain" {
		t.Errorf("the drain: %+v", drain)
	}
	if _, err := bob.Wait(8 * time.Second); err != nil {
		t.Error(err)
	}
	if late := time.Since(drain.Until); late < -200*time.Millisecond || late > 3*time.Second {
		t.Errorf("the drained shell ended %s after its time", late)
	}
	says(t, "the drained shell", bob.Shown(), "finish what must not be broken off", "suspended")
	if x := s.ended(bobID); x.Reason != "suspended" {
		t.Errorf("the drained session: %+v", x)
	}
	_, _, errOut := s.ssh("bob", "pump", "echo in")
	says(t, "bob's refusal", errOut, "suspended")

	// The target is frozen for every vendor, but for one session.
	frozen := s.closes(2, 1, "target", "pump", "--mode", "freeze", "--except", sparedID, "--owner", "ben", "--except-reason", "firmware is written", "--until", "1h")
	if frozen.fate(anaID) != "frozen" || frozen.fate(sparedID) != "excepted" {
		t.Errorf("the freeze: %+v", frozen)
	}
	s.must(ana.Type("touch " + held + "\n"))
	if _, err := ana.Expect(s.ctx, 15*time.Second, "what you type is held"); err != nil {
		t.Error(err)
	}
	s.answers("the excepted shell", spared, 1)
	refused(t, s.People["ben"].Post(s.ctx, "/api/v1/sessions/"+anaID+"/thaw", map[string]any{}, nil), "order of suspension")
	_, _, errOut = s.ssh("ana", "pump", "echo in")
	says(t, "ana's refusal", errOut, "target pump is suspended")

	// A milder order over the same sessions changes nothing.
	milder := s.closes(2, 2, "protocol", "ssh", "--mode", "no-new")
	if milder.fate(sparedID) != "left" {
		t.Errorf("no-new: %+v", milder)
	}
	s.answers("the excepted shell", spared, 2)
	r, err = s.CLI(s.ctx, "suspensions", frozen.ID)
	s.must(err)
	says(t, "the report", r.Out, "PASS  target pump is suspended.", "Mode        freeze", "Excepted    "+sparedID, "ben answers for it: firmware is written", "frozen", "1 left by the order")

	// Everybody out.
	all := s.closes(2, 0, "all")
	if all.fate(anaID) != "closed" || all.fate(sparedID) != "closed" {
		t.Errorf("all: %+v", all)
	}
	for _, term := range []*rig.Terminal{ana, spared} {
		if _, err := term.Wait(5 * time.Second); err != nil {
			t.Error(err)
		}
		says(t, "the end", term.Shown(), "suspended")
	}
	if _, err := os.Stat(held); err == nil {
		t.Error("what was held reached the target")
	}
	s.must(s.People["ana"].Login(s.ctx))
	_, err = s.Ask(s.ctx, "ana", "pump", time.Hour)
	refused(t, err, "every vendor")

	s.Kill()
	s.must(s.Start(s.ctx))
	_, _, errOut = s.ssh("ana", "pump", "echo back")
	says(t, "ana's refusal after kill -9", errOut, "suspended")
	_, err = s.Ask(s.ctx, "ana", "pump", time.Hour)
	refused(t, err, "every vendor")
	s.many()
	s.told("suspension.ordered", "06:12")
	s.verified()
}

// many suspends several vendors by one command: each has an order and a
// report, and one that is not there is told beside the others.
func (s *story) many() {
	s.Helper()
	r, err := s.CLI(s.ctx, "suspend", "vendor", rig.Acme, rig.Bolt, "--reason", "both of them", "--wait")
	s.must(err)
	if r.Status != 0 {
		s.Errorf("two vendors: %d %s", r.Status, r.Err)
	}
	says(s.T, "the reports", r.Out, "PASS  vendor acme is suspended.", "PASS  vendor bolt is suspended.")
	r, err = s.CLI(s.ctx, "suspend", "vendor", rig.Acme, "nobody", "--reason", "one of them")
	s.must(err)
	if r.Status != 1 {
		s.Errorf("one vendor that is not there: %d", r.Status)
	}
	says(s.T, "the report", r.Out, "PASS  vendor acme is suspended.")
	says(s.T, "the refusal", r.Err, "vendor nobody is not suspended", "1 of 2 orders")
}

// TestPagesOfModes looks at the pages of suspending in each mode, and gives an
// order with an exception in a browser.
func TestPagesOfModes(t *testing.T) {
	t.Parallel()
	s := newStory(t, rig.Options{})
	s.grant("ana", "pump", time.Hour)
	s.shell("ana", "pump")
	left := s.sessions()[0].ID
	shell := s.shell("ana", "pump")
	chrome := chromium(t)
	ben := newSeat(t, chrome, s.URL)
	ben.borrow(s.People["ben"])
	for _, path := range []string{"/suspend", "/suspend?kind=target&name=pump", "/suspend?kind=zone&name=pumps", "/suspend?kind=protocol&name=ssh", "/suspend?kind=all&name=vendors"} {
		ben.look(t, "modes-ben", path)
	}
	ben.open("/suspend?kind=zone&name=pumps")
	ben.reads("Freeze them")
	ben.reads("neither store nor bus for 10 s")
	collected := js[string](ben, fmt.Sprintf(`(() => {
		const form = document.querySelector('form[data-act=suspend]');
		form.querySelector('[value=drain]').click();
		const except = [...form.querySelectorAll('details.except')].find(d => d.querySelector('[name*=%q]'));
		except.open = true;
		except.querySelector('[name$=reason]').value = 'firmware is written';
		form.reason.value = 'breach notice of 06:12';
		return [form.elements.mode.value, form.drain.value].join(' ');
	})()`, left))
	if collected != "drain 15" {
		t.Errorf("the form says %q", collected)
	}
	ben.shot(t, "modes-ben-filled")
	ben.press("Suspend zone pumps now…")
	ben.reads("let live sessions go on until")
	ben.reads("Session " + left + " goes on until")
	ben.shot(t, "modes-ben-signing")

	drain := s.closes(2, 2, "zone", "pumps", "--mode", "drain=15m", "--except", left, "--owner", "ben", "--except-reason", "firmware is written", "--until", "2h")
	frozen := s.closes(2, 1, "target", "pump", "--mode", "freeze", "--except", left, "--owner", "ben", "--except-reason", "firmware is written", "--until", "2h")
	s.answersNot(shell)
	for _, path := range []string{"/suspensions", "/suspensions/" + drain.ID, "/suspensions/" + frozen.ID, "/board", "/targets/pump", "/vendors/acme"} {
		ben.look(t, "modes-ben", path)
	}
	ben.open("/suspensions/" + drain.ID)
	ben.reads("Left alone by the order")
	ben.reads("draining")
	ben.open("/targets/pump")
	ben.reads("Target pump is closed to vendors")
	ana := newSeat(t, chrome, s.URL)
	ana.borrow(s.People["ana"])
	ana.look(t, "modes-ana", "/sessions/"+left)
}

// answersNot wants what is typed to wait.
func (s *story) answersNot(t *rig.Terminal) {
	s.Helper()
	if _, err := t.Expect(s.ctx, 15*time.Second, "what you type is held"); err != nil {
		s.Error(err)
	}
}
