package sshproxy_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"crypto/rand"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/sshproxy"
)

// tcp serves raw connections as the target.
func (w *world) tcp(handle func(net.Conn)) net.Addr {
	w.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	return w.tcpOn(l, handle)
}

func (w *world) tcpOn(l net.Listener, handle func(net.Conn)) net.Addr {
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { defer nc.Close(); handle(nc) })
		}
	})
	w.t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	return l.Addr()
}

// fake serves SSH as the target, every session channel by handle.
func (w *world) fake(host ssh.Signer, handle func(*ssh.ServerConn, ssh.Channel, <-chan *ssh.Request)) {
	w.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	w.fakeOn(l, host, handle)
}

func (w *world) fakeOn(l net.Listener, host ssh.Signer, handle func(*ssh.ServerConn, ssh.Channel, <-chan *ssh.Request), edit ...func(*ssh.ServerConfig)) {
	w.t.Helper()
	addr := w.tcpOn(l, func(nc net.Conn) {
		cfg := &ssh.ServerConfig{NoClientAuth: true}
		cfg.AddHostKey(host)
		for _, e := range edit {
			e(cfg)
		}
		sc, chans, reqs, err := ssh.NewServerConn(nc, cfg)
		if err != nil {
			return
		}
		var wg sync.WaitGroup
		defer wg.Wait()
		wg.Go(func() { ssh.DiscardRequests(reqs) })
		for n := range chans {
			ch, r, err := n.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { handle(sc, ch, r) })
		}
	})
	w.at(addr.String(), host.PublicKey())
}

// S-45: a target that speaks nothing but the broken is named as such.
func TestTargetThatFails(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	for _, tc := range []struct {
		name   string
		handle func(net.Conn)
		want   string
	}{
		{"does not answer", nil, "it refused the connection"},
		{"answers garbage", func(nc net.Conn) { _, _ = nc.Write(bytes.Repeat([]byte("HTTP/1.1 400 Bad\r\n"), 5000)) }, "it does not speak SSH as it should"},
		{"accepts and closes", func(net.Conn) {}, "it does not speak SSH as it should"},
		{"accepts and goes silent", func(nc net.Conn) { _, _ = io.Copy(io.Discard, nc) }, "then said nothing for 300ms"},
		{"old and weak", func(nc net.Conn) { _, _ = nc.Write([]byte("SSH-1.5-old\r\n")); _, _ = io.Copy(io.Discard, nc) }, "then said nothing"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, func(c *sshproxy.Config) { c.TargetTime = 300 * time.Millisecond })
			address := closed.Addr().String()
			if tc.handle != nil {
				address = w.tcp(tc.handle).String()
			}
			w.at(address, signer(t).PublicKey())
			s, err := w.mustClient().NewSession()
			if err != nil {
				t.Fatal(err)
			}
			var said bytes.Buffer
			s.Stderr = &said
			if err := s.Run("id"); err == nil || !strings.Contains(said.String(), tc.want) {
				t.Errorf("%v, said %q", err, said.String())
			}
			if e := w.done(w.lastLive()); e.Reason != gateway.EndTarget {
				t.Errorf("cause %v", e)
			}
			if w.store.has(audit.SessionLive, "", "") {
				t.Error("it was called live")
			}
		})
	}
}

func TestHostKeyChangeNamesBoth(t *testing.T) {
	w := newWorld(t)
	shown, file := signer(t), signer(t).PublicKey()
	served := false
	w.fake(shown, func(*ssh.ServerConn, ssh.Channel, <-chan *ssh.Request) { served = true })
	w.at(w.target.Address, file)
	s, err := w.mustClient().NewSession()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	s.Stderr = &said
	if err := s.Run("id"); err == nil {
		t.Error("it ran")
	}
	for _, want := range []string{ssh.FingerprintSHA256(shown.PublicKey()), ssh.FingerprintSHA256(file), "another host key"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("%q does not name %q", said.String(), want)
		}
	}
	if e := w.done(w.lastLive()); e.Reason != gateway.EndHostKey || served {
		t.Errorf("cause %v, served %t", e, served)
	}
}

