package sshproxy_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/session"
	"github.com/portcullis/portcullis/gateway/sshproxy"
)

// V-67: two hundred clients that begin a key exchange and stop are cut when
// the time for the handshake is over, and cost little until then.
func TestStalledKeyExchange(t *testing.T) {
	const clients, each = 200, 64 << 10
	w := newWorld(t, func(c *sshproxy.Config) { c.HandshakeTime, c.MaxPerSource = 3*time.Second, clients+1 })
	w.counted()
	before := heldMemory()
	ends := make([]*rawEnd, clients)
	for i := range ends {
		ends[i] = rawClient(t, w.addr, "")
		if err := ends[i].begin(); err != nil {
			t.Fatal(err)
		}
	}
	if grown := (heldMemory() - before) / clients; grown > each {
		t.Errorf("%d KiB a client", grown>>10)
	}
	begun := time.Now()
	for _, e := range ends {
		e.cut("a key exchange that was begun")
	}
	if d := time.Since(begun); d > 6*time.Second {
		t.Errorf("the last was cut after %s", d)
	}
}

// V-73: once a client has begun another key exchange, anything but the
// exchange ends the connection: nothing is kept for later.
func TestDataInTheMiddleOfAKeyExchange(t *testing.T) {
	w := newWorld(t)
	w.fake(signer(t), quietTarget)
	e := w.signedIn()
	l := w.lastLive()
	e.exec(0, "x")
	before := heldMemory()
	if err := e.begin(); err != nil {
		t.Fatal(err)
	}
	data := message(msgChannelData, struct {
		ID   uint32
		Data []byte
	}{0, make([]byte, 30_000)})
	sent := 0
	for ; sent < 2000 && e.send(data) == nil; sent++ { // 60 MB, if somebody takes them
	}
	e.cut("data in the middle of a key exchange")
	w.done(l)
	if grown := heldMemory() - before; grown > 8<<20 {
		t.Errorf("%d KiB more are held after %d packets", grown>>10, sent)
	}
}

// V-67, the later half: a client that stops in the middle of another key
// exchange, while output waits for it, holds a bounded amount, and the session
// can be ended all the same.
func TestStalledRekey(t *testing.T) {
	const most = 6 << 20 // what the channel's window and the library's queue may hold
	w := newWorld(t)
	w.fake(signer(t), func(_ *ssh.ServerConn, ch ssh.Channel, reqs <-chan *ssh.Request) {
		go func() {
			for {
				if _, err := ch.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		}()
		for r := range reqs {
			_ = r.Reply(true, nil)
		}
	})
	e := w.signedIn()
	l := w.lastLive()
	e.exec(0, "flood")
	before := heldMemory()
	if err := e.begin(); err != nil {
		t.Fatal(err)
	}
	for last := int64(-1); ; { // until nothing more is taken from the target
		out := l.Session().BytesOut
		if out == last {
			break
		}
		last = out
		wait := time.NewTimer(300 * time.Millisecond)
		<-wait.C
	}
	if grown := heldMemory() - before; grown > most {
		t.Errorf("%d KiB are held for a client that stopped", grown>>10)
	}
	w.endsAtOnce(l)
}

// V-67, and what bounds it in time: a re-key that is begun and not finished ends
// the session, also of a client that goes on to say what means nothing.
func TestStalledRekeyIsLetGo(t *testing.T) {
	const rekey = 2 * time.Second
	for name, drip := range map[string]bool{"silent": false, "chatting": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, sshproxy.BeatsRekey(rekey/20, rekey/10, rekey))
			w.fake(signer(t), quietTarget)
			e := w.signedIn()
			l := w.lastLive()
			e.exec(0, "x")
			if err := e.begin(); err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			for drip && l.Context().Err() == nil && time.Since(begun) < patience {
				wait := time.NewTimer(rekey / 20)
				<-wait.C
				_ = e.send(message(msgIgnore, struct{ Data string }{"still here"}))
			}
			if ended := w.done(l); ended.Reason != gateway.EndClientLeft || !strings.Contains(ended.Detail, "did not finish a key exchange") {
				t.Errorf("ended by %v", ended)
			}
			if took := time.Since(begun); took < rekey || took > 3*rekey {
				t.Errorf("let go after %s", took)
			}
		})
	}
}

// A client that only sends, and is asked meanwhile, is not taken for one.
func TestBusyClientIsNotLetGo(t *testing.T) {
	t.Parallel()
	const rekey = time.Second
	w := newWorld(t, sshproxy.BeatsRekey(rekey/20, rekey/10, rekey))
	w.fake(signer(t), quietTarget)
	e := w.signedIn()
	l := w.lastLive()
	e.exec(0, "x")
	for begun := time.Now(); time.Since(begun) < 3*rekey; {
		wait := time.NewTimer(rekey / 20)
		<-wait.C
		if err := e.send(message(msgIgnore, struct{ Data string }{"still here"})); err != nil {
			t.Fatal(err)
		}
	}
	if l.Context().Err() != nil {
		t.Errorf("ended by %v", w.done(l))
	}
	w.endsAtOnce(l)
}

// endsAtOnce ends all sessions as a suspension does, and looks how fast.
func (w *world) endsAtOnce(l *session.Live) {
	w.t.Helper()
	out := w.m.EndAll(func(gateway.Session) bool { return true }, &gateway.Ended{Reason: gateway.EndSuspended})
	if len(out) != 1 || !out[0].Closed || out[0].After > 2*time.Second {
		w.t.Errorf("report = %+v", out)
	}
	w.done(l)
}

// V-77: a handshake whose time runs out just when it succeeds is either a
// whole session or none: never one without a client, or a client without one.
func TestGraceAgainstSuccess(t *testing.T) {
	const at, each = 4, 15
	var one time.Duration // that a handshake takes, as many at once
	part := func(percent int) time.Duration { return one / 100 * time.Duration(percent) }
	for _, percent := range []int{0, 80, 110, 150} {
		w := newWorld(t, func(c *sshproxy.Config) { c.HandshakeTime = part(percent) })
		w.fake(signer(t), exits(0))
		begun := time.Now()
		var in atomic.Int32
		var wg sync.WaitGroup
		for range at {
			wg.Go(func() {
				for range each {
					c, err := w.client("root+pump-7")
					if err != nil {
						continue
					}
					if s, err := c.NewSession(); err == nil && s.Run("id") == nil {
						in.Add(1)
					}
					_ = c.Close()
				}
			})
		}
		wg.Wait()
		opened := len(w.opened)
		for range opened {
			w.done(w.lastLive())
		}
		if percent == 0 {
			one = time.Since(begun) / each
		}
		if int(in.Load()) > opened {
			t.Errorf("%d ran a command in %d sessions", in.Load(), opened)
		}
		t.Logf("%s: %d of %d got in, %d sessions", part(percent), in.Load(), at*each, opened)
	}
}
