package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/portcullis/portcullis/e2e/rig"
)

// TestSoak opens, uses and ends sessions of two vendors over and over for
// PORTCULLIS_SOAK, one second where that is not set, and looks that nothing
// is left over: no live session, no growing memory, a log that verifies.
func TestSoak(t *testing.T) {
	s := newStory(t, rig.Options{})
	grants := map[string]rig.Grant{"ana": s.grant("ana", "pump", 8*time.Hour), "bob": s.grant("bob", "pump", 8*time.Hour)}
	var early int64
	rounds := 0
	for end := time.Now().Add(soak(t)); time.Now().Before(end) || rounds == 0; rounds++ {
		for who, g := range grants {
			want := fmt.Sprintf("%s-%d\n", who, rounds)
			if status, out, errOut := s.run(who, "pump", g.ID, "echo "+want); status != 0 || out != want {
				t.Fatalf("round %d: %d %q %s", rounds, status, out, errOut)
			}
		}
		if rounds == 20 {
			early = s.memory()
		}
	}
	for _, x := range s.sessions() {
		s.ended(x.ID)
	}
	if now := s.memory(); early > 0 && now > 3*early {
		t.Errorf("the gateway holds %d kB after %d rounds, %d kB after 20", now, rounds, early)
	}
	s.verified()
}

// memory is the gateway's resident memory in kB.
func (s *story) memory() int64 {
	s.Helper()
	kb, err := rig.Resident(s.PID())
	s.must(err)
	return kb
}
