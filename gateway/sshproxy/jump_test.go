package sshproxy_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/sshproxy"
	"github.com/portcullis/portcullis/gateway/statement"
)

// jumpWorld is a world whose gateway answers under its targets' names, and an
// ssh_config with a known_hosts that knows its authority and nothing else.
func jumpWorld(t *testing.T) (w *world, config string) {
	t.Helper()
	authority, hostKey := signer(t), signer(t)
	certified := func(name string) ([]ssh.Signer, error) {
		c := &ssh.Certificate{Key: hostKey.PublicKey(), CertType: ssh.HostCert, ValidPrincipals: []string{name}, ValidBefore: ssh.CertTimeInfinity}
		if err := c.SignCert(rand.Reader, authority); err != nil {
			return nil, err
		}
		s, err := ssh.NewCertSigner(c, hostKey)
		return []ssh.Signer{s}, err
	}
	outer := func() ([]ssh.Signer, error) { return certified("gateway") }
	w = newWorld(t, func(c *sshproxy.Config) { c.HostSigners, c.TargetSigners = outer, certified })
	w.acc.noTicket, w.host = true, authority.PublicKey()
	host, port, _ := net.SplitHostPort(w.addr)
	known := filepath.Join(w.dir, "known_authority")
	write(t, known, []byte("@cert-authority * "+string(ssh.MarshalAuthorizedKey(authority.PublicKey()))))
	config = filepath.Join(w.dir, "ssh_config")
	write(t, config, fmt.Appendf(nil, `Host gateway
  HostName %s
  Port %s
  HostKeyAlias gateway
  User ana.lopez
Host *
  IdentityFile %s
  IdentitiesOnly yes
  UserKnownHostsFile %s
  GlobalKnownHostsFile none
  StrictHostKeyChecking yes
  CheckHostIP no
  BatchMode yes
  ConnectTimeout 20
`, host, port, w.keyFile, known))
	return w, config
}

// jump starts the stock client with -J and these arguments.
func (w *world) jumpClient(config string, args ...string) (wait func() int, out, errs *screen) {
	w.t.Helper()
	cmd := w.ssh()
	cmd.Args = append([]string{"ssh", "-F", config, "-T", "-J", "gateway"}, args...)
	out, errs = newScreen(), newScreen()
	cmd.Stdout, cmd.Stderr = out, errs
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return func() int { return exitCode(cmd.Wait()) }, out, errs
}

// S-25: a jump is answered by the gateway's own SSH, so that what is inside is
// recorded like all else.
//
// The stock client jumps; the inner connection is one session with its own
// touch, recorded, and its host certificate is for the target's name.
func TestJump(t *testing.T) {
	w, config := jumpWorld(t)
	w.sshd()
	wait, out, errs := w.jumpClient(config, "root@pump-7", "echo in; echo err >&2; exit 3")
	wt := w.waits()
	if !strings.Contains(wt.Client, "OpenSSH") || wt.Person.Name != "ana" || !strings.HasPrefix(wt.Source, "127.0.0.1:") {
		t.Errorf("waiting = %+v", wt.Waiting)
	}
	errs.wait(t, "waiting for your touch to open root on pump-7")
	w.untouched()
	w.touches(wt)
	if code := wait(); code != 3 || out.String() != "in\n" || !strings.Contains(errs.String(), "err\n") {
		t.Errorf("exit %d, %q, %q", code, out.String(), errs.String())
	}
	l := w.lastLive()
	w.done(l)
	if w.recorded(l) != "in\n" {
		t.Errorf("recorded %q", w.recorded(l))
	}
	<-wt.closed
}

// 5 MB pass a jump both ways.
func TestJumpCarriesBulk(t *testing.T) {
	w, config := jumpWorld(t)
	w.sshd()
	w.acc.noTicket = false
	in := make([]byte, 5<<20)
	_, _ = rand.Read(in)
	cmd := w.ssh()
	cmd.Args = []string{"ssh", "-F", config, "-T", "-J", "gateway", "root@pump-7", "cat"}
	var errs bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), &errs
	out, err := cmd.Output()
	if err != nil || !bytes.Equal(out, in) {
		t.Errorf("%v, %d of %d bytes, %q", err, len(out), len(in), errs.String())
	}
}

// S-25: a jump to anything but a target's name is refused.
func TestJumpRefused(t *testing.T) {
	w, config := jumpWorld(t)
	w.fake(signer(t), exits(0))
	said := map[string]string{}
	for _, tc := range []struct{ to, want string }{
		{"root@pump-8", "you have no grant for"},
		{"root@nowhere", "you have no grant for"},
		{"other@pump-7", "you have no grant for"},
		{"Root+x@pump-7", "does not name an account"},
		{"root@127.0.0.1", "names no target to jump to"},
		{"-p2222 root@pump-7", "names no target to jump to"},
	} {
		wait, out, errs := w.jumpClient(config, append(strings.Fields(tc.to), "id")...)
		if code := wait(); code != 255 || out.String() != "" || !strings.Contains(errs.String(), tc.want) {
			t.Errorf("%s: exit %d, %q, %q", tc.to, code, out.String(), errs.String())
		}
		if !w.store.has(audit.SessionRefused, audit.Refused, tc.want) {
			t.Errorf("%s: no event", tc.to)
		}
		said[tc.to] = errs.String()
	}
	if a, b := said["root@pump-8"], strings.ReplaceAll(said["root@nowhere"], "nowhere", "pump-8"); a != b {
		t.Errorf("a target without a grant and one that is none read differently:\n%s\n%s", a, b)
	}
	w.untouched()
}

