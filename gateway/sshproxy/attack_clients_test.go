package sshproxy_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
)

// S-43: an RSA key signs with SHA-2 and not with SHA-1, and one too short is
// none.
func TestRSASignsWithSHA2(t *testing.T) {
	w := newWorld(t)
	w.fake(signer(t), exits(0))
	key, err := rsa.GenerateKey(rand.Reader, 2048) //nolint:forbidigo // as engineers have them
	if err != nil {
		t.Fatal(err)
	}
	plain, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	w.user = plain
	for algorithm, ok := range map[string]bool{ssh.KeyAlgoRSASHA256: true, ssh.KeyAlgoRSASHA512: true, ssh.KeyAlgoRSA: false} {
		s, err := ssh.NewSignerWithAlgorithms(plain.(ssh.AlgorithmSigner), []string{algorithm})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.try(s); (err == nil) != ok {
			t.Errorf("%s: %v", algorithm, err)
		}
	}
}

// S-44: compression that a client asks for is not agreed to, and it works
// without.
func TestCompressionIsNotSpoken(t *testing.T) {
	w := newWorld(t)
	w.sshd()
	out, said, code := w.run(nil, "-C", "-v", "-T", "echo done")
	if code != 0 || out != "done\n" || !strings.Contains(said, "compression: none") {
		t.Errorf("exit %d, %q, %s", code, out, said)
	}
}

// S-45: a target of some years ago is spoken to; one that has nothing but what
// is broken gets a sentence, and the engineer's side is strict all the same.
func TestOldTargets(t *testing.T) {
	for _, tc := range []struct {
		name string
		old  ssh.Config
		says string // empty: it is carried
	}{
		{"of 2015", ssh.Config{KeyExchanges: []string{"ecdh-sha2-nistp256"}, Ciphers: []string{"aes128-ctr"}, MACs: []string{"hmac-sha2-256"}}, ""},
		{"with SHA-1 in the key exchange", ssh.Config{KeyExchanges: []string{ssh.InsecureKeyExchangeDH14SHA1}}, "too weak"},
		{"with CBC", ssh.Config{Ciphers: []string{ssh.InsecureCipherAES128CBC}}, "too weak"},
		{"with RC4", ssh.Config{Ciphers: []string{ssh.InsecureCipherRC4128}}, "too weak"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.fakeAs(signer(t), tc.old)
			s, err := w.mustClient().NewSession()
			if err != nil {
				t.Fatal(err)
			}
			var said bytes.Buffer
			s.Stderr = &said
			err = s.Run("id")
			if tc.says == "" && err != nil || tc.says != "" && (err == nil || !strings.Contains(said.String(), tc.says)) {
				t.Errorf("%v, said %q", err, said.String())
			}
		})
	}
}

// fakeAs serves SSH of another age as the target: every command ends well.
func (w *world) fakeAs(host ssh.Signer, old ssh.Config) {
	addr := w.tcp(func(nc net.Conn) {
		cfg := &ssh.ServerConfig{Config: old, NoClientAuth: true}
		cfg.AddHostKey(host)
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
			wg.Go(func() { exits(0)(sc, ch, r) })
		}
	})
	w.at(addr.String(), host.PublicKey())
}

