package e2e

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

// pageWithin bounds one thing done on a page.
const pageWithin = 30 * time.Second

// chromium starts one browser for a test.
func chromium(t *testing.T) context.Context {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.UserDataDir(t.TempDir()), chromedp.DisableGPU, chromedp.WindowSize(1280, 900),
		// an address bar's list is a page in a process of its own, for each window
		chromedp.Flag("disable-features", "Translate,BlinkGenPropertyTrees,WebUIOmniboxPopup,WebUIOmniboxAimPopup,WebUIOmniboxFullPopup"),
		// the pages must do without anything from outside
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE *.localhost, EXCLUDE 127.0.0.1"))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox, chromedp.ModifyCmdFunc(unprivileged)) // Chromium's sandbox refuses root
	}
	alloc, stop := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // waits for the browser's end, so that its folder can go
		cancel()
		stop()
	})
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("start Chromium (apt-get install chromium): %v", err)
	}
	return ctx
}

// unprivileged takes from root's Chromium the right to put its threads before
// all others (nice -8), the gateway under test among them.
func unprivileged(chrome *exec.Cmd) {
	chrome.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	chrome.Args = append([]string{"setpriv", "--bounding-set=-sys_nice", "--inh-caps=-sys_nice", chrome.Path}, chrome.Args[1:]...)
	chrome.Path, chrome.Err = exec.LookPath("setpriv")
}

// seat is one person at a browser: cookies of their own, a FIDO2 key of their
// own (virtual: CTAP2, USB, resident, user-verifying), and what the page
// complained of.
type seat struct {
	t    *testing.T
	ctx  context.Context
	base string
	key  webauthn.AuthenticatorID
}

func newSeat(t *testing.T, chrome context.Context, base string) *seat {
	t.Helper()
	ctx, cancel := chromedp.NewContext(chrome, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	s := &seat{t: t, ctx: ctx, base: base}
	// The first step opens the tab, which lives as long as the step's context.
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("open a tab: %v", err)
	}
	s.call("emulate focus", func(ctx context.Context) error {
		_, err := chromedp.Call(ctx, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
		return err
	})
	s.call("plug in a key", func(ctx context.Context) error {
		if _, err := chromedp.Call(ctx, webauthn.Enable, webauthn.EnableParams{}); err != nil {
			return err
		}
		r, err := chromedp.Call(ctx, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
			Protocol: webauthn.AuthenticatorProtocolCtap2, Ctap2version: webauthn.Ctap2versionCtap21, Transport: webauthn.AuthenticatorTransportUsb,
			HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
		}})
		s.key = r.AuthenticatorID
		return err
	})
	return s
}

func (s *seat) call(what string, f func(context.Context) error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, pageWithin)
	defer cancel()
	if err := f(ctx); err != nil {
		s.t.Fatalf("%s: %v", what, err)
	}
}

// do runs steps on the page; where they fail, the page's text is told.
func (s *seat) do(steps ...chromedp.Action[chromedp.Void]) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, pageWithin)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		s.t.Fatalf("%v\nthe page at %s says:\n%s", err, s.at(), s.text())
	}
}

// open goes to a page of the gateway, or to a whole URL.
func (s *seat) open(path string) {
	s.t.Helper()
	if !strings.Contains(path, "://") {
		path = s.base + path
	}
	if u, err := url.Parse(path); err == nil && u.Fragment != "" {
		s.do(chromedp.Navigate("about:blank")) // a new fragment alone loads nothing
	}
	s.do(chromedp.Navigate(path))
}

// js evaluates an expression; promises are waited for.
func js[T any](s *seat, expression string) T {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, pageWithin)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		s.t.Fatalf("evaluate %.200s: %v\nthe page says:\n%s", expression, err, s.text())
	}
	return v
}

// text is what stands on the page now, for a message.
func (s *seat) text() string { return s.peek("document.body ? document.body.innerText : ''") }

// at is where the page is.
func (s *seat) at() string { return s.peek("location.href") }

func (s *seat) peek(expression string) string {
	ctx, cancel := context.WithTimeout(s.ctx, 5*time.Second)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[string](expression))
	if err != nil {
		return fmt.Sprintf("(%v)", err)
	}
	return v
}

// until waits for an expression of the page to be true.
func (s *seat) until(what, expression string) {
	s.t.Helper()
	deadline := time.Now().Add(pageWithin)
	for {
		ctx, cancel := context.WithTimeout(s.ctx, 5*time.Second)
		// A page that is being left has no context to evaluate in: ask again.
		v, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+expression+")"))
		cancel()
		if err == nil && v {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%s: not within %s (%v); the page at %s says:\n%s", what, pageWithin, err, s.at(), s.text())
		}
		time.Sleep(25 * time.Millisecond)
	}
}

// reads waits until the page's text holds words.
func (s *seat) reads(words string) {
	s.t.Helper()
	s.until(fmt.Sprintf("page reads %q", words), fmt.Sprintf("document.body.innerText.toLowerCase().includes(%q.toLowerCase())", words))
}

// press clicks the visible button, link or summary whose name begins so.
func (s *seat) press(name string) {
	s.t.Helper()
	find := fmt.Sprintf(`[...document.querySelectorAll('button, a, summary, input[type=submit]')].find(e => (e.innerText || e.value || '').trim().toLowerCase().startsWith(%q.toLowerCase()) && !e.disabled && e.checkVisibility())`, name)
	s.until(fmt.Sprintf("press %q", name), find)
	js[bool](s, "("+find+").click(), true")
}

// fill writes into a field, as typing would: "#id", or its name attribute.
func (s *seat) fill(field, value string) {
	s.t.Helper()
	find := fmt.Sprintf("document.querySelector('[name=%q]')", field)
	if strings.HasPrefix(field, "#") {
		find = fmt.Sprintf("document.querySelector(%q)", field)
	}
	s.until("find the field "+field, find)
	js[bool](s, fmt.Sprintf(`(e => { e.focus(); if (e.type === 'checkbox') { e.checked = %[2]q !== ''; } else { e.value = %[2]q; }
		e.dispatchEvent(new Event('input', {bubbles: true})); e.dispatchEvent(new Event('change', {bubbles: true})); return true })(%[1]s)`, find, value))
}

// has reports whether a selector finds something.
func (s *seat) has(selector string) bool {
	s.t.Helper()
	return js[bool](s, fmt.Sprintf("!!document.querySelector(%q)", selector))
}
