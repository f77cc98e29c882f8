package sshproxy_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/sshproxy"
	"github.com/portcullis/portcullis/gateway/statement"
)

// S-47: link and code are shown while the client waits.
//
// The stock client is shown link and code, the touch lets it in, and the
// session is bound to this very connection.
func TestTouchByLinkAndCode(t *testing.T) {
	w := newWorld(t)
	w.acc.noTicket = true
	w.fake(signer(t), exits(0))
	cmd := w.ssh("-T", "true")
	cmd.Args = insertHost(cmd.Args)
	said := newScreen()
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	wt := <-w.id.waiting
	said.wait(t, "http://localhost:8080/touch/abc123")
	said.wait(t, "K7-4Q2")
	if !strings.Contains(wt.Client, "OpenSSH") || wt.Person.Name != "ana" || len(wt.TransportID) != 64 || wt.Grant.ID != grantID {
		t.Errorf("waiting = %+v", wt.Waiting)
	}
	wt.touched <- touched{s: w.touch(statement.BindSSH, wt.TransportID)}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, said.String())
	}
	<-wt.closed
	w.done(w.lastLive())
}

// V-95: a touch that was made for one connection opens no other.
func TestTouchForAnotherConnection(t *testing.T) {
	w := newWorld(t)
	w.acc.noTicket = true
	w.fake(signer(t), exits(0))
	var wg sync.WaitGroup
	wg.Go(func() {
		wt := <-w.id.waiting
		wt.touched <- touched{s: w.touch(statement.BindSSH, strings.Repeat("ab", 32))}
	})
	c, err := w.client("pump-7", kbd())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	s.Stderr = &said
	if err := s.Run("id"); err == nil || !strings.Contains(said.String(), "bound to another connection") {
		t.Errorf("%v, said %q", err, said.String())
	}
	wg.Wait()
}

func kbd() ssh.AuthMethod {
	return ssh.RetryableAuthMethod(ssh.KeyboardInteractive(func(_, _ string, q []string, _ []bool) ([]string, error) {
		return make([]string, len(q)), nil
	}), 3)
}

// S-47: a no on the page is told once and waited for no more.
//
// A person who says no on the page is heard once, over all three tries of the
// client, and one connection waits once.
func TestTouchRefusedOnce(t *testing.T) {
	w := newWorld(t)
	w.acc.noTicket = true
	w.fake(signer(t), exits(0))
	var wg sync.WaitGroup
	wg.Go(func() {
		wt := <-w.id.waiting
		wt.touched <- touched{err: gateway.Refused("touch", "connect again if it was you", "you said on the page that this is not you")}
	})
	var banner string
	_, err := w.clientBanner("pump-7", &banner, kbd())
	if err == nil || strings.Count(banner, "this is not you") != 1 {
		t.Errorf("%v, banner %q", err, banner)
	}
	wg.Wait()
	if len(w.id.waiting) != 0 {
		t.Error("it waited a second time")
	}
	if !w.store.has(audit.SessionRefused, audit.Refused, "this is not you") {
		t.Error("no event")
	}
}

// S-47: a wait for the touch ends with a sentence.
func TestTouchTimeIsBounded(t *testing.T) {
	w := newWorld(t, func(c *sshproxy.Config) { c.TouchTime = 200 * time.Millisecond })
	w.acc.noTicket = true
	w.fake(signer(t), exits(0))
	var banner string
	if _, err := w.clientBanner("pump-7", &banner, kbd()); err == nil || !strings.Contains(banner, "nobody touched within 200ms") {
		t.Errorf("%v, banner %q", err, banner)
	}
}

