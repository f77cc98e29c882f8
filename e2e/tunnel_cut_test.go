package e2e

import (
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/portcullis/portcullis/e2e/rig"
)

// afterCut is how long after the promised moment this process may come to see
// a break: it shares its machine with all others.
const afterCut = time.Second

// live is a connection through a tunnel that never rests.
type live struct {
	passed atomic.Int64
	here   chan end   // the engineer's end
	there  chan error // the plant's
}

type end struct {
	at  time.Time
	err error
}

// flows begins one from a site to the plant's port 7.
func (s *tunnelStory) flows(site *rig.Site) *live {
	s.Helper()
	for len(s.echo) > 0 {
		<-s.echo
	}
	c := s.dial(site)
	l := &live{here: make(chan end, 1), there: <-s.echo}
	wrote := make(chan error, 1)
	go func() {
		piece := make([]byte, 4096)
		for {
			if _, err := c.Write(piece); err != nil {
				wrote <- err
				return
			}
			time.Sleep(time.Millisecond) // the flow's own pace
		}
	}()
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := c.Read(buf)
			if err != nil {
				at := time.Now()
				l.here <- end{at, errors.Join(err, <-wrote)} // a reset is told to one of the two
				return
			}
			l.passed.Add(int64(n))
		}
	}()
	return l
}

// reset waits for both ends of the flow to break, which must not be later than
// afterCut after at.
func (s *tunnelStory) reset(l *live, at time.Time) {
	s.Helper()
	select {
	case e := <-l.here:
		if late := e.at.Sub(at); late > afterCut {
			s.Errorf("the engineer's end broke %s late", late)
		}
		if !errors.Is(e.err, syscall.ECONNRESET) {
			s.Errorf("the engineer's end was not reset: %v", e.err)
		}
		s.Logf("the engineer's end: %s after", e.at.Sub(at).Round(time.Millisecond))
	case <-time.After(10 * time.Second):
		s.Fatalf("the flow goes on 10 s after its end; %d bytes have passed", l.passed.Load())
	}
	passed := l.passed.Load()
	if passed < 1<<16 {
		s.Errorf("the flow did not run when it was cut: %d bytes", passed)
	}
	select {
	case err := <-l.there:
		if !errors.Is(err, syscall.ECONNRESET) {
			s.Errorf("the plant's end was not reset: %v", err)
		}
	case <-time.After(afterCut):
		s.Error("the plant's end is open")
	}
}

// TestP1TunnelEndsWithItsWindow: the end of the window takes a flow that runs,
// at both ends, and no handshake is answered after it. P8: the page says why.
// While the window lasts, another engineer's tunnel is scanned from end to end.
func TestP1TunnelEndsWithItsWindow(t *testing.T) {
	t.Parallel()
	s := newTunnelStory(t, "headers")
	s.echoes()
	site, tunnel := s.site("ana", shortest, "hmi.plant:7/tcp")
	l := s.flows(site)
	s.scan()
	<-time.After(time.Until(tunnel.Until))
	s.reset(l, tunnel.Until)
	if got := s.ended(tunnel.Session); got.Reason != "window-ended" {
		t.Errorf("the session ended by %q", got.Reason)
	}
	s.dead(site)
	says(t, "P8: the page after it", s.page("ana", tunnel.Session), "window")
	s.verified()
}

// dead fails if a tunnel that is over answers a client that goes on, or one
// that starts anew with the same file.
func (s *tunnelStory) dead(site *rig.Site) {
	s.Helper()
	s.must(site.Down(s.ctx))
	s.must(site.Again(s.ctx))
	s.silent(site)
	s.must(site.Roam(s.ctx))
	s.silent(site)
}

