package recording

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// visited writes the session of a console: a page, a form, a download that is
// cut, a refusal, a conversation, and a request that never ends.
func visited(t *testing.T, clock *clock, r *Recorder) {
	t.Helper()
	c := console(t, r)
	tell := func(body string, h gateway.HTTPRecord) {
		t.Helper()
		clock.pass(10 * time.Millisecond)
		must(t, c.Exchange(h, []byte(body)))
	}
	page := []gateway.HTTPField{{Name: "Sec-Fetch-Dest", Value: "document"}, {Name: "Cookie", Redacted: "beef"}}
	html := []gateway.HTTPField{{Name: "Content-Type", Value: "text/html"}}
	tell("", gateway.HTTPRecord{Part: gateway.HTTPRequest, N: 1, Method: "GET", URL: "/a?x=1&y=%20b", Proto: "HTTP/2.0", Header: page})
	tell("", gateway.HTTPRecord{Part: gateway.HTTPRequest, N: 2, Method: "POST", URL: "/login", Proto: "HTTP/2.0", File: "plan.pdf",
		Header: []gateway.HTTPField{{Name: "Content-Type", Value: "application/x-www-form-urlencoded"}}})
	tell("", gateway.HTTPRecord{Part: gateway.HTTPResponse, N: 1, Status: 200, Proto: "HTTP/1.1", Header: html})
	tell("<p>pump", gateway.HTTPRecord{Part: gateway.HTTPShown, N: 1})
	tell(" 7</p>", gateway.HTTPRecord{Part: gateway.HTTPShown, N: 1})
	tell("user=ana", gateway.HTTPRecord{Part: gateway.HTTPSent, N: 2, Redacted: true})
	tell("", gateway.HTTPRecord{Part: gateway.HTTPEnd, N: 1, Sent: &gateway.HTTPBody{}, Shown: &gateway.HTTPBody{Bytes: 13, Kept: 13, SHA256: gateway.DigestOf([]byte("<p>pump 7</p>"))}})
	tell("", gateway.HTTPRecord{Part: gateway.HTTPResponse, N: 2, Status: 303, Header: []gateway.HTTPField{{Name: "Location", Value: "/b"}, {Name: "Set-Cookie", Redacted: "f00d"}}})
	tell("", gateway.HTTPRecord{Part: gateway.HTTPEnd, N: 2, Sent: &gateway.HTTPBody{Bytes: 8, Kept: 8, SHA256: gateway.DigestOf([]byte("user=ana"))}, Shown: &gateway.HTTPBody{}})
	tell("", gateway.HTTPRecord{Part: gateway.HTTPRequest, N: 3, Method: "DELETE", URL: "/pump", Refused: "this grant lets GET, and no DELETE", Rule: "abilities.methods"})
	tell("", gateway.HTTPRecord{Part: gateway.HTTPRequest, N: 4, Method: "GET", URL: "/fw.bin"})
	tell("", gateway.HTTPRecord{Part: gateway.HTTPResponse, N: 4, Status: 200, File: "fw.bin"})
	tell("\x00\xff", gateway.HTTPRecord{Part: gateway.HTTPShown, N: 4})
	tell("", gateway.HTTPRecord{Part: gateway.HTTPEnd, N: 4, Shown: &gateway.HTTPBody{Bytes: 900, Kept: 2, SHA256: gateway.DigestOf([]byte("900"))}, Cut: "the vendor was suspended"})
	tell("", gateway.HTTPRecord{Part: gateway.HTTPRequest, N: 5, Method: "GET", URL: "/ws"})
	tell("", gateway.HTTPRecord{Part: gateway.HTTPResponse, N: 5, Status: 101})
	tell("set 5", gateway.HTTPRecord{Part: gateway.HTTPMessage, N: 5, Client: true, Opcode: 1})
	tell("ok", gateway.HTTPRecord{Part: gateway.HTTPMessage, N: 5, Opcode: 2})
}

type harFile struct {
	Log struct {
		Version string
		Creator struct{ Name, Version string }
		Pages   []harPage
		Entries []harOut
		Session string `json:"_session"`
	}
}

