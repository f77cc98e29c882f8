package e2e

import (
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/e2e/rig"
)

// TestP8EveryNoExplainsItself: what the terminal says at each refusal, and
// that the log says the same.
func TestP8EveryNoExplainsItself(t *testing.T) {
	t.Parallel()
	garbage := garbler(t)
	s := newStory(t, rig.Options{Targets: func(s *rig.Stage) string {
		free, err := rig.FreeAddr()
		if err != nil {
			t.Fatal(err)
		}
		item := "  - {name: %s, title: A target, kind: ssh, address: %q, zone: pumps, impact: low, vendors: [%s], host_keys: [%q], accounts: [{name: ops, login: %s, proof: certificate}]}\n"
		other := "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGKh6cIEFmDP4ZzEJZ0CGV4v0fjd5hPYbCNvLVYkhhQz"
		return fmt.Sprintf(item, "gone", free, "acme", s.Plant.HostKey, s.Plant.Login) +
			fmt.Sprintf(item, "garbled", garbage, "acme", s.Plant.HostKey, s.Plant.Login) +
			fmt.Sprintf(item, "swapped", s.Plant.Addr, "acme", other, s.Plant.Login) +
			fmt.Sprintf(item, "bolts", s.Plant.Addr, "bolt", s.Plant.HostKey, s.Plant.Login)
	}})

	// The same words whether it is not there or not hers.
	_, _, unknown := s.ssh("ana", "no-such", "true")
	_, _, foreign := s.ssh("ana", "bolts", "true")
	if a, b := strings.ReplaceAll(unknown, "no-such", "X"), strings.ReplaceAll(foreign, "bolts", "X"); a != b {
		t.Errorf("an unknown target and one of another vendor read differently:\n%s\n%s", a, b)
	}
	says(t, "the refusal of an unknown target", unknown, "grant")

	for _, name := range []string{"ops+", "+pump", "ops+pump+22", "OPS+pump", "ops%pump"} {
		cmd := exec.CommandContext(s.ctx, "ssh", append(s.Clients["ana"].Args(name, s.SSH, "-T"), "true")...)
		status, out, errOut := output(t, cmd)
		if status == 0 || out != "" || strings.Contains(errOut, "panic") {
			t.Errorf("user name %q: %d %q", name, status, out)
		}
		says(t, "the refusal of user name "+name, errOut, "ACCOUNT+TARGET")
	}

	for _, c := range []struct{ target, word, reason string }{
		{"gone", "could not be reached", "target-unreachable"}, {"garbled", "could not be reached", "target-unreachable"}, {"swapped", "host key", "host-key-changed"},
	} {
		g := s.grant("ana", c.target, time.Hour)
		s.must(s.Ticket(s.ctx, "ana", g.ID))
		status, out, errOut := s.ssh("ana", c.target, "echo in")
		if status == 0 || out != "" {
			t.Errorf("%s: %d %q", c.target, status, out)
		}
		says(t, "the end at "+c.target, errOut, c.word)
		s.ended(s.sessions()[0].ID)
		s.told("session.ended", c.reason)
	}
	_, _, swapped := s.again("swapped")
	if strings.Count(swapped, "SHA256:") < 2 {
		t.Errorf("a changed host key names both fingerprints; it says:\n%s", swapped)
	}

	g := s.grant("ana", "pump", time.Hour)
	for _, c := range []struct {
		name    string
		options []string
		word    string
	}{
		{"a local forward", []string{"-W", "127.0.0.1:22"}, "forward"},
		{"a subsystem", []string{"-s"}, "no upload or download"},
	} {
		s.must(s.Ticket(s.ctx, "ana", g.ID))
		status, out, errOut := s.ssh("ana", "pump", "sftp", c.options...)
		if c.name == "a local forward" {
			s.must(s.Ticket(s.ctx, "ana", g.ID))
			cmd := exec.CommandContext(s.ctx, "ssh", s.Args("ana", "pump", c.options...)...)
			status, out, errOut = output(t, cmd)
		}
		if status == 0 || strings.Contains(out, "SSH-2.0") {
			t.Errorf("%s: %d %q", c.name, status, out)
		}
		says(t, "the refusal of "+c.name, errOut, c.word)
	}

	// A key that nobody enrolled.
	known, err := s.KnownHosts()
	s.must(err)
	stranger, err := rig.NewClient(filepath.Join(t.TempDir(), "stranger"), known)
	s.must(err)
	status, out, errOut := output(t, exec.CommandContext(s.ctx, "ssh", append(stranger.Args("ops+pump", s.SSH, "-T"), "true")...))
	if status == 0 || out != "" {
		t.Errorf("a stranger's key: %d %q", status, out)
	}
	says(t, "the refusal of a stranger's key", errOut, "denied")
	s.verified()
}

