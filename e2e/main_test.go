package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/portcullis/portcullis/e2e/rig"
)

// built is the built gateway: PORTCULLIS_BIN, or built here.
var built string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if built = os.Getenv("PORTCULLIS_BIN"); built != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "portcullis-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	built = filepath.Join(dir, "portcullis")
	build := exec.Command("go", "build", "-trimpath", "-o", built, "./cmd/portcullis")
	build.Dir, build.Env = "..", append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "e2e: build the gateway: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// takes hands each connection to f, which closes it, until the test ends.
func takes(t testing.TB, l net.Listener, f func(net.Conn)) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go f(c)
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
}

// story is one test's stage with its deadline.
type story struct {
	*testing.T
	*rig.Stage
	ctx context.Context
}

// storyWithin bounds one test. Those that hold the gateway to no time of a few
// hundred milliseconds are run beside each other (t.Parallel): most of what a
// story does is to wait.
const storyWithin = 10 * time.Minute

// newStory builds a stage of its own; its end prints the gateway's log where
// the test has failed.
func newStory(t *testing.T, o rig.Options) *story {
	t.Helper()
	return newStoryIn(t, t.TempDir(), o)
}

// newStoryIn builds the stage in dir.
func newStoryIn(t *testing.T, dir string, o rig.Options) *story {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), storyWithin+soak(t))
	t.Cleanup(cancel)
	s, err := rig.NewStage(ctx, built, dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		if t.Failed() {
			t.Logf("the gateway's log:\n%s", tail(s.Log(), 20_000))
		}
	})
	return &story{T: t, Stage: s, ctx: ctx}
}

// soak is how long TestSoak goes on: PORTCULLIS_SOAK.
func soak(t *testing.T) time.Duration {
	t.Helper()
	v := os.Getenv("PORTCULLIS_SOAK")
	if v == "" {
		return time.Second
	}
	length, err := time.ParseDuration(v)
	if err != nil {
		t.Fatal(err)
	}
	return length
}

func tail(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return "…" + s[len(s)-n:]
}

// must stops the story at an error: the stage, not the promise, is broken.
func (s *story) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// grant has who ask for a target and ben agree.
func (s *story) grant(who, target string, length time.Duration) rig.Grant {
	s.Helper()
	g, err := s.Granted(s.ctx, who, target, length)
	s.must(err)
	return g
}

// shell opens a shell by link and touch.
func (s *story) shell(who, target string) *rig.Terminal {
	s.Helper()
	t, err := s.Shell(s.ctx, who, target)
	s.must(err)
	s.Cleanup(t.Close)
	return t
}

// run runs a command by ticket, without a terminal.
func (s *story) run(who, target, grant, command string) (status int, out, errOut string) {
	s.Helper()
	s.must(s.Ticket(s.ctx, who, grant))
	return s.ssh(who, target, command)
}

// ssh runs a command with the stock client; nobody touches anything.
func (s *story) ssh(who, target, command string, options ...string) (status int, out, errOut string) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ssh", append(s.Args(who, target, append(options, "-T")...), command)...)
	return output(s.T, cmd)
}

// suspend drops the gate at the local socket.
func (s *story) suspend(kind, name, reason string) suspension {
	s.Helper()
	var got suspension
	s.must(s.JSON(s.ctx, &got, "suspend", kind, name, "--reason", reason))
	return got
}

// suspension is the report, as far as the stories read it.
type suspension struct {
	ID    string `json:"id"`
	Epoch uint64 `json:"epoch"`
	State string `json:"state"`
}

// sessions lists sessions as the command line does.
func (s *story) sessions() []session {
	s.Helper()
	var page struct {
		Items []session `json:"items"`
	}
	s.must(s.Machine().Get(s.ctx, "/api/v1/sessions", &page))
	return page.Items
}

// ended waits until a session is on file as ended: its client is told first.
func (s *story) ended(id string) session {
	s.Helper()
	var x session
	s.must(rig.Until(s.ctx, 10*time.Second, func() error {
		if err := s.Machine().Get(s.ctx, "/api/v1/sessions/"+id, &x); err != nil {
			return err
		}
		if x.State != "ended" {
			return fmt.Errorf("session %s is %s", id, x.State)
		}
		return nil
	}))
	return x
}

type session struct {
	ID       string `json:"id"`
	Person   string `json:"person"`
	State    string `json:"state"`
	Reason   string `json:"reason"`
	Detail   string `json:"detail"`
	BytesOut int64  `json:"bytes_out"`
}
