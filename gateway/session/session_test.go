package session_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/recording"
	"github.com/portcullis/portcullis/gateway/session"
	"github.com/portcullis/portcullis/gateway/statement"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A session from its opening to its end: every event in its place, the bytes
// recorded before they are shown.
func TestWalk(t *testing.T) {
	w := newWorld(t, time.Hour, nil)
	changes, cancel := w.m.Subscribe()
	defer cancel()
	l := w.open()
	if err := l.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	ch, err := l.Channel(t.Context(), gateway.Channel{Kind: gateway.ChannelShell})
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	w.rec.order = &order
	shown := writer(func(p []byte) (int, error) { order = append(order, "shown"); return len(p), nil })
	if err := ch.Show(false, []byte("hello"), shown); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(order, []string{"recorded", "shown"}) {
		t.Errorf("order = %v", order)
	}
	if s := w.m.Live(); len(s) != 1 || s[0].State != gateway.SessionLive || s[0].BytesOut != 5 {
		t.Errorf("live = %+v", s)
	}
	l.Finish(gateway.EndClientLeft)
	row := w.store.rows[l.ID()]
	if row.State != gateway.SessionEnded || row.Reason != gateway.EndClientLeft || row.Seal.IsZero() || row.BytesOut != 5 {
		t.Errorf("row = %+v", row)
	}
	want := []audit.Name{audit.SessionOpened, audit.SessionLive, audit.SessionChannel, audit.RecordingSealed, audit.SessionEnded}
	if got := w.store.names(); !slices.Equal(got, want) {
		t.Errorf("events = %v, want %v", got, want)
	}
	var states []gateway.SessionState
	for range 3 {
		states = append(states, (<-changes).State)
	}
	if !slices.Equal(states, []gateway.SessionState{gateway.SessionStarting, gateway.SessionLive, gateway.SessionEnded}) {
		t.Errorf("changes = %v", states)
	}
	if len(w.m.Live()) != 0 {
		t.Error("still in the registry")
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

func TestOpenRefuses(t *testing.T) {
	for _, tc := range []struct {
		name string
		edit func(*world, *session.Opening)
		want string
	}{
		{"touch for another transport", func(_ *world, o *session.Opening) { o.Transport = "bb" }, "bound to another connection"},
		{"touch without a transport", func(w *world, o *session.Opening) { o.Transport = "" }, "bound to another connection"},
		{"ticket that is bound to a connection", func(_ *world, o *session.Opening) { o.Ticket = true }, "bound to another connection"},
		{"browser touch without a ticket", func(w *world, o *session.Opening) {
			o.Touch = w.touch(func(b *statement.Open) { b.Binding, b.Code = statement.BindLogin, "" })
		}, "bound to another connection"},
		{"touch of another person", func(_ *world, o *session.Opening) { o.Person = "bob" }, "another person"},
		{"touch for another grant", func(_ *world, o *session.Opening) { o.Grant = "grt_0000000000000000000000000y" }, "another grant"},
		{"touch for something else", func(w *world, o *session.Opening) {
			o.Touch, _ = statement.MachineKey{Private: w.key, Gateway: "x"}.Sign(w.now(), &statement.Suspend{ID: gateway.NewID("sus", w.now()), Scope: gateway.Scope{Kind: gateway.ScopeVendor, Name: "acme"}, Epoch: 2, Reason: "r"})
		}, "something else"},
		{"touch whose bytes were changed", func(_ *world, o *session.Opening) {
			o.Touch.Bytes = bytes.Replace(o.Touch.Bytes, []byte("root"), []byte("toor"), 1)
		}, "cannot be read"},
		{"chain does not hold", func(w *world, _ *session.Opening) {
			w.access.err = gateway.Refused("chain", "ask anew", "it does not hold")
		}, "it does not hold"},
		{"grant of another person", func(w *world, _ *session.Opening) { w.access.ent.Person.Name = "bob" }, "another person's"},
		{"other protocol", func(w *world, _ *session.Opening) { w.access.ent.Target.Kind = gateway.KindHTTPS }, "not reached by ssh"},
		{"grant of nothing", func(w *world, _ *session.Opening) { w.access.ent.Abilities = gateway.Abilities{} }, "lets nothing"},
		{"window over", func(w *world, _ *session.Opening) { w.access.ent.To = w.now() }, "window that was agreed is over"},
		{"window not begun", func(w *world, _ *session.Opening) { w.access.ent.From = w.now().Add(time.Hour) }, "opens at"},
		{"source outside the networks", func(w *world, _ *session.Opening) {
			w.access.ent.Vendor.Networks = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
		}, "do not connect from"},
		{"recorder refuses", func(w *world, _ *session.Opening) { w.rec.start = gateway.Unavailable("recorder", errors.New("full")) }, "recorder does not answer"},
		{"vendor suspended", func(w *world, _ *session.Opening) { w.store.suspend() }, "suspended by the operator"},
		{"grant of an older epoch", func(w *world, _ *session.Opening) { w.store.epochs.Vendor = 3 }, "before the last suspension"},
		{"store down", func(w *world, _ *session.Opening) { w.store.down = gateway.Unavailable("store", errors.New("locked")) }, "store does not answer"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, time.Hour, nil)
			o := w.opening()
			tc.edit(w, &o)
			_, err := w.m.Open(t.Context(), o)
			var e *gateway.Error
			if !errors.As(err, &e) || !strings.Contains(e.Sentence(), tc.want) {
				t.Fatalf("got %v, want a sentence with %q", err, tc.want)
			}
			if len(w.m.Live()) != 0 || len(w.store.rows) != 0 {
				t.Error("something stayed behind")
			}
			if w.store.down == nil {
				if ev := w.store.last(t, audit.SessionRefused); ev.Reason != e.Sentence() || ev.Outcome != audit.Refused {
					t.Errorf("event = %+v", ev)
				}
			}
		})
	}
}

