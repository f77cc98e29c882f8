package session_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/session"
)

// What a console shows is held while an order over its session is made durable:
// it goes on where the order came to nothing, and is lost where the order ended
// the session. Nobody else's is held.
func TestHush(t *testing.T) {
	all := func(gateway.Session) bool { return true }
	none := func(gateway.Session) bool { return false }
	passes := func(c *session.Channel) <-chan error {
		done := make(chan error, 2)
		go func() { done <- c.Passes() }()
		go func() { done <- c.Exchange(gateway.HTTPRecord{Part: gateway.HTTPShown, N: 1}, []byte("x")) }()
		return done
	}
	synctest.Test(t, func(t *testing.T) {
		w, l, c := browsing(t)
		defer func() { l.End(gateway.EndWindow, "", ""); <-l.Done() }()
		other := w.m.Hush(none)
		defer other()
		for range 2 {
			if err := <-passes(c); err != nil {
				t.Errorf("another's: %v", err)
			}
		}
		release := w.m.Hush(all)
		held := passes(c)
		synctest.Wait()
		if len(held) != 0 {
			t.Error("something passed")
		}
		release()
		for range 2 {
			if err := <-held; err != nil {
				t.Errorf("after an order that came to nothing: %v", err)
			}
		}
		begun := time.Now()
		defer w.m.Hush(all)()
		if err := <-passes(c); err != nil || time.Since(begun) != session.HushTime {
			t.Errorf("an order that takes too long: %v after %s", err, time.Since(begun))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w, l, c := browsing(t)
		release := w.m.Hush(all)
		held := passes(c)
		synctest.Wait()
		if out := suspend(w); len(out) != 1 || !out[0].Closed {
			t.Errorf("the end waited: %+v", out)
		}
		synctest.Wait()
		if len(held) != 0 {
			t.Error("what woke took time from the answer")
		}
		release()
		for range 2 {
			if <-held == nil {
				t.Error("something passed after the order")
			}
		}
		<-l.Done()
	})
}