// S-47: a client that gave up is not waited with.
//
// A client that has gone while it waited is noticed by the next round.
func TestVanishedClientIsNoticed(t *testing.T) {
	w := newWorld(t)
	w.acc.noTicket = true
	w.fake(signer(t), exits(0))
	nc, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _, _, _ = ssh.NewClientConn(nc, w.addr, &ssh.ClientConfig{User: "pump-7", Auth: []ssh.AuthMethod{ssh.PublicKeys(w.user), kbd()}, HostKeyCallback: ssh.FixedHostKey(w.host)})
	})
	wt := <-w.id.waiting
	gone := time.Now()
	_ = nc.Close()
	select {
	case <-wt.closed:
	case <-time.After(patience):
		t.Fatal("it still waits")
	}
	if d := time.Since(gone); d > 2*sshproxy.RoundEvery {
		t.Errorf("noticed after %v", d)
	}
	wg.Wait()
}

func TestRefusedBeforeTheTouch(t *testing.T) {
	for _, tc := range []struct{ name, user, want string }{
		{"no grant", "root+pump-9", "you have no grant for"},
		{"bad user name", "root%pump-7", "does not name a target"},
		{"empty user name", "", "does not name a target"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.fake(signer(t), exits(0))
			var banner string
			if _, err := w.clientBanner(tc.user, &banner, kbd()); err == nil || !strings.Contains(banner, tc.want) {
				t.Errorf("%v, banner %q", err, banner)
			}
			if !w.store.has(audit.SessionRefused, audit.Refused, tc.want) {
				t.Error("no event")
			}
		})
	}
}

// V-03: a key that is offered and not signed with says nobody.
//
// Keys that are not enrolled, not held, or certificates let nobody in; the
// client that offers another's key and signs with its own is itself.
func TestKeysThatProveNothing(t *testing.T) {
	w := newWorld(t)
	w.fake(signer(t), exits(0))
	t.Run("not enrolled", func(t *testing.T) {
		var banner string
		c, err := ssh.Dial("tcp", w.addr, &ssh.ClientConfig{
			User: "pump-7", Auth: []ssh.AuthMethod{ssh.PublicKeys(signer(t)), kbd()}, HostKeyCallback: ssh.FixedHostKey(w.host),
			BannerCallback: func(m string) error { banner += m; return nil },
		})
		if err == nil {
			_ = c.Close()
		}
		if err == nil || strings.Count(banner, "none of the keys") != 1 {
			t.Errorf("%v, banner %q", err, banner)
		}
	})
	t.Run("offered but not held", func(t *testing.T) {
		forged := forger{pub: w.user.PublicKey(), Signer: signer(t)}
		c, err := ssh.Dial("tcp", w.addr, &ssh.ClientConfig{User: "pump-7", Auth: []ssh.AuthMethod{ssh.PublicKeys(forged)}, HostKeyCallback: ssh.FixedHostKey(w.host)})
		if err == nil {
			_ = c.Close()
			t.Error("let in by a key that it does not hold")
		}
	})
	t.Run("revoked between offer and proof", func(t *testing.T) {
		n := 0
		w.id.mu.Lock()
		w.id.owner = func(ssh.PublicKey) error {
			if n++; n > 1 {
				return errors.New("removed")
			}
			return nil
		}
		w.id.mu.Unlock()
		if c, err := w.client("pump-7"); err == nil {
			_ = c.Close()
			t.Error("let in")
		}
		w.id.mu.Lock()
		w.id.owner = nil
		w.id.mu.Unlock()
	})
	if len(w.opened) != 0 {
		t.Error("a session was opened")
	}
}

// forger shows one key and signs with another.
type forger struct {
	pub ssh.PublicKey
	ssh.Signer
}

func (f forger) PublicKey() ssh.PublicKey { return f.pub }

