package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"

	"github.com/portcullis/portcullis/e2e/rig"
)

// screenText is what the browser's terminal shows.
const screenText = "(document.querySelector('.xterm-rows')?.innerText ?? '').replaceAll('\\u00a0', ' ')"

// typeIn types as a person at the keyboard would, key by key.
func (s *seat) typeIn(text string) {
	s.t.Helper()
	js[bool](s, "document.querySelector('.xterm-helper-textarea').focus(), true")
	for _, r := range text {
		key, code := string(r), int64(0)
		if r == '\r' {
			key, code = "Enter", 13
		}
		s.call("type", func(ctx context.Context) error {
			down := input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeKeyDown, Key: key, Text: string(r), WindowsVirtualKeyCode: code}
			if _, err := chromedp.Call(ctx, input.DispatchKeyEvent, down); err != nil {
				return err
			}
			_, err := chromedp.Call(ctx, input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeKeyUp, Key: key, WindowsVirtualKeyCode: code})
			return err
		})
	}
}

// shows waits until the browser's terminal shows words.
func (s *seat) shows(words string) {
	s.t.Helper()
	s.until(fmt.Sprintf("the terminal shows %q", words), fmt.Sprintf("%s.includes(%q)", screenText, words))
}

// openTerminal opens the terminal of a grant by touch.
func (s *seat) openTerminal(grant string) {
	s.t.Helper()
	s.open("/terminal/" + grant)
	s.press("Open by touch")
	s.touch("pump")
	s.until("the terminal is live", "document.querySelector('#term-state').innerText === 'Live'")
	s.typeIn("PS1=; echo in-$((40+2))-in\r")
	s.shows("in-42-in")
}

// newEngineer is a stage and ana at a browser with a key of its own.
func newEngineer(t *testing.T, o rig.Options) (*story, *seat) {
	t.Helper()
	s := newStory(t, o)
	var invited struct {
		Link string `json:"link"`
	}
	s.must(s.Machine().Act(s.ctx, "person.invite", map[string]string{"person": "ana"}, &invited))
	ana := newSeat(t, chromium(t), s.URL)
	ana.enrol(invited.Link)
	return s, ana
}

// TestTerminal: an engineer without a client opens a shell in the browser by
// one touch, types, pastes, changes its size, loses the network and comes back
// to the same session, reloads the page, and ends it. All of it is one
// recorded session.
func TestTerminal(t *testing.T) {
	t.Parallel()
	cable, err := rig.NewCable()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cable.Close)
	s, ana := newEngineer(t, rig.Options{Between: cable})
	g := s.grant("ana", "pump", time.Hour)
	ana.open("/terminal/" + g.ID)
	complaints := ana.complaints()
	ana.openTerminal(g.ID)
	if list := s.sessions(); len(list) != 1 || list[0].State != "live" {
		t.Fatalf("sessions: %+v", list)
	}
	id := s.sessions()[0].ID

	// The size is the window's, and follows it.
	ana.typeIn("stty size\r")
	ana.until("the terminal's size", "/\\d+ \\d+/.test("+screenText+")")
	ana.do(chromedp.EmulateViewport(900, 700))
	ana.typeIn("clear; echo now $(stty size)\r")
	ana.shows("now ")

	// What is pasted comes whole.
	js[bool](ana, `(() => { const d = new DataTransfer(); d.setData('text/plain', 'echo pasted-$((1000+337))\n');
		document.querySelector('.xterm-helper-textarea').dispatchEvent(new ClipboardEvent('paste', {clipboardData: d, bubbles: true, cancelable: true})); return true })()`)
	ana.shows("echo pasted-")
	ana.typeIn("\r") // pasted lines wait for a word, as at any shell that brackets them
	ana.shows("pasted-1337")

	// The network goes while output runs and something is typed; nothing is lost.
	ana.typeIn("clear; for i in $(seq 1 40); do echo line-$i; sleep 0.05; done; echo done-$((50+5))\r")
	ana.shows("line-3")
	cable.Pull(true)
	ana.until("the loss is said", "document.querySelector('#term-state').innerText.startsWith('Reconnecting')")
	ana.typeIn("echo typed-$((600+66))\r")
	cable.Pull(false)
	ana.shows("done-55")
	ana.shows("typed-666")
	if list := s.sessions(); len(list) != 1 || list[0].State != "live" {
		t.Fatalf("after the loss: %+v", list)
	}

	// A reload comes back to the same session.
	ana.open("/terminal/" + g.ID)
	ana.until("live again", "document.querySelector('#term-state').innerText === 'Live'")
	ana.shows("typed-666")
	ana.typeIn("echo after-$((700+77))\r")
	ana.shows("after-777")
	ana.shot(t, "terminal-live")

	ana.press("End")
	ana.reads("you have ended the session")
	x := s.ended(id)
	if x.Reason != "client-left" || len(s.sessions()) != 1 {
		t.Errorf("ended: %+v, %d sessions", x, len(s.sessions()))
	}
	r, err := s.CLI(s.ctx, "recording", "play", id, "--speed", "1000")
	s.must(err)
	for _, words := range []string{"in-42-in", "pasted-1337", "line-40", "typed-666", "after-777"} {
		says(t, "the recording", r.Out+r.Err, words)
	}
	if strings.Count(r.Out, "typed-666") != 1 {
		t.Error("what was typed while away ran more than once, or not at all")
	}
	for _, c := range complaints() {
		if !strings.Contains(c, "WebSocket") { // the network that went
			t.Errorf("the browser complains: %s", c)
		}
	}
	s.verified()
}

