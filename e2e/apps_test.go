package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/chromedp"

	"github.com/portcullis/portcullis/e2e/rig"
)

// flow is what the engineer brings: a value every half second, a place to put
// a file, and an archive that takes long to save.
const flow = `[
 {"id":"f0","type":"tab","label":"Pump 7"},
 {"id":"f1","type":"inject","z":"f0","name":"every 500 ms","props":[{"p":"payload"}],"repeat":"0.5","once":true,"onceDelay":"0.1","payload":"1480 rpm","payloadType":"str","x":150,"y":80,"wires":[["f2"]]},
 {"id":"f2","type":"debug","z":"f0","name":"speed","active":true,"tosidebar":true,"complete":"payload","x":400,"y":80,"wires":[]},
 {"id":"f3","type":"http in","z":"f0","name":"archive","url":"/archive","method":"get","x":150,"y":160,"wires":[["f4"]]},
 {"id":"f4","type":"function","z":"f0","name":"write for ever","func":"const res = msg.res._res;\nres.setHeader('Content-Type', 'application/octet-stream');\nres.setHeader('Content-Disposition', 'attachment; filename=\"archive.bin\"');\nconst piece = Buffer.alloc(8192, 'a');\nconst t = setInterval(() => res.write(piece), 10);\nres.on('close', () => clearInterval(t));\n","outputs":0,"x":400,"y":160,"wires":[]},
 {"id":"f5","type":"http in","z":"f0","name":"firmware","url":"/firmware","method":"post","upload":true,"x":150,"y":240,"wires":[["f6"]]},
 {"id":"f6","type":"function","z":"f0","name":"count","func":"msg.payload = 'got ' + msg.req.files[0].size + ' bytes'; return msg;","outputs":1,"x":400,"y":240,"wires":[["f7"]]},
 {"id":"f7","type":"http response","z":"f0","statusCode":"200","x":600,"y":240,"wires":[]}
]`

// consoleWork is all that a console's grant can let.
var consoleWork = []string{"GET", "HEAD", "POST", "PUT", "DELETE", "path /", "upload", "download", "websocket"}

// newConsoleSeat is a stage with a target, and ana at a browser, with a grant
// for it and a key of her own.
func newConsoleSeat(t *testing.T, target string, abilities ...string) (*story, *seat) {
	t.Helper()
	s, ana := newEngineer(t, rig.Options{Config: "apps_domain: localhost\n", Targets: func(*rig.Stage) string { return target }})
	_, name, _ := strings.Cut(target, "name: ")
	name, _, _ = strings.Cut(name, "\n")
	_, err := s.ConsoleGrant(s.ctx, "ana", name, time.Hour, abilities...)
	s.must(err)
	ana.open("/")
	ana.reads("A console in this browser")
	ana.shot(t, name+"-home")
	ana.press("Open console")
	ana.touch(name)
	ana.until("the console's own name", fmt.Sprintf("location.host === %q", strings.Replace(strings.TrimPrefix(s.URL, "http://"), "localhost", name+".localhost", 1)))
	return s, ana
}

