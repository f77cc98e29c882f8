package sshproxy_test

import (
	"encoding/binary"
	"net"
	"testing"

	"golang.org/x/crypto/ssh"
)

// V-69: ten thousand answers to questions that nobody asked, of a client or of
// a target, block nothing: commands go on, and the session can be ended.
func TestAnswersToNoQuestion(t *testing.T) {
	const answers = 10_000
	flood := func(e *rawEnd) error {
		frames := make([]byte, 0, answers*32)
		for i := range answers {
			frames = append(frames, e.frame(message(byte(msgRequestSuccess+i%2), nil))...)
		}
		_, err := e.nc.Write(frames)
		return err
	}
	t.Run("client", func(t *testing.T) {
		w := newWorld(t)
		w.fake(signer(t), quietTarget)
		e := w.signedIn()
		l := w.lastLive()
		e.exec(0, "before")
		if err := flood(e); err != nil {
			t.Fatal(err)
		}
		e.exec(1, "after")
		w.endsAtOnce(l)
	})
	t.Run("target", func(t *testing.T) {
		w := newWorld(t)
		host := signer(t)
		addr := w.tcp(func(nc net.Conn) {
			e, err := newRawEnd(t, nc, host, "")
			if err != nil || e.exchange() != nil {
				return
			}
			e.welcome(flood)
		})
		w.at(addr.String(), host.PublicKey())
		c := w.mustClient()
		for range 3 {
			s, err := c.NewSession()
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Start("x"); err != nil {
				t.Fatal(err)
			}
		}
		w.endsAtOnce(w.lastLive())
	})
}

// welcome serves whoever comes as a target, and calls before each channel's
// answer.
func (e *rawEnd) welcome(before func(*rawEnd) error) {
	var next uint32
	for {
		p, err := e.recv()
		if err != nil {
			return
		}
		switch p[0] {
		case msgServiceRequest:
			err = e.send(message(msgServiceAccept, struct{ S string }{"ssh-userauth"}))
		case msgAuthRequest:
			err = e.send([]byte{msgAuthSuccess})
		case msgChannelOpen:
			var m struct {
				Kind        string
				ID, W, Size uint32
				Rest        []byte `ssh:"rest"`
			}
			if err = ssh.Unmarshal(p[1:], &m); err == nil && before(e) == nil {
				err = e.send(message(msgChannelConfirm, struct{ ID, Own, W, P uint32 }{m.ID, next, 1 << 20, 1 << 15}))
				next++
			}
		case msgChannelRequest:
			err = e.send(message(msgChannelSuccess, struct{ ID uint32 }{binary.BigEndian.Uint32(p[1:])}))
		}
		if err != nil {
			return
		}
	}
}

type channelOpen struct {
	Kind                string
	ID, Window, Packets uint32
}

// exec opens a channel of that number and runs a command on it.
func (e *rawEnd) exec(channel uint32, command string) {
	e.t.Helper()
	e.say(msgChannelOpen, channelOpen{"session", channel, 1 << 21, 1 << 15})
	p := e.must(msgChannelConfirm)
	far := binary.BigEndian.Uint32(p[5:])
	e.say(msgChannelRequest, struct {
		ID      uint32
		Kind    string
		Want    bool
		Command string
	}{far, "exec", true, command})
	e.must(msgChannelSuccess)
}

// S-03: a command's yes comes before its output, and so before its end: who
// hears of the end first takes the command for one that never ran.
func TestAnswerComesBeforeOutput(t *testing.T) {
	w := newWorld(t)
	w.fake(signer(t), echoes)
	e := w.signedIn()
	for i := range uint32(200) {
		e.say(msgChannelOpen, channelOpen{"session", i, 1 << 21, 1 << 15})
		far := binary.BigEndian.Uint32(e.must(msgChannelConfirm)[5:])
		e.say(msgChannelRequest, struct {
			ID      uint32
			Kind    string
			Want    bool
			Command string
		}{far, "exec", true, "x"})
		first := byte(0)
		for p, err := e.recv(); ; p, err = e.recv() {
			if err != nil {
				t.Fatal(err)
			}
			if p[0] < msgChannelConfirm+2 || binary.BigEndian.Uint32(p[1:]) != i {
				continue
			}
			if first == 0 {
				first = p[0]
			}
			if p[0] == msgChannelClose {
				break
			}
		}
		e.say(msgChannelClose, struct{ ID uint32 }{far})
		if first != msgChannelSuccess {
			t.Fatalf("channel %d: message %d came before the answer", i, first)
		}
	}
}