// V-90: an IPv4 address mapped into IPv6 is held to the IPv4 networks.
func TestSourceInsideTheNetworksIn4in6(t *testing.T) {
	w := newWorld(t, time.Hour, nil)
	w.access.ent.Vendor.Networks = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	o := w.opening()
	o.Source = "[::ffff:192.0.2.9]:99"
	l, err := w.m.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	l.Finish(gateway.EndClientLeft)
}

// One touch opens one session, also when fifty bring it at once, and also as
// a ticket afterwards.
func TestTouchOpensOnce(t *testing.T) {
	w := newWorld(t, time.Hour, nil)
	o := w.opening()
	var opened atomic.Int32
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if l, err := w.m.Open(t.Context(), o); err == nil {
				opened.Add(1)
				l.Finish(gateway.EndClientLeft)
			}
		})
	}
	wg.Wait()
	if opened.Load() != 1 {
		t.Errorf("opened %d times", opened.Load())
	}
}

// warned of twice, and then it ends.
func TestWindowEndWithWarnings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 10*time.Minute, nil)
		begun := time.Now()
		l := w.open()
		target, client := newCloser(), newCloser()
		var said string
		if err := errors.Join(l.Attach(target), l.AttachClient(client, func(e *gateway.Ended) { said = e.Error() })); err != nil {
			t.Fatal(err)
		}
		for _, want := range []time.Duration{5 * time.Minute, 9 * time.Minute} {
			text := <-l.Notices()
			if at := time.Since(begun); at < want || at > want+time.Second {
				t.Errorf("warned after %v, want %v: %s", at, want, text)
			}
		}
		<-l.Done()
		if at := time.Since(begun); at < 10*time.Minute || at > 10*time.Minute+time.Second {
			t.Errorf("ended after %v", at)
		}
		<-target.closed
		<-client.closed
		if ended(t, l).Reason != gateway.EndWindow || !strings.Contains(said, "window that was agreed is over") {
			t.Errorf("reason %v, said %q", ended(t, l), said)
		}
	})
}

// a thousand windows, each over within a second of its end.
func TestEveryWindowEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 10*time.Hour, nil)
		draw := rand.New(rand.NewPCG(1, 2))
		over := make(chan time.Duration, 1000)
		for range cap(over) {
			w.access.ent.To = gateway.Instant(time.Now().Add(time.Minute + time.Duration(draw.Int64N(int64(time.Minute)))))
			to, l := w.access.ent.To, w.open()
			go func() {
				<-l.Done()
				over <- time.Since(to)
			}()
		}
		for range cap(over) {
			if late := <-over; late < 0 || late > time.Second {
				t.Fatalf("ended %s after its window", late)
			}
		}
	})
}

