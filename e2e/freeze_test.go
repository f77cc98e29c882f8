package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/e2e/rig"
)

// shownWithin is how long what the target shows may take to be drawn in the
// browser of whoever watches.
const shownWithin = 300 * time.Millisecond

// TestFreeze: a responder freezes a live shell from the board, its engineer
// reads it, what he types waits, output goes on and a second channel is
// refused; the thaw lets it pass, and what is held when the session ends
// never arrives.
func TestFreeze(t *testing.T) {
	t.Parallel()
	s := newStory(t, rig.Options{})
	g := s.grant("ana", "pump", time.Hour)
	s.must(s.Ticket(s.ctx, "ana", g.ID))
	control := filepath.Join(t.TempDir(), "c")
	term, err := rig.OpenTerminal(120, 32, "ssh", s.Args("ana", "pump", "-tt", "-o", "ControlMaster=yes", "-o", "ControlPath="+control)...)
	s.must(err)
	t.Cleanup(term.Close)
	s.must(term.Type("PS1=; stty -echo; echo in-$((40+2))-in\n"))
	expect := func(pattern string) {
		t.Helper()
		if _, err := term.Expect(s.ctx, 20*time.Second, pattern); err != nil {
			t.Fatal(err)
		}
	}
	expect("in-42-in")
	dir := t.TempDir()
	held, never := filepath.Join(dir, "held"), filepath.Join(dir, "never")
	s.must(term.Type("(i=0; while sleep 0.2; do i=$((i+1)); echo tick-$i; done) &\n"))
	expect("tick-2")
	id := s.sessions()[0].ID

	chrome := chromium(t)
	other := newSeat(t, chrome, s.URL)
	other.borrow(s.People["adm"])
	other.open("/board")
	ben := newSeat(t, chrome, s.URL)
	ben.borrow(s.People["ben"])
	ben.open("/board")
	ben.press("Freeze")
	ben.reads("what its engineer types is held")
	expect("has frozen this session")
	other.until("the badge comes by itself", "document.querySelector('#watch').innerText.toLowerCase().includes('frozen')")

	s.must(term.Type("touch " + held + "\n"))
	expect("tick-[0-9]+") // what was shown meanwhile
	for range 3 {
		expect("tick-[0-9]+")
	}
	if _, err := os.Stat(held); err == nil {
		t.Error("a command passed a frozen session")
	}
	status, out, errOut := s.ssh("ana", "pump", "echo second", "-o", "ControlPath="+control)
	if status == 0 || out != "" {
		t.Errorf("a second channel began in a frozen session: %d %q", status, out)
	}
	says(t, "the second channel's refusal", errOut, "nothing new begins")
	refused(t, s.People["ana"].Post(s.ctx, "/api/v1/sessions/"+id+"/thaw", map[string]any{}, nil), "role")
	for _, path := range []string{"/board", "/sessions/" + id} {
		ben.look(t, "frozen-ben", path)
	}
	ana := newSeat(t, chrome, s.URL)
	ana.borrow(s.People["ana"])
	ana.look(t, "frozen-ana", "/sessions/"+id)

	r, err := s.CLI(s.ctx, "session", "thaw", id)
	s.must(err)
	if r.Status != 0 || !strings.Contains(r.Out, "thawed") {
		t.Errorf("thaw: %d %s%s", r.Status, r.Out, r.Err)
	}
	expect("has thawed this session")
	s.must(rig.Until(s.ctx, 15*time.Second, func() error { _, err := os.Stat(held); return err }))

	r, err = s.CLI(s.ctx, "session", "freeze", id, "--reason", "wrong valve")
	s.must(err)
	if r.Status != 0 {
		t.Errorf("freeze: %d %s%s", r.Status, r.Out, r.Err)
	}
	expect("wrong valve")
	s.must(term.Type("touch " + never + "\n"))
	expect("tick-[0-9]+")
	s.suspend("vendor", "acme", "breach notice")
	if _, err := term.Wait(5 * time.Second); err != nil {
		t.Error(err)
	}
	says(t, "the end of the shell", term.Shown(), "suspended")
	if x := s.ended(id); x.Reason != "suspended" {
		t.Errorf("ended by %q", x.Reason)
	}
	if _, err := os.Stat(never); err == nil {
		t.Error("what was held reached the target after the suspension")
	}
	rep := newSeat(t, chrome, s.URL)
	rep.borrow(s.People["cleo"])
	rep.open("/recordings/" + id)
	for _, mark := range []string{"ben", "machine: wrong valve", "shell"} {
		rep.until("the index tells "+mark, fmt.Sprintf("document.querySelector('#marks').innerText.includes(%q)", mark))
	}
	js[bool](rep, "document.querySelector('.mark.thawed').click(), true")
	rep.until("a mark leads to its second", `/tick-\d\d/.test(document.querySelector('#player').innerText)`)
	rep.look(t, "index-cleo", "/recordings/"+id)
	s.verified()
}

// TestWatchLive: two people watch one shell from its beginning; what the
// target shows is drawn in both browsers within 300 ms, by the clock that the
// target wrote into its output; who watches stands on the session's page.
func TestWatchLive(t *testing.T) {
	s := newStory(t, rig.Options{})
	s.grant("ana", "pump", time.Hour)
	term := s.shell("ana", "pump")
	s.must(term.Type("echo before-anybody-came\n"))
	id := s.sessions()[0].ID
	chrome := chromium(t)
	var seats []*seat
	for _, who := range []string{"cleo", "adm"} {
		w := newSeat(t, chrome, s.URL)
		w.borrow(s.People[who])
		w.open("/recordings/" + id)
		w.until("what was before is shown", "document.querySelector('#player').innerText.includes('before-anybody-came')")
		js[bool](w, `(() => { window.seen = {}; new MutationObserver(() => { const now = Date.now();
			for (const m of document.querySelector('#player').innerText.matchAll(/T(\d{13})/g)) window.seen[m[1]] ??= now - Number(m[1]);
		}).observe(document.querySelector('#player'), {subtree: true, childList: true, characterData: true}); return true })()`)
		seats = append(seats, w)
	}
	ben := newSeat(t, chrome, s.URL)
	ben.borrow(s.People["ben"])
	ben.open("/sessions/" + id)
	ben.reads("Watching now")
	ben.reads("cleo, adm")

	var delays []time.Duration
	for i := range 20 {
		s.must(term.Type("echo T$(date +%s%3N)\n"))
		for _, w := range seats {
			w.until("drawn", fmt.Sprintf("Object.keys(window.seen).length > %d", i))
		}
	}
	for _, w := range seats {
		for _, ms := range js[[]int](w, "Object.values(window.seen)") {
			delays = append(delays, time.Duration(ms)*time.Millisecond)
		}
	}
	slices.Sort(delays)
	p50, p95 := delays[len(delays)/2], delays[len(delays)*95/100]
	t.Logf("from the target's output to the browser's drawing: p50 %v, p95 %v, worst %v of %d", p50, p95, delays[len(delays)-1], len(delays))
	if p95 > shownWithin {
		t.Errorf("p95 is %v, at most %v is promised", p95, shownWithin)
	}
	seats[0].open("/board") // leaves
	ben.until("who left is taken off", "document.body.innerText.includes('Watching now') && !document.body.innerText.includes('cleo, adm')")
}