// V-15, S-30: no kind of channel or request has a way of its own.
//
// Every kind of channel but a session, and every global request, under a
// grant of everything that there is.
func TestRefusedChannelTypes(t *testing.T) {
	w := newWorld(t)
	w.fake(signer(t), exits(0))
	c := w.mustClient()
	for kind, want := range map[string]string{
		"direct-tcpip": "cannot be read", "direct-streamlocal@openssh.com": "socket forwarding", "x11": "X11", "tun@openssh.com": "tunnels",
		"auth-agent@openssh.com": "agent", "forwarded-tcpip": "forwarding", "made-up\x1b[2J": "not carried",
	} {
		_, _, err := c.OpenChannel(kind, []byte("payload"))
		var refused *ssh.OpenChannelError
		if !errors.As(err, &refused) || !strings.Contains(refused.Message, want) {
			t.Errorf("%q: %v", kind, err)
		}
	}
	for _, req := range []string{"tcpip-forward", "streamlocal-forward@openssh.com", "cancel-tcpip-forward", "hostkeys-prove-00@openssh.com", "made-up"} {
		if ok, _, err := c.SendRequest(req, true, nil); ok || err != nil {
			t.Errorf("request %s: %t, %v", req, ok, err)
		}
	}
	if !w.store.has(audit.SessionChannel, audit.Refused, "socket forwarding") {
		t.Error("no event")
	}
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run("id"); err != nil {
		t.Errorf("a session after them: %v", err)
	}
}

func TestAbilityIsJudgedByChannel(t *testing.T) {
	w := newWorld(t)
	w.acc.abilities = gateway.Abilities{Exec: true}
	w.fake(signer(t), exits(0))
	c := w.mustClient()
	ch, reqs, err := c.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	go ssh.DiscardRequests(reqs)
	if ok, err := ch.SendRequest("shell", true, nil); !ok || err != nil {
		t.Errorf("a shell under a grant of exec is explained: %t, %v", ok, err)
	}
	said := make([]byte, 256)
	n, _ := ch.Stderr().Read(said)
	if !strings.Contains(string(said[:n]), "this grant lets exec, and no shell") {
		t.Errorf("said %q", said[:n])
	}
	if n, err := ch.Read(said); n > 0 || !errors.Is(err, io.EOF) {
		t.Errorf("then %q, %v", said[:n], err)
	}
	_ = ch.Close()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run("id"); err != nil {
		t.Errorf("exec: %v", err)
	}
}

// V-71, S-09: payloads without sense are answered no and break nothing.
//
// Channels, requests and bytes in the wrong order or without sense.
func TestOddChannelRequests(t *testing.T) {
	w := newWorld(t)
	w.fake(signer(t), func(_ *ssh.ServerConn, ch ssh.Channel, reqs <-chan *ssh.Request) {
		for r := range reqs {
			_ = r.Reply(true, nil)
		}
	})
	c := w.mustClient()
	ch, reqs, err := c.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	go ssh.DiscardRequests(reqs)
	for _, tc := range []struct {
		req     string
		payload []byte
		ok      bool
	}{
		{"signal", ssh.Marshal(struct{ N string }{"TERM"}), false}, // nothing runs yet
		{"window-change", make([]byte, 16), false},
		{"pty-req", []byte("\xff\xff\xff\xff"), false},
		{"pty-req", ssh.Marshal(struct {
			Term       string
			C, R, W, H uint32
			Modes      string
		}{"x\x1b]0;t\x07", 80, 24, 0, 0, ""}), false},
		{"exec", nil, false},
		{"exec", ssh.Marshal(struct{ C string }{strings.Repeat("a", sshproxy.MaxCommand+1)}), false},
		{"shell", []byte("payload"), false},
		{"shell", nil, true},
		{"shell", nil, false}, // a second time
		{"exec", ssh.Marshal(struct{ C string }{"id"}), false},
		{"pty-req", nil, false},
		{"env", ssh.Marshal(struct{ N, V string }{"LANG", "C"}), false}, // too late
		{"made-up", bytes.Repeat([]byte("x"), 20000), false},
	} {
		if ok, err := ch.SendRequest(tc.req, true, tc.payload); ok != tc.ok || err != nil {
			t.Errorf("%s %.20q: %t, %v", tc.req, tc.payload, ok, err)
		}
	}
	_ = ch.Close()
}