func TestClock(t *testing.T) {
	for _, tc := range []struct {
		name string
		step time.Duration
		most time.Duration
	}{
		{"stepped forward ends it within a second", 2 * time.Hour, time.Second},
		{"stepped back ends it too", -5 * time.Hour, time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var step atomic.Int64
				w := newWorld(t, time.Hour, func() time.Time { return time.Now().Add(time.Duration(step.Load())) })
				ctx, cancel := context.WithCancel(t.Context())
				var wg sync.WaitGroup
				wg.Go(func() { _ = w.m.Run(ctx) })
				begun := time.Now()
				l := w.open()
				synctest.Wait()
				step.Store(int64(tc.step))
				<-l.Done()
				if at := time.Since(begun); at > tc.most+time.Second {
					t.Errorf("ended after %v", at)
				}
				if why := ended(t, l).Reason; why != gateway.EndStore && (why != gateway.EndWindow || tc.step < 0) {
					t.Errorf("cause %v", ended(t, l))
				}
				if _, err := w.m.Open(t.Context(), w.opening()); !gateway.IsCode(err, gateway.CodeRefused) {
					t.Errorf("opened before the store was read once more: %v", err)
				}
				synctest.Wait() // the manager sees the step in the same second
				if e := w.store.last(t, audit.ClockStep); !strings.Contains(e.Detail["done"], "sessions were ended") {
					t.Errorf("event %+v", e)
				}
				cancel()
				wg.Wait()
			})
		})
	}
}

func TestRecorderFailingEnds(t *testing.T) {
	t.Run("by its signal", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, time.Hour, nil)
			l := w.open()
			begun := time.Now()
			w.rec.breaks(errors.New("no space left"))
			<-l.Done()
			if ended(t, l).Reason != gateway.EndRecorder || time.Since(begun) > time.Second {
				t.Errorf("cause %v after %v", ended(t, l), time.Since(begun))
			}
		})
	})
	t.Run("by a write", func(t *testing.T) {
		w := newWorld(t, time.Hour, nil)
		l := w.open()
		ch, err := l.Channel(t.Context(), gateway.Channel{Kind: gateway.ChannelShell})
		if err != nil {
			t.Fatal(err)
		}
		w.rec.fail = errors.New("no space left")
		var shown bytes.Buffer
		if err := ch.Show(false, []byte("secret"), &shown); err == nil || shown.Len() > 0 {
			t.Errorf("err %v, shown %q", err, shown.String())
		}
		<-l.Done()
		if ended(t, l).Reason != gateway.EndRecorder {
			t.Errorf("cause %v", ended(t, l))
		}
		w.rec.fail = nil
		if err := ch.Show(false, []byte("more"), &shown); err == nil || shown.Len() > 0 {
			t.Error("bytes passed after the end")
		}
		if err := ch.Send([]byte("more"), &shown); err == nil || shown.Len() > 0 {
			t.Error("bytes passed after the end")
		}
	})
}

// After stop has begun nothing attaches and nothing new begins.
func TestNothingAttachesAfterTheEnd(t *testing.T) {
	w := newWorld(t, time.Hour, nil)
	l := w.open()
	l.End(gateway.EndByStaff, "sam", "look at the pump")
	<-l.Done()
	l.End(gateway.EndClientLeft, "", "") // the first cause stands
	for name, err := range map[string]error{
		"attach": l.Attach(newCloser()), "attach client": l.AttachClient(newCloser(), nil), "up": l.Up(t.Context()),
		"channel": func() error {
			_, err := l.Channel(t.Context(), gateway.Channel{Kind: gateway.ChannelShell})
			return err
		}(),
		"credential": func() error { _, err := l.Credential(t.Context()); return err }(),
	} {
		var e *gateway.Ended
		if !errors.As(err, &e) || e.Reason != gateway.EndByStaff {
			t.Errorf("%s: %v", name, err)
		}
	}
	if ev := w.store.last(t, audit.SessionEnded); ev.Actor != "sam" || ev.Reason != string(gateway.EndByStaff) {
		t.Errorf("event = %+v", ev)
	}
}

