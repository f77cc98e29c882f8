package recording

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/portcullis/portcullis/gateway"
)

// happened records a session with one of each thing that an index names.
func happened(t *testing.T, c *clock, v *Vault) *Recorder {
	t.Helper()
	r := start(t, v, "ses_1")
	ch := shell(t, r)
	c.pass(time.Second)
	must(t, ch.Output(Stdout, []byte("$ ")))
	must(t, ch.Input([]byte("hunter2\r")))
	must(t, r.Note("watched by eva"))
	sftp, err := r.Channel(2, gateway.Channel{Kind: gateway.ChannelSFTP})
	must(t, err)
	must(t, sftp.Input([]byte("\x00\x00\x00\x05\x01")))
	must(t, sftp.Output(Stdout, []byte("\x00\x00\x00\x05\x02\x1b")))
	c.pass(time.Second)
	must(t, sftp.File(gateway.File{
		Op: gateway.FileRead, Path: "/etc/hosts", Bytes: 3, SHA256: gateway.DigestOf([]byte("abc")), Whole: true, Verdict: gateway.FileDone,
	}))
	must(t, sftp.File(gateway.File{Op: gateway.FileWrite, Path: "/x\x1b]0;y", Verdict: gateway.FileRefused, Why: "this grant lets no upload"}))
	must(t, sftp.File(gateway.File{Op: gateway.FileRename, Path: "a", To: "b", Verdict: gateway.FileFailed, Why: "permission denied"}))
	must(t, sftp.File(gateway.File{Op: gateway.FileWrite, Path: "c", Offset: 10, Bytes: 1, Verdict: gateway.FileCut}))
	f := forward(t, r, 3)
	must(t, f.Output(Stdout, []byte("abc")))
	must(t, f.Input([]byte("z")))
	must(t, f.Exit(nil, ""))
	c.pass(time.Second)
	status := uint32(1)
	must(t, sftp.Exit(&status, ""))
	must(t, ch.Exit(nil, "HUP"))
	return r
}

