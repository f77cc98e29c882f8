package recording

import (
	"path/filepath"
	"testing"

	"github.com/portcullis/portcullis/gateway"
)

func TestTimelineTellsWhatWasDone(t *testing.T) {
	clock := newClock()
	v := openVault(t, filepath.Join(t.TempDir(), "recordings"), at(clock))
	r := start(t, v, "ses_1")
	visited(t, clock, r)
	for name, c := range map[string]struct {
		q    TimelineQuery
		want []uint32
		more bool
	}{
		"all":                  {TimelineQuery{}, []uint32{1, 2, 3, 4, 5}, false},
		"the first":            {TimelineQuery{Limit: 2}, []uint32{1, 2}, true},
		"the next":             {TimelineQuery{Limit: 2, After: 2}, []uint32{3, 4}, true},
		"pages":                {TimelineQuery{Kinds: []VisitKind{VisitPage}}, []uint32{1}, false},
		"files":                {TimelineQuery{Kinds: []VisitKind{VisitFile}}, []uint32{2, 4}, false},
		"refusals and sockets": {TimelineQuery{Kinds: []VisitKind{VisitRefused, VisitSocket}}, []uint32{3, 5}, false},
		"a text":               {TimelineQuery{Text: "FW.bin"}, []uint32{4}, false},
		"a method":             {TimelineQuery{Text: "delete /pump"}, []uint32{3}, false},
		"nothing":              {TimelineQuery{Text: "nowhere"}, nil, false},
	} {
		got, err := v.Timeline(t.Context(), "ses_1", c.q)
		must(t, err)
		var n []uint32
		for _, x := range got.Visits {
			n = append(n, x.N)
		}
		if len(n) != len(c.want) || got.More != c.more {
			t.Errorf("%s: %v, more %v; want %v, %v", name, n, got.More, c.want, c.more)
			continue
		}
		for i := range n {
			if n[i] != c.want[i] {
				t.Errorf("%s: %v, want %v", name, n, c.want)
			}
		}
		if got.Counts[VisitFile] != 2 || got.Counts[VisitPage] != 1 || got.Counts[VisitSocket] != 1 || got.Counts[VisitRefused] != 1 {
			t.Errorf("%s: counts %v", name, got.Counts)
		}
	}
	got, err := v.Timeline(t.Context(), "ses_1", TimelineQuery{})
	must(t, err)
	if x := got.Visits[1]; x.SHA256 != gateway.DigestOf([]byte("user=ana")).String() || x.Sent != 8 {
		t.Errorf("the upload stands as %+v", x)
	}
	if x := got.Visits[3]; x.Cut == "" || x.Shown != 900 || x.SHA256 != gateway.DigestOf([]byte("900")).String() {
		t.Errorf("the download stands as %+v", x)
	}
	if x := got.Visits[4]; x.Took != 0 || x.Messages != 2 {
		t.Errorf("the conversation stands as %+v", x)
	}
}

func TestVisitIsShownWithWhatWasKept(t *testing.T) {
	clock := newClock()
	v := openVault(t, filepath.Join(t.TempDir(), "recordings"), at(clock))
	r := start(t, v, "ses_1")
	visited(t, clock, r)
	sealIt(t, r)
	d, err := v.Visit(t.Context(), "ses_1", 2, true)
	must(t, err)
	if string(d.SentBody) != "user=ana" || !d.Redacted || d.Response.Status != 303 || d.End == nil || d.Kind != VisitFile {
		t.Errorf("the form: %+v", d)
	}
	if d, err = v.Visit(t.Context(), "ses_1", 2, false); err != nil || len(d.SentBody) != 0 {
		t.Errorf("the form for who may only watch: %q, %v", d.SentBody, err)
	}
	if d, err = v.Visit(t.Context(), "ses_1", 5, true); err != nil || len(d.Talk) != 2 || string(d.Talk[0].Body) != "set 5" {
		t.Errorf("the conversation: %+v, %v", d.Talk, err)
	}
	if _, err = v.Visit(t.Context(), "ses_1", 77, true); !gateway.IsCode(err, gateway.CodeNotFound) {
		t.Errorf("an exchange that was not: %v", err)
	}
}

// What a script reads is no page, though the target calls it one.
func TestAScriptsAnswerIsNoPage(t *testing.T) {
	for dest, want := range map[string]VisitKind{"document": VisitPage, "iframe": VisitPage, "empty": VisitPart, "script": VisitPart, "": VisitPage} {
		if got := kindOf(&Visit{Method: "GET", Status: 200, Type: "text/html", dest: dest}); got != want {
			t.Errorf("Sec-Fetch-Dest %q: %s, want %s", dest, got, want)
		}
	}
}