// a target's certificate that is over its time refuses what is new.
func TestHostCertificate(t *testing.T) {
	ca, other := signer(t), signer(t)
	for _, tc := range []struct {
		name string
		edit func(*ssh.Certificate) ssh.Signer
		ok   bool
	}{
		{"by the authority on file", func(*ssh.Certificate) ssh.Signer { return ca }, true},
		{"by another authority", func(*ssh.Certificate) ssh.Signer { return other }, false},
		{"for another host", func(c *ssh.Certificate) ssh.Signer { c.ValidPrincipals = []string{"elsewhere"}; return ca }, false},
		{"for any host", func(c *ssh.Certificate) ssh.Signer { c.ValidPrincipals = nil; return ca }, false},
		{"a user's", func(c *ssh.Certificate) ssh.Signer { c.CertType = ssh.UserCert; return ca }, false},
		{"over its time", func(c *ssh.Certificate) ssh.Signer { c.ValidBefore = 1; return ca }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			key := signer(t)
			cert := &ssh.Certificate{Key: key.PublicKey(), CertType: ssh.HostCert, ValidPrincipals: []string{"127.0.0.1"}, ValidBefore: ssh.CertTimeInfinity}
			if err := cert.SignCert(rand.Reader, tc.edit(cert)); err != nil {
				t.Fatal(err)
			}
			host, err := ssh.NewCertSigner(cert, key)
			if err != nil {
				t.Fatal(err)
			}
			w.fake(host, exits(0))
			w.at(w.target.Address)
			w.target.HostKeys = []string{"@cert-authority " + strings.TrimSpace(string(ssh.MarshalAuthorizedKey(ca.PublicKey())))}
			s, err := w.mustClient().NewSession()
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Run("id"); (err == nil) != tc.ok {
				t.Errorf("run: %v", err)
			}
		})
	}
}

// exits answers every command with a status.
func exits(status uint32) func(*ssh.ServerConn, ssh.Channel, <-chan *ssh.Request) {
	return func(_ *ssh.ServerConn, ch ssh.Channel, reqs <-chan *ssh.Request) {
		for r := range reqs {
			_ = r.Reply(true, nil)
			if r.Type == "exec" || r.Type == "shell" {
				_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ S uint32 }{status}))
				_ = ch.Close()
			}
		}
	}
}

// S-03: an exit status that overtakes the last data is held back for it.
//
// A target that sends the exit before its last data loses none of it.
func TestExitBeforeTheLastData(t *testing.T) {
	const size = 3 << 20
	w := newWorld(t)
	w.fake(signer(t), func(_ *ssh.ServerConn, ch ssh.Channel, reqs <-chan *ssh.Request) {
		for r := range reqs {
			_ = r.Reply(true, nil)
			if r.Type == "exec" {
				_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ S uint32 }{9}))
				_, _ = ch.Write(bytes.Repeat([]byte("x"), size))
				_, _ = ch.Stderr().Write([]byte("last words"))
				_ = ch.Close()
			}
		}
	})
	c := w.mustClient()
	for range 10 {
		s, err := c.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		var out, errs bytes.Buffer
		s.Stdout, s.Stderr = &out, &errs
		err = s.Run("x")
		if out.Len() != size || errs.String() != "last words" || err == nil || !strings.Contains(err.Error(), "status 9") {
			t.Fatalf("%d bytes, stderr %q, %v", out.Len(), errs.String(), err)
		}
	}
}

