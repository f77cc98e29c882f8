package sshproxy_test

import (
	"errors"
	"net"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// V-56: the words of a target's refusal are a text of the far side's, and what
// in them a terminal would act on does not reach the engineer.
func TestTargetsWordsAreText(t *testing.T) {
	const words = "no\x1b]52;c;cm0gLXJm\a\x1b[2J\x9b5n\r\nroot# \x05"
	w := newWorld(t)
	host := signer(t)
	addr := w.tcp(func(nc net.Conn) {
		cfg := &ssh.ServerConfig{NoClientAuth: true}
		cfg.AddHostKey(host)
		_, chans, reqs, err := ssh.NewServerConn(nc, cfg)
		if err != nil {
			return
		}
		go ssh.DiscardRequests(reqs)
		for n := range chans {
			_ = n.Reject(ssh.Prohibited, words)
		}
	})
	w.at(addr.String(), host.PublicKey())
	_, _, err := w.mustClient().OpenChannel("session", nil)
	var refused *ssh.OpenChannelError
	if !errors.As(err, &refused) || !strings.Contains(refused.Message, "no?]52;") {
		t.Fatalf("%v", err)
	}
	if strings.ContainsFunc(refused.Message, func(r rune) bool { return r < ' ' || r > '~' }) {
		t.Errorf("the engineer is shown %q", refused.Message)
	}
}
