package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/e2e/rig"
)

// command runs a command that must succeed, and returns what it prints.
func (s *story) command(args ...string) string {
	s.Helper()
	r, err := s.CLI(s.ctx, args...)
	s.must(err)
	if r.Status != 0 {
		s.Fatalf("portcullis %q: %d %s%s", args, r.Status, r.Out, r.Err)
	}
	return r.Out
}

// filed is the forensic report as a file, whose digest is forensic.
func (s *story) filed() string {
	s.Helper()
	name := filepath.Join(s.TempDir(), "report.pdf")
	s.must(os.WriteFile(name, []byte("1"), 0o600))
	return name
}

// TestP4RestoreWide: what is wider than a vendor is restored at the command
// line and by one more person, stage by stage, and a window of before opens in
// none. That what is asked for anew opens is in gateway/access, with a clock
// that passes the first minute.
func TestP4RestoreWide(t *testing.T) {
	t.Parallel()
	s := newStory(t, rig.Options{Config: shortStays})
	before := s.grant("ana", "pump", time.Hour)
	report := s.filed()
	scopes := []struct{ kind, name string }{{"target", "pump"}, {"zone", "pumps"}, {"protocol", "ssh"}, {"all", "vendors"}}
	args := func(command, kind, name string, more ...string) []string {
		list := []string{"restore", command, kind, name}
		if kind == "all" {
			list = list[:3]
		}
		if command == "" {
			list = append(list[:1], list[2:]...)
		}
		return append(list, more...)
	}
	ids := map[string]string{}
	for _, x := range scopes {
		ids[x.kind] = s.suspendWide(x.kind, x.name)
		says(t, "before the restoration", s.command(args("stage", x.kind, x.name)...), "is closed", "two people of different roles")
		says(t, "the first half", s.command(args("", x.kind, x.name, "--report", report, "--reason", "clean bill")...), "another role", "stays closed")
		s.must(s.People["ben"].Act(s.ctx, "restore", restoration(x.kind, x.name, ids[x.kind]), nil))
		says(t, "the first stage", s.command(args("stage", x.kind, x.name)...), "> watch-only", " and ben", "machine", "  supervised  from", "at the earliest")
		r, err := s.CLI(s.ctx, args("advance", x.kind, x.name, "--reason", "at once")...)
		s.must(err)
		if r.Status != 1 || !strings.Contains(r.Err, "at the earliest") {
			t.Errorf("%s %s went on before its stay was over: %d %s%s", x.kind, x.name, r.Status, r.Out, r.Err)
		}
	}
	s.must(s.People["ana"].Login(s.ctx))
	for _, stage := range []string{"watch-only", "supervised", "normal"} {
		for _, x := range scopes {
			if stage != "watch-only" {
				s.stayed(ids[x.kind])
				says(t, "the next stage", s.command(args("advance", x.kind, x.name, "--reason", "nothing was seen")...), "is "+stage, "> "+stage)
			}
			if got := s.ladder(ids[x.kind]); got.Stage != stage {
				t.Errorf("%s %s is %s, not %s", x.kind, x.name, got.Stage, stage)
			}
		}
		if status, out, errOut := s.ssh("ana", "pump", "echo in"); status == 0 || out != "" || errOut == "" {
			t.Errorf("%s: a window of before let in: %d %q %s", stage, status, out, errOut)
		}
		refused(t, s.Ticket(s.ctx, "ana", before.ID))
	}
	s.verified()
}

// suspendWide closes a scope at the command line and returns the order.
func (s *story) suspendWide(kind, name string) string {
	s.Helper()
	if kind == "all" {
		var got suspension
		s.must(s.JSON(s.ctx, &got, "suspend", "all", "--reason", "breach notice"))
		return got.ID
	}
	return s.suspend(kind, name, "breach notice").ID
}

// ladder reads how far what a suspension closed has come back.
func (s *story) ladder(suspension string) (x ladder) {
	s.Helper()
	s.must(s.Machine().Get(s.ctx, "/api/v1/suspensions/"+suspension+"/ladder", &x))
	return x
}

// stayed waits until the shortest stay in the present stage is over.
func (s *story) stayed(suspension string) ladder {
	s.Helper()
	x := s.ladder(suspension)
	wait := time.NewTimer(time.Until(x.Earliest))
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-s.ctx.Done():
		s.Fatal(s.ctx.Err())
	}
	return x
}