// A suspension ends the inner session with its sentence.
func TestJumpSuspended(t *testing.T) {
	w, config := jumpWorld(t)
	w.sshd()
	w.acc.noTicket = false
	wait, out, errs := w.jumpClient(config, "root@pump-7", "echo up; sleep 60")
	out.wait(t, "up")
	l := w.lastLive()
	report := w.m.EndAll(func(gateway.Session) bool { return true }, &gateway.Ended{Reason: gateway.EndSuspended})
	if len(report) != 1 || !report[0].Closed {
		t.Errorf("report = %+v", report)
	}
	if code := wait(); code != 255 {
		t.Errorf("exit %d", code)
	}
	errs.wait(t, "access was suspended by the operator")
	w.done(l)
}

// certified takes a host certificate of the gateway's authority for a name.
func (w *world) certified(name string) ssh.HostKeyCallback {
	checker := &ssh.CertChecker{IsHostAuthority: func(key ssh.PublicKey, _ string) bool { return bytes.Equal(key.Marshal(), w.host.Marshal()) }}
	return func(_ string, remote net.Addr, key ssh.PublicKey) error {
		return checker.CheckHostKey(name+":22", remote, key)
	}
}

// outerClient is a raw client that is signed in and names no target.
func (w *world) outerClient(user string) *ssh.Client {
	w.t.Helper()
	c, err := ssh.Dial("tcp", w.addr, &ssh.ClientConfig{User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(w.user)}, HostKeyCallback: w.certified("gateway"), Timeout: patience})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}

func (w *world) inner(c *ssh.Client, auth ...ssh.AuthMethod) (*ssh.Client, error) {
	nc, err := c.Dial("tcp", "pump-7:22")
	if err != nil {
		return nil, err
	}
	conn, chans, reqs, err := ssh.NewClientConn(nc, "pump-7:22", &ssh.ClientConfig{User: "root", Auth: auth, HostKeyCallback: w.certified("pump-7")})
	if err != nil {
		_ = nc.Close()
		return nil, err
	}
	return ssh.NewClient(conn, chans, reqs), nil
}

// Two inner connections over one outer are two sessions with a touch each,
// and each touch is bound to its own.
func TestJumpTwice(t *testing.T) {
	w, _ := jumpWorld(t)
	w.fake(signer(t), exits(0))
	c := w.outerClient("ana")
	var transports []string
	for range 2 {
		in, err := w.inner(c)
		if err != nil {
			t.Fatal(err)
		}
		wt := w.waits()
		transports = append(transports, wt.TransportID)
		w.touches(wt)
		s, err := in.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Run("id"); err != nil {
			t.Error(err)
		}
		defer in.Close()
		w.lastLive()
	}
	if transports[0] == transports[1] {
		t.Error("two inner connections share an identifier")
	}
	a, err := w.inner(c)
	if err != nil {
		t.Fatal(err)
	}
	wt := w.waits()
	wt.touched <- touched{s: w.touch(statement.BindSSH, transports[0])}
	s, err := a.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	s.Stderr = &said
	if err := s.Run("id"); err == nil || !strings.Contains(said.String(), "bound to another connection") {
		t.Errorf("%v, %q", err, said.String())
	}
}

// What the outer connection proved is asked anew for each inner one, and an
// inner key of somebody else is not taken in its place.
func TestJumpProvesAnew(t *testing.T) {
	w, _ := jumpWorld(t)
	w.fake(signer(t), exits(0))
	c := w.outerClient("ana")
	w.id.mu.Lock()
	w.id.owner = func(ssh.PublicKey) error { return errors.New("removed") }
	w.id.mu.Unlock()
	if in, err := w.inner(c, ssh.PublicKeys(signer(t))); err == nil {
		_ = in.Close()
		t.Error("let in after the key was removed")
	}
	w.untouched()
}

// An outer connection opens nothing itself.
func TestOuterOpensNothing(t *testing.T) {
	w, _ := jumpWorld(t)
	w.fake(signer(t), exits(0))
	c := w.outerClient("ana")
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	s.Stderr = &said
	if err := s.Run("id"); err == nil || !strings.Contains(said.String(), "you have no grant for") {
		t.Errorf("%v, %q", err, said.String())
	}
	for _, kind := range []string{"x11", "tun@openssh.com", "direct-streamlocal@openssh.com", "direct-tcpip", "made-up"} {
		var refused *ssh.OpenChannelError
		if _, _, err := c.OpenChannel(kind, []byte("payload")); !errors.As(err, &refused) || refused.Reason != ssh.Prohibited {
			t.Errorf("%s: %v", kind, err)
		}
	}
	if ok, _, err := c.SendRequest("tcpip-forward", true, nil); ok || err != nil {
		t.Errorf("tcpip-forward: %t, %v", ok, err)
	}
	w.untouched()
}