// A signal and a break reach the target as they are.
func TestSignalsReachTheTarget(t *testing.T) {
	w := newWorld(t)
	got := make(chan string, 8)
	w.fake(signer(t), func(_ *ssh.ServerConn, ch ssh.Channel, reqs <-chan *ssh.Request) {
		for r := range reqs {
			got <- r.Type + " " + string(r.Payload)
			_ = r.Reply(true, nil)
			if r.Type == "signal" {
				_, _ = ch.SendRequest("exit-signal", false, ssh.Marshal(struct {
					Name       string
					Core       bool
					Text, Lang string
				}{"USR1", true, "went", "en"}))
				_ = ch.Close()
			}
		}
	})
	s, err := w.mustClient().NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start("x"); err != nil {
		t.Fatal(err)
	}
	if ok, err := s.SendRequest("break", true, ssh.Marshal(struct{ Ms uint32 }{500})); !ok || err != nil {
		t.Errorf("break: %t, %v", ok, err)
	}
	if err := s.Signal("USR1"); err != nil {
		t.Fatal(err)
	}
	if err := s.Wait(); err == nil || !strings.Contains(err.Error(), "USR1") || !strings.Contains(err.Error(), "went") {
		t.Errorf("exit: %v", err)
	}
	for _, want := range []string{"exec", "break", "signal"} {
		if g := <-got; !strings.HasPrefix(g, want+" ") {
			t.Errorf("target got %q, want %s", g, want)
		}
	}
}

// A frozen session holds signals and the end of input as it holds what is
// typed: a thaw lets them through, an end drops them.
func TestFrozenSessionHoldsSignals(t *testing.T) {
	for name, thaw := range map[string]bool{"thawed": true, "ended": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			got := make(chan string, 8)
			w.fake(signer(t), func(_ *ssh.ServerConn, ch ssh.Channel, reqs <-chan *ssh.Request) {
				go func() {
					_, _ = io.Copy(io.Discard, ch)
					got <- "end of input"
				}()
				for r := range reqs {
					_ = r.Reply(true, nil)
					if r.Type == "signal" {
						got <- r.Type
					}
				}
			})
			s, err := w.mustClient().NewSession()
			if err != nil {
				t.Fatal(err)
			}
			in, err := s.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Start("x"); err != nil {
				t.Fatal(err)
			}
			l := <-w.opened
			if err := w.m.Freeze(t.Context(), l.ID(), "sam", "a look"); err != nil {
				t.Fatal(err)
			}
			if err := s.Signal("USR1"); err != nil {
				t.Fatal(err)
			}
			_ = in.Close()
			select {
			case g := <-got:
				t.Fatalf("the target got %q of a frozen session", g)
			case <-time.After(300 * time.Millisecond): // long enough on loopback to be told what passes
			}
			if !thaw {
				l.Finish(gateway.EndByStaff)
				if g := <-got; g != "end of input" { // of the closed connection
					t.Fatalf("the target got %q after the end", g)
				}
				return
			}
			if err := w.m.Thaw(t.Context(), l.ID(), "sam"); err != nil {
				t.Fatal(err)
			}
			if all := []string{<-got, <-got}; !slices.Contains(all, "signal") || !slices.Contains(all, "end of input") {
				t.Errorf("after the thaw the target got %q", all)
			}
		})
	}
}

// A target whose connection breaks in the middle: what it sent is shown, then
// the sentence.
func TestTargetVanishes(t *testing.T) {
	const size = 64 << 10 // more would make TCP itself drop some: closed with something unread
	w := newWorld(t)
	w.fake(signer(t), func(sc *ssh.ServerConn, ch ssh.Channel, reqs <-chan *ssh.Request) {
		for r := range reqs {
			_ = r.Reply(true, nil)
			if r.Type == "exec" {
				_, _ = ch.Write(bytes.Repeat([]byte("x"), size))
				_ = sc.Close()
			}
		}
	})
	s, err := w.mustClient().NewSession()
	if err != nil {
		t.Fatal(err)
	}
	var out, said bytes.Buffer
	s.Stdout, s.Stderr = &out, &said
	if err := s.Run("x"); err == nil || out.Len() != size || !strings.Contains(said.String(), "the target closed the connection") {
		t.Errorf("%v, %d bytes, said %q", err, out.Len(), said.String())
	}
	if e := w.done(w.lastLive()); e.Reason != gateway.EndTargetLeft {
		t.Errorf("cause %v", e)
	}
}

