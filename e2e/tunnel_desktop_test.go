package e2e

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// xrdpLog is where Debian's xrdp keeps its log unless it is told another place.
var xrdpLog = regexp.MustCompile(`(?m)^LogFile=.*$`)

// TestTunnelDesktop: FreeRDP negotiates with xrdp through a tunnel; the account
// at the desktop is the engineer's own matter, and no word of it is kept.
func TestTunnelDesktop(t *testing.T) {
	t.Parallel()
	s := newTunnelStory(t, "headers")
	dir := t.TempDir()
	config, err := os.ReadFile("/etc/xrdp/xrdp.ini")
	s.must(err)
	ini := filepath.Join(dir, "xrdp.ini")
	s.must(os.WriteFile(ini, xrdpLog.ReplaceAll(config, []byte("LogFile="+filepath.Join(dir, "xrdp.log"))), 0o600))
	_, err = s.lab.Serve(s.ctx, net.JoinHostPort(s.lab.IP(0), "3389"), "xrdp", "--nodaemon", "-c", ini)
	s.must(err)
	site, tunnel := s.site("ana", time.Hour, "hmi.plant:3389/tcp")

	ctx, cancel := context.WithTimeout(s.ctx, 30*time.Second)
	defer cancel()
	c := site.Command(ctx, "xvfb-run", "-a", "xfreerdp", "/v:hmi.plant", "/cert:ignore", "/u:ana", "/p:canary-desktop", "/log-level:INFO", "+auth-only")
	c.Env, c.WaitDelay = append(os.Environ(), "HOME="+dir), time.Second
	_, out, errOut := output(t, c)
	says(t, "FreeRDP", out+errOut, "Authentication only, exit status 0")
	r, err := s.CLI(s.ctx, "recording", "export", tunnel.Session, "--format", "flows")
	s.must(err)
	says(t, "the flows on file", r.Out+r.Err, "RDP", "hmi.plant")
	s.canaries("canary-desktop")
	if strings.Contains(r.Out, "ana") && strings.Contains(r.Out, "mstshash") {
		t.Errorf("the hint names who signs in at the desktop: %s", r.Out)
	}
}
