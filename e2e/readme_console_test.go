package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/e2e/rig"
)

// TestReadmeConsole applies the console of the README as it stands there, and
// runs the command that its words name.
func TestReadmeConsole(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join("..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(raw), "## Web consoles\n")
	section, _, _ = strings.Cut(section, "\n## ")
	_, file, fenced := strings.Cut(section, "```yaml\n")
	file, _, closed := strings.Cut(file, "```")
	if !ok || !fenced || !closed {
		t.Fatal("the README shows no console")
	}
	s := newStory(t, rig.Options{Config: "apps_domain: localhost\n"})
	s.must(s.Apply(s.ctx, file))
	var target struct {
		Kind  string
		HTTPS struct{ Trust string }
	}
	s.must(s.Machine().Get(s.ctx, "/api/v1/targets/historian", &target))
	if target.Kind != "https" || target.HTTPS.Trust != "pin" {
		t.Errorf("the target is on file as %+v", target)
	}
	if !strings.Contains(section, "`portcullis recording export SESSION --format har`") {
		t.Fatal("the README does not say how a console's recording is written")
	}
	if r, err := s.CLI(s.ctx, "recording", "export", "ses_0000000000000000000000000z", "--format", "har"); err != nil || r.Status != 1 {
		t.Errorf("exporting a session that is not: exit %d, %v: %s", r.Status, err, r.Err)
	}
}