// S-39, V-15: host keys that a target announces, and channels that it opens,
// are not relayed.
//
// What a target asks for towards the engineer reaches nobody.
func TestTargetCannotReachTheEngineer(t *testing.T) {
	w := newWorld(t)
	refused := make(chan error, 4)
	w.fake(signer(t), func(sc *ssh.ServerConn, ch ssh.Channel, reqs <-chan *ssh.Request) {
		for r := range reqs {
			_ = r.Reply(true, nil)
			if r.Type != "exec" {
				continue
			}
			for _, kind := range []string{"x11", "auth-agent@openssh.com", "forwarded-tcpip"} {
				_, _, err := sc.OpenChannel(kind, nil)
				refused <- err
			}
			_, _, err := sc.SendRequest("hostkeys-00@openssh.com", false, []byte("x"))
			refused <- err
			exits(0)(sc, ch, replay(r))
		}
	})
	nc, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	conn, chans, reqs, err := ssh.NewClientConn(nc, w.addr, &ssh.ClientConfig{User: "root+pump-7", Auth: []ssh.AuthMethod{ssh.PublicKeys(w.user)}, HostKeyCallback: ssh.FixedHostKey(w.host)})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := range chans {
			t.Errorf("channel %s reached the engineer", n.ChannelType())
		}
	})
	wg.Go(func() {
		for r := range reqs {
			t.Errorf("request %s reached the engineer", r.Type)
		}
	})
	ch, creqs, err := conn.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	wg.Go(func() { ssh.DiscardRequests(creqs) })
	if ok, err := ch.SendRequest("exec", true, ssh.Marshal(struct{ C string }{"x"})); !ok || err != nil {
		t.Fatal(ok, err)
	}
	_, _ = io.Copy(io.Discard, ch)
	for range 3 {
		if err := <-refused; err == nil {
			t.Error("a channel was opened")
		}
	}
	_ = conn.Close()
	wg.Wait()
	w.done(w.lastLive())
	if !w.store.has(audit.SessionChannel, audit.Refused, "towards the engineer") {
		t.Error("no event")
	}
}

func replay(r *ssh.Request) <-chan *ssh.Request {
	c := make(chan *ssh.Request, 1)
	c <- &ssh.Request{Type: r.Type}
	close(c)
	return c
}

// A client that has nothing more to send closes its channel at the end of
// output, as a multiplexed ssh does: the status must have come before.
func TestExitStatusComesBeforeTheEndOfOutput(t *testing.T) {
	w := newWorld(t)
	w.fake(signer(t), func(_ *ssh.ServerConn, ch ssh.Channel, reqs <-chan *ssh.Request) {
		for r := range reqs {
			_ = r.Reply(true, nil)
			if r.Type == "exec" {
				_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ N uint32 }{7}))
				_, _ = io.WriteString(ch, "last words")
				_ = ch.CloseWrite() // and closes when the other side has
			}
		}
		_ = ch.Close()
	})
	c := w.mustClient()
	for range 10 {
		ch, reqs, err := c.OpenChannel("session", nil)
		if err != nil {
			t.Fatal(err)
		}
		status := make(chan uint32, 1)
		go func() {
			defer close(status)
			for r := range reqs {
				if r.Type == "exit-status" {
					status <- binary.BigEndian.Uint32(r.Payload)
				}
			}
		}()
		if ok, err := ch.SendRequest("exec", true, ssh.Marshal(struct{ C string }{"x"})); !ok || err != nil {
			t.Fatalf("exec: %t, %v", ok, err)
		}
		_ = ch.CloseWrite()
		if out, err := io.ReadAll(ch); err != nil || string(out) != "last words" {
			t.Fatalf("%q, %v", out, err)
		}
		_ = ch.Close()
		if n, told := <-status; !told || n != 7 {
			t.Fatalf("closed at the end of output and was told status %d, %t", n, told)
		}
	}
}