func TestChannelsAreBounded(t *testing.T) {
	w := newWorld(t)
	w.fake(signer(t), func(_ *ssh.ServerConn, ch ssh.Channel, reqs <-chan *ssh.Request) { ssh.DiscardRequests(reqs) })
	c := w.mustClient()
	opened := 0
	for range sshproxy.MaxChannels + 4 {
		ch, reqs, err := c.OpenChannel("session", nil)
		if err != nil {
			continue
		}
		opened++
		go ssh.DiscardRequests(reqs)
		defer ch.Close()
	}
	if opened != sshproxy.MaxChannels {
		t.Errorf("%d channels at once", opened)
	}
}

// V-67: connections that never authenticate are bounded by their source.
//
// A flood of connections that never authenticate is bounded by source, and a
// connection that was counted is counted out again.
func TestFloodIsBounded(t *testing.T) {
	const most = 4
	w := newWorld(t, func(c *sshproxy.Config) { c.MaxPerSource = most })
	w.fake(signer(t), exits(0))
	var open []net.Conn
	greeted := 0
	for range 40 {
		nc, err := net.Dial("tcp", w.addr)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, nc)
		_ = nc.SetReadDeadline(time.Now().Add(patience))
		if line, err := bufio.NewReader(nc).ReadString('\n'); err == nil && strings.HasPrefix(line, "SSH-2.0-") {
			greeted++
		}
	}
	if greeted != most {
		t.Errorf("%d of a flood were greeted", greeted)
	}
	for _, nc := range open {
		_ = nc.Close()
	}
	for try := 0; ; try++ { // until the server has seen them go
		c, err := w.client("pump-7")
		if err == nil {
			_ = c.Close()
			break
		}
		if try > 1000 {
			t.Fatalf("nobody gets in after the flood: %v", err)
		}
	}
}

// V-67, R-21: who does not get on with the handshake is cut when its time is over.
func TestSlowHandshakeIsCut(t *testing.T) {
	w := newWorld(t, func(c *sshproxy.Config) { c.HandshakeTime = 200 * time.Millisecond })
	for _, first := range []string{"", "SSH-2.0-slow\r\n", strings.Repeat("x", 300), "GET / HTTP/1.1\r\n\r\n"} {
		nc, err := net.Dial("tcp", w.addr)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(nc, first)
		_ = nc.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.Copy(io.Discard, nc); errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
			t.Errorf("%.10q: it was let stand", first)
		}
		_ = nc.Close()
	}
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// V-69, R-21: a client that reads nothing holds up neither the rest nor its end.
//
// A client that reads nothing keeps nobody from ending it, and other channels
// of its connection go on.
func TestStalledReader(t *testing.T) {
	w := newWorld(t)
	w.fake(signer(t), func(_ *ssh.ServerConn, ch ssh.Channel, reqs <-chan *ssh.Request) {
		for r := range reqs {
			_ = r.Reply(true, nil)
			if r.Type == "exec" && bytes.Contains(r.Payload, []byte("flood")) {
				go func() {
					for {
						if _, err := ch.Write(make([]byte, 1<<16)); err != nil {
							return
						}
					}
				}()
			} else if r.Type == "exec" {
				_, _ = ch.SendRequest("exit-status", false, make([]byte, 4))
				_ = ch.Close()
			}
		}
	})
	c := w.mustClient()
	ch, reqs, err := c.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	go ssh.DiscardRequests(reqs)
	if ok, err := ch.SendRequest("exec", true, ssh.Marshal(struct{ C string }{"flood"})); !ok || err != nil {
		t.Fatal(ok, err)
	}
	for i := range 5 {
		s, err := c.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Run(fmt.Sprint("other ", i)); err != nil {
			t.Errorf("other channel: %v", err)
		}
	}
	l := w.lastLive()
	out := w.m.EndAll(func(gateway.Session) bool { return true }, &gateway.Ended{Reason: gateway.EndSuspended})
	if len(out) != 1 || !out[0].Closed || out[0].After > time.Second {
		t.Errorf("report = %+v", out)
	}
	w.done(l)
}
