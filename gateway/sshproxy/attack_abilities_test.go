package sshproxy_test

import (
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
)

// V-15: every kind of channel and request that a grant of a shell does
// not say is refused and written down; the shell beside them is let in.
func TestShellAloneIsAShellAlone(t *testing.T) {
	w := newWorld(t)
	w.may(gateway.Abilities{Shell: true})
	asked := make(chan string, 64)
	w.fake(signer(t), func(_ *ssh.ServerConn, ch ssh.Channel, reqs <-chan *ssh.Request) {
		for r := range reqs {
			asked <- r.Type
			_ = r.Reply(true, nil)
		}
		_ = ch.Close()
	})
	c := w.mustClient()
	to := ssh.Marshal(struct {
		Host   string
		Port   uint32
		Origin string
		From   uint32
	}{"127.0.0.1", 22, "127.0.0.1", 1})
	for _, kind := range []string{
		"direct-tcpip", "direct-streamlocal@openssh.com", "forwarded-tcpip", "forwarded-streamlocal@openssh.com", "x11",
		"auth-agent@openssh.com", "auth-agent", "tun@openssh.com", "Session", "session ", "",
	} {
		if _, _, err := c.OpenChannel(kind, to); err == nil {
			t.Errorf("channel %q was opened", kind)
		}
		w.refused("channel " + kind)
	}
	for _, name := range []string{"tcpip-forward", "streamlocal-forward@openssh.com"} {
		if ok, _, err := c.SendRequest(name, true, to); ok || err != nil {
			t.Errorf("request %q: %t, %v", name, ok, err)
		}
		w.refused(name)
	}
	for _, tc := range []struct{ kind, text string }{
		{"exec", "id"}, {"exec", "scp -t x"}, {"exec", "rsync --server . x"}, {"subsystem", "sftp"}, {"subsystem", "netconf"}, {"exec", ""},
		{"x11-req", ""}, {"auth-agent-req@openssh.com", ""},
	} {
		ch, reqs, err := c.OpenChannel("session", nil)
		if err != nil {
			t.Fatal(err)
		}
		go ssh.DiscardRequests(reqs)
		_, _ = ch.SendRequest(tc.kind, true, ssh.Marshal(struct{ S string }{tc.text}))
		_ = ch.Close()
		w.refused(tc.kind + " " + tc.text)
	}
	if len(asked) > 0 {
		t.Errorf("the target was asked for %q", <-asked)
	}
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Shell(); err != nil {
		t.Error(err)
	}
}

// refused takes the events that came since, and needs a refusal among them.
func (w *world) refused(what string) {
	w.t.Helper()
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	found := false
	for _, e := range w.store.events {
		found = found || e.Name == audit.SessionChannel && e.Outcome == audit.Refused && strings.TrimSpace(e.Reason) != ""
	}
	w.store.events = nil
	if !found {
		w.t.Errorf("%s: no event", what)
	}
}
