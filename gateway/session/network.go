package session

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
)

// maxAlarms and maxRoams bound the events of one session that tell what may
// come often.
const (
	maxAlarms = 8
	maxRoams  = 64
)

// NetworkFlow records what is known of one flow inside a tunnel, before what it
// tells passes. An error means that nothing of the flow may pass: the session
// is ending, or the record cannot be written. A proxy calls Hold before what
// comes from the engineer, Carried after what has passed, and Refuse for a flow
// that may not be, besides its record. That a flow has ended is written after
// the session's end too, as long as the recording takes it: nothing passes by
// it, and the account of what was cut off is due.
func (c *Channel) NetworkFlow(f gateway.NetworkFlow) error {
	if f.Ended && c.l.halted() {
		c.wrote(c.t.NetworkFlow(f))
		return c.l.alive()
	}
	if f.Verdict == gateway.FlowOpen && !f.Ended {
		c.l.touched()
	}
	return c.record(func() error { return c.t.NetworkFlow(f) })
}

// Packets records a batch of inner packets before it passes, and keeps nothing
// of it. An error means that none of them may pass.
func (c *Channel) Packets(batch []gateway.Packet) error {
	return c.record(func() error { return c.t.Packets(batch) })
}

// record writes something that is about to pass: what cannot be written does not pass,
// and a recorder that fails ends the session.
func (c *Channel) record(write func() error) error {
	l := c.l
	if l.halted() {
		return l.alive()
	}
	l.writing.Store(time.Now().UnixNano())
	err := write()
	l.writing.Store(0)
	switch {
	case gateway.IsCode(err, gateway.CodeInvalid): // the rest goes on
		return err
	case err != nil:
		return l.recorderFailed(err)
	}
	return l.alive()
}

// Frozen reports whether Hold would wait now.
func (c *Channel) Frozen() bool { return c.l.input.isShut() }

// Until is when the session ends at the latest, as things stand.
func (l *Live) Until() time.Time { return l.Session().Until }

// Sources are the networks that the engineer connects from; none means any.
func (l *Live) Sources() []netip.Prefix { return slices.Clone(l.ent.Vendor.Networks) }

// Alarm writes the event of a bound that is almost used up. At most maxAlarms
// are written for one session.
func (l *Live) Alarm(ctx context.Context, what, sentence string) {
	if l.alarms.Add(1) > maxAlarms {
		return
	}
	e := l.event(audit.SessionAlarm)
	e.Reason, e.Detail = sentence, map[string]string{"kind": what}
	l.m.record(ctx, e)
}

// Roamed writes the event of packets that come from elsewhere now. At most
// maxRoams are written for one session.
func (l *Live) Roamed(ctx context.Context, from, to netip.AddrPort) {
	if l.roams.Add(1) > maxRoams {
		return
	}
	e := l.event(audit.SessionRoamed)
	e.Source, e.Detail = to.String(), map[string]string{"from": from.String()}
	l.m.record(ctx, e)
}
