package e2e

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/e2e/rig"
)

// shortStays is the configuration of a gateway whose stages can be gone
// through within a test.
const shortStays = "restore: {watch_only: 2s, supervised: 2s}\n"

const forensic = "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"

// ladder is how far a scope has come back, as far as a story reads it.
type ladder struct {
	Stage    string    `json:"stage"`
	Next     string    `json:"next"`
	Earliest time.Time `json:"earliest"`
}

func restoration(kind, name, suspension string) map[string]any {
	return map[string]any{"suspension": suspension, "scope": map[string]string{"kind": kind, "name": name}, "report": forensic, "reason": "clean bill by the forensic firm"}
}

// advanced waits until the stay is over and has one sign the next stage.
func (s *story) advanced(kind, name, suspension, who, stage string) {
	s.Helper()
	x := s.stayed(suspension)
	params := map[string]any{"scope": map[string]string{"kind": kind, "name": name}, "reason": "nothing was seen"}
	var now ladder
	s.must(s.People[who].Act(s.ctx, "restore.advance", params, &now))
	if now.Stage != stage {
		s.Errorf("the step from %s led to %s, not %s", x.Stage, now.Stage, stage)
	}
}

// TestP4Restore: two people of different roles and a report restore a vendor,
// stage by stage; nothing old opens again in any of them.
func TestP4Restore(t *testing.T) {
	t.Parallel()
	s := newStory(t, rig.Options{Config: shortStays})
	s.grant("ana", "pump", time.Hour)
	order := s.suspend("vendor", rig.Acme, "breach notice")
	params := restoration("vendor", rig.Acme, order.ID)
	s.must(s.People["cleo"].Act(s.ctx, "restore", params, nil))
	refused(t, s.People["cleo"].Act(s.ctx, "restore", params, nil))
	if status, out, _ := s.ssh("ana", "pump", "echo half"); status == 0 || out != "" {
		t.Error("one signature of two opened the gate")
	}
	s.must(s.People["ben"].Act(s.ctx, "restore", params, nil))
	old := func(stage string) {
		t.Helper()
		if status, out, errOut := s.ssh("ana", "pump", "echo old"); status == 0 || out != "" {
			t.Errorf("%s: an SSH key of before the breach got in: %d %q %s", stage, status, out, errOut)
		}
	}
	old("watch-only")
	refused(t, s.People["ana"].Login(s.ctx))
	refused(t, s.People["ben"].Act(s.ctx, "restore.advance", map[string]any{"scope": params["scope"], "reason": "at once"}, nil))

	known, err := s.KnownHosts()
	s.must(err)
	before := s.Clients["ana"]
	s.Clients["ana"], err = rig.NewClient(t.TempDir(), known)
	s.must(err)
	s.must(s.Join(s.ctx, "ana"))
	s.must(s.People["ana"].Act(s.ctx, "sshkey.add", map[string]string{"key": s.Clients["ana"].PublicKey, "label": "laptop"}, nil))
	g := s.grant("ana", "pump", time.Hour)
	if status, out, errOut := s.ssh("ana", "pump", "echo early"); status == 0 || out != "" || !strings.Contains(errOut, "watch-only") {
		t.Errorf("watch-only let in, or did not say so: %d %q %s", status, out, errOut)
	}
	vendors, err := s.CLI(s.ctx, "vendors")
	s.must(err)
	says(t, "the list of vendors", vendors.Out, "watch-only", "NEXT FROM")

	s.advanced("vendor", rig.Acme, order.ID, "ben", "supervised")
	s.supervised("ana", "pump", g.ID)
	s.advanced("vendor", rig.Acme, order.ID, "cleo", "normal")
	mine := s.Clients["ana"]
	s.Clients["ana"] = before
	old("normal")
	s.Clients["ana"] = mine
	if status, out, errOut := s.run("ana", "pump", g.ID, "echo anew"); status != 0 || out != "anew\n" {
		t.Errorf("enrolled and granted anew: %d %q %s", status, out, errOut)
	}
	s.told("restoration.stage", "nothing was seen")
	s.verified()
}

// supervised opens a session of which nothing passes before somebody of the
// staff watches it.
func (s *story) supervised(who, target, grant string) {
	s.Helper()
	s.must(s.Ticket(s.ctx, who, grant))
	shell, err := rig.OpenTerminal(100, 30, "ssh", s.Args(who, target, "-tt")...)
	s.must(err)
	defer shell.Close()
	_, err = shell.Expect(s.ctx, 15*time.Second, "nobody of the operator's staff watches")
	s.must(err)
	var live struct {
		Items []struct {
			ID         string    `json:"id"`
			Supervised bool      `json:"supervised"`
			Unwatched  time.Time `json:"unwatched"`
		} `json:"items"`
	}
	s.must(s.Machine().Get(s.ctx, "/api/v1/sessions?live=true", &live))
	if len(live.Items) != 1 || !live.Items[0].Supervised || live.Items[0].Unwatched.IsZero() {
		s.Fatalf("live: %+v", live.Items)
	}
	ctx, leave := context.WithCancel(s.ctx)
	left := make(chan struct{})
	go func() {
		defer close(left)
		_ = s.People["ben"].Get(ctx, "/api/v1/recordings/"+live.Items[0].ID+"/live", nil)
	}()
	_, err = shell.Expect(s.ctx, 15*time.Second, "[$#] ")
	s.must(err)
	s.must(shell.Type("echo under-$((40+2))-watch\n"))
	_, err = shell.Expect(s.ctx, 15*time.Second, "under-42-watch")
	s.must(err)
	leave()
	<-left
	_, err = shell.Expect(s.ctx, 15*time.Second, "nobody of the operator's staff watches")
	s.must(err)
	s.must(rig.Until(s.ctx, 15*time.Second, func() error { // the gate is shut and told of first
		if len(s.events("session.held")) == 0 {
			return errors.New("no event session.held")
		}
		return nil
	}))
	s.told("session.released")
}
