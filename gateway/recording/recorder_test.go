package recording

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/portcullis/portcullis/gateway"
)

// TestRecordingIsReadBack tells a short session and reads it from its files.
func TestRecordingIsReadBack(t *testing.T) {
	c := newClock()
	v := openVault(t, t.TempDir(), at(c))
	r := start(t, v, "ses_1")
	ch := shell(t, r)
	c.pass(time.Second)
	must(t, ch.Output(Stdout, []byte("$ ")))
	must(t, ch.Input([]byte("id\r")))
	must(t, ch.Output(Stdout, []byte("id\r\n")))
	must(t, ch.Output(Stderr, []byte("oops\r\n")))
	must(t, ch.Output(Stdout, nil))
	must(t, ch.Resize(100, 30))
	must(t, ch.Note("5 minutes are left"))
	c.pass(1500 * time.Millisecond)
	status := uint32(0)
	must(t, ch.Exit(&status, ""))

	info, err := v.Find("ses_1")
	must(t, err)
	if info.State != Live || info.BytesOut != 12 || info.BytesIn != 3 || info.Duration != 2500*time.Millisecond {
		t.Errorf("live: %+v", info)
	}
	s := sealIt(t, r)
	if s.BytesOut != 12 || s.BytesIn != 3 || s.Segments != 2 || s.Duration != 2500*time.Millisecond {
		t.Errorf("sealed: %+v", s)
	}
	if again, err := r.Seal(gateway.EndFault); err != nil || again != s {
		t.Errorf("a second Seal answers %+v, %v", again, err)
	}
	info, err = v.Find("ses_1")
	must(t, err)
	if info.State != Complete || info.Digest != s.Digest || info.Reason != gateway.EndClientLeft || info.Meta != r.meta {
		t.Errorf("sealed: %+v", info)
	}
	must(t, v.Verify("ses_1"))
	for stream, want := range map[Stream]string{Stdout: "$ id\r\n", Stderr: "oops\r\n"} {
		var b bytes.Buffer
		must(t, v.Raw(&b, "ses_1", stream))
		if b.String() != want {
			t.Errorf("stream %d is %q, want %q", stream, b.String(), want)
		}
	}
	if err := ch.Output(Stdout, []byte("late")); !gateway.IsCode(err, gateway.CodeConflict) {
		t.Errorf("output after the seal: %v", err)
	}
}

// V-81: what is typed without an echo is recorded too, where few may read it.
//
// TestInputLiesApart holds that what is typed is in no file that those who
// may only watch are given, and that no file is open to others on the machine.
func TestInputLiesApart(t *testing.T) {
	dir := t.TempDir()
	v := openVault(t, filepath.Join(dir, "recordings"))
	r := start(t, v, "ses_1")
	must(t, shell(t, r).Input([]byte("hunter2")))
	sealIt(t, r)
	holds := 0
	must(t, filepath.WalkDir(dir+"/recordings", func(path string, e fs.DirEntry, err error) error {
		must(t, err)
		info, err := e.Info()
		must(t, err)
		if e.IsDir() {
			if info.Mode().Perm() != 0o700 {
				t.Errorf("folder %s has mode %v", path, info.Mode())
			}
			return nil
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("file %s has mode %v", path, info.Mode())
		}
		raw, err := os.ReadFile(path)
		must(t, err)
		if bytes.Contains(raw, []byte("hunter2")) {
			holds++
			if !strings.HasPrefix(e.Name(), "input-") {
				t.Errorf("%s holds what was typed", path)
			}
		}
		return nil
	}))
	if holds != 1 {
		t.Errorf("what was typed is in %d files", holds)
	}
}

// TestSegmentsChain fills several segments, with a frame larger than one.
func TestSegmentsChain(t *testing.T) {
	v := openVault(t, t.TempDir(), small(4096))
	r := start(t, v, "ses_1")
	ch := shell(t, r)
	want := patternAt(0, 3*maxPayload+17)
	must(t, ch.Output(Stdout, want[:10_000]))
	for i := 10_000; i < 20_000; i += 100 {
		must(t, ch.Output(Stdout, want[i:i+100]))
	}
	must(t, ch.Output(Stdout, want[20_000:]))
	s := sealIt(t, r)
	if s.Segments < 6 || s.BytesOut != int64(len(want)) {
		t.Errorf("sealed: %+v", s)
	}
	var got bytes.Buffer
	must(t, v.Raw(&got, "ses_1", Stdout))
	if !bytes.Equal(got.Bytes(), want) {
		t.Error("the record is not what was shown")
	}
	must(t, v.Verify("ses_1"))
}

