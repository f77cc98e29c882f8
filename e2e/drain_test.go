package e2e

import (
	"errors"
	"testing"
	"time"

	"github.com/portcullis/portcullis/e2e/rig"
)

// drainTime is short, so that the story of a restart is.
const drainTime = 6 * time.Second

// TestR18Restart: SIGTERM sends the balancer away, opens nothing, tells who is
// in, and waits; then the session ends with its reason and a recording that
// verifies. A second SIGTERM does not wait.
func TestR18Restart(t *testing.T) {
	t.Parallel()
	s := newStory(t, rig.Options{Config: "drain: " + drainTime.String() + "\n"})
	s.grant("ana", "pump", time.Hour)
	shell := s.shell("ana", "pump")
	id := s.sessions()[0].ID

	asked := time.Now()
	s.must(s.Terminate())
	if _, err := shell.Expect(s.ctx, drainTime, "being restarted.*this one ends by [-0-9]+ [:0-9]+ UTC"); err != nil {
		t.Error(err)
	}
	if err := s.Ready(s.ctx); err == nil {
		t.Error("the balancer is told to go on")
	}
	if status, out, errOut := s.ssh("ana", "pump", "echo in"); status == 0 || out != "" {
		t.Errorf("a session opened during the drain: %d %q", status, out)
	} else {
		says(t, "the refusal", errOut, "being restarted and opens no new session", "try again in a minute")
	}
	s.answers("the shell that drains", shell, 1)
	if r, err := s.CLI(s.ctx, "doctor"); err != nil {
		t.Error(err)
	} else {
		says(t, "doctor", r.Out, "drains before a restart")
	}
	if _, err := shell.Wait(drainTime + 2*time.Second); err != nil || time.Since(asked) < drainTime-time.Second {
		t.Errorf("the shell ended after %s, want %s: %v", time.Since(asked), drainTime, err)
	}
	says(t, "the shell", shell.Shown(), "the gateway is being restarted; connect again in a minute")
	s.must(s.gone(5 * time.Second))

	s.must(s.Start(s.ctx))
	if x := s.ended(id); x.Reason != "gateway-stopping" {
		t.Errorf("the session is on file as %+v", x)
	}
	s.must(s.Machine().Get(s.ctx, "/api/v1/recordings/"+id+"/verify", nil))
	s.verified()

	shell = s.shell("ana", "pump")
	s.must(s.Terminate())
	if _, err := shell.Expect(s.ctx, drainTime, "being restarted"); err != nil {
		t.Error(err)
	}
	asked = time.Now()
	s.must(s.Terminate())
	s.must(s.gone(drainTime))
	if took := time.Since(asked); took > drainTime/2 {
		t.Errorf("the second signal took %s", took)
	}
}

// gone waits for the gateway's end.
func (s *story) gone(limit time.Duration) error {
	select {
	case <-s.Done():
		return nil
	case <-time.After(limit):
		return errors.New("the gateway has not ended after " + limit.String())
	}
}
