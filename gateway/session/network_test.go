package session_test

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/session"
	"github.com/portcullis/portcullis/gateway/statement"
)

func peerKey(t *testing.T) string {
	t.Helper()
	k, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(k.PublicKey().Bytes())
}

// network makes the world's target a network.
func network(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, time.Hour, nil)
	w.access.ent.Target.Kind, w.access.ent.Abilities = gateway.KindNetwork, gateway.Abilities{Flows: []string{"plc:502/tcp"}}
	return w
}

// entering is the opening of a tunnel, its touch bound to key.
func (w *world) entering(key string, edit func(*statement.Open)) session.Opening {
	o := w.opening()
	o.Protocol, o.Transport = gateway.KindNetwork, key
	o.Touch = w.touch(func(b *statement.Open) {
		b.Abilities, b.Binding, b.Transport, b.Code = w.access.ent.Abilities, statement.BindPeer, key, ""
		if edit != nil {
			edit(b)
		}
	})
	return o
}

func tunnel(t *testing.T, set ...func(*session.Entitlement)) (*world, *session.Live, *session.Channel) {
	t.Helper()
	w := network(t)
	for _, f := range set {
		f(&w.access.ent)
	}
	l, err := w.m.Open(t.Context(), w.entering(peerKey(t), nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, err := l.Channel(t.Context(), gateway.Channel{Kind: gateway.ChannelTunnel})
	if err != nil {
		t.Fatal(err)
	}
	return w, l, c
}

// P2: a tunnel's touch opens it for the one key that it was bound to, once, and
// a key opens one session, whatever touch it comes with.
func TestP2TunnelIsBoundToItsKeyAndTheKeyToOneSession(t *testing.T) {
	w := network(t)
	key := peerKey(t)
	rule := func(o session.Opening) string {
		_, err := w.m.Open(t.Context(), o)
		return gateway.AsError(err).Rule
	}
	stolen := w.entering(key, nil)
	stolen.Transport = peerKey(t)
	if got := rule(stolen); got != "touch" {
		t.Errorf("the touch of another key: %s", got)
	}
	ticket := w.entering(key, nil)
	ticket.Ticket = true
	if got := rule(ticket); got != "touch" {
		t.Errorf("as a ticket: %s", got)
	}
	shell := w.entering(key, nil)
	shell.Protocol = gateway.KindSSH
	if got := rule(shell); got != "touch" {
		t.Errorf("the touch of a tunnel on an SSH connection: %s", got)
	}
	connection := w.entering(key, nil)
	connection.Touch, connection.Transport = w.touch(nil), "aa"
	if got := rule(connection); got != "touch" {
		t.Errorf("the touch of an SSH connection on a tunnel: %s", got)
	}
	o := w.entering(key, nil)
	if _, err := w.m.Open(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if e := w.store.last(t, audit.SessionOpened); e.Protocol != gateway.KindNetwork {
		t.Errorf("the event says %q of the protocol", e.Protocol)
	}
	if got := rule(o); got != "touch-once" {
		t.Errorf("the same touch again: %s", got)
	}
	if got := rule(w.entering(key, func(b *statement.Open) { b.Source = "192.0.2.9" })); got != "key-once" {
		t.Errorf("a new touch with the old key: %s", got)
	}
	if e := w.store.last(t, audit.SessionRefused); e.Rule != "key-once" || e.Protocol != gateway.KindNetwork {
		t.Errorf("the refusal's event is %+v", e)
	}
}

// P3: what cannot be recorded does not pass, and a recorder that fails ends the
// session.
func TestP3FlowsAndPacketsAreRecordedOrDoNotPass(t *testing.T) {
	for name, write := range map[string]func(*session.Channel) error{
		"flow": func(c *session.Channel) error {
			return c.NetworkFlow(gateway.NetworkFlow{N: 1, Verdict: gateway.FlowOpen})
		},
		"packets": func(c *session.Channel) error { return c.Packets([]gateway.Packet{{Length: 1, Data: []byte{0x45}}}) },
	} {
		w, l, c := tunnel(t)
		w.rec.fail = gateway.Invalid("record", "too long")
		if err := write(c); !gateway.IsCode(err, gateway.CodeInvalid) || l.Context().Err() != nil {
			t.Fatalf("%s: one that cannot be held: %v, session %v", name, err, l.Context().Err())
		}
		w.rec.fail = nil
		if err := write(c); err != nil {
			t.Fatalf("%s: the one after it: %v", name, err)
		}
		w.rec.fail = errors.New("disk gone")
		if err := write(c); err == nil {
			t.Fatalf("%s: one passed that was not recorded", name)
		}
		<-l.Done()
		if e := ended(t, l); e.Reason != gateway.EndRecorder {
			t.Errorf("%s: the session ended by %s", name, e.Reason)
		}
		w.rec.fail = nil
		if err := write(c); err == nil {
			t.Errorf("%s: one passed after the end", name)
		}
	}
}

func TestTunnelsAreHeldAndTheirAlarmsBounded(t *testing.T) {
	w, l, c := tunnel(t)
	w.access.ent.Vendor.Networks = nil
	if c.Frozen() {
		t.Error("frozen at the beginning")
	}
	if err := w.m.Freeze(t.Context(), l.ID(), "omar", ""); err != nil {
		t.Fatal(err)
	}
	if !c.Frozen() {
		t.Error("a frozen session says that it is not")
	}
	if err := w.m.Thaw(t.Context(), l.ID(), "omar"); err != nil || c.Frozen() {
		t.Errorf("after the thaw: %v, frozen %v", err, c.Frozen())
	}
	for range 200 {
		l.Alarm(t.Context(), "volume up", "80 percent are used")
		l.Roamed(t.Context(), netip.MustParseAddrPort("192.0.2.1:5"), netip.MustParseAddrPort("192.0.2.2:6"))
	}
	count := map[audit.Name]int{}
	for _, n := range w.store.names() {
		count[n]++
	}
	if count[audit.SessionAlarm] != 8 || count[audit.SessionRoamed] != 64 {
		t.Errorf("%d alarms and %d roams were written", count[audit.SessionAlarm], count[audit.SessionRoamed])
	}
	if e := w.store.last(t, audit.SessionRoamed); e.Source != "192.0.2.2:6" || e.Detail["from"] != "192.0.2.1:5" {
		t.Errorf("the event of a roam is %+v", e)
	}
	c.Carried(3, 5)
	if s := l.Session(); s.BytesIn != 3 || s.BytesOut != 5 || !slices.Equal(s.Running, []gateway.ChannelKind{gateway.ChannelTunnel}) || !l.Until().Equal(s.Until) || len(l.Sources()) != 0 {
		t.Errorf("the session is %+v", s)
	}
}

// A flow that the end cut off is told with its account all the same; one that
// would begin is not.
func TestAccountOfACutFlowIsWritten(t *testing.T) {
	w, l, c := tunnel(t)
	l.End(gateway.EndWindow, "", "")
	<-l.Done()
	_ = c.NetworkFlow(gateway.NetworkFlow{N: 2, Name: "begins", Verdict: gateway.FlowOpen})
	if err := c.NetworkFlow(gateway.NetworkFlow{N: 1, Name: "account", Verdict: gateway.FlowOpen, Ended: true}); err == nil {
		t.Error("the proxy is not told that the session is over")
	}
	w.rec.mu.Lock()
	defer w.rec.mu.Unlock()
	if got := w.rec.out.String(); got != "account" {
		t.Errorf("recorded %q", got)
	}
}

// What one session has let pass is gone for another that is open beside it, and
// each learns of it when it asks for more. When all have ended the store knows.
func TestSessionsSideBySideShareTheVolume(t *testing.T) {
	for name, open := range map[string]func() (*world, func() (*session.Live, error)){
		"tunnels": func() (*world, func() (*session.Live, error)) {
			w := network(t)
			w.access.ent.Abilities.VolumeIn, w.access.ent.Abilities.VolumeOut = 100, 200
			return w, func() (*session.Live, error) { return w.m.Open(t.Context(), w.entering(peerKey(t), nil)) }
		},
		"consoles of a service account": func() (*world, func() (*session.Live, error)) {
			w, opening := serving(t)
			return w, func() (*session.Live, error) { return w.m.Open(t.Context(), opening()) }
		},
	} {
		w, another := open()
		spends := func(l *session.Live, in bool, n int, want int64, passes bool) {
			t.Helper()
			if used, limit := l.Spend(in, n); used != want || used <= limit != passes {
				t.Errorf("%s: %d of %d are used, want %d, and that it passes: %v", name, used, limit, want, passes)
			}
		}
		ends := func(l *session.Live, in, out int64) { // having carried so much
			l.Finish(gateway.EndClientLeft)
			row := w.store.rows[l.ID()]
			row.BytesIn, row.BytesOut = in, out
			w.store.rows[l.ID()] = row
		}
		a, err := another()
		if err != nil {
			t.Fatal(name, err)
		}
		spends(a, true, 60, 60, true)
		b, err := another()
		if err != nil {
			t.Fatal(name, err)
		}
		if left := b.Abilities(); left.VolumeIn != 40 || left.VolumeOut != 200 {
			t.Errorf("%s: left to the second: %+v", name, left)
		}
		spends(b, true, 30, 90, true)
		spends(a, true, 11, 101, false)
		spends(b, true, 10, 100, true)
		spends(a, false, 200, 200, true)
		spends(b, false, 1, 201, false)
		if _, err := another(); gateway.AsError(err).Rule != string(gateway.EndVolume) {
			t.Errorf("%s: a third: %v", name, err)
		}
		ends(a, 60, 199)
		if _, err := another(); gateway.AsError(err).Rule != string(gateway.EndVolume) {
			t.Errorf("%s: when one has ended: %v", name, err)
		}
		spends(b, false, 2, 201, false)
		ends(b, 39, 0)
		c, err := another()
		if err != nil {
			t.Fatalf("%s: when all have ended: %v", name, err)
		}
		if left := c.Abilities(); left.VolumeIn != 1 || left.VolumeOut != 1 {
			t.Errorf("%s: what the store knows: %+v", name, c.Abilities())
		}
		c.Finish(gateway.EndClientLeft)
	}
	w, l, _ := tunnel(t)
	if used, limit := l.Spend(true, 1<<30); used != 0 || limit != 0 || len(w.m.Live()) != 1 {
		t.Errorf("no bound is one: %d of %d", used, limit)
	}
}

// N-11: a tunnel in which nothing passes and no flow begins is idle, whatever is
// knocked at in it and however long its peer sends keepalives.
func TestIdleTunnelEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const idle = 10 * time.Minute
		_, l, c := tunnel(t, func(e *session.Entitlement) { e.Idle = idle })
		for _, use := range []func(){
			func() { _ = c.NetworkFlow(gateway.NetworkFlow{N: 1, Verdict: gateway.FlowOpen}) },
			func() { c.Carried(0, 1) },
		} {
			time.Sleep(idle - time.Minute) // the bubble's clock
			use()
		}
		begun := time.Now()
		for n := uint64(2); l.Context().Err() == nil; n++ {
			_ = c.NetworkFlow(gateway.NetworkFlow{N: n, Verdict: gateway.FlowRefused, Ended: true})
			_ = c.Packets([]gateway.Packet{{In: true}})
			time.Sleep(time.Minute)
		}
		<-l.Done()
		if at := time.Since(begun); at < idle || at > idle+2*time.Minute || ended(t, l).Reason != gateway.EndIdle {
			t.Errorf("ended after %v: %v", at, ended(t, l))
		}
	})
}