func TestIndex(t *testing.T) {
	c := newClock()
	v := openVault(t, t.TempDir(), at(c))
	r := happened(t, c, v)
	live, err := v.Index(t.Context(), "ses_1")
	must(t, err)
	sealIt(t, r)
	got, err := v.Index(t.Context(), "ses_1")
	must(t, err)
	if diff := cmp.Diff(live, got); diff != "" {
		t.Errorf("sealed it is another than live: %s", diff)
	}
	status := uint32(1)
	want := Index{
		Channels: []IndexChannel{
			{Channel: 1, Kind: gateway.ChannelShell, Pty: true, Ended: 3 * time.Second, Signal: "HUP", BytesOut: 2, BytesIn: 8},
			{At: time.Second, Channel: 2, Kind: gateway.ChannelSFTP, Ended: 3 * time.Second, Status: &status, BytesOut: 6, BytesIn: 5},
			{At: 2 * time.Second, Channel: 3, Kind: gateway.ChannelForward, To: "hist:5432", Ended: 2 * time.Second, BytesOut: 3, BytesIn: 1},
		},
		Files: []IndexFile{
			{2 * time.Second, 2, gateway.File{Op: gateway.FileRead, Path: "/etc/hosts", Bytes: 3, SHA256: gateway.DigestOf([]byte("abc")), Whole: true, Verdict: gateway.FileDone}},
			{2 * time.Second, 2, gateway.File{Op: gateway.FileWrite, Path: "/x\x1b]0;y", Verdict: gateway.FileRefused, Why: "this grant lets no upload"}},
			{2 * time.Second, 2, gateway.File{Op: gateway.FileRename, Path: "a", To: "b", Verdict: gateway.FileFailed, Why: "permission denied"}},
			{2 * time.Second, 2, gateway.File{Op: gateway.FileWrite, Path: "c", Offset: 10, Bytes: 1, Verdict: gateway.FileCut}},
		},
		Flows: []IndexFlow{{2 * time.Second, 3, gateway.Flow{
			To: "hist:5432", From: "127.0.0.1:40000", Ended: true, BytesOut: 3, KeptOut: 3, SHA256Out: gateway.DigestOf([]byte("abc")),
			BytesIn: 1, KeptIn: 1, SHA256In: gateway.DigestOf([]byte("z")),
		}}},
		Notes: []IndexNote{{time.Second, "watched by eva"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	raw, err := json.Marshal(got)
	must(t, err)
	for _, has := range []string{`"at_ns":1000000000`, `"op":"read","path":"/etc/hosts"`, `"bytes_out":3`, `"notes":[{`} {
		if !strings.Contains(string(raw), has) {
			t.Errorf("the index has no %s: %s", has, raw)
		}
	}
	if strings.Contains(string(raw), "hunter2") {
		t.Error("the index holds what was typed")
	}
}

// TestIndexIsBounded gives it more than it takes of entries, and of text.
func TestIndexIsBounded(t *testing.T) {
	v := fastVault(t, t.TempDir())
	r := start(t, v, "ses_1")
	ch := shell(t, r)
	for i := range MaxIndex + 1 {
		must(t, ch.Note(fmt.Sprint(i)))
	}
	x, err := v.Index(t.Context(), "ses_1")
	must(t, err)
	if !x.Cut || len(x.Notes) != MaxIndex || x.Notes[MaxIndex-1].Text != fmt.Sprint(MaxIndex-1) {
		t.Errorf("%d notes, cut %t", len(x.Notes), x.Cut)
	}
	r = start(t, v, "ses_2")
	ch = shell(t, r)
	long := strings.Repeat("x", maxIndexWord+1)
	for range maxIndexWords/(3*maxIndexWord) + 2 {
		must(t, ch.File(gateway.File{Op: gateway.FileLink, Path: long, To: long, Why: long}))
	}
	x, err = v.Index(t.Context(), "ses_2")
	must(t, err)
	if n := maxIndexWords / (3 * maxIndexWord); !x.Cut || len(x.Files) != n || len(x.Files[0].Path) != maxIndexWord {
		t.Errorf("%d files of %d, cut %t", len(x.Files), n, x.Cut)
	}
}

// TestIndexOfWhatIsNotWhole reads a recording that was cut short, one that is
// damaged, and none.
func TestIndexOfWhatIsNotWhole(t *testing.T) {
	root, rel := halfWritten(t)
	v := openVault(t, root)
	x, err := v.Index(t.Context(), "ses_1")
	must(t, err)
	want := []IndexChannel{{Channel: 1, Kind: gateway.ChannelShell, Pty: true, BytesOut: 18, BytesIn: 4}}
	for i := range x.Channels {
		x.Channels[i].At = 0
	}
	if diff := cmp.Diff(want, x.Channels); diff != "" {
		t.Error(diff)
	}
	_, err = v.Recover(t.Context())
	must(t, err)
	name := filepath.Join(root, rel, segmentName(output, 1))
	raw, err := os.ReadFile(name)
	must(t, err)
	raw[len(raw)-footerSize-2*frameTail-frameHead-1] ^= 1 // in the last frame before the footer
	must(t, os.WriteFile(name, raw, fileMode))
	x, err = v.Index(t.Context(), "ses_1")
	if !gateway.IsCode(err, gateway.CodeConflict) || len(x.Channels) != 1 || x.Channels[0].BytesOut != 13 {
		t.Errorf("damaged: %+v, %v", x, err)
	}
	if _, err := v.Index(t.Context(), "ses_2"); !gateway.IsCode(err, gateway.CodeNotFound) {
		t.Errorf("one that is not: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("seen enough")
	cancel(enough)
	if _, err := v.Index(ctx, "ses_1"); !errors.Is(err, enough) {
		t.Errorf("called off: %v", err)
	}
}

// TestNoTextTearsItsOwnFrame gives the recorder words that grow in JSON beyond
// what a frame holds: what is taken can be read back.
func TestNoTextTearsItsOwnFrame(t *testing.T) {
	v := openVault(t, t.TempDir())
	r := start(t, v, "ses_1")
	for _, bad := range []string{"\x01", "\xff", "<", "\u2028"} {
		long := strings.Repeat(bad, maxText/len(bad))
		c, err := r.Channel(1, gateway.Channel{Kind: gateway.ChannelExec, Command: long})
		if err != nil {
			if !gateway.IsCode(err, gateway.CodeInvalid) {
				t.Errorf("%q: %v", bad, err)
			}
			c = shell(t, r)
		}
		must(t, c.File(gateway.File{Op: gateway.FileLink, Path: long, To: long, Why: long}))
		must(t, c.Exit(nil, long))
	}
	must(t, shell(t, r).Output(Stdout, []byte("still there")))
	sealIt(t, r)
	must(t, v.Verify("ses_1"))
}

// BenchmarkIndex reads a recording of 64 MiB that a transfer has left.
func BenchmarkIndex(b *testing.B) {
	v := openVault(b, b.TempDir())
	r := start(b, v, "bench")
	c, err := r.Channel(1, gateway.Channel{Kind: gateway.ChannelSCP, Upload: true})
	must(b, err)
	p := make([]byte, 32<<10)
	const pieces = 2048
	for range pieces {
		must(b, c.Input(p))
	}
	b.SetBytes(pieces * int64(len(p)))
	for b.Loop() {
		if _, err := v.Index(b.Context(), "bench"); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzFrames gives index and screen a frame whose checksum is right and whose
// payload is anything: neither falls over, and what they tell is text in bounds.
func FuzzFrames(f *testing.F) {
	f.Add(byte(kindChannel), []byte(`{"kind":"forward","to":"h:1","pty":{"cols":4294967295}}`))
	f.Add(byte(kindFile), []byte(`{"op":"write","path":"\u001b]0;x","bytes":-1,"sha256":"00","verdict":"done"}`))
	f.Add(byte(kindFlow), []byte(`{"to":"h:1","ended":true,"bytes_in":9223372036854775807}`))
	f.Add(byte(kindExit), []byte(`{"status":4294967296}`))
	f.Add(byte(kindNote), []byte("\xff\x1b"))
	f.Fuzz(func(t *testing.T, k byte, payload []byte) {
		fr := frame{kind: kind(k), channel: 1, payload: payload}
		b, c := newIndexer(), newCaster()
		for range 2 {
			must(t, b.frame(fr))
			for _, e := range c.events(fr) {
				if !utf8.ValidString(e.Data) {
					t.Fatalf("%q is told as %q", payload, e.Data)
				}
			}
		}
		b.countFlows()
		if raw, err := json.Marshal(b.index); err != nil || len(raw) > 2*6*4*maxIndexWord+1<<16 {
			t.Fatalf("%q is indexed in %d bytes, %v", payload, len(raw), err)
		}
	})
}