// S-50, V-81: on a terminal, too, every byte passes as it is in both directions and
// into the recording: escape sequences, the clipboard's, mouse reports, zmodem.
func TestTerminalBytesAreNobodysBusiness(t *testing.T) {
	const size = 2 << 20
	w := newWorld(t)
	w.sshd()
	s, err := w.mustClient().NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.RequestPty("xterm", 24, 80, nil); err != nil {
		t.Fatal(err)
	}
	in, out := s.StdinPipe, s.StdoutPipe
	stdin, _ := in()
	stdout, _ := out()
	if err := s.Start(fmt.Sprintf("stty raw -echo; echo ready; head -c %d", size)); err != nil {
		t.Fatal(err)
	}
	const ready = "ready\n"
	first := make([]byte, len(ready))
	if _, err := io.ReadFull(stdout, first); err != nil || string(first) != ready {
		t.Fatalf("%q, %v", first, err)
	}
	data := make([]byte, size)
	_, _ = rand.Read(data)
	copy(data, "\x1b]52;c;cm0gLXJm\a\x1b[<0;1;1M**\x18B00000000000000\r\x8a\x11\x1bP+q544e\x1b\\\x00\xff\x03\x1a\x04\x11\x13")
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = stdin.Write(data) })
	back := make([]byte, size)
	if _, err := io.ReadFull(stdout, back); err != nil || sha256.Sum256(back) != sha256.Sum256(data) {
		t.Errorf("other bytes came back, %v", err)
	}
	wg.Wait()
	_ = s.Close()
	l := w.lastLive()
	w.endsAtOnce(l)
	if got := w.recorded(l); got != ready+string(data) {
		t.Errorf("%d bytes recorded of %d, or others", len(got), size)
	}
}

// S-49: a connection without any channel reaches nothing by that: it stands in
// the register like any other and is ended like any other.
func TestNoChannelAtAll(t *testing.T) {
	w := newWorld(t)
	w.may(gateway.Abilities{Shell: true})
	asked := w.notes()
	c := w.mustClient()
	l := w.lastLive()
	if running := w.m.EndAll(func(gateway.Session) bool { return false }, &gateway.Ended{Reason: gateway.EndSuspended}); len(running) != 0 {
		t.Errorf("ended %+v", running)
	}
	w.endsAtOnce(l)
	if err := c.Wait(); err == nil {
		t.Error("the client's connection ended without an error")
	}
	if len(asked) != 0 {
		t.Errorf("the target was asked for %v", <-asked)
	}
}

// S-58: fifty sessions of one person at once, each on a connection of its own,
// each with its own output and recording, and none with another's.
func TestFiftyAtOnce(t *testing.T) {
	const many = 50
	w := newWorld(t)
	w.fake(signer(t), echoes)
	var mu sync.Mutex
	var said []string
	var wg sync.WaitGroup
	for i := range many {
		wg.Go(func() {
			c, err := w.client("root+pump-7")
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			s, err := c.NewSession()
			if err != nil {
				t.Error(err)
				return
			}
			want := fmt.Sprintf("session number %d", i)
			out, err := s.Output(want)
			var exit *ssh.ExitError
			if string(out) != want || err != nil && !errors.As(err, &exit) {
				t.Errorf("%q, %v; want %q", out, err, want)
			}
			mu.Lock()
			said = append(said, want)
			mu.Unlock()
		})
	}
	wg.Wait()
	var recorded []string
	for range said {
		l := w.lastLive()
		w.done(l)
		recorded = append(recorded, w.recorded(l))
	}
	slices.Sort(said)
	slices.Sort(recorded)
	if !slices.Equal(said, recorded) {
		t.Errorf("recorded %q", recorded)
	}
}

// S-28: in the handshake nothing but the user name's own grammar and the
// grants of the person decide; a target that is not there gets the words that
// one without a grant gets.
func TestNoTargetAndNoGrantSoundAlike(t *testing.T) {
	w := newWorld(t)
	w.fake(signer(t), exits(0))
	words := func(name string) string {
		var banner string
		c, err := w.clientBanner("root+"+name, &banner)
		if err == nil {
			_ = c.Close()
			t.Errorf("%s was let in", name)
		}
		return strings.ReplaceAll(banner, name, "NAME")
	}
	if a, b := words("pump-8"), words("nowhere-at-all"); a != b || a == "" {
		t.Errorf("%q and %q", a, b)
	}
}

// S-53: mosh's server is a command like any other and needs a grant of exec;
// its datagrams are no part of SSH and pass nowhere here.
func TestMoshNeedsExec(t *testing.T) {
	w := newWorld(t)
	w.may(gateway.Abilities{Shell: true})
	w.sshd()
	_, said, code := w.run(nil, "-T", "mosh-server new -s -c 256")
	if code != 255 || !strings.Contains(said, "no exec") {
		t.Errorf("exit %d, %q", code, said)
	}
}