// again connects once more under the grant that is open for a target.
func (s *story) again(target string) (status int, out, errOut string) {
	s.Helper()
	var page struct {
		Items []struct{ ID, Target, State string }
	}
	s.must(s.People["ana"].Get(s.ctx, "/api/v1/grants?target="+target, &page))
	for _, g := range page.Items {
		if g.Target == target && g.State == "open" {
			s.must(s.Ticket(s.ctx, "ana", g.ID))
		}
	}
	return s.ssh("ana", target, "echo in")
}

// garbler answers every connection with something that is not SSH.
func garbler(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	takes(t, l, func(c net.Conn) {
		_, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n\x1b]0;owned\x07\x00\xff"))
		c.Close()
	})
	return l.Addr().String()
}

// TestP8BadRequests: what a person may write wrongly, and the sentence each
// gets. Nothing of it is kept but the event.
func TestP8BadRequests(t *testing.T) {
	t.Parallel()
	s := newStory(t, rig.Options{})
	now := time.Now().UTC()
	good := func() map[string]any {
		return map[string]any{"target": "pump", "account": "ops", "seconds": 3600, "abilities": []string{"shell"}, "reason": "inspection"}
	}
	for _, c := range []struct {
		name string
		set  map[string]any
	}{
		{"a window in the past", map[string]any{"seconds": 0, "from": now.Add(-2 * time.Hour), "to": now.Add(-time.Hour)}},
		{"an end before its beginning", map[string]any{"seconds": 0, "from": now.Add(2 * time.Hour), "to": now.Add(time.Hour)}},
		{"longer than policy allows", map[string]any{"seconds": 9 * 3600}},
		{"no length", map[string]any{"seconds": 0}},
		{"a negative length", map[string]any{"seconds": -5}},
		{"no reason", map[string]any{"reason": "  "}},
		{"a control character", map[string]any{"reason": "all\x1b[2Jfine"}},
		{"a bidi mark", map[string]any{"reason": "abc\u202edef"}},
		{"10 kB of reason", map[string]any{"reason": strings.Repeat("a", 10_000)}},
		{"an ability that nobody grants", map[string]any{"abilities": []string{"agent"}}},
		{"a forward to a whole machine", map[string]any{"abilities": []string{"forward historian"}}},
		{"a forward to anywhere", map[string]any{"abilities": []string{"forward *:443"}}},
		{"no ability", map[string]any{"abilities": []string{}}},
		{"a path for a target", map[string]any{"target": "../../etc/passwd"}},
		{"an unknown account", map[string]any{"account": "root"}},
		{"an unknown field", map[string]any{"approved": true}},
		{"a number for a name", map[string]any{"target": 7}},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := good()
			for k, v := range c.set {
				in[k] = v
			}
			refused(t, s.People["ana"].Post(s.ctx, "/api/v1/requests", in, nil))
		})
	}
	first, err := s.Ask(s.ctx, "ana", "pump", time.Hour)
	s.must(err)
	s.must(s.Approve(s.ctx, "ben", first.ID))
	_, err = s.Ask(s.ctx, "ana", "pump", time.Hour)
	refused(t, err, "already")

	own, err := s.Ask(s.ctx, "bob", "pump", time.Hour)
	s.must(err)
	refused(t, s.Approve(s.ctx, "ana", own.ID))
	var page struct {
		Items []struct{ Person string }
	}
	s.must(s.People["bob"].Get(s.ctx, "/api/v1/requests", &page))
	for _, r := range page.Items {
		if r.Person != "bob" {
			t.Errorf("bob sees a request of %s", r.Person)
		}
	}
	refused(t, s.People["bob"].Get(s.ctx, "/api/v1/requests/"+first.ID, nil))
}
