package transfer

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/portcullis/portcullis/gateway"
)

func TestScpIsItsGrammarAlone(t *testing.T) {
	up, down := Recognise("scp -rt /x"), Recognise("scp -rf /x")
	for what, say := range map[string]string{
		"a path": "C0644 1 ../x\n", "up": "D0755 0 ..\n", "no name": "C0644 1 \n", "a zero byte": "C0644 1 a\x00b\n", "a long line": "C0644 1 " + strings.Repeat("x", maxLine) + "\n",
		"a negative size": "C0644 -1 x\n", "a huge size": "C0644 9999999999999999999 x\n", "five digits": "C00644 1 x\n", "out of no folder": "E\n", "words": "hello\n", "an answer": "\x00C0644 1 x\n",
	} {
		r := newRig(t, "upload", up)
		r.target([]byte{0})
		if err := r.clientErr([]byte(say)); err == nil || strings.Contains(r.toTarget.String(), "x\n") {
			t.Errorf("%s passes: %q", what, r.toTarget.String())
		}
		r = newRig(t, "download", down)
		r.client([]byte{0})
		if err := r.targetErr([]byte(say)); err == nil {
			t.Errorf("%s passes from the target", what)
		}
	}
	for what, say := range map[string]string{"bytes of a file": "root:x:0:0", "an answer too many": "\x00\x00", "a text without end": "\x01" + strings.Repeat("x", maxLine)} {
		if err := newRig(t, "upload", up).targetErr([]byte(say)); err == nil {
			t.Errorf("under upload the target may send %s", what)
		}
		if err := newRig(t, "download", down).clientErr([]byte(say)); err == nil {
			t.Errorf("under download the client may send %s", what)
		}
	}
}

// A client that does not wait is held until the target has agreed: what the
// target refuses is read as lines there, so it must be here.
func TestScpSourceAheadOfItsAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "upload", Recognise("scp -t /x"))
		done := make(chan error, 1)
		go func() { done <- r.clientErr([]byte("C0644 8 a\nC0644 1 b\x00\n")) }()
		synctest.Wait()
		r.target([]byte{0})
		synctest.Wait()
		if got := r.toTarget.String(); got != "C0644 8 a\n" {
			t.Fatalf("target got %q", got)
		}
		r.target([]byte("\x01scp: /x: no\n"))
		if err := <-done; err == nil {
			t.Error("what followed a refused file passed, and no line was it")
		}
		r.tap.Close()
		if f := r.find(t, gateway.FileWrite, "/x"); f.Verdict != gateway.FileFailed || f.Bytes != 0 {
			t.Errorf("index has %+v", f)
		}
		late := newRig(t, "upload", Recognise("scp -t /x"))
		if err := late.clientErr([]byte("C0644 8 a\n")); err == nil {
			t.Error("the wait for an answer has no end")
		}
	})
}

func FuzzSCP(f *testing.F) {
	f.Add("\x00", "T1 0 1 0\n", "D0755 0 d\n", "C0644 3 a\n", "abc\x00", true)
	f.Add("\x00\x01no\n", "C0644 3 a\n", "C0644 0 b\n", "\x00", "\x02bye\n", false)
	f.Fuzz(func(t *testing.T, answers, a, b, c, d string, up bool) {
		ch := Recognise("scp -rf /x")
		if up {
			ch = Recognise("scp -rt /x")
		}
		r := newRig(t, "upload download", ch)
		s := r.tap.(*scp)
		for i, say := range []string{a, b, c, d, a + b, c + d} {
			if i < len(answers) && s.answer([]byte{answers[i]}, func([]byte) error { return nil }) != nil {
				break
			}
			s.up = false // a target that is ahead is refused; nothing waits here
			if s.source([]byte(say), func([]byte) error { return nil }) != nil {
				break
			}
		}
		s.Close()
		if s.now != nil {
			t.Fatal("a file was not told")
		}
	})
}
