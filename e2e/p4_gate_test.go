package e2e

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/e2e/rig"
)

// TestP4Suspended: whatever acme's engineer holds when the gate drops is worth
// nothing afterwards, the report counts what was measured closed, and the
// other vendor feels nothing.
func TestP4Suspended(t *testing.T) {
	s := newStory(t, rig.Options{})
	g := s.grant("ana", "pump", time.Hour)
	s.grant("bob", "pump", time.Hour)
	shells := []*rig.Terminal{s.shell("ana", "pump"), s.shell("ana", "pump"), s.shell("ana", "pump")}
	bob := s.shell("bob", "pump")

	// What she holds besides: a multiplexed master, a connection that waits
	// for its touch, a ticket, a drafted statement, a request that waits.
	master := s.master("ana", g.ID)
	waiting, err := rig.OpenTerminal(100, 30, "ssh", s.Args("ana", "pump", "-tt")...)
	s.must(err)
	t.Cleanup(waiting.Close)
	link, err := waiting.Expect(s.ctx, 15*time.Second, rig.TouchLink)
	s.must(err)
	draft, err := s.People["ana"].Draft(s.ctx, "session.open", map[string]string{"grant": g.ID})
	s.must(err)
	assertion, err := s.People["ana"].Key.Get(draft.Options)
	s.must(err)
	s.must(s.Ticket(s.ctx, "ana", g.ID))

	var got struct {
		suspension
		Report struct {
			Verdict string `json:"verdict"`
			Nodes   []struct {
				LiveBefore int `json:"live_before"`
				LiveAfter  int `json:"live_after"`
				Sessions   []struct {
					Closed     bool          `json:"closed"`
					After      time.Duration `json:"after_ns"`
					BytesAfter int64         `json:"bytes_after"`
				} `json:"sessions"`
			} `json:"nodes"`
			Cancelled struct {
				Grants int `json:"grants"`
				Logins int `json:"logins"`
			} `json:"cancelled"`
		} `json:"report"`
	}
	began := time.Now()
	s.must(s.JSON(s.ctx, &got, "suspend", "vendor", rig.Acme, "--reason", "breach notice of 06:12"))
	took := time.Since(began)

	if got.Report.Verdict != "PASS" || len(got.Report.Nodes) != 1 {
		t.Fatalf("the report: %+v", got.Report)
	}
	node := got.Report.Nodes[0]
	if node.LiveBefore != 4 || node.LiveAfter != 0 || len(node.Sessions) != 4 {
		t.Errorf("three shells and a master were live; the report counts %+v", node)
	}
	for _, c := range node.Sessions {
		if !c.Closed || c.BytesAfter != 0 || c.After <= 0 {
			t.Errorf("not measured closed: %+v", c)
		}
	}
	if got.Report.Cancelled.Grants != 1 || got.Report.Cancelled.Logins < 1 {
		t.Errorf("cancelled: %+v", got.Report.Cancelled)
	}
	for _, shell := range shells {
		if _, err := shell.Wait(5 * time.Second); err != nil {
			t.Errorf("a shell outlived the report: %v", err)
		}
		says(t, "the end of a shell", shell.Shown(), "suspended")
	}
	t.Logf("the command took %s for 4 live sessions", took)

	t.Run("the other vendor feels nothing", func(t *testing.T) {
		s.must(bob.Type("echo still-$((1+1))-here\n"))
		if _, err := bob.Expect(s.ctx, 15*time.Second, "still-2-here"); err != nil {
			t.Error(err)
		}
	})
	t.Run("a second channel", func(t *testing.T) {
		cmd := exec.CommandContext(s.ctx, "ssh", append(master, "echo", "second")...)
		if status, out, _ := output(t, cmd); status == 0 || out != "" {
			t.Errorf("a multiplexed channel opened: %d %q", status, out)
		}
	})
	t.Run("the ticket", func(t *testing.T) {
		status, out, errOut := s.ssh("ana", "pump", "echo ticket")
		if status == 0 || out != "" {
			t.Errorf("a ticket opened: %d %q", status, out)
		}
		says(t, "the refusal", errOut, "suspended")
	})
	t.Run("the waiting connection", func(t *testing.T) {
		if s.Touch(s.ctx, "ana", link[0]) == nil {
			t.Error("the touch for a waiting connection was taken")
		}
		if code, err := waiting.Wait(10 * time.Second); err != nil || code == 0 {
			t.Errorf("the waiting connection goes on: %d %v", code, err)
		}
	})
	t.Run("the drafted statement", func(t *testing.T) {
		refused(t, s.People["ana"].Post(s.ctx, "/api/v1/acts/"+draft.ID, map[string]any{"assertion": assertion}, nil))
	})
	t.Run("the cookie and a new login", func(t *testing.T) {
		refused(t, s.People["ana"].Get(s.ctx, "/api/v1/me", nil))
		refused(t, s.People["ana"].Login(s.ctx), "suspended")
	})
	t.Run("an invitation", func(t *testing.T) {
		refused(t, s.Machine().Act(s.ctx, "person.invite", map[string]string{"person": "ana"}, nil))
	})
	s.stays(got.suspension)
	s.told("session.ended", "suspended")
	s.told("suspension.ordered", "06:12")
	s.verified()
}

