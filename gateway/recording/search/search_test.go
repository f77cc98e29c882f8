package search

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/recording"
)

// TestSearch finds text as it stood on the screen, in live and in indexed
// sessions alike.
func TestSearch(t *testing.T) {
	w := newWorld(t)
	s := w.start("ses_1")
	ch := s.shell()
	s.show(ch, "$ cat /etc/pas", "x\bswd", "\r\n", "\x1b[31mro", "ot:x:0\x1b[m:GRÜ", "\xc3\x9f\r\n\x1b]0;passwd in a ✜ title\x07ok", "\r\nlast line without end")
	w.pass(time.Second)
	must(t, ch.Input([]byte("typed-secret\r")))
	other := w.start("ses_2", func(m *recording.Meta) { m.Vendor, m.Person, m.Target = "globex", "bo", "plc-1" })
	other.channel(gateway.Channel{Kind: gateway.ChannelExec, Command: "cat /etc/passwd"})

	cat := hit("ses_1", time.Second, Output, "$ cat /etc/passwd")
	exec := hit("ses_2", 0, Command, "cat /etc/passwd")
	began := w.now
	tests := map[string]struct {
		q    Query
		want []Hit
	}{
		"newest session first":     {Query{Text: "/ETC/passwd"}, []Hit{exec, cat}},
		"in one session":           {Query{Text: "passwd", Session: "ses_1"}, []Hit{cat}},
		"of one vendor":            {Query{Text: "passwd", Vendor: "globex"}, []Hit{exec}},
		"of one person":            {Query{Text: "passwd", Person: "ana"}, []Hit{cat}},
		"at one target":            {Query{Text: "passwd", Target: "plc-1"}, []Hit{exec}},
		"of one kind":              {Query{Text: "passwd", Kinds: []Kind{Command}}, []Hit{exec}},
		"from a time on":           {Query{Text: "passwd", From: began}, []Hit{exec}},
		"up to a time":             {Query{Text: "passwd", To: began}, []Hit{cat}},
		"below a session":          {Query{Text: "passwd", Before: "ses_2"}, []Hit{cat}},
		"over colours and pieces":  {Query{Text: "root:x:0:grüß"}, []Hit{hit("ses_1", 4*time.Second, Output, "root:x:0:GRÜß")}},
		"a line without its end":   {Query{Text: "without end"}, []Hit{hit("ses_1", 7*time.Second, Output, "last line without end")}},
		"two characters":           {Query{Text: "OK"}, []Hit{hit("ses_1", 6*time.Second, Output, "ok")}},
		"one character":            {Query{Text: "$"}, []Hit{cat}},
		"what was typed is hidden": {Query{Text: "typed-secret"}, nil},
		"a title is no text":       {Query{Text: "title"}, nil},
		"nothing":                  {Query{Text: "never shown"}, nil},
	}
	check := func(state string) {
		for name, tc := range tests {
			if diff := cmp.Diff(tc.want, bare(w.search(tc.q).Hits)); diff != "" {
				t.Errorf("%s, %s: %s", state, name, diff)
			}
		}
	}
	check("live")
	s.end()
	check("ended")
	w.run()
	check("one indexed")
	other.end()
	w.run()
	check("indexed")
	if n := len(w.index.ended); n != 0 {
		t.Errorf("%d sessions still wait", n)
	}
}

