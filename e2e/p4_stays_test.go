package e2e

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/e2e/rig"
)

// backup is a copy of the gateway's database, made while it is stopped.
func (s *story) backup() []byte {
	s.Helper()
	s.must(s.Stop())
	raw, err := os.ReadFile(s.Store())
	s.must(err)
	s.must(s.Start(s.ctx))
	return raw
}

// putBack has the gateway start on an older copy of its database. What it
// keeps beside the database stays as it is, as after a restored backup.
func (s *story) putBack(old []byte) {
	s.Helper()
	s.must(s.Stop())
	for _, more := range []string{"-wal", "-shm"} {
		if err := os.Remove(s.Store() + more); err != nil && !errors.Is(err, os.ErrNotExist) {
			s.Fatal(err)
		}
	}
	s.must(os.WriteFile(s.Store(), old, 0o600))
	s.must(s.Start(s.ctx))
}

// TestP4StaysSuspended: a suspended vendor stays suspended through
//
//   - a restart of all: here by a stop and by kill -9, on three nodes in
//     TestClusterOutages, at any moment of the order in TestCrashDuringSuspension;
//   - an older backup: here, on three nodes in TestClusterOutages; that the log
//     tells of it is in TestP5EditedStore;
//   - a rename of the vendor: here. A vendor's name is its identity and stays
//     with it for good, its people too, so a rename is another title. Whoever
//     admits the vendor anew under another name invites each person anew, and
//     an SSH key of before is not taken there either;
//   - a Redis wipe: TestClusterOutages, and TestSoakGate amid traffic;
//   - the clock back one hour: TestASuspensionOutlivesAClockSetBack in
//     gateway/access. The clock of a process cannot be set by another one.
func TestP4StaysSuspended(t *testing.T) {
	t.Parallel()
	s := newStory(t, rig.Options{})
	g := s.grant("ana", "pump", time.Hour)
	old := s.backup()
	order := s.suspend("vendor", rig.Acme, "breach notice")
	out := func(when string) {
		t.Helper()
		ticket := s.Ticket(s.ctx, "ana", g.ID)
		if status, shown, errOut := s.ssh("ana", "pump", "echo in"); status == 0 || shown != "" || errOut == "" {
			t.Errorf("after %s: %d %q %q (ticket: %v)", when, status, shown, errOut, ticket)
		}
		refused(t, s.People["ana"].Get(s.ctx, "/api/v1/me", nil))
		refused(t, s.People["ana"].Login(s.ctx))
		_, err := s.Ask(s.ctx, "ana", "pump", time.Hour)
		refused(t, err)
	}
	closed := func(when string) {
		t.Helper()
		out(when)
		var vendor suspension
		s.must(s.Machine().Get(s.ctx, "/api/v1/vendors/"+rig.Acme, &vendor))
		if vendor.State != "suspended" || vendor.Epoch != order.Epoch {
			t.Errorf("after %s the vendor is %+v; it was suspended with epoch %d", when, vendor, order.Epoch)
		}
	}
	closed("the order")
	s.must(s.Stop())
	s.must(s.Start(s.ctx))
	closed("a restart")
	s.Kill()
	s.must(s.Start(s.ctx))
	closed("kill -9")

	plant := s.PlantFile()
	s.must(s.Apply(s.ctx, strings.Replace(plant, "Acme Metering Ltd", "Acme Under Another Name", 1)))
	closed("another title")
	plant = strings.Replace(strings.Replace(plant, "vendors:\n", "vendors:\n  - {name: emca, title: Acme Metering Ltd}\n", 1), "[acme, bolt]", "[acme, bolt, emca]", 1)
	if err := s.Apply(s.ctx, strings.Replace(plant, "vendor: acme", "vendor: emca", 1)); err == nil || !strings.Contains(err.Error(), "for good") {
		t.Errorf("an engineer was moved to another vendor: %v", err)
	}
	s.must(s.Apply(s.ctx, strings.Replace(plant, "people:\n", "people:\n  - {name: ana2, title: Ana Ruiz, vendor: emca, roles: [engineer]}\n", 1)))
	s.must(s.Join(s.ctx, "ana2"))
	refused(t, s.People["ana2"].Act(s.ctx, "sshkey.add", map[string]string{"key": s.Clients["ana"].PublicKey, "label": "laptop"}, nil))
	closed("another vendor of the same title")

	s.putBack(old)
	out("an older backup")
}
