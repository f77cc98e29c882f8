package audit

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// shelf is a store that can be away, that holds what it was given and is told
// of what it holds already as package store is.
type shelf struct {
	mu    sync.Mutex
	away  error
	lost  bool // it writes, and its answer does not arrive
	limit int  // things it takes before it goes away; 0: all
	bad   string
	has   []Happened
}

func (s *shelf) Write(_ context.Context, all ...Happened) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away != nil && !s.lost {
		return s.away
	}
	for _, h := range all {
		if s.bad != "" && h.Events[0].Session == s.bad {
			return gateway.Internal(errors.New("does not fit"))
		}
	}
	for _, h := range all {
		if s.limit > 0 && len(s.has) >= s.limit {
			s.away = gateway.Unavailable("store", errors.New("gone again"))
			return s.away // what is written of this batch stays: the answer was lost
		}
		known := false
		for _, old := range s.has {
			known = known || h.Spooled != "" && old.Events[0].Same(h.Events[0])
		}
		if !known {
			s.has = append(s.has, h)
		}
	}
	return s.away
}

func (s *shelf) set(f func()) { s.mu.Lock(); defer s.mu.Unlock(); f() }

func (s *shelf) told() (list []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.has {
		list = append(list, h.Events[0].Session)
	}
	return list
}

var gone = gateway.Unavailable("store", errors.New("down"))

type spoolWorld struct {
	*testing.T
	*Spool
	shelf *shelf
	conf  SpoolConfig
}

func newSpoolWorld(t *testing.T) *spoolWorld {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &spoolWorld{T: t, shelf: &shelf{}}
	w.conf = SpoolConfig{Dir: filepath.Join(t.TempDir(), "spool"), Node: "node-1", Key: key, Write: w.shelf.Write}
	w.open()
	return w
}

// open opens it as a start does: the one before is not closed, as after a crash.
func (w *spoolWorld) open() {
	w.Helper()
	var err error
	if w.Spool, err = OpenSpool(w.conf); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = w.Close() })
}

func thing(n int) Happened {
	id := fmt.Sprintf("ses_%02d", n)
	return Happened{Weight: Final, Session: &gateway.Session{ID: id, State: gateway.SessionEnded, BytesOut: int64(n)},
		Events: []Event{{Name: SessionEnded, Session: id, Actor: "gateway", At: time.UnixMicro(int64(1000 + n)), Detail: map[string]string{"bytes": "7"}}}}
}

func (w *spoolWorld) keep(from, to int) {
	w.Helper()
	for n := from; n < to; n++ {
		if err := w.Keep(w.Context(), thing(n)); err != nil {
			w.Fatal(err)
		}
	}
}

func (w *spoolWorld) wants(n int) {
	w.Helper()
	var want []string
	for i := range n {
		want = append(want, thing(i).Session.ID)
	}
	if got := w.shelf.told(); strings.Join(got, " ") != strings.Join(want, " ") {
		w.Errorf("the store has %v, want %v", got, want)
	}
}