// TestP4TunnelIsCut: the gate ends a vendor's tunnels in the middle of their
// flows, lets none of them back by any way, and another vendor's go on.
func TestP4TunnelIsCut(t *testing.T) {
	t.Parallel()
	s := newTunnelStory(t, "headers")
	s.echoes()
	grant := s.networkGrant("ana", time.Hour, "hmi.plant:7/tcp")
	site, err := s.lab.Site("ana")
	s.must(err)
	tunnel := s.turnOn(site, "ana", grant)
	other, _ := s.site("bob", time.Hour, "hmi.plant:7/tcp")
	l, bobs := s.flows(site), s.flows(other)
	_, next, err := rig.NewPeer()
	s.must(err)
	draft, err := s.People["ana"].Draft(s.ctx, "session.open", map[string]string{"grant": grant, "peer": next})
	s.must(err)
	touch, err := s.People["ana"].Key.Get(draft.Options)
	s.must(err)

	begun := time.Now()
	s.suspend("vendor", rig.Acme, "breach")
	answered := time.Now()
	passed := l.passed.Load()
	s.reset(l, answered)
	t.Logf("the answer came %s after the command's start", answered.Sub(begun).Round(time.Millisecond))
	if more := l.passed.Load() - passed; more > 1<<20 { // what lay in the client's own buffers
		t.Errorf("P4: %d bytes arrived after the answer", more)
	}
	if got := s.ended(tunnel.Session); got.Reason != "suspended" {
		t.Errorf("the session ended by %q", got.Reason)
	}
	s.dead(site)
	refused(t, s.People["ana"].Post(s.ctx, "/api/v1/acts/"+draft.ID, map[string]any{"assertion": touch}, nil))
	before := bobs.passed.Load()
	s.must(rig.Until(s.ctx, 5*time.Second, func() error {
		if bobs.passed.Load() < before+1<<18 {
			return errors.New("another vendor's flow stands still")
		}
		return nil
	}))
	select {
	case e := <-bobs.here:
		t.Errorf("another vendor's flow: %v", e.err)
	default:
	}
	var page string
	s.must(s.People["ben"].Get(s.ctx, "/sessions/"+tunnel.Session, &page))
	says(t, "P8: the page after it", page, "suspended")
	s.verified()
}

// TestP3TunnelWithoutARecorder: where nothing can be kept any more nothing
// passes, the tunnel ends, and what the plant's answer was is on file.
func TestP3TunnelWithoutARecorder(t *testing.T) {
	t.Parallel()
	s := newTunnelStoryIn(t, smallDisk(t, "20m"), "full", "recordings_reserve_mib: 10\n")
	s.echoes()
	grant := s.networkGrant("ana", time.Hour, "hmi.plant:7/tcp")
	site, err := s.lab.Site("ana")
	s.must(err)
	tunnel := s.turnOn(site, "ana", grant)
	c := s.dial(site)
	s.must(c.SetDeadline(time.Now().Add(30 * time.Second)))
	wrote := make(chan error, 1)
	go func() { _, err := io.Copy(c, zeros{}); wrote <- err }()
	passed, err := io.Copy(io.Discard, io.LimitReader(c, 1<<30))
	if err = errors.Join(err, <-wrote); !errors.Is(err, syscall.ECONNRESET) || passed >= 1<<30 {
		t.Fatalf("%d bytes passed a recorder without room, and then: %v", passed, err)
	}
	t.Logf("%d bytes passed, then: %v", passed, err)
	if got := s.ended(tunnel.Session); got.Reason != "recorder-failed" {
		t.Errorf("the session ended by %q", got.Reason)
	}
	s.must(site.Down(s.ctx))
	s.must(site.Again(s.ctx))
	s.silent(site)
	says(t, "P8: the page after it", s.page("ana", tunnel.Session), "record")
	_, public, err := rig.NewPeer()
	s.must(err)
	if _, err := s.OpenTunnel(s.ctx, "ana", grant, public); err == nil {
		t.Error("a tunnel opened without room for its recording")
	} else if !strings.Contains(err.Error(), "record") {
		t.Errorf("P8: the refusal: %v", err)
	}
	s.verified()
}

// zeros never end.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }
