package terminal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/portcullis/portcullis/gateway"
)

// term is one terminal: a shell, and at most one socket that shows it.
//
// run owns attached; shell, screen and typed are for everybody. why is set
// before ended is closed.
type term struct {
	d      *Desk
	of     Opening
	shell  Shell
	screen *screen
	typed  *typed
	attach chan *link    // a socket that shows it from now on
	ended  chan struct{} // closed when the shell is over
	why    error
	over   chan struct{} // closed when nobody can have the terminal any more

	mu   sync.Mutex
	said string // why the gateway or the page hung up
}

// link is one socket's time at a terminal.
type link struct {
	out  context.CancelCauseFunc // has it leave
	gone chan struct{}           // closed when it has left
	told bool                    // it has said how the shell ended; read after gone
}

// run keeps the terminal until its shell is over and a page was told, or
// until no page has come for BackWithin.
func (t *term) run() {
	var pumps sync.WaitGroup
	defer pumps.Wait()
	pumps.Go(t.type_)
	pumps.Go(t.wait)
	defer context.AfterFunc(t.shell.Context(), func() { // a page that takes nothing must not hold up the end
		late := time.NewTimer(LastWords)
		defer late.Stop()
		select {
		case <-late.C:
		case <-t.ended:
		}
		t.screen.release()
	})()
	defer t.shell.Close()
	defer t.screen.finish()
	defer t.typed.finish()
	defer close(t.over)
	t.keep()
}

// keep gives the terminal to one socket after another.
func (t *term) keep() {
	away := time.NewTimer(t.d.cfg.BackWithin)
	defer away.Stop()
	var now *link
	gone := func() <-chan struct{} {
		if now == nil {
			return nil
		}
		return now.gone
	}
	for {
		var stopping <-chan struct{}
		if now == nil {
			stopping = t.d.ctx.Done()
		}
		select {
		case <-stopping: // nobody is there to be told
			return
		case next := <-t.attach:
			if now != nil {
				now.out(errElsewhere)
				<-now.gone
			}
			away.Stop()
			now = next
		case <-gone():
			if now.told {
				return
			}
			now = nil
			away.Reset(t.d.cfg.BackWithin)
		case <-away.C:
			return
		case <-t.d.hard.Done():
			if now != nil {
				<-now.gone
			}
			return
		}
	}
}

// take gives the terminal to a socket. It refuses when there is none any more.
func (t *term) take(l *link) error {
	select {
	case t.attach <- l:
		return nil
	case <-t.over:
		return t.d.gone()
	}
}

// hangUp ends the shell, and has its page read why.
func (t *term) hangUp(why string) {
	t.mu.Lock()
	if t.said == "" {
		t.said = why
	}
	t.mu.Unlock()
	t.shell.Close()
}

// ending words how the shell ended. It is called after ended was closed.
func (t *term) ending() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var exit interface {
		ExitStatus() int
		Signal() string
	}
	var cause *gateway.Ended
	switch {
	case errors.As(t.why, &cause) && cause.Reason != gateway.EndClientLeft:
		if cause.By != "" {
			return cause.Error() + " (by " + cause.By + ")"
		}
		return cause.Error()
	case t.said != "":
		return t.said
	case t.why == nil:
		return "the shell has ended"
	case errors.As(t.why, &exit) && exit.Signal() != "":
		return fmt.Sprintf("the shell was ended by signal %.16q", exit.Signal())
	case errors.As(t.why, &exit):
		return fmt.Sprintf("the shell has ended with status %d", exit.ExitStatus())
	}
	return "the session has ended"
}

// wait waits for the shell's last byte.
func (t *term) wait() {
	t.why = t.shell.Wait()
	close(t.ended)
}

// type_ types into the shell what the page has sent, at most typeRate.
func (t *term) type_() {
	limit := rate.NewLimiter(typeRate, MaxMessage)
	for {
		p, ok := t.typed.next()
		if !ok {
			return
		}
		if limit.WaitN(t.shell.Context(), len(p)) != nil {
			return
		}
		if _, err := t.shell.Write(p); err != nil {
			return // Wait says why
		}
		t.typed.done(len(p))
	}
}
