package e2e

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/png"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/e2e/rig"
)

// xrdpIni has xrdp show one desktop, which a VNC server beside it draws: no
// account of this machine is asked.
const xrdpIni = `[Globals]
ini_version=1
fork=true
port=3389
security_layer=negotiate
crypt_level=high
ssl_protocols=TLSv1.2, TLSv1.3
certificate=
key_file=
allow_channels=true
autorun=desk
max_bpp=32
bitmap_compression=true
use_fastpath=both
[Logging]
LogFile=%s
LogLevel=INFO
EnableSyslog=false
[Channels]
drdynvc=true
cliprdr=true
[desk]
name=desk
lib=libvnc.so
ip=127.0.0.1
port=5900
username=na
password=none
`

// desktopSize is how large both displays are.
var desktopSize = fmt.Sprintf("%dx%d", desktopWide, desktopHigh)

const desktopWide, desktopHigh = 1024, 768

// TestTunnelDesktop: FreeRDP shows the desktop of an xrdp through a tunnel,
// pixel for pixel. The account there is the engineer's own matter, and no word
// of it is kept.
func TestTunnelDesktop(t *testing.T) {
	t.Parallel()
	s := newTunnelStory(t, "headers")
	dir := t.TempDir()
	theirs, mine := s.desktop(dir), s.display(800)
	site, tunnel := s.site("ana", time.Hour, "hmi.plant:3389/tcp")
	s.runs(site.Space, dir, "Xvfb", mine, "-screen", "0", desktopSize+"x24", "-nolisten", "tcp")
	waitDisplay(s, mine)
	client := s.runs(site.Space, dir, "env", "DISPLAY="+mine, "xfreerdp", "/v:hmi.plant", "/cert:ignore", "/u:ana", "/p:canary-desktop", "/log-level:INFO", "/size:"+desktopSize)
	s.must(rig.Until(s.ctx, 30*time.Second, func() error {
		want, got := s.shot(s.lab.Plant, theirs), s.shot(site.Space, mine)
		if len(want) == 0 || bytes.Count(want, want[:4]) == len(want)/4 {
			return errors.New("the desktop shows nothing yet")
		}
		if !bytes.Equal(got, want) {
			return fmt.Errorf("the engineer sees another picture than the desktop's, %d bytes and %d; FreeRDP says\n%s", len(got), len(want), client)
		}
		return nil
	}))
	s.keep("tunnel-desktop", s.shot(site.Space, mine))
	r, err := s.CLI(s.ctx, "recording", "export", tunnel.Session, "--format", "flows")
	s.must(err)
	says(t, "the flows on file", r.Out+r.Err, "RDP", "hmi.plant")
	s.canaries("canary-desktop")
	if strings.Contains(r.Out, "ana") && strings.Contains(r.Out, "mstshash") {
		t.Errorf("the hint names who signs in at the desktop: %s", r.Out)
	}
}

// display is the name of an X display that no other lab takes.
func (s *tunnelStory) display(base int) string {
	n := net.ParseIP(s.lab.IP(0)).To4()[2]
	return fmt.Sprintf(":%d", base+int(n))
}

// desktop has the plant serve one by RDP at its first address.
func (s *tunnelStory) desktop(dir string) (display string) {
	s.Helper()
	display = s.display(400)
	_, err := s.lab.Serve(s.ctx, "127.0.0.1:5900", "Xvnc", display, "-rfbport", "5900", "-interface", "127.0.0.1", "-SecurityTypes", "None", "-geometry", desktopSize, "-depth", "24")
	s.must(err)
	s.runs(s.lab.Plant, dir, "xlogo", "-display", display, "-geometry", "700x500+100+80")
	ini := filepath.Join(dir, "xrdp.ini")
	s.must(os.WriteFile(ini, fmt.Appendf(nil, xrdpIni, filepath.Join(dir, "xrdp.log")), 0o600))
	_, err = s.lab.Serve(s.ctx, net.JoinHostPort(s.lab.IP(0), "3389"), "xrdp", "--nodaemon", "-c", ini)
	s.must(err)
	return display
}

func waitDisplay(s *tunnelStory, display string) {
	s.Helper()
	s.must(rig.Until(s.ctx, 10*time.Second, func() error { _, err := os.Stat("/tmp/.X11-unix/X" + display[1:]); return err }))
}

// runs starts a program in a space until the story ends; what it says
// can be read at any time.
func (s *tunnelStory) runs(space *rig.Space, home, name string, args ...string) fmt.Stringer {
	s.Helper()
	ctx, cancel := context.WithCancel(s.ctx)
	said := &seen{}
	c := space.Command(ctx, name, args...)
	c.Env, c.WaitDelay, c.Stdout, c.Stderr = append(os.Environ(), "HOME="+home), time.Second, said, said
	s.must(c.Start())
	s.Cleanup(func() { cancel(); _ = c.Wait() })
	return said
}

// shot is the picture of a display, four bytes a pixel (XWD version 7); nothing
// where there is none.
func (s *tunnelStory) shot(space *rig.Space, display string) []byte {
	s.Helper()
	var out bytes.Buffer
	c := space.Command(s.ctx, "xwd", "-root", "-silent", "-display", display)
	c.Stdout = &out
	if err := c.Run(); err != nil {
		if no := (*exec.ExitError)(nil); !errors.As(err, &no) {
			s.Fatal(err)
		}
		return nil
	}
	field := func(n int) int { return int(binary.BigEndian.Uint32(out.Bytes()[4*n:])) }
	if field(11) != 32 {
		s.Fatalf("%s has %d bits a pixel", display, field(11))
	}
	picture := out.Bytes()[field(0)+12*field(19):]
	for i := 3; i < len(picture); i += 4 {
		picture[i] = 0 // stands for nothing
	}
	return picture
}

// keep keeps a picture where PORTCULLIS_SHOTS asks for it.
func (s *tunnelStory) keep(name string, shot []byte) {
	s.Helper()
	dir := os.Getenv("PORTCULLIS_SHOTS")
	if dir == "" {
		return
	}
	picture := image.NewRGBA(image.Rect(0, 0, desktopWide, desktopHigh))
	for i := 0; i+3 < min(len(shot), len(picture.Pix)); i += 4 { // blue comes first
		copy(picture.Pix[i:], []byte{shot[i+2], shot[i+1], shot[i], 255})
	}
	var b bytes.Buffer
	s.must(png.Encode(&b, picture))
	s.must(os.WriteFile(filepath.Join(dir, name+".png"), b.Bytes(), 0o600))
}
