package session

import (
	"context"
	"sync"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// vigil looks whether a live session has a cause to end. The deadline is held
// by a monotonic timer, which a clock stepped back cannot move, and by a look
// at the wall clock each second, so that a clock stepped forward ends it too.
//
// It has no goroutine of its own: a stack is most of what an idle session
// costs. Timers call it, and the recorder's fault.
type vigil struct {
	l       *Live
	unfault func() bool // the recorder's fault does not call any more

	mu       sync.Mutex // guards what follows
	over     bool
	deadline *time.Timer
	tick     *time.Timer
	until    time.Time
	why      *gateway.Ended
	ends     time.Time // until, on the monotonic clock
	warned   int       // of the warnings, those that are past
	idle     bool      // warned that nothing happens
}

// begin watches over l, and has run called once there is a cause to end.
func (v *vigil) begin(l *Live, run func()) {
	v.mu.Lock()
	v.l = l
	left := v.read()
	v.deadline = time.AfterFunc(left, v.due)
	v.tick = time.AfterFunc(SecondTick, v.look)
	v.unfault = context.AfterFunc(l.rec.Failed(), v.failed)
	v.warn()
	v.mu.Unlock()
	context.AfterFunc(l.ctx, run)
}

// stop lets nothing call any more.
func (v *vigil) stop() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.over = true
	v.deadline.Stop()
	v.tick.Stop()
	v.unfault()
}

// read asks when the session ends, and returns how long that is. The caller
// holds mu.
func (v *vigil) read() time.Duration {
	v.until, v.why = v.l.ends()
	left := v.until.Sub(v.l.m.now())
	v.ends = time.Now().Add(left)
	return left
}

// shorten reads the end anew.
func (v *vigil) shorten() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.l == nil || v.over { // not begun yet: it will read what stands by then
		return
	}
	v.deadline.Reset(v.read())
	v.tick.Reset(0) // who shortens says so first
}

func (v *vigil) due() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.over {
		v.l.end(v.why)
	}
}

func (v *vigil) failed() {
	v.l.m.log.Error("recorder failed", "session", v.l.row.ID, "error", context.Cause(v.l.rec.Failed()))
	v.l.End(gateway.EndRecorder, "", "")
}

// look is what is done each second.
func (v *vigil) look() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.over {
		return
	}
	l := v.l
	if !l.m.now().Before(v.until) {
		l.end(v.why)
	}
	if since := l.writing.Load(); since != 0 && time.Now().UnixNano()-since > int64(RecorderStall) {
		l.End(gateway.EndRecorder, "", "")
	}
	v.idle = l.idles(v.idle)
	v.warn()
	v.tick.Reset(SecondTick)
}

// warn gives the warnings that are due. The caller holds mu.
func (v *vigil) warn() { v.warned = v.l.warn(v.until, v.ends, v.why, v.warned) }
