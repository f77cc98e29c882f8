package search

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/recording"
)

// TestPasswordsAreNotFound: what was typed and not shown is nowhere in the
// index, nor is its line taken for more than the prompt.
func TestPasswordsAreNotFound(t *testing.T) {
	w := newWorld(t)
	s := w.start("ses_1")
	ch := s.shell()
	typed := func(in string, echo string) {
		t.Helper()
		w.pass(time.Second)
		must(t, ch.Input([]byte(in)))
		s.show(ch, echo)
	}
	s.show(ch, "$ ")
	typed("sudo id", "sudo id")
	typed("\r", "\r\n[sudo] password for ana: ")
	typed("hunter2-secret\r", "\r\nuid=0(root)\r\n$ ")
	typed("ls\r", "ls\r\n")
	for _, state := range []string{"live", "indexed"} {
		if a := w.search(Query{Text: "hunter2"}); len(a.Hits) != 0 {
			t.Errorf("%s: the password is found: %+v", state, a)
		}
		var got []string
		for _, h := range w.search(Query{Text: "s", Kinds: []Kind{Command}}).Hits {
			got = append(got, h.Line)
		}
		if diff := cmp.Diff([]string{"$ sudo id", "[sudo] password for ana:", "$ ls"}, got); diff != "" {
			t.Errorf("%s: %s", state, diff)
		}
		if state == "live" {
			s.end()
			w.run()
		}
	}
}

// TestWhatPassed finds files by name and by hash, connections by where they
// went, and notes; the bytes of a transfer are no text, its complaints are.
func TestWhatPassed(t *testing.T) {
	w := newWorld(t)
	s := w.start("ses_1")
	must(t, s.Note("frozen by rita: what is this needle"))
	ch := s.channel(gateway.Channel{Kind: gateway.ChannelSCP, Command: "scp -t /tmp/needle", Upload: true})
	must(t, ch.Input([]byte("C0644 6 needle\nneedle\x00")))
	w.pass(time.Second)
	must(t, ch.Output(recording.Stdout, []byte("\x00needle\n")))
	must(t, ch.Output(recording.Stderr, []byte("needle: Permission denied\n")))
	sum := gateway.DigestOf([]byte("needle"))
	must(t, ch.File(gateway.File{Op: gateway.FileWrite, Path: "/tmp/needle", Bytes: 6, SHA256: sum, Verdict: gateway.FileDone}))
	must(t, ch.Exit(nil, ""))
	f, err := s.Channel(2, gateway.Channel{Kind: gateway.ChannelForward, To: "needle:443", From: "127.0.0.1:5000"})
	must(t, err)
	must(t, f.Output(recording.Stdout, []byte("needle")))
	must(t, f.Exit(nil, ""))
	s.end()
	w.run()
	want := []Hit{
		hit("ses_1", 0, Note, "frozen by rita: what is this needle"),
		hit("ses_1", 0, Command, "scp -t /tmp/needle"),
		hit("ses_1", time.Second, Output, "needle: Permission denied"),
		hit("ses_1", time.Second, File, "write /tmp/needle, 6 bytes, "+sum.String()+", done"),
		hit("ses_1", time.Second, Flow, "forward to needle:443 from 127.0.0.1:5000, 0 bytes in, 6 out"),
	}
	got := bare(w.search(Query{Text: "needle"}).Hits)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if a := w.search(Query{Text: sum.String()[:20]}); len(a.Hits) != 1 {
		t.Errorf("by hash: %+v", a)
	}
}

// TestBounds: lines beyond what one session may put into the index are left
// out, and the answer says so.
func TestBounds(t *testing.T) {
	p := &packer{}
	for range MaxLines + 1 {
		must(t, p.add(line{kind: Output, text: "x"}))
	}
	if !p.cut || p.lines != MaxLines {
		t.Errorf("%d lines, cut %v", p.lines, p.cut)
	}
	w := newWorld(t)
	s := w.start("ses_1")
	for i := range maxScreens + 1 {
		c, err := s.Channel(uint32(i), gateway.Channel{Kind: gateway.ChannelExec, Command: "needle"})
		must(t, err)
		must(t, c.Output(recording.Stdout, []byte("some text\n")))
	}
	for _, state := range []string{"live", "indexed"} {
		if a := w.search(Query{Text: "needle"}); len(a.Hits) != maxScreens+1 || len(a.Cut) != 1 {
			t.Errorf("%s: %d hits, cut %v", state, len(a.Hits), a.Cut)
		}
		if state == "live" {
			s.end()
			w.run()
		}
	}
	long := w.start("ses_2")
	long.show(long.shell(), strings.Repeat("a", 3000)+"pin"+strings.Repeat("b", 3*maxLine))
	if a := w.search(Query{Text: "pin"}); len(a.Hits) != 1 || utf8.RuneCountInString(a.Hits[0].Line) != hitWidth+2 || !strings.HasPrefix(a.Hits[0].Line, "…") || !strings.HasSuffix(a.Hits[0].Line, "…") || !strings.Contains(a.Hits[0].Line, "apinb") {
		t.Errorf("%+v", a)
	}
}

// A line that is not cut says so: nothing stands before or behind it.
func TestAround(t *testing.T) {
	long := strings.Repeat("a", hitWidth)
	for _, c := range []struct {
		text, want string
		at         int
	}{
		{"read /etc/services", "read /etc/services", 10},
		{long, long, hitWidth - 3},
		{"b" + long, "…" + long, hitWidth - 3},
		{long + "b", long + "…", 0},
	} {
		if got := around(c.text, c.at); got != c.want {
			t.Errorf("around(%.20q…, %d) = %q", c.text, c.at, got)
		}
	}
}