// TestNodeRED: a real application in a real browser. An engineer opens
// Node-RED by a touch, logs in to it, imports a flow, deploys it, sees its
// messages, sends and saves files, and is cut in the middle of a download by a
// suspension. All of it is on the record, and no secret is.
func TestNodeRED(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	app, err := rig.StartNodeRED(t.Context(), "node_modules", dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(app.Kill)
	s, ana := newConsoleSeat(t, app.Target("node-red"), consoleWork...)
	id := s.sessions()[0].ID
	saved := newSaves(ana)

	ana.fill("#node-dialog-login-username", rig.NodeREDUser)
	ana.fill("#node-dialog-login-password", rig.NodeREDPassword)
	ana.press("Login")
	ana.until("the editor", "window.RED?.workspaces?.active() && !document.querySelector('#red-ui-loading-progress')?.checkVisibility()")
	token := js[string](ana, "RED.settings.get('auth-tokens').access_token")
	ana.work(t)
	saved.next(t, "flows.json", browser.DownloadProgressStateCompleted, 1000)

	// A file up, by the flow that was just deployed; then one down, without end.
	if got := js[string](ana, `(() => { const f = new FormData(); f.append('image', new Blob(['firmware of pump 7'.repeat(5000)]), 'pump7.img');
		return fetch('/firmware', {method: 'POST', body: f}).then(r => r.text()) })()`); got != "got 90000 bytes" {
		t.Errorf("a file that was sent: %q", got)
	}
	js[bool](ana, "(() => { const a = document.createElement('a'); a.href = '/archive'; document.body.append(a); a.click(); return true })()")
	saved.next(t, "archive.bin", browser.DownloadProgressStateInProgress, 100_000)
	s.suspend("vendor", "acme", "breach notice of 06:12")
	saved.next(t, "archive.bin", browser.DownloadProgressStateCanceled, 0)
	ana.reads("lost connection to server") // the editor's own words: its WebSocket is gone
	ana.shot(t, "node-red-cut")
	ana.do(chromedp.Reload())
	ana.reads("This console is closed")
	ana.reads("suspended by the operator")
	if strings.Contains(ana.text(), "open it anew") {
		t.Error("P8: the closing page sends a suspended engineer to open it anew")
	}
	ana.shot(t, "node-red-closed")
	if x := s.ended(id); x.Reason != "suspended" {
		t.Errorf("the session ended by %q", x.Reason)
	}
	s.nodeREDRecord(t, id, token)
	s.nodeREDTimeline(t, ana, id)
}

// work is an hour at the editor: import, deploy, watch, export.
func (s *seat) work(t *testing.T) {
	t.Helper()
	js[bool](s, "RED.actions.invoke('core:show-import-dialog'), true")
	s.fill("#red-ui-clipboard-dialog-import-text", flow)
	js[bool](s, "$('#red-ui-clipboard-dialog-import-text').trigger('keyup').trigger('change'), true")
	s.until("the flow is read", "!document.querySelector('#red-ui-clipboard-dialog-ok').disabled")
	js[bool](s, "document.querySelector('#red-ui-clipboard-dialog-ok').click(), true")
	s.until("the flow is there", "RED.nodes.workspace && [...document.querySelectorAll('.red-ui-tab-label')].some(e => e.innerText.includes('Pump 7'))")
	js[bool](s, "RED.actions.invoke('core:show-debug-tab'), document.querySelector('#red-ui-header-button-deploy').click(), true")
	s.reads("successfully deployed")
	s.until("messages come", "document.querySelectorAll('.red-ui-debug-msg').length > 3 && document.querySelector('.red-ui-debug-content').innerText.includes('1480 rpm')")
	js[bool](s, "RED.workspaces.show([...document.querySelectorAll('#red-ui-workspace-tabs li a')].find(a => a.innerText.includes('Pump 7')).getAttribute('href').slice(1)), true")
	s.shot(t, "node-red-editor")
	js[bool](s, "RED.actions.invoke('core:show-export-dialog'), true")
	s.until("what is to be exported", "document.querySelector('#red-ui-clipboard-dialog-export-text')?.value?.includes('write for ever') || document.querySelector('#red-ui-clipboard-dialog-download')?.checkVisibility()")
	s.press("Download")
	s.until("the dialog is gone", "!document.querySelector('#red-ui-clipboard-dialog-download')?.checkVisibility()")
}

// saves is what a browser was given to save.
type saves struct {
	dir    string
	events chan any
	names  map[string]string // by the browser's id
}

func newSaves(s *seat) *saves {
	s.t.Helper()
	v := &saves{dir: s.t.TempDir(), events: make(chan any, 4096), names: map[string]string{}}
	if err := chromedp.ListenBrowser(s.ctx, func(ev any) {
		switch ev.(type) {
		case *browser.EventDownloadWillBegin, *browser.EventDownloadProgress:
			select {
			case v.events <- ev:
			default: // enough: the last word is what next misses, and it says so
			}
		}
	}); err != nil {
		s.t.Fatal(err)
	}
	s.call("where files go", func(ctx context.Context) error {
		tab := chromedp.FromContext(ctx)
		_, err := cdp.Call(ctx, tab.Browser, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
			Behavior: browser.SetDownloadBehaviorBehaviorAllow, BrowserContextID: tab.BrowserContextID, DownloadPath: v.dir, EventsEnabled: new(true),
		})
		return err
	})
	return v
}

