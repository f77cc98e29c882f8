package sshproxy

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"
)

// heldFor is how long the brake holds one read.
func (b *brake) heldFor() time.Duration {
	begun := time.Now()
	b.hold()
	return time.Since(begun)
}

func engaged(b *brake, alone bool, stop chan struct{}) {
	b.engage(func() bool { return alone }, stop)
	b.came(owedMax)
}

// A leg is not read while its channel is behind, until half of it was carried
// on; a short read says that all was.
func TestBrakeHoldsUntilItMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b brake
		engaged(&b, true, nil)
		go func() {
			from := &braked{Reader: bytes.NewReader(make([]byte, owedMax)), b: &b}
			buf := make([]byte, owedMax/8)
			_, _ = from.Read(buf) // says nothing yet
			for range 5 {
				time.Sleep(100 * time.Millisecond)
				_, _ = from.Read(buf)
			}
		}()
		if d := b.heldFor(); d != 500*time.Millisecond {
			t.Errorf("held for %s", d)
		}
		b.came(owedMax)
		go b.carried(1, true)
		if d := b.heldFor(); d != 0 || b.owed.Load() != 0 {
			t.Errorf("held for %s when all was carried on, %d owed", d, b.owed.Load())
		}
	})
}

// A channel that stands still holds its leg up once, and again only after it
// has caught up.
func TestBrakeGivesUpTheStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b brake
		engaged(&b, true, nil)
		for n, want := range []time.Duration{brakeTime, 0, 0} {
			if d := b.heldFor(); d != want {
				t.Errorf("read %d held for %s", n, d)
			}
			b.came(1)
		}
		b.carried(1, true)
		if d := b.heldFor(); d != 0 {
			t.Errorf("held for %s with nothing owed", d)
		}
		b.came(owedMax)
		if d := b.heldFor(); d != brakeTime {
			t.Errorf("held for %s when it fell behind again", d)
		}
	})
}

// Two channels share a leg: neither may hold the other up. The end of the
// session waits for nobody.
func TestBrakeLetsOthersPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan struct{})
		close(ended)
		for name, b := range map[string]*brake{"two channels": {}, "an end": {}, "never engaged": {}} {
			switch name {
			case "two channels":
				engaged(b, false, nil)
			case "an end":
				engaged(b, true, ended)
			default:
				b.came(owedMax)
			}
			if d := b.heldFor(); d != 0 {
				t.Errorf("%s: held for %s", name, d)
			}
		}
	})
}
