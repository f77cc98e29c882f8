package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/recording"
)

// warnings are said once each, when no more than this is left of the window.
var warnings = []time.Duration{5 * time.Minute, time.Minute}

// End names why the session is over. The first cause stands; it returns at
// once, and Done tells when everything is sealed and written.
func (l *Live) End(reason gateway.EndReason, by, detail string) {
	l.end(&gateway.Ended{Reason: reason, By: by, Detail: detail})
}

// Finish ends the session and waits until it is sealed and written.
func (l *Live) Finish(reason gateway.EndReason) {
	l.End(reason, "", "")
	<-l.done
}

func (l *Live) end(cause *gateway.Ended) {
	// The cause is in place before the flag says that there is one.
	l.cancel(cause)
	l.stopping.Store(true)
}

// run is the session's own goroutine, which begins when there is a cause to
// end: it walks the one stop path.
func (l *Live) run() {
	defer close(l.done)
	l.vigil.stop()
	l.closeSockets()
	l.finish()
	l.m.forget(l)
}

// warn tells what is left of the window, once for each of the warnings, and
// returns which comes next. A window that begins shorter than a warning is
// told how short it is.
func (l *Live) warn(until, ends time.Time, why *gateway.Ended, next int) int {
	left := min(time.Until(ends), until.Sub(l.m.now()))
	due := next
	for due < len(warnings) && left <= warnings[due] {
		due++
	}
	if due > next && left > 0 {
		l.tell(fmt.Sprintf("this session ends in %s, at %s, %s", left.Round(time.Second), stamp(until), because(why)))
	}
	return due
}

// because words why a session ends by itself.
func because(why *gateway.Ended) string {
	switch why.Reason {
	case gateway.EndSuspended:
		return "because access was suspended"
	case gateway.EndStopping:
		return "because the gateway is being restarted"
	}
	return "when the agreed window is over"
}

// tell has the proxy show a sentence to the engineer.
func (l *Live) tell(text string) {
	select {
	case l.notices <- text:
	default: // nobody reads them
	}
}

// closeSockets refuses anything new, closes the target's side, lets the last
// sentence out, and closes the engineer's side.
func (l *Live) closeSockets() {
	l.stopping.Store(true)
	list := l.sockets()
	closeAll(list.targets)
	var said sync.WaitGroup
	if len(list.farewells) > 0 {
		told := make(chan struct{})
		for _, f := range list.farewells {
			said.Go(func() { f(l.cause()) })
		}
		go func() { said.Wait(); close(told) }()
		wait := time.NewTimer(FarewellTime)
		select {
		case <-told:
		case <-wait.C: // a client that does not read loses its last sentence
		}
		wait.Stop()
	}
	closeAll(list.clients)
	said.Wait() // the closed socket lets a stuck farewell go

	l.mu.Lock()
	l.closedAt = time.Now()
	l.mu.Unlock()
	close(l.socketsClosed)
	l.m.waitPutOff()
	for _, c := range list.clients {
		if c, ok := c.(Closing); ok {
			c.Closed(l.cause())
		}
	}
}

// sockets takes what is to be closed. A sweep has its turn first, and one that
// comes later finds nothing.
func (l *Live) sockets() sockets {
	if s := l.sweep.Load(); s != nil {
		<-s.over
		return l.swept
	}
	return l.detach()
}

func closeAll(list []io.Closer) {
	for _, c := range list {
		_ = c.Close() // closed already is as good
	}
}

func (l *Live) cause() *gateway.Ended {
	var e *gateway.Ended
	if errors.As(context.Cause(l.ctx), &e) {
		return e
	}
	return &gateway.Ended{Reason: gateway.EndFault}
}