// next waits until a file is in a state with so many bytes.
func (v *saves) next(t *testing.T, name string, state browser.DownloadProgressState, bytes float64) {
	t.Helper()
	limit := time.After(pageWithin)
	for {
		select {
		case ev := <-v.events:
			if b, ok := ev.(*browser.EventDownloadWillBegin); ok {
				v.names[b.GUID] = b.SuggestedFilename
			}
			p, ok := ev.(*browser.EventDownloadProgress)
			if !ok || v.names[p.GUID] != name {
				continue
			}
			if p.State == state && p.ReceivedBytes >= bytes {
				return
			}
			if p.State != browser.DownloadProgressStateInProgress {
				t.Fatalf("%s is %s at %.0f bytes, want %s", name, p.State, p.ReceivedBytes, state)
			}
		case <-limit:
			t.Fatalf("%s is not %s with %.0f bytes within %s; files: %v", name, state, bytes, pageWithin, v.names)
		}
	}
}

// nodeREDRecord reads the recording, as one who may see what was sent.
func (s *story) nodeREDRecord(t *testing.T, id, token string) {
	t.Helper()
	_, raw, err := s.HAR(s.ctx, id, true)
	s.must(err)
	var har struct {
		Log struct {
			Entries []struct {
				Request  struct{ Method, URL string }
				Response struct {
					Status  int
					Content struct {
						Size int64
						File string `json:"_file"`
					}
				}
				Messages []struct{ Type, Data string } `json:"_webSocketMessages"`
			}
		}
	}
	s.must(json.Unmarshal(raw, &har))
	seen := map[string]int{}
	talk := map[string]int{}
	for _, e := range har.Log.Entries {
		u, err := url.Parse(e.Request.URL)
		s.must(err)
		seen[fmt.Sprintf("%s %s %d", e.Request.Method, u.Path, e.Response.Status)]++
		for _, m := range e.Messages {
			talk[m.Type]++
			if strings.Contains(m.Data, "1480 rpm") {
				talk["speed"]++
			}
		}
	}
	for _, want := range []string{"GET / 200", "POST /auth/token 200", "POST /flows 200", "GET /comms 101", "POST /firmware 200", "GET /archive 200"} {
		if seen[want] == 0 {
			t.Errorf("P3: the recording lacks %s: %v", want, seen)
		}
	}
	if talk["send"] < 2 || talk["receive"] < 3 || talk["speed"] < 3 {
		t.Errorf("P3: the conversation stands as %v", talk)
	}
	for _, w := range []string{rig.NodeREDPassword, token} {
		if bytes.Contains(raw, []byte(w)) {
			t.Errorf("the recording holds %s", w)
		}
	}
	s.canaries(rig.NodeREDPassword, token)
}

// nodeREDTimeline looks at the recording as a reviewer does.
func (s *story) nodeREDTimeline(t *testing.T, ana *seat, id string) {
	t.Helper()
	cleo := newSeat(t, ana.ctx, s.URL)
	cleo.borrow(s.People["cleo"])
	cleo.open("/recordings/" + id)
	for _, words := range []string{"What was done", "/auth/token", "/flows", "/comms", "pump7.img", "archive.bin", "cut short: the session was over", "messages", "Suspended"} {
		cleo.reads(words)
	}
	cleo.shot(t, "node-red-timeline")
	js[bool](cleo, "[...document.querySelectorAll('.timeline a')].find(a => a.innerText.includes('/comms')).click(), true")
	cleo.reads("1480 rpm")
	cleo.shot(t, "node-red-comms")
}

// canaries looks for secrets in everything that the gateway wrote: no
// recording, log, database or page may hold one.
func (s *story) canaries(words ...string) {
	s.Helper()
	found := func(where string, raw []byte) {
		for _, w := range words {
			if bytes.Contains(raw, []byte(w)) {
				s.Errorf("%s holds %s", where, w)
			}
		}
	}
	found("the log", []byte(s.Stage.Log()))
	s.must(filepath.WalkDir(s.Data, func(path string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(path)
		found(path, raw)
		return err
	}))
}
