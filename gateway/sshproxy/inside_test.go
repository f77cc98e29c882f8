package sshproxy_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/sshproxy"
)

// inside opens a shell as a browser terminal does.
func (w *world) inside(ctx context.Context, edit ...func(*sshproxy.Insider)) (*sshproxy.Shell, *screen, error) {
	in := sshproxy.Insider{
		Person: gateway.Person{Name: "ana", Vendor: "acme"}, Login: "login_1", Grant: w.acc.grant(), Source: "192.0.2.7:40001", Cols: 90, Rows: 25,
	}
	for _, e := range edit {
		e(&in)
	}
	shown := newScreen()
	s, err := w.proxy.Inside(ctx, in, shown)
	return s, shown, err
}

func (w *world) mustInside() (*sshproxy.Shell, *screen) {
	w.t.Helper()
	s, shown, err := w.inside(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(s.Close)
	return s, shown
}

func (w *world) typeInto(s *sshproxy.Shell, text string) {
	w.t.Helper()
	if _, err := s.Write([]byte(text)); err != nil {
		w.t.Fatal(err)
	}
}

// A shell in the browser is a session like all others: its terminal has the
// browser's size, it is recorded, and it ends with its status.
func TestInside(t *testing.T) {
	w := newWorld(t)
	w.sshd()
	s, shown := w.mustInside()
	w.typeInto(s, "stty size; echo $TERM\n")
	shown.wait(t, "25 90")
	shown.wait(t, "xterm-256color")
	if err := s.Resize(132, 43); err != nil {
		t.Fatal(err)
	}
	// A size is a request and what is typed is data: SSH's libraries hand them on
	// side by side, so the shell waits for the size that it is to show.
	w.typeInto(s, "until stty size | grep -q '^43 13[2]$'; do sleep 0.05; done; stty size; exit 3\n")
	shown.wait(t, "43 132")
	var exit *ssh.ExitError
	if err := s.Wait(); !errors.As(err, &exit) || exit.ExitStatus() != 3 {
		t.Errorf("ended with %v", err)
	}
	l := w.lastLive()
	w.done(l)
	if l.ID() != s.Session() || !strings.Contains(w.recorded(l), "43 132") {
		t.Errorf("session %s, recorded %q", s.Session(), w.recorded(l))
	}
	row := l.Session()
	if row.Client != "browser terminal" || row.Source != "192.0.2.7:40001" {
		t.Errorf("client %q from %q", row.Client, row.Source)
	}
}

// Nobody opens a shell inside without a ticket, with another login's, under
// another's grant, or with a grant that was suspended since.
func TestInsideRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		world func(*world)
		edit  func(*sshproxy.Insider)
		want  string
	}{
		"no touch":               {func(w *world) { w.acc.noTicket = true }, nil, "no touch of yours waits"},
		"the touch of elsewhere": {nil, func(in *sshproxy.Insider) { in.Login = "login_2" }, "in another login"},
		"no login":               {nil, func(in *sshproxy.Insider) { in.Login = "" }, "in another login"},
		"another's grant":        {nil, func(in *sshproxy.Insider) { in.Grant.Person = "bob" }, "no grant"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.sshd()
			if tc.world != nil {
				tc.world(w)
			}
			edit := func(in *sshproxy.Insider) {
				if tc.edit != nil {
					tc.edit(in)
				}
			}
			s, _, err := w.inside(t.Context(), edit)
			if err == nil {
				s.Close()
				t.Fatal("a shell was opened")
			}
			if !strings.Contains(err.Error(), tc.want) || !w.store.has(audit.SessionRefused, audit.Refused, tc.want) {
				t.Errorf("refused with %q, or without its event", err)
			}
			if w.m.Live() != nil {
				t.Error("a session is live")
			}
		})
	}
}

// An order ends the shell, which shows the reason and says it to the page.
func TestInsideEnded(t *testing.T) {
	w := newWorld(t)
	w.sshd()
	s, shown := w.mustInside()
	w.typeInto(s, "echo up-$((40+2))\n")
	shown.wait(t, "up-42")
	w.lastLive().End(gateway.EndByStaff, "ben", "drill")
	var ended *gateway.Ended
	if err := s.Wait(); !errors.As(err, &ended) || ended.Reason != gateway.EndByStaff || ended.By != "ben" {
		t.Errorf("ended with %v", err)
	}
	if !strings.Contains(shown.String(), "drill") {
		t.Errorf("shown %q", shown.String())
	}
}

// A target that cannot be reached is said with its reason.
func TestInsideTargetGone(t *testing.T) {
	w := newWorld(t)
	w.at("127.0.0.1:1", w.host)
	s, shown := w.mustInside()
	err := s.Wait()
	var ended *gateway.Ended
	if !errors.As(err, &ended) || ended.Reason != gateway.EndTarget || !strings.Contains(shown.String(), "refused the connection") {
		t.Errorf("ended with %v, shown %q", err, shown.String())
	}
}

// The end of the gateway ends the shell; leaving ends the session.
func TestInsideStops(t *testing.T) {
	w := newWorld(t)
	w.sshd()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s, _, err := w.inside(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	var ended *gateway.Ended
	if err := s.Wait(); !errors.As(err, &ended) || ended.Reason != gateway.EndStopping {
		t.Errorf("ended with %v", err)
	}
	left, _ := w.mustInside()
	left.Close()
	if err := left.Wait(); !errors.As(err, &ended) || ended.Reason != gateway.EndClientLeft {
		t.Errorf("left with %v", err)
	}
}

// Four shells of one person are four sessions, each with a ticket of its own.
func TestInsideManyAtOnce(t *testing.T) {
	w := newWorld(t)
	w.sshd()
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			s, shown, err := w.inside(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			_, _ = fmt.Fprintf(s, "echo n-$((%d+100))\n", i)
			shown.wait(t, fmt.Sprintf("n-%d", i+100))
		})
	}
	wg.Wait()
	if got := len(w.opened); got != 4 {
		t.Errorf("%d sessions", got)
	}
}