func TestChannelIsJudgedByItself(t *testing.T) {
	w := newWorld(t, time.Hour, nil)
	l := w.open()
	_, err := l.Channel(t.Context(), gateway.Channel{Kind: gateway.ChannelExec, Command: "id"})
	if err == nil || !strings.Contains(err.Error(), "no exec") {
		t.Errorf("exec under a shell grant: %v", err)
	}
	if ev := w.store.last(t, audit.SessionChannel); ev.Outcome != audit.Refused {
		t.Errorf("event = %+v", ev)
	}
	_, err = l.Channel(t.Context(), gateway.Channel{Kind: gateway.ChannelShell, Pty: &gateway.Pty{Term: unrecordable}})
	if ev := w.store.last(t, audit.SessionChannel); !gateway.IsCode(err, gateway.CodeInvalid) || ev.Outcome != audit.Refused {
		t.Errorf("a channel that cannot be recorded: %v, event %+v", err, ev)
	}
	if _, err := l.Channel(t.Context(), gateway.Channel{Kind: gateway.ChannelShell}); err != nil {
		t.Errorf("a channel after it: %v", err)
	}
	for range 100 {
		l.Refuse(t.Context(), "direct-tcpip", "no")
	}
	n := 0
	for _, name := range w.store.names() {
		if name == audit.SessionChannel {
			n++
		}
	}
	if n != 34 { // 32 refusals and the two that were let begin
		t.Errorf("%d events for a flood of refused channels", n)
	}
	l.Finish(gateway.EndClientLeft)
}

// What runs is told of the live session alone: a stored row would go stale.
func TestRunningKinds(t *testing.T) {
	w := newWorld(t, time.Hour, nil)
	w.access.ent.Abilities = gateway.Abilities{Shell: true, Upload: true, Download: true}
	l := w.open()
	begin := func(c gateway.Channel) *session.Channel {
		t.Helper()
		ch, err := l.Channel(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		return ch
	}
	runs := func(want ...gateway.ChannelKind) {
		t.Helper()
		if got := l.Session().Running; !slices.Equal(got, want) {
			t.Errorf("runs %q, want %q", got, want)
		}
	}
	if err := l.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	runs()
	files := begin(gateway.Channel{Kind: gateway.ChannelSFTP})
	first, second := begin(gateway.Channel{Kind: gateway.ChannelShell}), begin(gateway.Channel{Kind: gateway.ChannelShell})
	runs(gateway.ChannelShell, gateway.ChannelSFTP)
	first.Exit(nil, "")
	first.Exit(nil, "") // said twice, it ended once
	runs(gateway.ChannelShell, gateway.ChannelSFTP)
	for _, turn := range []func() error{
		func() error { return w.m.Freeze(t.Context(), l.ID(), "sam", "") },
		func() error { return w.m.Thaw(t.Context(), l.ID(), "sam") },
	} {
		if err := turn(); err != nil {
			t.Fatal(err)
		}
		if row := w.store.rows[l.ID()]; row.Running != nil {
			t.Errorf("stored: %q", row.Running)
		}
	}
	second.Exit(nil, "")
	files.Exit(nil, "")
	runs()
	begin(gateway.Channel{Kind: gateway.ChannelShell}) // open to the end
	l.Finish(gateway.EndClientLeft)
	if row := w.store.rows[l.ID()]; row.Running != nil {
		t.Errorf("after the end: %q", row.Running)
	}
}

// within two seconds, and each is measured.
func TestEndAllOf200(t *testing.T) {
	w := newWorld(t, time.Hour, nil)
	var sessions []*session.Live
	for range 200 {
		l := w.open()
		if err := errors.Join(l.Attach(newCloser()), l.AttachClient(newCloser(), nil)); err != nil {
			t.Fatal(err)
		}
		sessions = append(sessions, l)
	}
	begun := time.Now()
	out := w.m.EndAll(func(s gateway.Session) bool { return s.Vendor == "acme" }, &gateway.Ended{Reason: gateway.EndSuspended})
	if d := time.Since(begun); d > 2*time.Second {
		t.Errorf("took %v", d)
	}
	if len(out) != 200 {
		t.Fatalf("reported %d", len(out))
	}
	for _, c := range out {
		if !c.Closed || c.After <= 0 || c.BytesAfter != 0 || c.Person != "ana" {
			t.Fatalf("report line = %+v", c)
		}
	}
	if len(w.m.Live()) != 0 {
		t.Error("some are live")
	}
	for _, l := range sessions {
		<-l.Done()
	}
}

// A client that reads nothing delays its own end by the farewell's time only.
func TestStuckFarewellIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, time.Hour, nil)
		l := w.open()
		client := newCloser()
		if err := l.AttachClient(client, func(*gateway.Ended) { <-client.closed }); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		out := w.m.EndAll(func(gateway.Session) bool { return true }, &gateway.Ended{Reason: gateway.EndSuspended})
		if !out[0].Closed || time.Since(begun) > session.FarewellTime+time.Millisecond {
			t.Errorf("%+v after %v", out, time.Since(begun))
		}
		<-l.Done()
	})
}

