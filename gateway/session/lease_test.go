package session_test

import (
	"bytes"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// A node that was stopped by a signal, or paused with its machine, writes
// nothing when it goes on after the end of its lease: its timers have not run
// yet, and the monotonic clock of a paused machine has stood still.
func TestNothingPassesAfterTheLease(t *testing.T) {
	for name, freeze := range map[string]func(step *atomic.Int64){
		"stopped: both clocks went on":          func(*atomic.Int64) { time.Sleep(10 * time.Second) },
		"paused: the wall clock alone went on":  func(step *atomic.Int64) { step.Store(int64(10 * time.Second)) },
		"the clock was set back while it stood": func(step *atomic.Int64) { step.Store(-int64(time.Hour)); time.Sleep(10 * time.Second) },
	} {
		for _, way := range []string{"to the engineer", "to the target", "a new channel"} {
			t.Run(name+"/"+way, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var step atomic.Int64
					w := newWorld(t, time.Hour, func() time.Time { return time.Now().Add(time.Duration(step.Load())) })
					w.m.ServeUntil(time.Now().Add(10*time.Second), w.now().Add(10*time.Second))
					l := w.open()
					ch, err := l.Channel(t.Context(), gateway.Channel{Kind: gateway.ChannelShell})
					if err != nil {
						t.Fatal(err)
					}
					var out bytes.Buffer
					if err := ch.Show(false, []byte("before"), &out); err != nil {
						t.Fatal(err)
					}
					freeze(&step)
					switch way {
					case "to the engineer":
						err = ch.Show(true, []byte("after"), &out)
					case "to the target":
						err = ch.Send([]byte("after"), &out)
					default:
						_, err = l.Channel(t.Context(), gateway.Channel{Kind: gateway.ChannelShell})
					}
					if err == nil || out.String() != "before" {
						t.Errorf("passed %q after the lease, %v", out.String(), err)
					}
					<-l.Done()
					if ended(t, l).Reason != gateway.EndStore {
						t.Errorf("cause %v", ended(t, l))
					}
				})
			})
		}
	}
}

// While the lease is over vendors are told so at once, whatever the store
// would say, and again between the two looks at the epochs.
func TestLeaseRefusesVendors(t *testing.T) {
	t.Run("before anything is used up", func(t *testing.T) {
		w := newWorld(t, time.Hour, nil)
		w.m.ServeUntil(time.Now(), time.Now().Add(time.Hour))
		_, err := w.m.Open(t.Context(), w.opening())
		if !gateway.IsCode(err, gateway.CodeRefused) || !strings.Contains(err.Error(), "lost touch with its store") {
			t.Errorf("got %v", err)
		}
		if len(w.store.used) != 0 {
			t.Error("the touch was used up for nothing")
		}
	})
	t.Run("at the second look", func(t *testing.T) {
		w := newWorld(t, time.Hour, nil)
		w.m.ServeUntil(time.Now().Add(time.Hour), time.Now().Add(time.Hour))
		n := 0
		w.store.before = func() {
			if n++; n == 3 {
				w.m.ServeUntil(time.Now(), time.Now())
			}
		}
		if _, err := w.m.Open(t.Context(), w.opening()); !gateway.IsCode(err, gateway.CodeRefused) || len(w.m.Live()) != 0 {
			t.Errorf("got %v, %d live", err, len(w.m.Live()))
		}
	})
}

// The operator's own work goes on without the store.
func TestStaffWorkWithoutALease(t *testing.T) {
	w := newWorld(t, time.Hour, nil)
	w.access.ent.Person.Vendor, w.access.ent.Grant.Vendor, w.access.ent.Vendor = "", "", gateway.Vendor{}
	l := w.open()
	ch, err := l.Channel(t.Context(), gateway.Channel{Kind: gateway.ChannelShell})
	if err != nil {
		t.Fatal(err)
	}
	w.m.ServeUntil(time.Now(), time.Now())
	var out bytes.Buffer
	if err := ch.Show(false, []byte("mine"), &out); err != nil || out.String() != "mine" {
		t.Errorf("shown %q, %v", out.String(), err)
	}
	l.Finish(gateway.EndClientLeft)
}
