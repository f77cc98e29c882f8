package session

import (
	"fmt"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// touched notes that something was typed or shown.
func (l *Live) touched() { l.active.Store(int64(time.Since(l.opened))) }

// idles looks whether nothing was typed or shown for too long, warns once
// before it ends the session, and returns whether it has warned. While the
// session is frozen its engineer cannot help being idle: the clock stands, and
// begins anew with the thaw.
func (l *Live) idles(warned bool) bool {
	if l.isFrozen() {
		l.touched()
	}
	if !l.up.Load() {
		return false
	}
	limit := l.ent.Idle
	if limit <= 0 {
		limit = DefaultIdle
	}
	quiet := time.Since(l.opened) - time.Duration(l.active.Load())
	switch {
	case quiet >= limit:
		l.End(gateway.EndIdle, "", "")
	case quiet < limit-IdleWarning:
		return false
	case !warned:
		l.tell(fmt.Sprintf("this session ends in %s unless something is typed or shown: nothing was for %s", (limit - quiet).Round(time.Second), quiet.Round(time.Second)))
	}
	return true
}

func (l *Live) isFrozen() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.frozen.IsZero()
}
