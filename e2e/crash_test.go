package e2e

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portcullis/portcullis/e2e/rig"
)

// crashes is at how many moments of each story the gateway is killed: each run
// of the tests draws others, and a soak many.
func crashes() int {
	if os.Getenv("PORTCULLIS_SOAK") != "" {
		return 200
	}
	return 8
}

// within returns a random moment before limit.
func within(limit time.Duration) time.Duration {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return time.Duration(binary.BigEndian.Uint64(b[:]) % uint64(limit))
}

// seen keeps what a program has shown, which runs on while it is read.
type seen struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *seen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

func (s *seen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

// TestCrashDuringSession: kill -9 at random moments while a session opens and
// runs. Whatever the engineer saw is on file, and what was cut short says so.
func TestCrashDuringSession(t *testing.T) {
	t.Parallel()
	s := newStory(t, rig.Options{})
	g := s.grant("ana", "pump", time.Hour)
	for round := range crashes() {
		s.must(s.Ticket(s.ctx, "ana", g.ID))
		var shown seen
		cmd := exec.CommandContext(s.ctx, "ssh", append(s.Args("ana", "pump", "-T"), "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); echo line-$i; done")...)
		cmd.Stdout = &shown
		s.must(cmd.Start())
		<-time.After(within(700 * time.Millisecond))
		s.Kill()
		_ = cmd.Wait() // cut off
		s.must(s.Start(s.ctx))
		s.wholeAfter(round, shown.String())
	}
	s.verified()
}

// wholeAfter compares what was shown with the newest recording.
func (s *story) wholeAfter(round int, shown string) {
	s.Helper()
	var page struct {
		Items []struct {
			Session   session `json:"session"`
			Recording *struct {
				Interrupted bool `json:"interrupted"`
				Sealed      bool `json:"sealed"`
			} `json:"recording"`
		} `json:"items"`
	}
	s.must(s.Machine().Get(s.ctx, "/api/v1/recordings", &page))
	if shown == "" {
		return // killed before anything was shown
	}
	if len(page.Items) == 0 {
		s.Fatalf("round %d: %d bytes were shown and there is no session", round, len(shown))
	}
	last := page.Items[0]
	if last.Recording == nil || !last.Recording.Interrupted || !last.Recording.Sealed {
		s.Fatalf("round %d: the recording is not marked as cut short: %+v", round, last)
	}
	if last.Session.State != "ended" || last.Session.Reason != "gateway-crashed" {
		s.Errorf("round %d: the session is on file as %+v", round, last.Session)
	}
	if kept := s.raw(last.Session.ID); !strings.HasPrefix(kept, shown) {
		s.Fatalf("round %d: the engineer saw %d bytes, %d are on file", round, len(shown), len(kept))
	}
}

// TestCrashDuringSuspension: kill -9 at random moments while a suspension is
// under way. It is whole or it never was; what was answered stays.
func TestCrashDuringSuspension(t *testing.T) {
	t.Parallel()
	s := newStory(t, rig.Options{})
	for round := range crashes() {
		name := fmt.Sprintf("v%02d", round)
		engineer := "e-" + name
		s.must(s.Apply(s.ctx, fmt.Sprintf("vendors: [{name: %s, title: Vendor %s}]\npeople: [{name: %s, title: Engineer, vendor: %s, roles: [engineer]}]\ntargets: [{name: t-%s, title: T, kind: ssh, address: %q, zone: pumps, impact: low, vendors: [%s], host_keys: [%q], accounts: [{name: ops, login: %s, proof: certificate}]}]\n",
			name, name, engineer, name, name, s.Plant.Addr, name, s.Plant.HostKey, s.Plant.Login)))
		s.must(s.Join(s.ctx, engineer))
		known, err := s.KnownHosts()
		s.must(err)
		s.Clients[engineer], err = rig.NewClient(t.TempDir(), known)
		s.must(err)
		s.must(s.People[engineer].Act(s.ctx, "sshkey.add", map[string]string{"key": s.Clients[engineer].PublicKey, "label": "laptop"}, nil))
		s.grant(engineer, "t-"+name, time.Hour)
		shell := s.shell(engineer, "t-"+name)

		order := exec.CommandContext(s.ctx, built, "suspend", "vendor", name, "--reason", "drill", "--config", s.Config, "--json")
		s.must(order.Start())
		<-time.After(within(120 * time.Millisecond))
		s.Kill()
		answered := order.Wait() == nil
		if _, err := shell.Wait(10 * time.Second); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
		s.must(s.Start(s.ctx))
		s.wholeSuspension(round, name, engineer, answered)
	}
	s.verified()
}

func (s *story) wholeSuspension(round int, name, engineer string, answered bool) {
	s.Helper()
	var vendor struct {
		State string `json:"state"`
		Epoch uint64 `json:"epoch"`
	}
	s.must(s.Machine().Get(s.ctx, "/api/v1/vendors/"+name, &vendor))
	ordered := 0
	for _, e := range s.events("suspension.ordered") {
		if e.Vendor == name {
			ordered++
		}
	}
	suspended := vendor.State == "suspended" && vendor.Epoch == 2 && ordered == 1
	never := vendor.State == "active" && vendor.Epoch == 1 && ordered == 0
	if !suspended && !never {
		s.Fatalf("round %d: half a suspension: %+v with %d events", round, vendor, ordered)
	}
	if answered && !suspended {
		s.Fatalf("round %d: it was reported done, and is gone", round)
	}
	if never { // the order is given again, and stands
		s.suspend("vendor", name, "drill, again")
	}
	status, out, errOut := s.ssh(engineer, "t-"+name, "echo in")
	if status == 0 || out != "" {
		s.Fatalf("round %d: suspended, and back in: %d %q %s", round, status, out, errOut)
	}
	var page struct {
		Items []struct {
			Scope struct {
				Name string `json:"name"`
			} `json:"scope"`
			Report *struct {
				Verdict string `json:"verdict"`
			} `json:"report"`
		} `json:"items"`
	}
	s.must(rig.Until(s.ctx, 15*time.Second, func() error {
		s.must(s.Machine().Get(s.ctx, "/api/v1/suspensions", &page))
		for _, x := range page.Items {
			if x.Scope.Name == name && (x.Report == nil || x.Report.Verdict != "PASS") {
				return fmt.Errorf("round %d: the report was not finished after the crash: %+v", round, x)
			}
		}
		return nil
	}))
}