func archived(t *testing.T, v *Vault, typed bool) map[uint32]harOut {
	t.Helper()
	var b bytes.Buffer
	must(t, v.HAR(t.Context(), &b, "ses_1", typed))
	var f harFile
	d := json.NewDecoder(&b)
	must(t, d.Decode(&f))
	if f.Log.Version != "1.2" || f.Log.Creator.Name == "" || f.Log.Creator.Version == "" || f.Log.Session != "ses_1" {
		t.Errorf("the log says %+v", f.Log)
	}
	if len(f.Log.Pages) != 1 || f.Log.Pages[0].Title != "https://rtu-7/a?x=1&y=%20b" {
		t.Errorf("pages: %+v", f.Log.Pages)
	}
	m := map[uint32]harOut{}
	for _, e := range f.Log.Entries {
		m[e.Exchange] = e
	}
	if len(m) != 5 || len(f.Log.Entries) != 5 {
		t.Fatalf("%d entries, want 5", len(f.Log.Entries))
	}
	return m
}

func TestConsoleIsArchived(t *testing.T) {
	clock := newClock()
	v := openVault(t, filepath.Join(t.TempDir(), "recordings"), at(clock))
	r := start(t, v, "ses_1")
	visited(t, clock, r)
	for name, live := range map[string]bool{"live": true, "sealed": false} {
		if !live {
			sealIt(t, r)
		}
		e := archived(t, v, true)
		one, two, three, four, five := e[1], e[2], e[3], e[4], e[5]
		if one.Response.Content.Text != "<p>pump 7</p>" || one.Response.Content.Size != 13 || one.Response.Content.SHA256 != gateway.DigestOf([]byte("<p>pump 7</p>")).String() {
			t.Errorf("%s: content of the page: %+v", name, one.Response.Content)
		}
		if one.Request.QueryString[1] != (harField{Name: "y", Value: " b"}) || one.Pageref != "page_1" || one.Timings.Wait != 20 || one.Time != 60 {
			t.Errorf("%s: the page's request: %+v", name, one)
		}
		if h := one.Request.Headers[1]; h.Value != "[redacted beef]" || h.Comment == "" {
			t.Errorf("%s: the cookie stands as %+v", name, h)
		}
		if two.Request.PostData == nil || two.Request.PostData.Text != "user=ana" || two.Response.RedirectURL != "/b" || !strings.Contains(two.Comment, "taken out") {
			t.Errorf("%s: the form: %+v", name, two)
		}
		if three.Response.Status != 0 || !strings.Contains(three.Comment, "no DELETE") || three.Rule != "abilities.methods" {
			t.Errorf("%s: the refusal: %+v", name, three)
		}
		if c := four.Response.Content; c.Encoding != "base64" || c.Text != base64.StdEncoding.EncodeToString([]byte("\x00\xff")) || c.Size != 900 || c.File != "fw.bin" || !strings.Contains(four.Comment, "suspended") {
			t.Errorf("%s: the download: %+v, %s", name, c, four.Comment)
		}
		if m := five.Messages; len(m) != 2 || m[0].Type != "send" || m[0].Data != "set 5" || m[1].Type != "receive" || m[1].Data != "b2s=" || !strings.Contains(five.Comment, "not ended") {
			t.Errorf("%s: the conversation: %+v, %s", name, m, five.Comment)
		}
	}
}

// Who may only watch gets no byte that the engineer sent.
func TestArchiveWithoutWhatWasTyped(t *testing.T) {
	clock := newClock()
	v := openVault(t, filepath.Join(t.TempDir(), "recordings"), at(clock))
	r := start(t, v, "ses_1")
	visited(t, clock, r)
	sealIt(t, r)
	e := archived(t, v, false)
	if p := e[2].Request.PostData; p == nil || p.Text != "" || e[2].Request.BodySize != 8 {
		t.Errorf("the form: %+v", e[2].Request)
	}
	if m := e[5].Messages; len(m) != 2 || m[0].Type != "send" || m[0].Data != "" {
		t.Errorf("the conversation: %+v", m)
	}
}

func TestIndexListsAConsolesFiles(t *testing.T) {
	clock := newClock()
	v := openVault(t, filepath.Join(t.TempDir(), "recordings"), at(clock))
	r := start(t, v, "ses_1")
	visited(t, clock, r)
	sealIt(t, r)
	x, err := v.Index(t.Context(), "ses_1")
	must(t, err)
	if x.Requests != 5 || x.Refused != 1 || len(x.Channels) != 1 || x.Channels[0].BytesIn != 8 || x.Channels[0].BytesOut != 913 {
		t.Errorf("%d requests, %d refused, %+v", x.Requests, x.Refused, x.Channels)
	}
	if len(x.Files) != 2 {
		t.Fatalf("files: %+v", x.Files)
	}
	up, down := x.Files[0].File, x.Files[1].File
	if up.Op != gateway.FileWrite || up.Path != "plan.pdf" || !up.Whole || up.Verdict != gateway.FileDone || up.SHA256 != gateway.DigestOf([]byte("user=ana")) {
		t.Errorf("upload: %+v", up)
	}
	if down.Op != gateway.FileRead || down.Path != "fw.bin" || down.Whole || down.Verdict != gateway.FileCut || down.Bytes != 900 {
		t.Errorf("download: %+v", down)
	}
}

