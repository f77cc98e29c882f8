package session

import (
	"context"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// Admits says whether this node opens sessions for people of a vendor (empty:
// for the staff) at all, before anything is asked of anybody. Its error is a
// *gateway.Error, whose sentence the person may read.
func (m *Manager) Admits(vendor string) error {
	if until := m.leaving.Load(); until != nil {
		return isLeaving(*until)
	}
	if vendor != "" && m.lapsed() {
		return m.refusal(storeLost())
	}
	return m.Clock()
}

func isLeaving(until time.Time) *gateway.Error {
	return &gateway.Error{
		Code: gateway.CodeUnavailable, Rule: string(gateway.EndStopping), Text: "this gateway is being restarted and opens no new session",
		Next: "try again in a minute; if it is the only one, after " + stamp(until),
	}
}

// Drain opens nothing from here on, tells every engineer when his session ends
// at the latest, and returns when none is left: each ended, sealed and written.
// What is live at until ends then, for the reason of a restart. When ctx is
// done it returns without ending anything: the end of Run does that.
func (m *Manager) Drain(ctx context.Context, until time.Time) {
	m.mu.Lock()
	m.leaving.Store(&until) // nothing registers after this
	m.mu.Unlock()
	for _, l := range m.all() {
		l.shorten(until, &gateway.Ended{Reason: gateway.EndStopping})
		if at, _ := l.ends(); at.After(m.now()) {
			l.tell("the gateway is being restarted, and a new session may have to wait: finish your work, this one ends by " + stamp(at))
		}
	}
	for !m.empty() {
		select {
		case <-m.forgot:
		case <-ctx.Done():
			return
		}
	}
}

func (m *Manager) empty() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.live) == 0
}
