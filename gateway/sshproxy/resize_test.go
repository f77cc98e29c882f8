package sshproxy_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway/recording"
	"github.com/portcullis/portcullis/gateway/session"
	"github.com/portcullis/portcullis/gateway/sshproxy"
)

// drawing is a target whose terminal shows each size that it is told.
func (w *world) drawing() {
	w.fake(signer(w.t), func(_ *ssh.ServerConn, ch ssh.Channel, reqs <-chan *ssh.Request) {
		for r := range reqs {
			_ = r.Reply(true, nil)
			if r.Type != "window-change" {
				continue
			}
			var m struct{ C, R, W, H uint32 }
			_ = ssh.Unmarshal(r.Payload, &m)
			_, _ = fmt.Fprintf(ch, "%dx%d\n", m.C, m.R)
			if m.C == 1 {
				_ = ch.Close()
			}
		}
	})
}

// resizes is what a recording has of sizes ("80x24") and output, in order.
func (w *world) resizes(l *session.Live) (all []string) {
	w.t.Helper()
	if err := w.vault.Events(w.t.Context(), l.ID(), func(e recording.Event) error {
		switch {
		case e.Size != nil:
			all = append(all, fmt.Sprintf("%dx%d", e.Size.Cols, e.Size.Rows))
		case e.Output != nil:
			for line := range strings.Lines(string(e.Output)) {
				all = append(all, "shown "+strings.TrimSpace(line))
			}
		case e.Exited:
			all = append(all, "exit")
		}
		return nil
	}); err != nil {
		w.t.Fatal(err)
	}
	return all
}

// S-10: nothing is shown at a size that the recording does not have yet,
// however fast they come, and the last is there before the exit.
func TestSizesAreRecordedBeforeWhatIsShown(t *testing.T) {
	w := newWorld(t)
	w.drawing()
	s, err := w.mustClient().NewSession()
	if err != nil {
		t.Fatal(err)
	}
	out, _ := s.StdoutPipe()
	if err := s.RequestPty("vt100", 24, 80, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Shell(); err != nil {
		t.Fatal(err)
	}
	for _, cols := range []int{100, 101, 102, 1} {
		if err := s.WindowChange(7, cols); err != nil {
			t.Fatal(err)
		}
		if shown := make([]byte, len(fmt.Sprintf("%dx7\n", cols))); cols != 1 {
			if _, err := io.ReadFull(out, shown); err != nil {
				t.Fatal(err)
			}
		}
	}
	_, _ = io.Copy(io.Discard, out)
	_ = s.Wait()
	l := w.lastLive()
	w.endsAtOnce(l)
	want := "100x7, shown 100x7, 101x7, shown 101x7, 102x7, shown 102x7, 1x7, shown 1x7, exit"
	if got := strings.Join(w.resizes(l), ", "); got != want {
		t.Errorf("recorded\n%s\nwant\n%s", got, want)
	}
}

// A size that nothing follows is recorded all the same, soon.
func TestLastSizeOfAQuietTerminal(t *testing.T) {
	w := newWorld(t)
	asked := w.notes()
	s, err := w.mustClient().NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.RequestPty("vt100", 24, 80, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Shell(); err != nil {
		t.Fatal(err)
	}
	for cols := range 50 {
		if err := s.WindowChange(7, 100+cols); err != nil {
			t.Fatal(err)
		}
	}
	for got := (requested{}); got.kind != "window-change" || got.payload[3] != 149; got = <-asked {
	}
	l := w.lastLive()
	tick := time.NewTicker(sshproxy.ResizeEvery / 10)
	defer tick.Stop()
	for begun := time.Now(); ; <-tick.C {
		all := w.resizes(l)
		if len(all) > 0 && all[len(all)-1] == "149x7" {
			if most := 2 + int(time.Since(begun)/sshproxy.ResizeEvery) + 10; len(all) > most {
				t.Errorf("%d sizes are recorded: %q", len(all), all)
			}
			break
		}
		if time.Since(begun) > patience {
			t.Fatalf("recorded: %q", all)
		}
	}
	_ = s.Close()
	w.endsAtOnce(l)
}

// A size that comes while the session is frozen reaches the target after the
// thaw; one that came before it is recorded, and output goes on.
func TestFrozenTerminalKeepsItsSize(t *testing.T) {
	w := newWorld(t)
	asked := w.notes()
	s, err := w.mustClient().NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.RequestPty("vt100", 24, 80, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Shell(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		<-asked
	}
	l := w.lastLive()
	for range 2 { // the second waits to be recorded
		if err := s.WindowChange(7, 100); err != nil {
			t.Fatal(err)
		}
		<-asked
	}
	if err := w.m.Freeze(t.Context(), l.ID(), "sam", ""); err != nil {
		t.Fatal(err)
	}
	if err := s.WindowChange(8, 101); err != nil {
		t.Fatal(err)
	}
	select {
	case got := <-asked:
		t.Fatalf("the target of a frozen session got %s", got.kind)
	case <-time.After(300 * time.Millisecond): // long enough on loopback to be told what passes
	}
	if all := w.resizes(l); strings.Join(all, " ") != "100x7 100x7" {
		t.Errorf("recorded %q of what came before", all)
	}
	if err := w.m.Thaw(t.Context(), l.ID(), "sam"); err != nil {
		t.Fatal(err)
	}
	if got := <-asked; got.kind != "window-change" || got.payload[3] != 101 {
		t.Errorf("after the thaw the target got %s %x", got.kind, got.payload)
	}
	_ = s.Close()
	w.endsAtOnce(l)
}
