package search

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/recording"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a real vault, an index over it, and a time that moves when told.
type world struct {
	t     testing.TB
	now   time.Time
	vault *recording.Vault
	path  string
	index *Index
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, now: time.Date(2026, 4, 9, 6, 12, 0, 0, time.UTC), path: filepath.Join(t.TempDir(), "search.db")}
	var err error
	w.vault, err = recording.Open(t.TempDir(), recording.Options{
		Signer: recording.NewKey(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))), Now: func() time.Time { return w.now }, Reserve: -1, Logger: quiet(),
	})
	must(t, err)
	w.open()
	return w
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) open() {
	w.t.Helper()
	x, err := Open(w.path, w.vault, quiet())
	must(w.t, err)
	w.index = x
	w.t.Cleanup(func() { _ = x.Close() }) // some tests close it themselves
}

// run lets the worker do all that is to be done, without waiting.
func (w *world) run() { w.index.catchUp(w.t.Context()) }

func (w *world) pass(d time.Duration) { w.now = w.now.Add(d) }

// session is one recording under way.
type session struct {
	*recording.Recorder
	w  *world
	id string
}

func (w *world) start(id string, set ...func(*recording.Meta)) *session {
	w.t.Helper()
	m := recording.Meta{Session: id, Grant: "gr_1", Request: "req_1", Person: "ana", Vendor: "acme", Target: "rtu-7", Account: "service", Protocol: "ssh"}
	for _, f := range set {
		f(&m)
	}
	r, err := w.vault.Start(context.Background(), m)
	must(w.t, err)
	w.t.Cleanup(func() { _, _ = r.Seal(gateway.EndStopping) }) // some are sealed by their test
	return &session{r, w, id}
}

func (s *session) channel(ch gateway.Channel) *recording.Channel {
	s.w.t.Helper()
	c, err := s.Channel(1, ch)
	must(s.w.t, err)
	return c
}

func (s *session) shell() *recording.Channel {
	s.w.t.Helper()
	return s.channel(gateway.Channel{Kind: gateway.ChannelShell, Pty: &gateway.Pty{Term: "xterm", Cols: 80, Rows: 24}})
}

// show sends output, a second after what was before.
func (s *session) show(c *recording.Channel, pieces ...string) {
	s.w.t.Helper()
	for _, p := range pieces {
		s.w.pass(time.Second)
		must(s.w.t, c.Output(recording.Stdout, []byte(p)))
	}
}

func (s *session) end() {
	s.w.t.Helper()
	_, err := s.Seal(gateway.EndClientLeft)
	must(s.w.t, err)
	s.w.index.Ended(s.id)
}

func (w *world) search(q Query) Answer {
	w.t.Helper()
	a, err := w.index.Search(w.t.Context(), q)
	must(w.t, err)
	return a
}