// stays kills the gateway, starts it again, and looks whether the gate is
// still down.
func (s *story) stays(order suspension) {
	s.Helper()
	s.Kill()
	s.must(s.Start(s.ctx))
	var vendor struct {
		State string `json:"state"`
		Epoch uint64 `json:"epoch"`
	}
	s.must(s.Machine().Get(s.ctx, "/api/v1/vendors/"+rig.Acme, &vendor))
	if vendor.State != "suspended" || vendor.Epoch != order.Epoch {
		s.Errorf("after kill -9 the vendor is %+v; it was suspended with epoch %d", vendor, order.Epoch)
	}
	if status, out, errOut := s.ssh("ana", "pump", "echo back"); status == 0 || out != "" {
		s.Errorf("after kill -9 the engineer is back in: %d %q %s", status, out, errOut)
	}
}

// master opens a multiplexing connection with a live channel and returns the
// arguments that use it.
func (s *story) master(who, grant string) []string {
	s.Helper()
	dir, err := s.Scratch("mux")
	s.must(err)
	mux := filepath.Join(dir, who)
	s.must(s.Ticket(s.ctx, who, grant))
	args := s.Args(who, "pump", "-o", "ControlMaster=yes", "-o", "ControlPath="+mux, "-T")
	ctx, cancel := context.WithCancel(s.ctx)
	cmd := exec.CommandContext(ctx, "ssh", append(args, "echo up; cat")...)
	in, err := cmd.StdinPipe()
	s.must(err)
	out, err := cmd.StdoutPipe()
	s.must(err)
	s.must(cmd.Start())
	s.Cleanup(func() { cancel(); in.Close(); _ = cmd.Wait() })
	buf := make([]byte, 3)
	if _, err := out.Read(buf); err != nil || string(buf) != "up\n" {
		s.Fatalf("the master did not come up: %q %v", buf, err)
	}
	return s.Args(who, "pump", "-o", "ControlMaster=no", "-o", "ControlPath="+mux, "-o", "BatchMode=yes", "-T")
}

// TestP4EndOne: one session ends by command, the others go on.
func TestP4EndOne(t *testing.T) {
	t.Parallel()
	s := newStory(t, rig.Options{})
	s.grant("ana", "pump", time.Hour)
	first := s.shell("ana", "pump")
	id := s.sessions()[0].ID
	second := s.shell("ana", "pump")
	r, err := s.CLI(s.ctx, "session", "end", id, "--reason", "the pump is needed now")
	s.must(err)
	if r.Status != 0 {
		t.Fatalf("session end: %d %s", r.Status, r.Err)
	}
	if _, err := first.Wait(5 * time.Second); err != nil {
		t.Error(err)
	}
	says(t, "the end", first.Shown(), "the pump is needed now")
	s.must(second.Type("echo on-$((2+2))\n"))
	if _, err := second.Expect(s.ctx, 15*time.Second, "on-4"); err != nil {
		t.Error(err)
	}

	// who agreed to it loses the role, and what stood on it ends.
	s.must(s.Apply(s.ctx, strings.Replace(s.PlantFile(), "roles: [approver, responder]", "roles: [responder]", 1)))
	if _, err := second.Wait(5 * time.Second); err != nil {
		t.Error(err)
	}
	says(t, "the end", second.Shown(), "what stands behind this grant does not hold")
	s.told("grant.closed", "not-granted")
}

// TestP4WebDown: the gate falls by the local socket when the pages are
// switched off.
func TestP4WebDown(t *testing.T) {
	t.Parallel()
	s := newStory(t, rig.Options{})
	s.grant("ana", "pump", time.Hour)
	s.must(s.WebOff())
	s.must(s.Stop())
	s.must(s.Start(s.ctx))
	if got := s.suspend("vendor", rig.Acme, "drill"); got.Epoch < 2 {
		t.Errorf("suspended with epoch %d", got.Epoch)
	}
	s.verified()
}