// What was on its way when the session ended stands as cut, with what of it had
// passed: the gate closes the recording before anything else can be told.
func TestFileThatTheEndCutIsListed(t *testing.T) {
	clock := newClock()
	v := openVault(t, filepath.Join(t.TempDir(), "recordings"), at(clock))
	r := start(t, v, "ses_1")
	c := console(t, r)
	tell := func(h gateway.HTTPRecord, body string) {
		clock.pass(10 * time.Millisecond)
		must(t, c.Exchange(h, []byte(body)))
	}
	tell(gateway.HTTPRecord{Part: gateway.HTTPRequest, N: 1, Method: "GET", URL: "/archive"}, "")
	tell(gateway.HTTPRecord{Part: gateway.HTTPResponse, N: 1, Status: 200, File: "archive.bin"}, "")
	tell(gateway.HTTPRecord{Part: gateway.HTTPRequest, N: 2, Method: "POST", URL: "/firmware", File: "pump7.img"}, "")
	tell(gateway.HTTPRecord{Part: gateway.HTTPShown, N: 1}, "12345")
	tell(gateway.HTTPRecord{Part: gateway.HTTPSent, N: 2}, "123")
	tell(gateway.HTTPRecord{Part: gateway.HTTPShown, N: 1}, "678")
	tell(gateway.HTTPRecord{Part: gateway.HTTPSent, N: 2, Sent: &gateway.HTTPBody{Bytes: 9000}}, "")
	x, err := v.Index(t.Context(), "ses_1")
	must(t, err)
	if len(x.Files) != 0 {
		t.Errorf("listed while it goes on: %+v", x.Files)
	}
	sealIt(t, r)
	if x, err = v.Index(t.Context(), "ses_1"); err != nil || len(x.Files) != 2 {
		t.Fatalf("files: %+v, %v", x.Files, err)
	}
	for i, want := range []gateway.File{
		{Op: gateway.FileRead, Path: "archive.bin", Bytes: 8, Verdict: gateway.FileCut, Why: sessionOver},
		{Op: gateway.FileWrite, Path: "pump7.img", Bytes: 9000, Verdict: gateway.FileCut, Why: sessionOver},
	} {
		if x.Files[i].File != want {
			t.Errorf("%+v, want %+v", x.Files[i].File, want)
		}
	}
	line, err := v.Timeline(t.Context(), "ses_1", TimelineQuery{})
	must(t, err)
	if got := line.Visits[0]; got.Shown != 8 || got.Cut != sessionOver {
		t.Errorf("the timeline has %+v", got)
	}
	if d, err := v.Visit(t.Context(), "ses_1", 1, false); err != nil || d.Shown != 8 || d.Cut != sessionOver {
		t.Errorf("looked at: %+v, %v", d.Visit, err)
	}
}

// A file that claims exchanges without end is written in bounded memory.
func TestArchiveIsBounded(t *testing.T) {
	v := openVault(t, filepath.Join(t.TempDir(), "recordings"))
	r := start(t, v, "ses_1")
	c := console(t, r)
	for n := range uint32(maxHAROpen + 100) {
		must(t, c.Exchange(gateway.HTTPRecord{Part: gateway.HTTPRequest, N: n + 1, URL: "/"}, nil))
	}
	piece := bytes.Repeat([]byte("x"), MaxHTTPBody)
	for range maxHARExchange/MaxHTTPBody + 3 {
		must(t, c.Exchange(gateway.HTTPRecord{Part: gateway.HTTPShown, N: maxHAROpen + 100}, piece))
	}
	sealIt(t, r)
	var b bytes.Buffer
	must(t, v.HAR(t.Context(), &b, "ses_1", true))
	var f harFile
	must(t, json.Unmarshal(b.Bytes(), &f))
	if len(f.Log.Entries) != maxHAROpen+100 {
		t.Errorf("%d entries", len(f.Log.Entries))
	}
	last := f.Log.Entries[len(f.Log.Entries)-1]
	if !strings.Contains(last.Comment, "3 pieces or messages more") {
		t.Errorf("the last entry says %q", last.Comment)
	}
}