// TestChannelsWriteAtOnce lets many channels write while segments roll and the
// disk is synced; each finds its own bytes in their order.
func TestChannelsWriteAtOnce(t *testing.T) {
	v := openVault(t, t.TempDir(), small(8192), func(o *Options) { o.SyncEvery = 4 * time.Millisecond })
	r := start(t, v, "ses_1")
	var wg sync.WaitGroup
	for id := range uint32(8) {
		ch, err := r.Channel(id, gateway.Channel{Kind: gateway.ChannelExec, Command: fmt.Sprintf("job %d", id)})
		must(t, err)
		wg.Go(func() {
			for i := range 200 {
				if err := ch.Output(Stdout, fmt.Appendf(nil, "%d:%d;", id, i)); err != nil {
					t.Error(err)
				}
				if err := ch.Input([]byte{byte(i)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	s := sealIt(t, r)
	if s.BytesIn != 1600 {
		t.Errorf("%d bytes were typed", s.BytesIn)
	}
	must(t, v.Verify("ses_1"))
	dir, err := v.find("ses_1")
	must(t, err)
	next := map[uint32]int{}
	for f, err := range allFrames(dir, output) {
		must(t, err)
		if f.kind != kindStdout {
			continue
		}
		if want := fmt.Sprintf("%d:%d;", f.channel, next[f.channel]); string(f.payload) != want {
			t.Fatalf("channel %d says %q, want %q", f.channel, f.payload, want)
		}
		next[f.channel]++
	}
}

// allFrames reads a stream to its end.
func allFrames(dir string, s stream) func(yield func(frame, error) bool) {
	return func(yield func(frame, error) bool) {
		t := newTape(dir, s)
		defer t.close()
		for {
			f, err := t.next()
			if isEnd(err) || !yield(f, err) {
				return
			}
		}
	}
}

// TestStartRefuses gives Start what no recording may begin with.
func TestStartRefuses(t *testing.T) {
	v := openVault(t, t.TempDir())
	start(t, v, "ses_1")
	for name, tc := range map[string]struct {
		session string
		code    gateway.Code
	}{
		"a path":            {"../../etc", gateway.CodeInvalid},
		"no name":           {"", gateway.CodeInvalid},
		"a pattern":         {"ses_*", gateway.CodeInvalid},
		"one that there is": {"ses_1", gateway.CodeUnavailable},
	} {
		if _, err := v.Start(t.Context(), metaOf(tc.session)); !gateway.IsCode(err, tc.code) {
			t.Errorf("%s: %v, want %s", name, err, tc.code)
		}
	}
	if _, err := v.Find("ses_2"); !gateway.IsCode(err, gateway.CodeNotFound) {
		t.Errorf("find what is not there: %v", err)
	}
	ch := shell(t, v.recorderOf("ses_1"))
	if err := ch.Output(7, []byte("x")); err == nil {
		t.Error("output of an unknown stream is taken")
	}
	if _, err := v.recorderOf("ses_1").Channel(2, gateway.Channel{Kind: gateway.ChannelExec, Command: strings.Repeat("x", maxText+1)}); !gateway.IsCode(err, gateway.CodeInvalid) {
		t.Errorf("a command too long to record: %v", err)
	}
}

// TestOpenTriesTheSigner refuses a key that could not be verified later.
func TestOpenTriesTheSigner(t *testing.T) {
	for name, o := range map[string]Options{
		"no signer":      {Logger: quiet()},
		"no logger":      {Signer: seedKey()},
		"bad signatures": {Logger: quiet(), Signer: fixed("x")},
	} {
		if _, err := Open(t.TempDir(), o); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
}

func TestListPages(t *testing.T) {
	v := openVault(t, t.TempDir())
	for i := range 5 {
		m := metaOf(fmt.Sprintf("ses_%d", i))
		if i%2 == 1 {
			m.Vendor = "other"
		}
		r, err := v.Start(t.Context(), m)
		must(t, err)
		sealIt(t, r)
	}
	for name, tc := range map[string]struct {
		q    Query
		want string
	}{
		"all":       {Query{}, "ses_4 ses_3 ses_2 ses_1 ses_0"},
		"first":     {Query{Limit: 2}, "ses_4 ses_3"},
		"next":      {Query{Limit: 2, Before: "ses_3"}, "ses_2 ses_1"},
		"of one":    {Query{Vendor: "other"}, "ses_3 ses_1"},
		"of nobody": {Query{Person: "bob"}, ""},
	} {
		all, err := v.List(t.Context(), tc.q)
		must(t, err)
		var got []string
		for _, i := range all {
			got = append(got, i.Session)
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%s: %v, want %s", name, got, tc.want)
		}
	}
}

func BenchmarkOutput(b *testing.B) {
	for _, tc := range []struct {
		name string
		size int
	}{{"1B", 1}, {"4KiB", 4 << 10}, {"32KiB", 32 << 10}} {
		b.Run(tc.name, func(b *testing.B) {
			v := openVault(b, b.TempDir())
			c := shell(b, start(b, v, "bench"))
			p := make([]byte, tc.size)
			b.SetBytes(int64(tc.size))
			b.ReportAllocs()
			begun := processTime(b)
			for b.Loop() {
				if err := c.Output(Stdout, p); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(processTime(b)-begun)/float64(b.N), "cpu-ns/op")
		})
	}
}

// processTime is what this process has cost so far, in user and system: the
// wall clock measures the disk, and whoever else uses the machine, besides.
func processTime(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	must(b, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
