package sshproxy_test

import (
	"bytes"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
)

// counted has a target that only counts who dials it.
func (w *world) counted() *atomic.Int32 {
	var dials atomic.Int32
	addr := w.tcp(func(net.Conn) { dials.Add(1) })
	w.at(addr.String(), signer(w.t).PublicKey())
	return &dials
}

// V-08: what belongs after the authentication, or to the other side, ends a
// connection that is not authenticated. No target is dialled, no session
// opened, and no goroutine stays, which goleak looks at when all tests are over.
func TestNothingBeforeAuthentication(t *testing.T) {
	w := newWorld(t)
	dials := w.counted()
	open := message(msgChannelOpen, channelOpen{"session", 0, 1 << 20, 1 << 15})
	for name, p := range map[string][]byte{
		"a channel": open,
		"a forward": message(msgChannelOpen, channelOpen{"direct-tcpip", 0, 1 << 20, 1 << 15}),
		"a global request": message(msgGlobalRequest, struct {
			Kind string
			Want bool
		}{"tcpip-forward", true}),
		"data of a channel": message(msgChannelData, struct {
			ID uint32
			P  []byte
		}{0, []byte("id\n")}),
		"a request on a channel": message(msgChannelRequest, struct {
			ID   uint32
			Kind string
			Want bool
		}{0, "shell", true}),
		"success, as if a server": {msgAuthSuccess},
		"failure, as if a server": message(msgAuthFailure, struct {
			L string
			P bool
		}{"publickey", false}),
		"acceptance, as if a server": message(msgServiceAccept, struct{ S string }{"ssh-userauth"}),
		"another service":            message(msgServiceRequest, struct{ S string }{connectionService}),
		"new keys without a reason":  {msgNewKeys},
		"a message of no number":     {0},
		"a message of number 255":    {255, 1, 2, 3},
	} {
		for _, served := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", service ", served), func(t *testing.T) {
				e := keyed(t, w.addr)
				if served {
					e.service()
				}
				e.say(p[0], p[1:])
				_ = e.send(open) // whatever it made of that, nothing opens
				e.cut(name)
			})
		}
	}
	if n := dials.Load(); n != 0 || len(w.opened) != 0 {
		t.Errorf("%d dials, %d sessions", n, len(w.opened))
	}
}

// V-95: messages of the handshake at a wrong time end the connection, so that
// nobody is moved into another's session by what a third party slipped in.
func TestHandshakeMessagesAtWrongTimes(t *testing.T) {
	w := newWorld(t)
	w.fake(signer(t), exits(0))
	info := message(msgExtInfo, struct {
		N    uint32
		K, V string
	}{1, "server-sig-algs", "ssh-rsa"})
	t.Run("extensions before the keys", func(t *testing.T) {
		e := rawClient(t, w.addr, ",ext-info-c,kex-strict-c-v00@openssh.com")
		if err := e.begin(); err != nil {
			t.Fatal(err)
		}
		_ = e.send(info)
		_ = e.finish()
		e.cut("extensions before the keys")
	})
	for name, p := range map[string][]byte{
		"extensions":               info,
		"a second authentication":  nil, // filled in below
		"success":                  {msgAuthSuccess},
		"a service":                message(msgServiceRequest, struct{ S string }{"ssh-userauth"}),
		"an answer to no question": message(61, struct{ N uint32 }{0}),
		"half of a key exchange":   message(msgKexECDHInit, struct{ Q []byte }{make([]byte, 32)}),
	} {
		t.Run(name+" after the session", func(t *testing.T) {
			e := w.signedIn()
			w.lastLive()
			if p == nil {
				p = message(msgAuthRequest, e.publicKey("root+pump-7", w.user, w.user.PublicKey()))
			}
			e.say(p[0], p[1:])
			e.cut(name)
		})
	}
	if len(w.opened) != 0 {
		t.Error("a second session was opened on one connection")
	}
}

// V-62: with strict key exchange a message slipped in before the first keys
// ends the connection, so that nothing after them can be cut off unseen. The
// same holds of our own side towards a target.
func TestPrefixTruncation(t *testing.T) {
	ignore := message(msgIgnore, struct{ S string }{"x"})
	for _, when := range []string{"before KEXINIT", "after KEXINIT"} {
		t.Run("client, "+when, func(t *testing.T) {
			w := newWorld(t)
			w.fake(signer(t), exits(0))
			e := rawClient(t, w.addr, ",kex-strict-c-v00@openssh.com")
			if when == "before KEXINIT" {
				_ = e.send(ignore)
			}
			if e.begin() == nil {
				if !bytes.Contains(e.farInit, []byte("kex-strict-s-v00@openssh.com")) {
					t.Error("strict key exchange is not offered")
				}
				_ = e.send(ignore)
				_ = e.finish()
			}
			e.cut("a message slipped in")
		})
		t.Run("target, "+when, func(t *testing.T) {
			w := newWorld(t)
			host := signer(t)
			cut := make(chan error, 1)
			addr := w.tcp(func(nc net.Conn) {
				e, err := newRawEnd(t, nc, host, ",kex-strict-s-v00@openssh.com")
				if err == nil && when == "before KEXINIT" {
					err = e.send(ignore)
				}
				if err == nil {
					err = e.begin()
				}
				if err == nil {
					if !bytes.Contains(e.farInit, []byte("kex-strict-c-v00@openssh.com")) {
						t.Error("strict key exchange is not asked for")
					}
					_ = e.send(ignore)
					_ = e.finish()
					_, err = e.until(msgServiceRequest)
				}
				cut <- err
			})
			w.at(addr.String(), host.PublicKey())
			s, err := w.mustClient().NewSession()
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Run("id"); err == nil {
				t.Error("a command ran")
			}
			if err := <-cut; err == nil {
				t.Error("the connection went on")
			}
		})
	}
}