func TestSearchRefuses(t *testing.T) {
	w := newWorld(t)
	for name, q := range map[string]Query{
		"nothing": {Text: " "}, "too much": {Text: strings.Repeat("x", maxNeedle+1)}, "a kind that is none": {Text: "x", Kinds: []Kind{"smell"}}, "a page that is none": {Text: "x", Before: "ses_1~x"},
	} {
		if _, err := w.index.Search(t.Context(), q); !gateway.IsCode(err, gateway.CodeInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s := w.start("ses_1")
	s.show(s.shell(), "text\r\n")
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("the page was closed")
	cancel(gone)
	if _, err := w.index.Search(ctx, Query{Text: "text"}); !errors.Is(err, gone) {
		t.Errorf("a search that was called off: %v", err)
	}
}

// hit is one without its place, which bare takes off.
func hit(session string, at time.Duration, kind Kind, line string) Hit {
	return Hit{Session: session, At: at, Kind: kind, Line: line}
}

func bare(hits []Hit) []Hit {
	for i := range hits {
		hits[i].Place = ""
	}
	return hits
}

// TestPages goes through all hits page by page, over live and indexed
// sessions, and finds each once.
func TestPages(t *testing.T) {
	for _, state := range []string{"live", "half", "indexed"} {
		w := newWorld(t)
		var want []string
		for i := range 4 {
			s := w.start(fmt.Sprintf("ses_%d", i))
			ch := s.shell()
			var lines []string
			for j := range 7 {
				l := fmt.Sprintf("needle %d %d", i, j)
				s.show(ch, l+"\r\n")
				lines = append(lines, l)
			}
			want = append(lines, want...)
			if state == "indexed" || state == "half" && i < 2 {
				s.end()
			}
			w.run()
		}
		for n, h := range w.search(Query{Text: "needle"}).Hits {
			if rest := w.search(Query{Text: "needle", Before: h.Place}).Hits; len(rest) != len(want)-n-1 || n < len(want)-1 && rest[0].Line != want[n+1] {
				t.Errorf("%s: behind hit %d, at %s, there are %d", state, n, h.Place, len(rest))
			}
		}
		for limit := 1; limit <= 29; limit++ {
			var got []string
			q := Query{Text: "needle", Limit: limit}
			for range 40 {
				a := w.search(q)
				for _, h := range a.Hits {
					got = append(got, h.Line)
				}
				if q.Before = a.Next; a.Next == "" {
					break
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%s, pages of %d: %s", state, limit, diff)
			}
		}
	}
}

// TestAtStart indexes what ended while nobody listened, and forgets what is
// gone.
func TestAtStart(t *testing.T) {
	w := newWorld(t)
	for i := range 3 {
		s := w.start(fmt.Sprintf("ses_%d", i))
		s.show(s.shell(), "needle\r\n")
		_, err := s.Seal(gateway.EndClientLeft)
		must(t, err)
	}
	w.run()
	if a := w.search(Query{Text: "needle"}); len(a.Hits) != 3 || a.Waiting != 0 {
		t.Fatalf("%+v", a)
	}
	must(t, w.index.Close())
	w.index, _ = Open(w.path, emptyVault{w.vault}, quiet())
	defer w.index.Close()
	w.run()
	if a := w.search(Query{Text: "needle"}); len(a.Hits) != 0 {
		t.Errorf("found what is gone: %+v", a)
	}
}

type emptyVault struct{ *recording.Vault }

func (emptyVault) List(context.Context, recording.Query) ([]recording.Info, error) { return nil, nil }

// TestDamagedFile: the index is derived, so that a file that is broken, or of
// another version, is made anew.
func TestDamagedFile(t *testing.T) {
	damage := map[string]func(w *world){
		"no database": func(w *world) { must(t, os.WriteFile(w.path, []byte(strings.Repeat("garbage ", 1000)), 0o644)) },
		"another version": func(w *world) {
			d, err := tryDatabase(w.path)
			must(t, err)
			_, err = d.write.Exec("PRAGMA user_version = 99")
			must(t, errors.Join(err, d.close()))
		},
		"no file": func(w *world) { must(t, removeDatabase(w.path)) },
		"a broken page": func(w *world) {
			raw, err := os.ReadFile(w.path)
			must(t, err)
			for i := 4096; i < len(raw); i++ {
				raw[i] = 0xa5
			}
			must(t, os.WriteFile(w.path, raw, 0o600))
		},
	}
	for name, break_ := range damage {
		w := newWorld(t)
		s := w.start("ses_1")
		s.show(s.shell(), "needle\r\n")
		s.end()
		w.run()
		must(t, w.index.Close())
		break_(w)
		w.open()
		w.run()
		if _, err := w.index.Search(t.Context(), Query{Text: "needle"}); err != nil && !gateway.IsCode(err, gateway.CodeUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
		w.run()
		if a := w.search(Query{Text: "needle"}); len(a.Hits) != 1 {
			t.Errorf("%s: %+v", name, a)
		}
		if st, err := os.Stat(w.path); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, st.Mode(), err)
		}
	}
}