// TestTerminalEnds: the engineer reads why a terminal ended, and does not get
// back in: by staff, by a suspension, by signing out.
func TestTerminalEnds(t *testing.T) {
	t.Parallel()
	s, ana := newEngineer(t, rig.Options{})
	g := s.grant("ana", "pump", time.Hour)
	ana.openTerminal(g.ID)
	s.must(s.People["ben"].Post(s.ctx, "/api/v1/sessions/"+s.sessions()[0].ID+"/end", map[string]string{"detail": "wrong pump"}, nil))
	ana.reads("wrong pump")
	ana.reads("Open again by touch")

	ana.openTerminal(g.ID)
	js[bool](ana, "fetch('/logout', {method: 'POST'}).then(() => true)")
	ana.reads("this login has ended")
	ana.until("no session is live", "true")
	for _, x := range s.sessions() {
		s.ended(x.ID)
	}
	ana.open("/terminal/" + g.ID)
	ana.reads("sign in")
}

// TestTerminalSuspended: the gate falls on a browser as on a client.
func TestTerminalSuspended(t *testing.T) {
	t.Parallel()
	s, ana := newEngineer(t, rig.Options{})
	g := s.grant("ana", "pump", time.Hour)
	ana.openTerminal(g.ID)
	id := s.sessions()[0].ID
	s.suspend("vendor", "acme", "breach notice of 06:12")
	ana.reads("suspended")
	if x := s.ended(id); x.Reason != "suspended" {
		t.Errorf("%+v", x)
	}
}

// TestTerminalLooks looks at the page in every look, before and after opening.
func TestTerminalLooks(t *testing.T) {
	t.Parallel()
	s, ana := newEngineer(t, rig.Options{})
	g := s.grant("ana", "pump", time.Hour)
	complaints := ana.complaints()
	for _, l := range looks {
		ana.emulate(l.scheme)
		ana.do(chromedp.EmulateViewport(l.width, l.height))
		ana.open("/terminal/" + g.ID)
		ana.until("the page is up", "document.querySelector('.xterm-screen')")
		ana.fits(t, l.name+", closed")
		ana.axe(t, l.name+", closed")
		ana.shot(t, "terminal-closed-"+l.name)
		ana.openTerminal(g.ID)
		ana.typeIn("clear; ls --color=always /; printf '\\033[1;33mwarning\\033[0m: valve 7\\n'\r")
		ana.shows("valve 7")
		ana.fits(t, l.name+", open")
		ana.axe(t, l.name+", open")
		ana.shot(t, "terminal-open-"+l.name)
		ana.press("End")
		ana.reads("you have ended the session")
		ana.axe(t, l.name+", ended")
		ana.shot(t, "terminal-ended-"+l.name)
	}
	for _, c := range complaints() {
		t.Errorf("the browser complains: %s", c)
	}
}

// TestTerminalGuard: what may not reach the socket of a terminal.
func TestTerminalGuard(t *testing.T) {
	t.Parallel()
	s := newStory(t, rig.Options{})
	g := s.grant("ana", "pump", time.Hour)
	s.must(s.Ticket(s.ctx, "ana", g.ID))
	for name, tc := range map[string]struct {
		who, origin, grant string
		want               int
	}{
		"another site":        {"ana", "https://evil.example", g.ID, http.StatusForbidden},
		"no origin":           {"ana", "", g.ID, http.StatusForbidden},
		"another port":        {"ana", "http://localhost:1", g.ID, http.StatusForbidden},
		"a null origin":       {"ana", "null", g.ID, http.StatusForbidden},
		"nobody":              {"", s.URL, g.ID, http.StatusSeeOther},
		"another engineer":    {"bob", s.URL, g.ID, http.StatusNotFound},
		"an approver":         {"ben", s.URL, g.ID, http.StatusForbidden},
		"a grant that is not": {"ana", s.URL, "grt_0000000000000000000000000z", http.StatusNotFound},
	} {
		req, err := http.NewRequestWithContext(s.ctx, http.MethodGet, s.URL+"/terminal/"+tc.grant+"/socket?cols=80&rows=24", nil)
		s.must(err)
		req.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}, "User-Agent": {"rig/" + tc.who}}
		if tc.origin != "" {
			req.Header.Set("Origin", tc.origin)
		}
		if tc.who != "" {
			for _, c := range s.People[tc.who].Cookies() {
				req.AddCookie(c)
			}
		}
		res, err := http.DefaultTransport.RoundTrip(req)
		s.must(err)
		res.Body.Close()
		if res.StatusCode != tc.want {
			t.Errorf("%s: %s", name, res.Status)
		}
	}
	if n := len(s.sessions()); n != 0 {
		t.Errorf("%d sessions were opened", n)
	}
	status, _, errOut := s.ssh("ana", "pump", "true") // the ticket is still there
	if status != 0 {
		t.Errorf("the ticket was taken: %d %s", status, errOut)
	}
	var page string
	s.must(s.People["ana"].Get(s.ctx, "/terminal/"+g.ID, &page))
	if strings.Contains(page, "<style") || strings.Contains(page, " style=") {
		t.Error("the page itself holds inline style")
	}
}

// emulate sets the colours that the browser asks for.
func (s *seat) emulate(scheme string) {
	s.t.Helper()
	s.call("emulate "+scheme, func(ctx context.Context) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}})
		return err
	})
}

// fits reports a page that scrolls sideways.
func (s *seat) fits(t *testing.T, look string) {
	t.Helper()
	if js[bool](s, "document.documentElement.scrollWidth > innerWidth + 1") {
		t.Errorf("%s: the page scrolls sideways", look)
	}
}
