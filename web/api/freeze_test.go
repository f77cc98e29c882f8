package api_test

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/recording"
	"github.com/portcullis/portcullis/web/api"
)

// Freezing is for those who may end a session: its own person neither freezes
// nor thaws.
func TestWhoFreezes(t *testing.T) {
	s := newStand(t)
	live, over := s.Sessions[0].ID, s.Sessions[2].ID
	for _, c := range []struct {
		person, path, body string
		status             int
	}{
		{"omar", live + "/freeze", `{"reason":"who is this?"}`, 200}, {"root", live + "/thaw", `{}`, 200}, {"machine", live + "/freeze", `{"reason":""}`, 200},
		{"ana", live + "/freeze", `{"reason":""}`, 403}, {"ana", live + "/thaw", `{}`, 403}, {"dora", live + "/thaw", `{}`, 404}, {"olga", live + "/freeze", `{"reason":""}`, 403},
		{"rita", live + "/freeze", `{"reason":""}`, 403}, {"omar", over + "/freeze", `{"reason":""}`, 409}, {"omar", "ses_none/thaw", `{}`, 404},
		{"omar", live + "/freeze", `{"reason":"` + strings.Repeat("x", gateway.MaxReason+1) + `"}`, 400}, {"omar", live + "/freeze", `{"why":""}`, 400},
	} {
		if got, body := s.call(c.person, http.MethodPost, "/sessions/"+c.path, c.body); got != c.status {
			t.Errorf("%s %s answers %d, wants %d: %s", c.person, c.path, got, c.status, body)
		}
	}
	want := []string{"freeze " + live + " omar who is this?", "freeze " + live + " machine "}
	if got := s.Calls("freeze "); !slices.Equal(got, want) {
		t.Errorf("frozen: %q", got)
	}
	if got := s.Calls("thaw "); !slices.Equal(got, []string{"thaw " + live + " root"}) {
		t.Errorf("thawed: %q", got)
	}
}

// The staff sees who watches and who froze; a vendor's person sees the freeze.
func TestSessionTellsWhoWatches(t *testing.T) {
	s := newStand(t)
	id := s.Sessions[0].ID
	s.Sessions[0].Frozen, s.Sessions[0].FrozenBy = noon, "omar"
	for person, sees := range map[string]bool{"olga": true, "ana": false} {
		_, body := s.call(person, http.MethodGet, "/sessions/"+id, "")
		x := decoded[api.Watched](t, body)
		if x.FrozenBy != "omar" || (len(x.Watchers) > 0) != sees {
			t.Errorf("%s: %s", person, body)
		}
	}
}

// Who watches live is noted, then written, before anything is shown; that he
// has left is written too.
func TestWatchingIsAnEventFromEndToEnd(t *testing.T) {
	s := newStand(t, func(c *api.Config) { c.Recordings = sealed{c.Recordings} })
	id := s.Sessions[0].ID
	if got, body := s.call("rita", http.MethodGet, "/recordings/"+id+"/live", ""); got != http.StatusOK || !strings.Contains(body, "event: done") {
		t.Fatalf("%d %s", got, body)
	}
	want := []string{"watch " + id + " rita", "event recording.watched rita " + id, "asciicast 2", "leave " + id + " rita", "event recording.left rita " + id}
	if did := s.Calls(""); len(did) < len(want) || !slices.Equal(did[len(did)-len(want):], want) {
		t.Errorf("order: %q", did)
	}
}

// sealed is a recording that ends as soon as it was told.
type sealed struct{ api.Recordings }

func (r sealed) Follow(ctx context.Context, id string, line func([]byte) error) error {
	return r.Asciicast(ctx, io.Discard, id, 2)
}

// vault is the real recordings behind the API; what is not asked for here is
// the sample's.
type vault struct {
	api.Recordings
	v *recording.Vault
}

func (v vault) Follow(ctx context.Context, id string, line func([]byte) error) error {
	return v.v.FollowCast(ctx, id, line)
}

// shownWithin is how long a byte of the target may take to whoever watches.
const shownWithin = 300 * time.Millisecond

// Two people watch one live session: each has every line within 300 ms of its
// being recorded, over a real recording and a real connection.
func TestTwoWatchWithin300ms(t *testing.T) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	v, err := recording.Open(t.TempDir(), recording.Options{Signer: recording.NewKey(key), Logger: slog.New(slog.DiscardHandler), Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	s := newStand(t, func(c *api.Config) { c.Recordings = vault{c.Recordings, v} })
	id := s.Sessions[0].ID
	rec, err := v.Start(t.Context(), recording.Meta{Session: id, Person: "ana", Started: time.Now(), Until: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	ch, err := rec.Channel(0, gateway.Channel{Kind: gateway.ChannelShell, Pty: &gateway.Pty{Term: "xterm", Cols: 80, Rows: 24}})
	if err != nil {
		t.Fatal(err)
	}
	heard := []chan string{make(chan string, 64), make(chan string, 64)}
	for i, person := range []string{"rita", "omar"} {
		srv := httptest.NewServer(s.server.Handler(s.actor(person)))
		t.Cleanup(srv.Close)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+api.Prefix+"/recordings/"+id+"/live", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := srv.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = res.Body.Close() })
		go func() {
			defer close(heard[i])
			for lines := bufio.NewScanner(res.Body); lines.Scan(); {
				if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
					heard[i] <- data
				}
			}
		}()
		for line := range heard[i] { // what was before is told first
			if strings.Contains(line, `"m","shell"`) {
				break
			}
		}
	}
	var worst time.Duration
	for range 50 {
		begun := time.Now()
		if err := ch.Output(recording.Stdout, []byte("pressure 4.2 bar\r\n")); err != nil {
			t.Fatal(err)
		}
		for i := range heard {
			if line := <-heard[i]; !strings.Contains(line, "pressure") {
				t.Fatalf("watcher %d reads %s", i, line)
			}
			worst = max(worst, time.Since(begun))
		}
	}
	t.Logf("the slowest of 100 took %v", worst)
	if worst > shownWithin {
		t.Errorf("shown after %v, at most %v is promised", worst, shownWithin)
	}
	if _, err := rec.Seal(gateway.EndClientLeft); err != nil {
		t.Fatal(err)
	}
	for i := range heard {
		for range heard[i] { // to its end: the stream ends with the session
		}
	}
}
