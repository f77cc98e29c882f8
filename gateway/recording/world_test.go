package recording

import (
	"bytes"
	"crypto/ed25519"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// seedKey is the machine key of the tests: the same in a child process.
func seedKey() *Key { return NewKey(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))) }

// clock is a time that stands still until it is moved.
type clock struct{ t time.Time }

func newClock() *clock                 { return &clock{time.Date(2026, 4, 9, 6, 12, 0, 0, time.UTC)} }
func (c *clock) now() time.Time        { return c.t }
func (c *clock) pass(d time.Duration)  { c.t = c.t.Add(d) }
func quiet() *slog.Logger              { return slog.New(slog.DiscardHandler) }
func noReserve(o *Options)             { o.Reserve = -1 }
func small(bytes int64) func(*Options) { return func(o *Options) { o.SegmentBytes = bytes } }
func at(c *clock) func(*Options)       { return func(o *Options) { o.Now = c.now } }

func openVault(t testing.TB, dir string, set ...func(*Options)) *Vault {
	t.Helper()
	o := Options{Signer: seedKey(), Logger: quiet()}
	for _, f := range set {
		f(&o)
	}
	v, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func metaOf(session string) Meta {
	return Meta{
		Session: session, Grant: "gr_1", Request: "req_1", Person: "ana", Vendor: "acme", Target: "rtu-7", Account: "service", Protocol: "ssh",
		Node: "node-1", Source: "192.0.2.7:50000", Client: "OpenSSH_9.2", Started: newClock().t, Until: newClock().t.Add(time.Hour),
	}
}

func start(t testing.TB, v *Vault, session string) *Recorder {
	t.Helper()
	r, err := v.Start(t.Context(), metaOf(session))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = r.Seal(gateway.EndStopping) })
	return r
}

func shell(t testing.TB, r *Recorder) *Channel {
	t.Helper()
	c, err := r.Channel(1, gateway.Channel{Kind: gateway.ChannelShell, Pty: &gateway.Pty{Term: "xterm-256color", Cols: 80, Rows: 24}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func sealIt(t testing.TB, r *Recorder) Sealed {
	t.Helper()
	s, err := r.Seal(gateway.EndClientLeft)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// copyTree copies a folder as a crash would leave it.
func copyTree(t testing.TB, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

func fromSeed(seed []byte) ed25519.PrivateKey { return ed25519.NewKeyFromSeed(seed) }
