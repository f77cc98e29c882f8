package sshproxy_test

import (
	"io"
	"net"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/sshproxy"
)

// cable is a relay whose wire can be cut without either side hearing of it.
type cable struct {
	addr string
	mu   sync.Mutex
	held chan struct{} // nil: bytes pass
}

// between puts a cable in front of addr.
func (w *world) between(addr string) *cable {
	c := &cable{}
	c.addr = w.tcp(func(nc net.Conn) {
		far, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		var wg sync.WaitGroup
		wg.Go(func() { c.copy(far, nc) })
		c.copy(nc, far)
		wg.Wait()
	}).String()
	w.t.Cleanup(c.mend) // before the relay is waited for
	return c
}

func (c *cable) copy(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		c.mu.Lock()
		held := c.held
		c.mu.Unlock()
		if held != nil {
			<-held
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// cut holds every byte back until mend.
func (c *cable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = make(chan struct{})
}

func (c *cable) mend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held != nil {
		close(c.held)
		c.held = nil
	}
}

// quietTarget runs whatever it is asked for and says nothing.
func quietTarget(_ *ssh.ServerConn, _ ssh.Channel, reqs <-chan *ssh.Request) {
	for r := range reqs {
		_ = r.Reply(true, nil)
	}
}

func shellOver(t *testing.T, w *world, addr string) *ssh.Client {
	t.Helper()
	c, err := ssh.Dial("tcp", addr, &ssh.ClientConfig{
		User: "root+pump-7", Auth: []ssh.AuthMethod{ssh.PublicKeys(w.user)}, HostKeyCallback: ssh.FixedHostKey(w.host), Timeout: patience,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Shell(); err != nil {
		t.Fatal(err)
	}
	return c
}

// S-56, and connections that are half open behind a relay, whose machine goes
// on to acknowledge: what has gone without a word is noticed, though no byte is
// on its way to it; who is only quiet stays.
func TestHalfOpenIsNoticed(t *testing.T) {
	const dead = 400 * time.Millisecond
	beats := sshproxy.Beats(dead/20, dead/4, dead)
	t.Run("client", func(t *testing.T) {
		w := newWorld(t, beats)
		w.fake(signer(t), quietTarget)
		cable := w.between(w.addr)
		shellOver(t, w, cable.addr)
		l := w.lastLive()
		cable.cut()
		if e := w.done(l); e.Reason != gateway.EndClientLeft || !strings.Contains(e.Detail, "answered nothing") {
			t.Errorf("ended by %v", e)
		}
	})
	t.Run("target", func(t *testing.T) {
		w := newWorld(t, beats)
		host := signer(t)
		w.fake(host, quietTarget)
		cable := w.between(w.target.Address)
		w.at(cable.addr, host.PublicKey())
		shellOver(t, w, w.addr)
		l := w.lastLive()
		cable.cut()
		if e := w.done(l); e.Reason != gateway.EndTargetLeft || !strings.Contains(e.Detail, "answered nothing") {
			t.Errorf("ended by %v", e)
		}
	})
	t.Run("neither", func(t *testing.T) {
		w := newWorld(t, beats)
		w.fake(signer(t), quietTarget)
		shellOver(t, w, w.addr)
		l := w.lastLive()
		quiet := time.NewTimer(5 * dead)
		defer quiet.Stop()
		select {
		case <-l.Done():
			t.Error("a session that is only quiet was ended")
		case <-quiet.C:
		}
	})
}

// The times that are promised: 30 s, with the look that may just have missed
// the last byte.
func TestSilenceIsNoticedInTime(t *testing.T) {
	if worst := sshproxy.SilenceMax + sshproxy.BeatEvery; worst > 30*time.Second {
		t.Errorf("noticed after %s", worst)
	}
}

// S-38: the client's keepalive is answered only while the target lives.
func TestKeepAliveIsTheTargetsToAnswer(t *testing.T) {
	w := newWorld(t, sshproxy.Beats(20*time.Millisecond, 100*time.Millisecond, time.Hour))
	host := signer(t)
	w.fake(host, quietTarget)
	cable := w.between(w.target.Address)
	w.at(cable.addr, host.PublicKey())
	c := shellOver(t, w, w.addr)
	ask := func() <-chan error {
		answered := make(chan error, 1)
		go func() { _, _, err := c.SendRequest("keepalive@openssh.com", true, nil); answered <- err }()
		return answered
	}
	if err := <-ask(); err != nil {
		t.Fatal(err)
	}
	cable.cut()
	var waits <-chan error
	for deadline := time.Now().Add(patience); ; { // until the silence is noticed
		waits = ask()
		late := time.NewTimer(time.Second)
		select {
		case err := <-waits:
			late.Stop()
			if err != nil || time.Now().After(deadline) {
				t.Fatalf("answered for a target that is silent, %v", err)
			}
			continue
		case <-late.C:
		}
		break
	}
	cable.mend()
	select {
	case err := <-waits:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Error("no answer though the target is back")
	}
}

// 10,000 channels at once on one connection: the few that may be are, the
// rest hears no, and the connection is as good as before.
func TestTenThousandOpens(t *testing.T) {
	w := newWorld(t)
	w.fake(signer(t), quietTarget)
	c := w.mustClient()
	var opened, refused int
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for range 500 {
				ch, reqs, err := c.OpenChannel("session", nil)
				mu.Lock()
				if err != nil {
					refused++
				} else {
					opened++
					go ssh.DiscardRequests(reqs)
					defer ch.Close()
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if opened < 1 || opened+refused != 10000 {
		t.Errorf("%d opened, %d refused", opened, refused)
	}
	if refused < 10000-20*sshproxy.MaxChannels {
		t.Errorf("only %d of 10000 refused", refused)
	}
	s, err := c.NewSession()
	for deadline := time.Now().Add(patience); err != nil && time.Now().Before(deadline); {
		s, err = c.NewSession() // as soon as the last one is counted out
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Shell(); err != nil {
		t.Errorf("a shell after them: %v", err)
	}
}

// S-26: user names of any length and kind end in a sentence, not in a fault.
func TestOddUserNames(t *testing.T) {
	w := newWorld(t)
	w.fake(signer(t), quietTarget)
	for _, name := range []string{
		strings.Repeat("a", 60<<10), "root+" + strings.Repeat("p", 60<<10), "", "+", "root+pump-7+more", "root+pump-7\x00", "\x1b]0;x\a+pump-7",
		"root@pump-7+", "rööt+pump-7", "root+PUMP-7", "../..+pump-7", "root+pump-7 ",
	} {
		var banner string
		c, err := w.clientBanner(name, &banner)
		if err == nil {
			_ = c.Close()
			t.Errorf("%.40q was let in", name)
		}
		if strings.ContainsAny(banner, "\x1b\x00\a") || len(banner) > 4<<10 {
			t.Errorf("%.40q: banner %q", name, banner)
		}
	}
	c := w.mustClient() // and the next one is served
	_ = c.Close()
}

// S-43: an outside tool finds nothing that is weak, and strict key exchange.
func TestAudit(t *testing.T) {
	w := newWorld(t)
	w.fake(signer(t), quietTarget)
	_, port, err := net.SplitHostPort(w.addr)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("ssh-audit", "-n", "-l", "warn", "-p", port, "127.0.0.1").CombinedOutput() // its exit tells of warnings too
	if !strings.Contains(string(out), "(kex)") && err != nil {
		t.Fatalf("ssh-audit: %v; it is in the package ssh-audit\n%s", err, out)
	}
	for l := range strings.Lines(string(out)) {
		newer := strings.Contains(l, "unknown algorithm") && (strings.Contains(l, "mlkem768x25519-sha256") || strings.Contains(l, "kex-strict-s-v00"))
		if (strings.Contains(l, "[warn]") || strings.Contains(l, "[fail]")) && !newer { // older releases of it do not know these two
			t.Error(strings.TrimSpace(l))
		}
	}
	if !strings.Contains(string(greeting(t, w)), "kex-strict-s-v00@openssh.com") {
		t.Error("strict key exchange is not offered")
	}
}

// greeting is our version line and first packet, as a client that sends an
// empty KEXINIT of AES-GCM sees them.
func greeting(t *testing.T, w *world) []byte {
	t.Helper()
	nc, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.Write([]byte("SSH-2.0-look\r\n")); err != nil {
		t.Fatal(err)
	}
	if err := nc.SetReadDeadline(time.Now().Add(2 * time.Second)); err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(nc) // until the deadline: the other side waits for ours
	return b
}