// Bytes whose write returns after the order are counted as shown after it.
func TestBytesAfterAreMeasured(t *testing.T) {
	w := newWorld(t, time.Hour, nil)
	l := w.open()
	ch, err := l.Channel(t.Context(), gateway.Channel{Kind: gateway.ChannelShell})
	if err != nil {
		t.Fatal(err)
	}
	stuck, client := make(chan struct{}), newCloser()
	if err := l.AttachClient(client, nil); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = ch.Show(false, []byte("0123456789"), writer(func(p []byte) (int, error) {
			close(stuck)
			<-client.closed
			return len(p), nil
		}))
	})
	<-stuck
	l.End(gateway.EndSuspended, "", "")
	wg.Wait()
	<-l.Done()
	if ev := w.store.last(t, audit.SessionEnded); ev.Detail["bytes_after"] == "" {
		t.Errorf("event = %+v", ev)
	}
}

// Suspending while sessions are being opened: each is either refused at the
// second look or ended by the sweep, 200 times over.
func TestSuspendAgainstOpening(t *testing.T) {
	refused, swept := 0, 0
	for range 200 {
		w := newWorld(t, time.Hour, nil)
		o := w.opening()
		var l *session.Live
		var err error
		var wg sync.WaitGroup
		wg.Go(func() { l, err = w.m.Open(t.Context(), o) })
		wg.Go(func() {
			w.store.suspend()
			w.m.EndAll(func(gateway.Session) bool { return true }, &gateway.Ended{Reason: gateway.EndSuspended})
		})
		wg.Wait()
		switch {
		case err != nil:
			refused++
		default:
			<-l.Done() // never comes if the session slipped through
			swept++
			if ended(t, l).Reason != gateway.EndSuspended {
				t.Fatalf("cause %v", ended(t, l))
			}
		}
		if n := len(w.m.Live()); n != 0 {
			t.Fatalf("%d live after the sweep", n)
		}
	}
	t.Logf("refused %d, swept %d", refused, swept)
}

// The same at each step by hand: whichever transaction of the opening the
// suspension comes before, the session does not live.
func TestSuspendBeforeEachStepOfOpening(t *testing.T) {
	for step := 1; step <= 3; step++ {
		w := newWorld(t, time.Hour, nil)
		o := w.opening()
		n := 0
		w.store.before = func() {
			if n++; n == step {
				w.store.suspend()
				w.m.EndAll(func(gateway.Session) bool { return true }, &gateway.Ended{Reason: gateway.EndSuspended})
			}
		}
		if _, err := w.m.Open(t.Context(), o); err == nil || len(w.m.Live()) != 0 {
			t.Errorf("step %d: err %v, live %d", step, err, len(w.m.Live()))
		}
		for _, r := range w.store.rows {
			if r.State != gateway.SessionEnded {
				t.Errorf("step %d: row left %s", step, r.State)
			}
		}
		if len(w.rec.seals) > 1 {
			t.Errorf("step %d: sealed %d times", step, len(w.rec.seals))
		}
	}
}