// finish seals the recording and writes row and events, in one transaction or
// into the spool. Where neither takes them they are tried again until the
// gateway stops; then Recover finds the row at the next start.
func (l *Live) finish() {
	cause := l.cause()
	sealed, err := l.seal(cause.Reason)
	if err != nil {
		l.m.log.Error("recording not sealed; the next start recovers it", "session", l.row.ID, "error", err)
	}
	row := l.Session()
	row.State, row.Ended, row.Reason, row.Detail, row.EndedBy = gateway.SessionEnded, gateway.Instant(l.m.now()), cause.Reason, cause.Detail, cause.By
	row.Seal = sealed.Digest
	row.Frozen, row.FrozenBy, row.Running, row.Unwatched = time.Time{}, "", nil, time.Time{} // they are of a live session
	for {
		werr := l.writeEnd(row, sealed, err)
		if werr == nil {
			break
		}
		l.m.log.Error("end of session not written", "session", row.ID, "error", werr)
		retry := time.NewTimer(StoreRetry)
		select {
		case <-retry.C:
			continue
		case <-l.m.stopped.Done():
			retry.Stop()
		}
		break
	}
	l.leave()
	l.mu.Lock()
	l.endedRow = &row
	l.mu.Unlock()
	l.m.publish(row)
}

// seal seals the recording when its turn comes. Hundreds of sessions that end
// at once would otherwise sign and sync while others wait to be closed.
func (l *Live) seal(reason gateway.EndReason) (recording.Sealed, error) {
	l.m.sealing <- struct{}{}
	defer func() { <-l.m.sealing }()
	return l.rec.Seal(reason)
}

func (l *Live) writeEnd(row gateway.Session, sealed recording.Sealed, sealErr error) error {
	ctx, cancel := context.WithTimeout(context.Background(), StoreWait)
	defer cancel()
	seal := l.event(audit.RecordingSealed)
	seal.Actor = "gateway"
	seal.Detail = map[string]string{"digest": sealed.Digest.String(), "segments": strconv.Itoa(sealed.Segments)}
	if sealErr != nil {
		seal.Outcome, seal.Reason = audit.Failed, "the recording could not be sealed; the next start recovers it"
	}
	return l.m.keeper.Keep(ctx, audit.Happened{Events: []audit.Event{seal, l.endEvent(row)}, Session: &row, Weight: audit.Final})
}

func (l *Live) endEvent(row gateway.Session) audit.Event {
	e := l.event(audit.SessionEnded)
	e.At, e.Reason = row.Ended, string(row.Reason)
	if e.Actor = "gateway"; row.EndedBy != "" {
		e.Actor = row.EndedBy
	}
	e.Detail = map[string]string{
		"sentence": (&gateway.Ended{Reason: row.Reason, Detail: row.Detail}).Error(),
		"bytes_in": strconv.FormatInt(row.BytesIn, 10), "bytes_out": strconv.FormatInt(row.BytesOut, 10),
		"bytes_after": strconv.FormatInt(l.bytesAfter.Load(), 10), "seal": row.Seal.String(),
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.marks) > 0 {
		e.Detail[audit.Marks] = strings.Join(l.marks, " ")
	}
	return e
}

// abandon seals the recording of a session that was never written.
func (l *Live) abandon() {
	defer l.leave()
	l.cancel(&gateway.Ended{Reason: gateway.EndNotGranted})
	l.stopping.Store(true)
	if _, err := l.rec.Seal(gateway.EndNotGranted); err != nil {
		l.m.log.Error("recording not sealed; the next start recovers it", "session", l.row.ID, "error", err)
	}
}

// abandonWritten is abandon for a session whose opening is written already.
func (l *Live) abandonWritten() {
	l.end(&gateway.Ended{Reason: gateway.EndStopping})
	l.finish()
}

func (l *Live) isClosed() bool {
	select {
	case <-l.socketsClosed:
		return true
	default:
		return false
	}
}

// measure is the session's line in a report that began at begun.
func (l *Live) measure(begun time.Time) gateway.ClosedSession {
	c := gateway.ClosedSession{Session: l.row.ID, Person: l.row.Person, Target: l.row.Target, Protocol: l.row.Protocol, BytesAfter: l.bytesAfter.Load()}
	if l.isClosed() {
		l.mu.Lock()
		c.Closed, c.After = true, l.closedAt.Sub(begun)
		l.mu.Unlock()
	}
	return c
}
