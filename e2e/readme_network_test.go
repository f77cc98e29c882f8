package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/e2e/rig"
)

// TestReadmeNetwork applies the network of the README as it stands there, runs
// its line that opens a tunnel, and has the stock wg-quick read what came out.
func TestReadmeNetwork(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join("..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(raw), "## Networks\n")
	section, _, _ = strings.Cut(section, "\n## ")
	_, file, fenced := strings.Cut(section, "```yaml\n")
	file, _, closed := strings.Cut(file, "```")
	_, line, shown := strings.Cut(section, "    portcullis ")
	line, _, _ = strings.Cut(line, "\n")
	if !ok || !fenced || !closed || !shown || !strings.Contains(section, "sudo wg-quick up ./substation-net.conf\n") {
		t.Fatal("the README shows no network")
	}
	s := newStory(t, rig.Options{})
	s.must(s.Apply(s.ctx, file))
	var r rig.Request
	s.must(s.People["ana"].Post(s.ctx, "/api/v1/requests", map[string]any{"target": "substation-net", "account": "tunnel", "seconds": 3600, "abilities": []string{"flow rtu-1:502/tcp"}, "reason": "read the feeder"}, &r))
	s.must(s.Approve(s.ctx, "ben", r.ID))
	g, err := s.GrantOf(s.ctx, "ana", r.ID)
	s.must(err)
	dir := t.TempDir()
	s.behindLink(dir, "/tunnels/", strings.Fields(strings.ReplaceAll(line, "https://gate.example.net:8443", s.URL)), func(id string) {
		s.must(s.People["ana"].Act(s.ctx, "session.open", map[string]string{"grant": g.ID, "terminal": id}, nil))
	})
	status, conf, errOut := output(t, exec.CommandContext(s.ctx, "wg-quick", "strip", filepath.Join(dir, "substation-net.conf")))
	for _, want := range []string{"PrivateKey = ", "AllowedIPs = 10.77.0.11/32, ", "Endpoint = localhost:" + s.VPN[strings.LastIndexByte(s.VPN, ':')+1:]} {
		if status != 0 || !strings.Contains(conf, want) {
			t.Errorf("wg-quick reads no %q: %d %s%s", want, status, conf, errOut)
		}
	}
	for _, format := range []string{"pcapng", "flows"} {
		if !strings.Contains(section, "--format "+format+"`") {
			t.Errorf("the README does not say how a tunnel's %s are written", format)
		}
		if r, err := s.CLI(s.ctx, "recording", "export", "ses_0000000000000000000000000z", "--format", format); err != nil || r.Status != 1 {
			t.Errorf("exporting a session that is not: exit %d, %v: %s", r.Status, err, r.Err)
		}
	}
}