// A session that is registered and has its second look still to come reaches
// nothing, and a suspension that counts just then does not count it as left.
func TestNotLiveBeforeTheSecondLook(t *testing.T) {
	w := newWorld(t, time.Hour, nil)
	o := w.opening()
	n, early := 0, 0
	w.store.before = func() {
		if n++; n == 3 {
			early = len(w.m.Live())
		}
	}
	l, err := w.m.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if early != 0 {
		t.Errorf("%d live before the second look", early)
	}
	if n := len(w.m.Live()); n != 1 {
		t.Errorf("%d live after it", n)
	}
	l.Finish(gateway.EndFault)
}

// A store that is away when a session ends is tried again; nothing is lost.
func TestEndIsWrittenWhenTheStoreComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, time.Hour, nil)
		l := w.open()
		w.store.setDown(errors.New("locked"))
		l.End(gateway.EndClientLeft, "", "")
		time.Sleep(3 * time.Second) // the bubble's clock
		if len(w.m.Live()) != 0 {
			t.Error("listed as live though its sockets are closed")
		}
		w.store.setDown(nil)
		<-l.Done()
		if r := w.store.rows[l.ID()]; r.State != gateway.SessionEnded {
			t.Errorf("row = %+v", r)
		}
	})
}

func TestRunEndsEverythingWhenStopping(t *testing.T) {
	w := newWorld(t, time.Hour, nil)
	ctx, cancel := context.WithCancel(t.Context())
	l := w.open()
	cancel()
	if err := w.m.Run(ctx); err != nil {
		t.Fatal(err)
	}
	<-l.Done()
	if ended(t, l).Reason != gateway.EndStopping {
		t.Errorf("cause %v", ended(t, l))
	}
	if _, err := w.m.Open(t.Context(), w.opening()); err == nil || !strings.Contains(err.Error(), "restarted") {
		t.Errorf("opened after the stop: %v", err)
	}
}

func TestRecover(t *testing.T) {
	w := newWorld(t, time.Hour, nil)
	for range 7 {
		id := gateway.NewID("ses", time.Now())
		w.store.rows[id] = gateway.Session{ID: id, Node: "node-1", State: gateway.SessionLive}
	}
	w.store.rows["ses_other"] = gateway.Session{ID: "ses_other", Node: "node-2", State: gateway.SessionLive}
	seal := gateway.DigestOf([]byte("sealed at the start"))
	find := func(id string) (recording.Info, error) {
		if !strings.HasPrefix(id, "ses_") {
			return recording.Info{}, gateway.ErrNotFound
		}
		return recording.Info{State: recording.Interrupted, BytesOut: 42, Digest: seal}, nil
	}
	if n, err := w.m.Recover(t.Context(), find); n != 7 || err != nil {
		t.Fatalf("recovered %d, %v", n, err)
	}
	if w.store.rows["ses_other"].State != gateway.SessionLive {
		t.Error("another node's session was ended")
	}
	if ev := w.store.last(t, audit.SessionEnded); ev.Reason != string(gateway.EndCrashed) || ev.Detail["bytes_out"] != "42" {
		t.Errorf("event = %+v", ev)
	}
	for id, row := range w.store.rows {
		if id != "ses_other" && (row.Seal != seal || row.BytesOut != 42) {
			t.Errorf("row %+v does not name its sealed recording", row)
		}
	}
	if n, err := w.m.Recover(t.Context(), find); n != 0 || err != nil {
		t.Errorf("second time: %d, %v", n, err)
	}
}

func TestEndOneAndEndGrant(t *testing.T) {
	w := newWorld(t, time.Hour, nil)
	l := w.open()
	if err := w.m.End(t.Context(), l.ID(), "sam", ""); err != nil {
		t.Fatal(err)
	}
	if err := w.m.End(t.Context(), "ses_unknown", "sam", ""); !gateway.IsCode(err, gateway.CodeNotFound) {
		t.Errorf("unknown session: %v", err)
	}
	<-l.Done()
	l = w.open()
	w.m.EndGrant(grantID, gateway.EndRevoked, "sam")
	<-l.Done()
	if e := ended(t, l); e.Reason != gateway.EndRevoked || e.By != "sam" {
		t.Errorf("cause %+v", e)
	}
}
