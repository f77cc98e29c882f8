package e2e

import (
	"context"
	"fmt"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"

	"github.com/portcullis/portcullis/e2e/rig"
)

// keyed presses one key of the keyboard, wherever the focus is.
func (s *seat) keyed(key string) {
	s.t.Helper()
	code, text := map[string]int64{"Tab": 9, "Enter": 13}[key], map[string]string{"Enter": "\r"}[key]
	s.call("press "+key, func(ctx context.Context) error {
		if _, err := chromedp.Call(ctx, input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeKeyDown, Key: key, Code: key, Text: text, WindowsVirtualKeyCode: code}); err != nil {
			return err
		}
		_, err := chromedp.Call(ctx, input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeKeyUp, Key: key, Code: key, WindowsVirtualKeyCode: code})
		return err
	})
}

// maxTabs is how often Tab is pressed to reach something on a page.
const maxTabs = 60

// tabTo presses Tab until what has the focus passes the test, and is seen.
func (s *seat) tabTo(what, test string) {
	s.t.Helper()
	for range maxTabs {
		s.keyed("Tab")
		if js[bool](s, fmt.Sprintf("(e => %s)(document.activeElement)", test)) {
			return
		}
	}
	s.t.Fatalf("%d times Tab do not reach %s; the focus is at %s", maxTabs, what, js[string](s, "document.activeElement.outerHTML.slice(0, 200)"))
}

// TestPagesOfStages restores a zone with a mouse at the page and at the command
// line, and takes it to its next stage by keyboard alone. What it has come back
// to stands above the report.
func TestPagesOfStages(t *testing.T) {
	t.Parallel()
	s := newStory(t, rig.Options{Config: "restore: {watch_only: 2s, supervised: 1h}\n"})
	s.suspend("target", "pump", "drill beside it")
	order := s.suspend("zone", "pumps", "breach notice of 06:12")
	ben := newSeat(t, chromium(t), s.URL)
	var invited struct {
		Link string `json:"link"`
	}
	s.must(s.Machine().Act(s.ctx, "person.invite", map[string]string{"person": "ben"}, &invited))
	ben.enrol(invited.Link)
	path := "/suspensions/" + order.ID

	ben.open(path)
	ben.press("Restore…")
	ben.fill("#report-sum", forensic)
	ben.fill("#reason", "clean bill by the forensic firm")
	ben.shot(t, "stages-plan")
	ben.press("Sign the restoration…")
	ben.until("the sentence", "document.querySelector('#sign')?.open")
	ben.shot(t, "stages-restore-signing")
	ben.touch("Restore zone pumps after suspension " + order.ID)
	ben.reads("restoring")
	s.command("restore", "zone", "pumps", "--report", s.filed(), "--reason", "clean bill")

	s.stayed(order.ID)
	ben.open(path)
	if !js[bool](ben, "!!(document.querySelector('#back').compareDocumentPosition(document.querySelector('#report')) & Node.DOCUMENT_POSITION_FOLLOWING)") {
		t.Error("the stages stand below the report")
	}
	ben.tabTo("the reason", "e.id === 'step-reason'")
	ben.call("type", func(ctx context.Context) error {
		_, err := chromedp.Call(ctx, input.InsertText, input.InsertTextParams{Text: "nothing was seen"})
		return err
	})
	ben.tabTo("the button", "e.matches('#back button.primary') && !e.disabled")
	ben.keyed("Enter")
	ben.until("the sentence to sign", "document.querySelector('#sign')?.open && document.querySelector('#sign-text').innerText.includes('stage supervised')")
	ben.shot(t, "stages-step-signing")
	ben.tabTo("the signing", "e.closest('#sign') && e.innerText?.startsWith('Touch and sign')")
	ben.keyed("Enter")
	ben.until("signed", "!document.querySelector('#sign')?.open")
	ben.reads("The next step is signed from")
	if x := s.ladder(order.ID); x.Stage != "supervised" {
		t.Errorf("by keyboard it came to %s", x.Stage)
	}
	ben.do(chromedp.EmulateViewport(390, 844))
	ben.open(path)
	ben.reads("The next step is signed from")
	if js[bool](ben, "document.documentElement.scrollWidth > innerWidth + 1") {
		t.Error("the page scrolls sideways on a phone")
	}
	ben.axe(t, "phone")
	s.verified()
}