// What happens while the store is away is on the disk, survives a crash of the
// node, and reaches the store in its order, with its time and its mark, before
// what happens later.
func TestSpoolOverAnOutageAndACrash(t *testing.T) {
	w := newSpoolWorld(t)
	w.keep(0, 1)
	w.shelf.set(func() { w.shelf.away = gone })
	w.keep(1, 4)
	w.open() // kill -9
	if w.Waiting() != 3 {
		t.Fatalf("%d things wait after the crash", w.Waiting())
	}
	w.keep(4, 5)
	w.shelf.set(func() { w.shelf.away = nil })
	w.keep(5, 6) // behind those that wait
	if err := w.Replay(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.keep(6, 7)
	w.wants(7)
	if e := w.shelf.has[2].Events[0]; !e.At.Equal(time.UnixMicro(1002)) || !strings.HasPrefix(e.Detail[spooledDetail], "spo_") || e.Detail["bytes"] != "7" || w.shelf.has[2].Session.BytesOut != 2 {
		t.Errorf("a spooled thing reads %+v", w.shelf.has[2])
	}
	if w.shelf.has[6].Spooled != "" || w.shelf.has[0].Spooled != "" {
		t.Error("what went straight is marked as spooled")
	}
	if left, _ := os.ReadDir(w.conf.Dir); len(left) != 0 {
		t.Errorf("left on the disk: %v", left)
	}
}

// A crash at any moment of the replay writes nothing twice and loses nothing.
func TestSpoolReplayedOnce(t *testing.T) {
	for cut := 1; cut < 6; cut++ {
		w := newSpoolWorld(t)
		w.shelf.set(func() { w.shelf.away = gone })
		w.keep(0, 6)
		w.shelf.set(func() { w.shelf.away, w.shelf.limit = nil, cut })
		if err := w.Replay(t.Context()); !gateway.IsCode(err, gateway.CodeUnavailable) {
			t.Fatalf("cut after %d: %v", cut, err)
		}
		w.open()
		w.shelf.set(func() { w.shelf.away, w.shelf.limit = nil, 0 })
		if err := w.Replay(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.wants(6)
	}
}

// A commit whose answer was lost is in the store and in the spool, and told once.
func TestSpoolOfALostAnswer(t *testing.T) {
	w := newSpoolWorld(t)
	w.shelf.set(func() { w.shelf.away, w.shelf.lost = gone, true })
	w.keep(0, 1)
	w.shelf.set(func() { w.shelf.away, w.shelf.lost = nil, false })
	if err := w.Replay(t.Context()); err != nil || w.Waiting() != 0 {
		t.Fatal(err)
	}
	w.wants(1)
}

// An edited line, one that is gone, and one that came from elsewhere are
// noticed: what stands before it is told, the rest is kept, and an event says so.
func TestSpoolThatWasEdited(t *testing.T) {
	other := newSpoolWorld(t)
	other.shelf.set(func() { other.shelf.away = gone })
	other.keep(0, 5)
	foreign, err := os.ReadFile(filepath.Join(other.conf.Dir, spoolName))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		edit func(lines []string) []string
		told int // things before the fault
	}{
		"a word is changed":        {func(l []string) []string { l[3] = strings.Replace(l[3], `"bytes":"7"`, `"bytes":"8"`, 1); return l }, 2},
		"a line is gone":           {func(l []string) []string { return append(l[:2], l[3:]...) }, 1},
		"two lines are swapped":    {func(l []string) []string { l[1], l[2] = l[2], l[1]; return l }, 0},
		"a line of another spool":  {func(l []string) []string { l[4] = strings.SplitAfter(string(foreign), "\n")[4]; return l }, 3},
		"a line twice":             {func(l []string) []string { return append(l[:3], l[2:]...) }, 2},
		"the first line is gone":   {func(l []string) []string { return l[1:] }, 0},
		"the last one is changed":  {func(l []string) []string { l[5] = otherLetter(l[5][:1]) + l[5][1:]; return l }, 4},
		"something is put in":      {func(l []string) []string { return append(l[:2], append([]string{"hello\n"}, l[2:]...)...) }, 1},
		"a line without an ending": {func(l []string) []string { return append(l[:2], strings.Repeat("y", maxSpoolLine+9)) }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newSpoolWorld(t)
			w.shelf.set(func() { w.shelf.away = gone })
			w.keep(0, 5)
			path := filepath.Join(w.conf.Dir, spoolName)
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.SplitAfter(string(raw), "\n")
			if err := os.WriteFile(path, []byte(strings.Join(c.edit(lines[:6]), "")), 0o600); err != nil {
				t.Fatal(err)
			}
			w.open()
			if err := w.Keep(t.Context(), thing(9)); !gateway.IsCode(err, gateway.CodeUnavailable) {
				t.Errorf("something was added to an edited spool: %v", err)
			}
			for range 2 { // a crash before it is put away
				w.shelf.set(func() { w.shelf.away = nil })
				if err := w.Replay(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if len(w.shelf.has) != c.told+1 || w.shelf.has[c.told].Events[0].Name != SpoolBroken {
				t.Fatalf("the store has %v, want %d things and the event", w.shelf.told(), c.told)
			}
			if kept, _ := os.ReadDir(filepath.Join(w.conf.Dir, "refused")); len(kept) != 1 {
				t.Errorf("kept: %v", kept)
			}
			w.keep(0, 1)
		})
	}
}

// otherLetter is another letter of base64: of random signatures one in 64
// begins with any that is fixed.
func otherLetter(of string) string {
	if of == "x" {
		return "y"
	}
	return "x"
}

// A line that a crash cut short was never answered, and is no edit.
func TestSpoolCutShort(t *testing.T) {
	w := newSpoolWorld(t)
	w.shelf.set(func() { w.shelf.away = gone })
	w.keep(0, 2)
	path := filepath.Join(w.conf.Dir, spoolName)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	whole := len(raw)
	w.keep(2, 3)
	if raw, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	raw = append(raw[:len(raw)-1], make([]byte, 2000)...) // what a power cut leaves may be long
	for _, cut := range []int{whole + 1, whole + 80, len(raw), 10} {
		if err := os.WriteFile(path, raw[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		w.open()
		want := 2
		if cut < whole {
			want = 0
		}
		if w.Waiting() != want || w.fault != nil {
			t.Fatalf("cut at %d: %d wait, %v", cut, w.Waiting(), w.fault)
		}
		w.keep(2, 4)
		w.open()
		if w.Waiting() != want+2 || w.fault != nil {
			t.Errorf("cut at %d and gone on: %d wait, %v", cut, w.Waiting(), w.fault)
		}
	}
}

// One thing that the store will not have keeps back no other, and is kept.
func TestSpoolOfWhatTheStoreRefuses(t *testing.T) {
	w := newSpoolWorld(t)
	w.shelf.set(func() { w.shelf.away = gone })
	w.keep(0, 3)
	w.shelf.set(func() { w.shelf.away, w.shelf.bad = nil, "ses_01" })
	if err := w.Replay(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(w.shelf.told(), " "); got != "ses_00  ses_02" || w.shelf.has[1].Events[0].Name != SpoolBroken {
		t.Errorf("the store has %q", got)
	}
	if kept, _ := os.ReadDir(filepath.Join(w.conf.Dir, "refused")); len(kept) != 1 {
		t.Errorf("kept: %v", kept)
	}
}

// A full spool says so, refusals first, acts next, and has room for the ends.
func TestSpoolFull(t *testing.T) {
	w := newSpoolWorld(t)
	w.shelf.set(func() { w.shelf.away = gone })
	w.keep(0, 1)
	w.Spool.file.size = MaxSpool / 4 // as if so much were written
	h := thing(1)
	for _, c := range []struct {
		size   int64
		weight Weight
		full   bool
	}{{MaxSpool / 4, Told, true}, {MaxSpool / 4, Act, false}, {MaxSpool / 2, Act, true}, {MaxSpool / 2, Final, false}, {MaxSpool, Final, true}} {
		w.Spool.file.size, h.Weight = c.size, c.weight
		err := w.Keep(t.Context(), h)
		if errors.Is(err, ErrSpoolFull) != c.full || !c.full && err != nil {
			t.Errorf("weight %d at %d bytes: %v", c.weight, c.size, err)
		}
		if err != nil && !strings.Contains(gateway.AsError(err).Sentence(), "try again") {
			t.Errorf("the sentence: %q", gateway.AsError(err).Sentence())
		}
	}
}

// A store that hangs is away after StoreAfter; one that refuses is not away.
func TestSpoolJudgesTheStore(t *testing.T) {
	w := newSpoolWorld(t)
	let := make(chan struct{})
	w.conf.Write = func(ctx context.Context, all ...Happened) error {
		<-ctx.Done()
		<-let
		return w.shelf.Write(ctx, all...)
	}
	w.open()
	began := time.Now()
	w.keep(0, 1)
	if took := time.Since(began); took < StoreAfter || took > StoreAfter+time.Second || w.Waiting() != 1 {
		t.Errorf("%s, %d wait", took, w.Waiting())
	}
	close(let)
	w.conf.Write = func(context.Context, ...Happened) error { return gateway.Internal(errors.New("no")) }
	w.conf.Dir = filepath.Join(t.TempDir(), "spool")
	w.open()
	if err := w.Keep(t.Context(), thing(0)); !gateway.IsCode(err, gateway.CodeInternal) || w.Waiting() != 0 {
		t.Errorf("%v, %d wait", err, w.Waiting())
	}
}

func FuzzSpool(f *testing.F) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	good := newSpoolFile(filepath.Join(f.TempDir(), spoolName), "node-1", time.UnixMicro(1))
	good.id = "spo_same" // in each process that looks for inputs
	for n := range 2 {
		if _, err := good.append(key, thing(n)); err != nil {
			f.Fatal(err)
		}
	}
	if err := good.close(); err != nil {
		f.Fatal(err)
	}
	raw, err := os.ReadFile(good.path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add(raw[:len(raw)/2])
	f.Add([]byte("x y\n\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		file := newSpoolFile("", "node-1", time.UnixMicro(1))
		all, _ := file.read(strings.NewReader(string(in)), key.Public().(ed25519.PublicKey))
		if !strings.HasPrefix(string(raw), string(in[:file.size])) || len(all) > 2 {
			t.Errorf("%d bytes and %d things of what nobody signed are believed", file.size, len(all))
		}
	})
}
